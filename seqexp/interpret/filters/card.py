"""Cards: pictures of the filters while they form, for the step slider of the MLflow UI.

A small model learns for less than Matplotlib takes for one of them, so they are put on paper.
"""

from collections.abc import Sequence

from seqexp.data import Pattern
from seqexp.interpret.filters.alignment import aligned
from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.matrix import information
from seqexp.interpret.letters import centred
from seqexp.interpret.panels import Logo
from seqexp.utils.panels import Sizes
from seqexp.utils.paper import Paper

MAX_LOGOS = 4
"""That can be read on a small card."""

DEAD = "dead: no window excites it"

SIZE = 800
"""Pixels of a side."""

LEFT, RIGHT, TOP, BOTTOM = 62, 786, 104, 766
"""Of the area of all logos; numbers and labels stand around each."""

GAP = 92
"""Between two logos, for numbers and a label."""

SIZES = Sizes(label=19, number=15)


def card(
    filters: Sequence[LearnedFilter],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    title: str,
) -> bytes:
    """A PNG file of the best filters' logos, square, with large labels: a card in the UI is small.

    Of a single filter the weights too; below, what was planted, at the places that agree.
    """
    drawn, _ = shown(filters, MAX_LOGOS)
    places = (1, len(drawn[0].pfm))
    below = aligned(drawn[0], symbols, patterns) if patterns else None
    if below is not None:
        places = below.places
    panels = [
        Logo(
            information(learned.ppm),
            symbols,
            f"filter {learned.index}: {learned.hits} windows [bits]" if learned.hits else DEAD,
            places=places,
        )
        for learned in drawn
    ]
    if len(drawn) == 1:
        panels.append(
            Logo(centred(drawn[0].weights), symbols, "weights, centred", 1, places, hangs=True)
        )
    if below is not None:
        panels.append(Logo(information(below.ppm), symbols, below.label, below.first, places))
    paper = Paper(SIZE, SIZE)
    paper.text(SIZE // 2, 30, title, 30)
    height = (BOTTOM - TOP - GAP * (len(panels) - 1)) // len(panels)
    for index, panel in enumerate(panels):
        top = TOP + index * (height + GAP)
        panel.draw(paper, (LEFT, top, RIGHT, top + height), SIZES)
    return paper.png()
