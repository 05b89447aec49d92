"""The figure of two motifs at each distance."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqexp.inference.insertion.effects import ORIENTATIONS, Mean
from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

Curves = Mapping[str, Float[np.ndarray, "runs distances"]]
"""Values by orientation."""


def spacing_figure(
    title: str,
    unit: str,
    distances: Sequence[int],
    together: Curves,
    single: Curves,
    intervals: Mapping[str, Sequence[Mean]],
) -> Figure:
    """Four panels: both motifs beside the sum of what each adds alone, and their difference.

    Args:
        title: of the figure.
        unit: of what is added.
        distances: letters between both.
        together: what both add, by orientation; a row a run.
        single: the sum of what each adds alone.
        intervals: of the difference, by orientation and distance; over runs the mean.
    """
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, orientation in zip(panels.ravel(), ORIENTATIONS, strict=True):
        _draw(axes, distances, together[orientation], single[orientation], intervals[orientation])
        axes.set_title(orientation, fontsize=11)
    for axes in panels[1]:
        axes.set_xlabel("letters between A and B")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels[:, 0]:
        axes.set_ylabel(f"added, {unit}")
    panels[0, 0].legend(fontsize=8, frameon=False)
    figure.suptitle(one_line(title, 100))
    return literal(figure)


def _draw(
    axes: Axes,
    distances: Sequence[int],
    together: Float[np.ndarray, "runs distances"],
    single: Float[np.ndarray, "runs distances"],
    difference: Sequence[Mean],
) -> None:
    marker = "." if len(distances) <= 60 else ""
    if len(together) > 1:
        for row in together:
            axes.plot(distances, row, color="#255c99", alpha=0.3, linewidth=0.8)
    both, alone = together.mean(axis=0), single.mean(axis=0)
    axes.plot(distances, both, color="#255c99", marker=marker, label="A and B together")
    axes.plot(distances, alone, color="black", linestyle="--", label="A alone + B alone")
    low, high = ([getattr(one, name) for one in difference] for name in ("low", "high"))
    axes.fill_between(distances, low, high, color="#d62839", alpha=0.25, linewidth=0)
    middle = [one.value for one in difference]
    axes.plot(distances, middle, color="#d62839", label="their difference, with 95% interval")
    axes.axhline(0, color="grey", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
