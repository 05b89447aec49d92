"""Pictures of how reads err, as a model has learned it and as the reads show it; and of how sure a
decoded letter is, and how often it is right.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.decode.consensus.reliability import Bin
from seqexp.interpret.reads.learned import KINDS, Learned, Row
from seqexp.utils.drawing import literal

COLORS = ("#8e63c4", "#7a7a7a", "#e4572e")
"""Of insertions, deletions, substitutions."""


def learned_figure(found: Learned) -> Figure:
    """By homopolymer, base and strand, quality, context; and how long a burst lasts."""
    figure = Figure(figsize=(15, 8.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("how reads err: reads (left bars) and reads that the model writes", fontsize=16)
    grid = figure.add_gridspec(2, 6)
    _bars(figure.add_subplot(grid[0, :2]), found.by("homopolymer"), "equal bases side by side")
    _bars(figure.add_subplot(grid[0, 2:5]), found.by("base and strand"), "base, strand")
    _bars(figure.add_subplot(grid[0, 5]), found.by("quality"), "latent quality")
    _contexts(figure.add_subplot(grid[1, :3]), found.by("context"))
    _burst(figure.add_subplot(grid[1, 3:]), found)
    return literal(figure)


def _bars(axes: Axes, rows: Sequence[Row], label: str) -> None:
    for offset, values in ((-0.2, [row.reads for row in rows]), (0.2, [row.model for row in rows])):
        bottom = np.zeros(len(rows))
        for kind, color, heights in zip(KINDS, COLORS, np.array(values).T, strict=True):
            at = np.arange(len(rows)) + offset
            axes.bar(at, heights, 0.36, bottom, color=color, label=kind if offset < 0 else None)
            bottom += heights
    axes.set_xticks(range(len(rows)), [row.group.replace(", strand ", "\n") for row in rows])
    axes.set_xlabel(label)
    axes.set_ylabel("errors a hundred bases")
    if label.startswith("equal"):
        axes.margins(y=0.25)  # room above the bars
        axes.legend(frameon=False, loc="upper center", ncols=3, fontsize=9)


def _contexts(axes: Axes, rows: Sequence[Row]) -> None:
    """A point for each base with its neighbours."""
    of_reads, of_model = (np.array([sum(getattr(r, n)) for r in rows]) for n in ("reads", "model"))
    highest = 1.05 * max([1.0, *of_reads, *of_model])
    axes.plot([0, highest], [0, highest], color="#bbbbbb", linewidth=1, zorder=0)
    axes.scatter(of_model, of_reads, s=8, color="#e4572e")
    for row, x, y in zip(rows, of_model, of_reads, strict=True):
        axes.annotate(row.group, (x, y), fontsize=7, xytext=(2, 2), textcoords="offset points")
    axes.set_xlim(0, highest)
    axes.set_ylim(0, highest)
    axes.set_xlabel("model: errors a hundred times that a base stands between these two")
    axes.set_ylabel("reads")


def _burst(axes: Axes, found: Learned) -> None:
    lags = range(1, len(found.burst_of_reads) + 1)
    axes.plot(lags, found.burst_of_reads, "o-", color="#333333", label="reads")
    axes.plot(lags, found.burst_of_model, "o--", color="#e4572e", label="model")
    axes.axhline(1, color="#bbbbbb", linewidth=1)
    axes.set_ylim(0)
    axes.set_xlabel("bases behind an error")
    axes.set_ylabel("another error: times as likely as anywhere")
    axes.legend(frameon=False)


def reliability_figure(by_number: Mapping[int, Sequence[Bin]]) -> Figure:
    """Observed share of wrong letters over the expected one, for each number of reads."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([1e-6, 1], [1e-6, 1], color="#bbbbbb", linewidth=1)
    for number, found in by_number.items():
        some = [one for one in found if one.letters]
        x = [max(1e-6, one.expected) for one in some]
        y = [max(1e-6, one.observed) for one in some]
        axes.plot(x, y, "o-", label=f"{number} reads")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("expected share of wrong letters")
    axes.set_ylabel("observed share (1e-6: none)")
    axes.set_title("how sure a decoded letter is, on held-out clusters")
    axes.legend(frameon=False)
    return literal(figure)
