"""One sequence, letter by letter: filters along it, what each change does, and what matters."""

from collections.abc import Sequence

import numpy as np

from seqexp.interpret.attributions.places import place_of, window_around
from seqexp.interpret.panels import HeatMap, Logo, across
from seqexp.interpret.saliency.mutagenesis import Trace
from seqexp.utils.names import one_line
from seqexp.utils.panels import Curves, Frame, Panel, Sizes
from seqexp.utils.paper import Paper

MAX_TRACKS = 4
"""Filters along one sequence that can be told apart."""

MAX_LETTERS = 100
"""Of a sequence, that can be read side by side; of a longer one a window is shown."""

WINDOW = 80
"""Letters of it, around the evidence."""

ABOVE, ROW, NUMBERS = 50, 200, 56
"""Pixels above the first panel of a sequence, of a panel's row, and of that below the panel."""

LEFT, RIGHT = 95, 60
"""Pixels at the sides of all panels."""

TITLE, SIZES = 19, Sizes(label=14, number=13)

SHADE = "#fdf0d5"
"""Of what was planted."""


def where_figure(
    traces: Sequence[Trace],
    symbols: Sequence[str],
    filters: Sequence[int],
    output: str,
    unit: str = "log-odds, nats",
) -> bytes:
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
    width = min(6000, max(1200, 17 * longest))
    block = ABOVE + ROW * rows  # pixels of a sequence
    paper = Paper(width, block * len(traces))
    for index, (trace, (start, stop)) in enumerate(zip(traces, windows, strict=True)):
        what, _, scale = unit.rpartition(", ")
        named = f"{what} of {one_line(output)}" if what else one_line(output)
        title = f"{called(trace, index, start, stop)}: {named} {trace.margin:+.1f} {scale}"
        top = ABOVE + block * index
        paper.text(width // 2, top - 22, title, TITLE, room=width)
        panels = panels_of(trace, (start, stop), longest, symbols, filters[:MAX_TRACKS])
        for row, panel in enumerate(panels):
            box = LEFT, top + ROW * row, width - RIGHT, top + ROW * (row + 1) - NUMBERS
            frame = Frame(paper, box, SIZES, across((start + 1, start + longest)))
            edges = [(frame.x(a - 0.5), frame.x(b + 0.5)) for a, b in planted(trace)]
            for left, right in edges:
                paper.area((max(left, box[0]), box[1], min(right, box[2]), box[3]), SHADE)
            panel.draw(paper, box, SIZES)
            for x in (x for pair in edges for x in pair if box[0] <= x <= box[2]):
                paper.dots(x, box[1], box[3])
    return paper.png()


def panels_of(
    trace: Trace,
    window: tuple[int, int],
    longest: int,
    symbols: Sequence[str],
    filters: Sequence[int],
) -> list[Panel]:
    """Activations of filters, if there are any; what each change does; what matters."""
    start, stop = window
    places = start + 1, start + longest
    there = np.array([[letter == symbol for symbol in symbols] for letter in trace.letters])
    importance = (there * trace.importance[:, None])[start:stop]
    panels: list[Panel] = [
        HeatMap(trace.changes[start:stop], symbols, "", start + 1, places, ("replaced by",)),
        Logo(importance, symbols, "", start + 1, places, True, ("lost without", "this letter")),
    ]
    if not filters:
        return panels
    centre = 1 + (trace.width - 1) / 2  # of the window that starts at the first letter
    where = centre + np.arange(trace.tracks.shape[1])
    tracks = {f"filter {index}": (where, trace.tracks[index]) for index in filters}
    side = "activation", "of the window here"
    return [Curves(tracks, across(places), side=side), *panels]


def planted(trace: Trace) -> list[tuple[int, int]]:
    """The first and the last letter of each part that was planted, counted from 1."""
    if trace.planted is None or not trace.planted.any():
        return []
    places = np.flatnonzero(trace.planted) + 1
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [(int(run[0]), int(run[-1])) for run in runs]


def window_of(trace: Trace) -> tuple[int, int]:
    """The letters of a sequence that are shown, from and to before."""
    if len(trace.letters) <= MAX_LETTERS:
        return 0, len(trace.letters)
    return window_around(trace.importance, WINDOW)


def called(trace: Trace, index: int, start: int, stop: int) -> str:
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
