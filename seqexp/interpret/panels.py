"""Sequence logos and maps of weights, with numbers at their sides, on a sheet of paper."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from seqexp.interpret import letters
from seqexp.utils.panels import Ends, Frame, Panel, Sizes, written
from seqexp.utils.paper import Box, Paper

COLOR_MAP = "RdBu_r"

ROOM = 54
"""Pixels at the left of a map, for the names of its rows."""

Places = tuple[int, int]
"""The outermost places that are shown, counted from 1."""


@dataclass(frozen=True)
class Logo:
    """Stacks of letters.

    Args:
        heights: of each letter at each place, in bits, or of weights.
        symbols: the letters.
        label: above it.
        first: number of its first place.
        places: that are shown; None: its own.
        hangs: whether letters may hang below zero. If not, the axis goes up to all that a place can
            tell.
        side: lines of text at the left.
    """

    heights: Float[np.ndarray, "width symbols"]
    symbols: Sequence[str]
    label: str
    first: int = 1
    places: Places | None = None
    hangs: bool = False
    side: Sequence[str] = ()

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper."""
        frame, heights = Frame(paper, box, sizes), np.nan_to_num(self.heights)
        frame.label(self.label)
        if not letters.have_logo(self.symbols):
            frame.words("no logo: symbols are not letters")
            return
        if not heights.any():
            frame.words("nothing")
            return
        up = letters.limits(heights) if self.hangs else (0.0, float(np.log2(len(self.symbols))))
        last = self.first + len(heights) - 1
        frame = replace(frame, across=across(self.places or (self.first, last)), up=up)
        for one in letters.stacked(heights):
            letter, place = letters.letter_of(self.symbols[one.symbol]), self.first + one.place
            left, right = frame.x(place - letters.WIDTH / 2), frame.x(place + letters.WIDTH / 2)
            stack = left, frame.y(one.bottom + one.height), right, frame.y(one.bottom)
            paper.letter(letter, letters.color(letter, one.symbol), stack)
        left, top, right, bottom = box
        paper.line(left, top, left, bottom)
        paper.line(left, frame.y(0.0), right, frame.y(0.0))
        frame.numbers_up()
        frame.numbers_across(letters.numbered(self.first, len(heights)))
        frame.beside(self.side)


@dataclass(frozen=True)
class HeatMap:
    """Weights as colours, a row a symbol: red is above zero, blue below.

    Args:
        weights: of each symbol at each place.
        symbols: that stand at the rows.
        label: above it.
        first: number of its first place.
        places: that are shown; None: its own.
        side: lines of text at the left.
    """

    weights: Float[np.ndarray, "width symbols"]
    symbols: Sequence[str]
    label: str
    first: int = 1
    places: Places | None = None
    side: Sequence[str] = ()

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper, with a legend of its colours at the right."""
        last = self.first + len(self.weights) - 1
        frame = Frame(paper, box, sizes, across(self.places or (self.first, last)))
        frame.label(self.label)
        limit = float(np.abs(np.nan_to_num(self.weights)).max()) or 1.0
        left, top, right, bottom = box
        cells = frame.x(self.first - 0.5), top, frame.x(last + 0.5), bottom
        paper.cells(self.weights.T / limit, cells, COLOR_MAP)
        row = (bottom - top) / len(self.symbols)
        if len(self.symbols) <= letters.MAX_LETTERS:
            size = max(6, min(sizes.number, int(0.9 * row)))
            for number, symbol in enumerate(self.symbols):
                middle = round(top + (number + 0.5) * row)
                paper.text(cells[0] - 6, middle, letters.label_of(symbol), size, "rm", room=ROOM)
        frame.numbers_across(letters.numbered(self.first, len(self.weights)))
        frame.beside(self.side)
        ramp = right + 6, top, right + 14, bottom
        paper.cells(np.linspace(1, -1, 64)[:, None], ramp, COLOR_MAP)
        small = round(0.8 * sizes.number)
        for value, y in (
            (limit, top + small // 2),
            (0.0, (top + bottom) // 2),
            (-limit, bottom - small // 2),
        ):
            sign = "+" if value > 0 else ""
            paper.text(right + 18, y, f"{sign}{written(float(f'{value:.2g}'))}", small, "lm")


def within(panel: Panel, places: Places) -> Panel:
    """The same with these places, so that a place can be followed from one panel to another."""
    return replace(panel, places=places) if isinstance(panel, Logo | HeatMap) else panel


def across(places: Places) -> Ends:
    """The ends of an axis that shows these places."""
    return places[0] - 0.6, places[1] + 0.6
