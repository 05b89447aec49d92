"""Logos, maps of weights and counts, each with numbers at its sides, on a sheet of paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from matplotlib.ticker import MaxNLocator

from seqexp.interpret import letters
from seqexp.interpret.paper import Box, Paper

COLOR_MAP = "RdBu_r"

MARK = 5
"""Pixels of a mark at a number."""

ROOM = 54
"""Pixels at the left of a map, for the names of its rows."""

Values = Sequence[int] | Sequence[float] | Float[np.ndarray, " points"]

Places = tuple[int, int]
"""The outermost places that are shown, counted from 1."""


@dataclass(frozen=True)
class Sizes:
    """Of fonts, in pixels: of what stands above a frame, and of the numbers at its sides."""

    label: int
    number: int


@dataclass(frozen=True)
class Frame:
    """Where a panel lies: its box in pixels, and which numbers its sides stand for."""

    box: Box
    across: tuple[float, float] = (0.0, 1.0)
    up: tuple[float, float] = (0.0, 1.0)

    def x(self, value: int | float) -> int:
        """The pixel of a number across."""
        return round(float(self.columns(np.array([value], float))[0]))

    def y(self, value: int | float) -> int:
        """The pixel of a number up."""
        return round(float(self.rows(np.array([value], float))[0]))

    def columns(self, values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        """Where numbers across are, in pixels."""
        left, _, right, _ = self.box
        start, end = self.across
        found: np.ndarray = left + (values - start) / (end - start) * (right - left)
        return found

    def rows(self, values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        """Where numbers up are, in pixels."""
        _, top, _, bottom = self.box
        low, high = self.up
        found: np.ndarray = bottom - (values - low) / (high - low) * (bottom - top)
        return found


@dataclass(frozen=True)
class Logo:
    """Stacks of letters.

    Args:
        heights: of each letter at each place, in bits, or of weights.
        label: above it.
        first: number of its first place.
        places: that are shown; None: its own.
        hangs: whether letters may hang below zero. If not, the axis goes up to all that a place can
            tell.
        side: lines of text at the left.
    """

    heights: Float[np.ndarray, "width symbols"]
    label: str
    first: int = 1
    places: Places | None = None
    hangs: bool = False
    side: Sequence[str] = ()

    def draw(self, paper: Paper, box: Box, symbols: Sequence[str], sizes: Sizes) -> None:
        """Put it on paper."""
        frame = Frame(box)
        _label(paper, frame, self.label, sizes)
        if not letters.have_logo(symbols):
            _words(paper, frame, "no logo: symbols are not letters", sizes)
            return
        heights = self.heights
        if not heights.any():
            _words(paper, frame, "nothing", sizes)
            return
        up = letters.limits(heights) if self.hangs else (0.0, float(np.log2(len(symbols))))
        last = self.first + len(heights) - 1
        frame = Frame(box, across(self.places or (self.first, last)), up)
        for one in letters.stacked(heights):
            symbol, place = letters.letter_of(symbols[one.symbol]), self.first + one.place
            left, right = frame.x(place - letters.WIDTH / 2), frame.x(place + letters.WIDTH / 2)
            stack = left, frame.y(one.bottom + one.height), right, frame.y(one.bottom)
            paper.letter(symbol, letters.color(symbol, one.symbol), stack)
        left, top, right, bottom = box
        paper.line(left, top, left, bottom)
        paper.line(left, frame.y(0.0), right, frame.y(0.0))
        _numbers_up(paper, frame, sizes)
        _numbers_across(paper, frame, letters.numbered(self.first, len(heights)), sizes)
        _side(paper, frame, self.side, sizes)


@dataclass(frozen=True)
class HeatMap:
    """Weights as colours, a row a symbol: red is above zero, blue below.

    Args:
        weights: of each symbol at each place.
        label: above it.
        first: number of its first place.
        places: that are shown; None: its own.
        side: lines of text at the left.
    """

    weights: Float[np.ndarray, "width symbols"]
    label: str
    first: int = 1
    places: Places | None = None
    side: Sequence[str] = ()

    def draw(self, paper: Paper, box: Box, symbols: Sequence[str], sizes: Sizes) -> None:
        """Put it on paper, with a legend of its colours at the right."""
        last = self.first + len(self.weights) - 1
        frame = Frame(box, across(self.places or (self.first, last)))
        _label(paper, frame, self.label, sizes)
        limit = float(np.abs(self.weights).max()) or 1.0
        left, top, right, bottom = box
        cells = frame.x(self.first - 0.5), top, frame.x(last + 0.5), bottom
        paper.cells(self.weights.T / limit, cells, COLOR_MAP)
        row = (bottom - top) / len(symbols)
        if len(symbols) <= letters.MAX_LETTERS:
            size = max(6, min(sizes.number, int(0.9 * row)))
            for number, symbol in enumerate(symbols):
                middle = round(top + (number + 0.5) * row)
                name = letters.label_of(symbol)
                paper.text(cells[0] - 6, middle, name, size, "rm", room=ROOM)
        _numbers_across(paper, frame, letters.numbered(self.first, len(self.weights)), sizes)
        _side(paper, frame, self.side, sizes)
        ramp = right + 6, top, right + 14, bottom
        paper.cells(np.linspace(1, -1, 64)[:, None], ramp, COLOR_MAP)
        small = round(0.8 * sizes.number)
        for value, y in (
            (limit, top + small // 2),
            (0.0, (top + bottom) // 2),
            (-limit, bottom - small // 2),
        ):
            sign = "+" if value > 0 else ""
            paper.text(right + 18, y, f"{sign}{_number(float(f'{value:.2g}'))}", small, "lm")


@dataclass(frozen=True)
class Words:
    """What is said where there is nothing to draw, below a label."""

    words: str
    label: str = ""

    def draw(self, paper: Paper, box: Box, symbols: Sequence[str], sizes: Sizes) -> None:
        """Put it on paper."""
        _label(paper, Frame(box), self.label, sizes)
        _words(paper, Frame(box), self.words, sizes)


@dataclass(frozen=True)
class Counts:
    """Counts of some kinds in equal bins, on top of each other.

    Args:
        counts: of each kind in each bin.
        names: of the kinds.
        colors: of the kinds.
        across: where the first bin begins and the last one ends.
        label: above it.
    """

    counts: Int[np.ndarray, "kinds bins"]
    names: Sequence[str]
    colors: Sequence[str]
    across: tuple[float, float]
    label: str

    def draw(self, paper: Paper, box: Box, symbols: Sequence[str], sizes: Sizes) -> None:
        """Put it on paper, with a legend where the first kind is named first."""
        highest = max(1, int(self.counts.sum(axis=0).max()))
        frame = Frame(box, self.across, (0.0, 1.05 * highest))
        _label(paper, frame, self.label, sizes)
        left, top, right, bottom = box
        edges = [frame.x(edge) for edge in np.linspace(*self.across, self.counts.shape[1] + 1)]
        for column, (start, end) in zip(self.counts.T, pairwise(edges), strict=True):
            below = 0
            for count, color in zip(column.tolist(), self.colors, strict=True):
                paper.area((start, frame.y(below + count), end, frame.y(below)), color)
                below += count
        paper.line(left, top, left, bottom)
        paper.line(left, bottom, right, bottom)
        _numbers_up(paper, frame, sizes, whole=True)
        _numbers_across(paper, frame, _whole(self.across, (right - left) // 60), sizes)
        _legend(paper, box, self.names, self.colors, sizes)


@dataclass(frozen=True)
class Curves:
    """Curves of straight pieces; values that are no numbers are left out.

    Args:
        points: of each curve, by its name: where it has values, from the left to the right, and
            the values.
        across: the ends of the axis.
        label: above them.
        side: lines of text at the left.
        has_dots: whether the points are marked.
        marked: a place with a dotted line down.
    """

    points: Mapping[str, tuple[Values, Values]]
    across: tuple[float, float]
    label: str = ""
    side: Sequence[str] = ()
    has_dots: bool = False
    marked: float | None = None

    def draw(self, paper: Paper, box: Box, symbols: Sequence[str], sizes: Sizes) -> None:
        """Put it on paper, with a legend in the corner at the right."""
        left, top, right, bottom = box
        frame = Frame(box, self.across)
        _label(paper, frame, self.label, sizes)
        curves = {name: _finite(*points) for name, points in self.points.items()}
        values = np.concatenate([np.zeros(0), *(y for _, y in curves.values())])
        if len(values):
            low, high = float(values.min()), float(values.max())
            margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
            frame = Frame(box, frame.across, (low - margin, high + margin))
            _numbers_up(paper, frame, sizes)
        for number, (x, y) in enumerate(curves.values()):
            across, down = frame.columns(x), frame.rows(y)
            paper.curve(across, down, f"C{number}", box)
            for column, row in zip(across, down, strict=True) if self.has_dots else ():
                paper.dot(round(column), round(row), f"C{number}")
        if self.marked is not None:
            paper.dots(frame.x(self.marked), top, bottom)
        paper.line(left, top, left, bottom)
        paper.line(left, bottom, right, bottom)
        _numbers_across(paper, frame, _whole(self.across, (right - left) // 50), sizes)
        _side(paper, frame, self.side, sizes)
        _legend(paper, box, list(curves), [f"C{number}" for number in range(len(curves))], sizes)


def _finite(x: Values, y: Values) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(np.asarray(y, float))
    return np.asarray(x, float)[there], np.asarray(y, float)[there]


def _whole(ends: tuple[float, float], most: int) -> list[float]:
    """Round whole numbers along an axis, so many at most."""
    values = MaxNLocator(nbins=max(1, most), integer=True).tick_values(*ends)
    return [float(value) for value in values if ends[0] <= value <= ends[1]]


Panel = Logo | HeatMap | Words | Counts | Curves


def within(panel: Panel, places: Places) -> Panel:
    """The same with these places, so that a place can be followed from one panel to another."""
    return replace(panel, places=places) if isinstance(panel, Logo | HeatMap) else panel


def across(places: Places) -> tuple[float, float]:
    """The ends of an axis that shows these places."""
    return places[0] - 0.6, places[1] + 0.6


def _label(paper: Paper, frame: Frame, label: str, sizes: Sizes) -> None:
    left, top, right, _ = frame.box
    middle, y = (left + right) // 2, top - round(0.9 * sizes.label)
    paper.text(middle, y, label, sizes.label, room=2 * min(middle, paper.width - middle))


def _words(paper: Paper, frame: Frame, words: str, sizes: Sizes) -> None:
    left, top, right, bottom = frame.box
    paper.text((left + right) // 2, (top + bottom) // 2, words, sizes.label, room=right - left)


def _side(paper: Paper, frame: Frame, lines: Sequence[str], sizes: Sizes) -> None:
    """Lines of text left of the numbers, from below to above."""
    left, top, _, bottom = frame.box
    for number, line in enumerate(reversed(lines)):
        x = left - 4 * sizes.number - round(1.3 * sizes.number * number)
        paper.text(x, (top + bottom) // 2, line, sizes.number, turned=True)


def _legend(
    paper: Paper, box: Box, names: Sequence[str], colors: Sequence[str], sizes: Sizes
) -> None:
    """Names in the corner at the right, below each other."""
    small = round(0.9 * sizes.number)
    _, top, right, _ = box
    for number, (name, color) in enumerate(zip(names, colors, strict=True)):
        y = top + round((number + 0.5) * 1.5 * small)
        paper.area((right - small, y - small // 2, right, y + small // 2), color)
        paper.text(right - small - 6, y, name, small, "rm")


def _numbers_up(paper: Paper, frame: Frame, sizes: Sizes, whole: bool = False) -> None:
    left, top, _, bottom = frame.box
    low, high = frame.up
    most = max(1, (bottom - top) // (2 * sizes.number))
    locator = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], integer=whole)
    for value in locator.tick_values(low, high):
        if low <= value <= high:
            y = frame.y(value)
            paper.line(left - MARK, y, left, y)
            text = f"{round(value):,}" if whole else _number(value)
            paper.text(left - MARK - 4, y, text, sizes.number, "rm")


def _numbers_across(
    paper: Paper, frame: Frame, values: Sequence[int] | Sequence[float], sizes: Sizes
) -> None:
    bottom = frame.box[3]
    for value in values:
        x = frame.x(value)
        paper.line(x, bottom, x, bottom + MARK)
        paper.text(x, bottom + MARK + round(0.75 * sizes.number), _number(value), sizes.number)


def _number(value: int | float) -> str:
    """With a minus sign as long as a plus."""
    return f"{value:.4g}".replace("-", "\u2212")
