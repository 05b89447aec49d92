"""One sequence, letter by letter: filters along it, what each change does, and what matters."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.interpret.attributions.places import place_of, window_around
from seqexp.interpret.letters import label_of, letter_of
from seqexp.interpret.logo import draw_logo
from seqexp.interpret.saliency.mutagenesis import Trace
from seqexp.utils.drawing import colour_legend, literal
from seqexp.utils.names import one_line

MAX_TRACKS = 4
"""Filters along one sequence that can be told apart."""

MAX_LETTERS = 100
"""Of a sequence, that can be read side by side; of a longer one a window is shown."""

WINDOW = 80
"""Letters of it, around the evidence."""


def where_figure(
    traces: Sequence[Trace],
    symbols: Sequence[str],
    filters: Sequence[int],
    output: str,
    unit: str = "log-odds, nats",
) -> Figure:
    """Three panels a sequence; what was planted is shaded.

    Of a sequence of more than `MAX_LETTERS`, the window is shown whose letters matter most.

    Args:
        traces: the sequences.
        symbols: of the vocabulary, one character each.
        filters: indices of those that matter most, the first first.
        output: name of the output looked at.
        unit: what it is measured in, as "log-odds, nats".
    """
    windows = [window_of(trace) for trace in traces]
    longest = max(stop - start for start, stop in windows)
    rows = 3 if filters else 2
    figure = Figure(figsize=(min(60, max(12, 0.17 * longest)), 6.2 * len(traces) + 0.6))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows * len(traces), 1, squeeze=False).ravel()
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.95 / figure.get_figwidth(),
        right=1 - 0.55 / figure.get_figwidth(),
        bottom=0.5 / height,
        top=1 - 0.5 / height,
        hspace=0.55,
    )
    for index, (trace, (start, stop)) in enumerate(zip(traces, windows, strict=True)):
        panels = axes[rows * index : rows * (index + 1)]
        if filters:
            _tracks(panels[0], trace, filters[:MAX_TRACKS])
        _changes(panels[-2], trace, symbols)
        _importance(panels[-1], trace, symbols)
        what, _, scale = unit.rpartition(", ")
        named = f"{what} of {one_line(output)}" if what else one_line(output)
        title = f"{_called(trace, index, start, stop)}: {named} {trace.margin:+.1f} {scale}"
        panels[0].set_title(title, fontsize=14)
        for panel in panels:
            _shade(panel, trace)
            panel.set_xlim(start + 0.4, start + longest + 0.6)
    return literal(figure)


def window_of(trace: Trace) -> tuple[int, int]:
    """The letters of a sequence that are shown, from and to before."""
    if len(trace.letters) <= MAX_LETTERS:
        return 0, len(trace.letters)
    return window_around(trace.importance, WINDOW)


def _called(trace: Trace, index: int, start: int, stop: int) -> str:
    """The name of a sequence, and which part of it is shown, with its place in a genome."""
    length = len(trace.letters)
    called = f"test sequence {index + 1}"
    place = None
    if trace.name is not None:
        called = f"{called}, {one_line(trace.name, 60)}"
        place = place_of(trace.name, length, start, stop)
    if stop - start == length:
        return called
    part = f"letters {start + 1} to {stop} of {length}"
    return f"{called}, {part} ({place})" if place else f"{called}, {part}"


def _tracks(axes: Axes, trace: Trace, filters: Sequence[int]) -> None:
    centre = 1 + (trace.width - 1) / 2  # of the window that starts at the first letter
    places = centre + np.arange(trace.tracks.shape[1])
    for index in filters:
        axes.plot(places, trace.tracks[index], label=f"filter {index}", linewidth=1.5)
    axes.set_ylabel("activation\nof the window here", fontsize=10)
    axes.legend(loc="upper right", fontsize=10, ncols=len(filters))


def _changes(axes: Axes, trace: Trace, symbols: Sequence[str]) -> None:
    limit = float(np.abs(trace.changes).max()) or 1.0
    extent = (0.5, len(trace.letters) + 0.5, len(symbols) - 0.5, -0.5)
    image = axes.imshow(
        trace.changes.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent
    )
    axes.set_yticks(range(len(symbols)), [label_of(symbol) for symbol in symbols])
    axes.set_ylabel("replaced by", fontsize=10)
    colour_legend(axes, image, limit)


def _importance(axes: Axes, trace: Trace, symbols: Sequence[str]) -> None:
    there = np.array([[letter == symbol for symbol in symbols] for letter in trace.letters])
    shown = [letter_of(symbol) for symbol in symbols]
    draw_logo(axes, there * trace.importance[:, None], shown)
    axes.set_ylabel("lost without\nthis letter", fontsize=10)


def _shade(axes: Axes, trace: Trace) -> None:
    if trace.planted is None or not trace.planted.any():
        return
    places = np.flatnonzero(trace.planted) + 1
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        axes.axvspan(run[0] - 0.5, run[-1] + 0.5, color="#f7b32b", alpha=0.2, zorder=-1)
        axes.axvline(run[0] - 0.5, color="black", linewidth=0.8, linestyle=":")
        axes.axvline(run[-1] + 0.5, color="black", linewidth=0.8, linestyle=":")
