"""Curves and counts in a frame, with numbers at its sides, on a sheet of paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from matplotlib.ticker import MaxNLocator

from seqexp.utils.paper import INK, Box, Paper, ink_on, map_color, text_width

MARK = 5
"""Pixels of a mark at a number."""

GREY = "#888888"

CORNERS = ("top right", "bottom right", "top left", "bottom left")

SHARE = 0.3
"""Of a frame, that names in a corner fill: across, and up."""

Values = Sequence[int] | Sequence[float] | Float[np.ndarray, " points"]

Points = tuple[Values, Values]
"""Where a curve has values, from the left to the right, and the values."""

Ends = tuple[float, float]
"""Of an axis."""


@dataclass(frozen=True)
class Sizes:
    """Of fonts, in pixels: of what stands above a frame, and of all else around it."""

    label: int
    number: int


@runtime_checkable
class Panel(Protocol):
    """What fills a frame."""

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper: the frame's box, and what stands around it."""
        ...


@dataclass(frozen=True)
class Frame:
    """A box on paper, and which numbers its sides stand for."""

    paper: Paper
    box: Box
    sizes: Sizes
    across: Ends = (0.0, 1.0)
    up: Ends = (0.0, 1.0)

    def x(self, value: int | float) -> int:
        """The pixel of a number across."""
        left, _, right, _ = self.box
        start, end = self.across
        return round(left + (value - start) / (end - start) * (right - left))

    def y(self, value: int | float) -> int:
        """The pixel of a number up."""
        _, top, _, bottom = self.box
        low, high = self.up
        return round(bottom - (value - low) / (high - low) * (bottom - top))

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

    def label(self, text: str) -> None:
        """A line above."""
        left, top, right, _ = self.box
        middle, y = (left + right) // 2, top - round(0.9 * self.sizes.label)
        room = 2 * min(middle, self.paper.width - middle)
        self.paper.text(middle, y, text, self.sizes.label, room=room)

    def words(self, text: str) -> None:
        """A line in the middle, instead of anything drawn."""
        left, top, right, bottom = self.box
        middle = (left + right) // 2, (top + bottom) // 2
        self.paper.text(*middle, text, self.sizes.label, room=right - left)

    def beside(self, lines: Sequence[str]) -> None:
        """Lines of text left of the numbers, from below to above."""
        left, top, _, bottom = self.box
        for number, line in enumerate(reversed(lines)):
            x = left - round((4 + 1.3 * number) * self.sizes.number)
            size = self.sizes.number
            self.paper.text(x, (top + bottom) // 2, line, size, turned=True, room=bottom - top + 40)

    def below(self, text: str) -> None:
        """A line below the numbers."""
        left, _, right, bottom = self.box
        y = bottom + MARK + round(2.1 * self.sizes.number)
        self.paper.text((left + right) // 2, y, text, self.sizes.number, room=right - left + 80)

    def axes(self) -> None:
        """A line at the left, and one below."""
        left, top, right, bottom = self.box
        self.paper.line(left, top, left, bottom)
        self.paper.line(left, bottom, right, bottom)

    def numbers_up(self, whole: bool = False) -> None:
        """Round numbers at the left."""
        left, top, _, bottom = self.box
        values = rounds(self.up, (bottom - top) // (2 * self.sizes.number), whole)
        for value, text in zip(values, told_apart(values), strict=True):
            y = self.y(value)
            self.paper.line(left - MARK, y, left, y)
            size = self.sizes.number  # long ones are smaller, as what stands beside them is near
            self.paper.text(left - MARK - 4, y, text, size, "rm", room=round(3.7 * size))

    def numbers_across(self, values: Sequence[int] | Sequence[float]) -> None:
        """Numbers below."""
        bottom, size = self.box[3], self.sizes.number
        for value, text in zip(values, told_apart(values), strict=True):
            x = self.x(value)
            self.paper.line(x, bottom, x, bottom + MARK)
            half = text_width(text, size) // 2 + 2
            inside = min(max(x, half), self.paper.width - half)  # none is cut at the edge
            self.paper.text(inside, bottom + MARK + round(0.75 * size), text, size)

    def legend(self, names: Mapping[str, str], corner: str = "top right", title: str = "") -> None:
        """Names with their colours, below each other, in a corner.

        Args:
            names: the colour of each.
            corner: "top right", "top left", "bottom right", "bottom left"; or "outside", which is
                right of the frame.
            title: above them; may be empty.
        """
        size = round(0.9 * self.sizes.number)
        left, top, right, bottom = self.box
        is_right, is_outside = corner.endswith("right"), corner == "outside"
        step = round(1.5 * size)
        lines: list[tuple[str, str | None]] = [*([(title, None)] if title else []), *names.items()]
        start = bottom - step * len(lines) - 4 if corner.startswith("bottom") else top
        for number, (name, color) in enumerate(lines):
            y = start + round((number + 0.5) * step)
            edge = right - size if is_right else right + 12 if is_outside else left + 8
            if color is not None:
                self.paper.area((edge, y - size // 2, edge + size, y + size // 2), color)
            x = edge - 6 if is_right else edge + size + 6
            room = self.paper.width - x if is_outside else right - left - 40
            self.paper.text(x, y, name, size, "rm" if is_right else "lm", room=room)


def rounds(ends: Ends, most: int, whole: bool = False) -> list[float]:
    """Round numbers along an axis, about so many at most."""
    steps = [1, 2, 2.5, 5, 10]
    locator = MaxNLocator(nbins=max(1, most), steps=steps, integer=whole)
    return [float(one) for one in locator.tick_values(*ends) if ends[0] <= one <= ends[1]]


def written(value: int | float, digits: int = 4) -> str:
    """A number, with a minus sign as long as a plus; a whole one in full."""
    is_whole = value == round(value) and abs(value) < 1e7
    return (f"{value:,.0f}" if is_whole else f"{value:.{digits}g}").replace("-", "\u2212")


def told_apart(values: Sequence[int] | Sequence[float]) -> list[str]:
    """Numbers of an axis, with as many digits as they need to differ."""
    for digits in range(4, 15):
        texts = [written(value, digits) for value in values]
        if len(set(texts)) == len(texts):
            break
    return texts


@dataclass(frozen=True)
class Words:
    """What is said where there is nothing to draw, below a label."""

    words: str
    label: str = ""

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper."""
        frame = Frame(paper, box, sizes)
        frame.label(self.label)
        frame.words(self.words)


@dataclass(frozen=True)
class Curves:
    """Curves of straight pieces; values that are no numbers are left out.

    Args:
        points: of each curve, by its name.
        across: the ends of the axis.
        up: the ends of the other axis; None: all values fit between them.
        label: above them.
        side: lines of text at the left.
        below: text below the axis.
        dashed: further curves by their names: what the others are measured by. One that has the
            name of a curve has its colour, and no name of its own.
        has_dots: whether the points are marked.
        marked: a place with a dotted line down.
        whole: whether the numbers across are whole.
        corner: where the names stand; None: where the fewest curves are.
        title: of the names.
    """

    points: Mapping[str, Points]
    across: Ends
    up: Ends | None = None
    label: str = ""
    side: Sequence[str] = ()
    below: str = ""
    dashed: Mapping[str, Points] | None = None
    has_dots: bool = False
    marked: float | None = None
    whole: bool = True
    corner: str | None = None
    title: str = ""

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper."""
        left, top, right, bottom = box
        frame = Frame(paper, box, sizes, self.across)
        frame.label(self.label)
        curves = {name: _finite(*points) for name, points in self.points.items()}
        up = self.up or _room([values for _, values in curves.values()])
        if up is not None:
            frame = replace(frame, up=up)
            frame.numbers_up()
        colors = {name: f"C{number}" for number, name in enumerate(curves)}
        for name, points in (self.dashed or {}).items():
            x, y = _finite(*points)
            colors.setdefault(name, GREY)
            paper.curve(frame.columns(x), frame.rows(y), colors[name], box, dashed=True)
        for name, (x, y) in curves.items():
            columns, rows = frame.columns(x), frame.rows(y)
            paper.curve(columns, rows, colors[name], box)
            for column, row in zip(columns, rows, strict=True) if self.has_dots else ():
                paper.dot(round(float(column)), round(float(row)), colors[name])
        if self.marked is not None:
            paper.dots(frame.x(self.marked), top, bottom)
        frame.axes()
        frame.numbers_across(rounds(self.across, (right - left) // 50, self.whole))
        frame.beside(self.side)
        frame.below(self.below)
        frame.legend(colors, self.corner or _free_corner(frame, [*curves.values()]), self.title)


def _free_corner(frame: Frame, curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    """The corner in which the fewest pixels of curves are."""
    left, top, right, bottom = frame.box
    x = np.arange(left, right)
    counts = dict.fromkeys(CORNERS, 0)
    for where, values in curves:
        if not len(where):
            continue
        y = np.interp(x, frame.columns(where), frame.rows(values), left=np.nan, right=np.nan)
        for corner in CORNERS:
            is_low, is_right = corner.startswith("bottom"), corner.endswith("right")
            beyond = (bottom - y if is_low else y - top) < SHARE * (bottom - top)
            aside = (right - x if is_right else x - left) < SHARE * (right - left)
            counts[corner] += int((beyond & aside).sum())
    return min(counts, key=lambda corner: counts[corner])  # the first of those that are equal


def _finite(x: Values, y: Values) -> tuple[np.ndarray, np.ndarray]:
    there = np.isfinite(np.asarray(y, float))
    return np.asarray(x, float)[there], np.asarray(y, float)[there]


def _room(values: Sequence[np.ndarray]) -> Ends | None:
    """The ends of an axis that all values fit on; None without a value."""
    every = np.concatenate([np.zeros(0), *values])
    if not len(every):
        return None
    low, high = float(every.min()), float(every.max())
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


@dataclass(frozen=True)
class Counts:
    """Counts of some kinds in equal bins, on top of each other.

    Args:
        counts: of each kind in each bin.
        colors: of the kinds.
        across: where the first bin begins and the last one ends.
        label: above it.
        names: of the kinds, the first above; without them none are named.
        side: lines of text at the left.
        below: text below the axis.
        share: of a bin that is filled.
        line: a curve over all, black, and its name.
        whole: whether the numbers across are whole.
    """

    counts: Int[np.ndarray, "kinds bins"]
    colors: Sequence[str]
    across: Ends
    label: str = ""
    names: Sequence[str] = ()
    side: Sequence[str] = ()
    below: str = ""
    share: float = 1.0
    line: tuple[Values, Values, str] | None = None
    whole: bool = True

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper."""
        highest = max(1.0, float(self.counts.sum(axis=0).max()))
        if self.line is not None:
            highest = max(highest, *map(float, self.line[1]))
        frame = Frame(paper, box, sizes, self.across, (0.0, 1.05 * highest))
        frame.label(self.label)
        left, _, right, _ = box
        bins = self.counts.shape[1]
        gap = (1 - self.share) / 2 * (self.across[1] - self.across[0]) / bins
        edges = np.linspace(*self.across, bins + 1).tolist()
        for column, (start, end) in zip(self.counts.T, pairwise(edges), strict=True):
            below = 0
            for count, color in zip(column.tolist(), self.colors, strict=True):
                rows = frame.y(below + count), frame.y(below)
                paper.area((frame.x(start + gap), rows[0], frame.x(end - gap), rows[1]), color)
                below += count
        colors = dict(zip(self.names, self.colors, strict=False))
        if self.line is not None:
            x, y = (np.asarray(values, float) for values in self.line[:2])
            paper.curve(frame.columns(x), frame.rows(y), INK, box)
            colors |= {self.line[2]: INK} if colors else {}
        frame.axes()
        frame.numbers_up(whole=True)
        frame.numbers_across(rounds(self.across, (right - left) // 60, self.whole))
        frame.beside(self.side)
        frame.below(self.below)
        frame.legend(colors)


@dataclass(frozen=True)
class Matrix:
    """A matrix whose cells have a colour and a text, with names at its rows and columns.

    Args:
        values: of each cell, from -1 to 1, which are its colour; a cell of NaN is left out.
        texts: lines of each cell, by row and column.
        row_names: at the left.
        column_names: below; they are turned where one has no room.
        color_map: name of the colours in Matplotlib.
        scale: what is written beside the legend of colours: of 1, of 0 and of -1.
        label: above it.
        side: lines of text at the left.
        below: text below.
        title: beside the legend of colours.
    """

    values: Float[np.ndarray, "rows columns"]
    texts: Mapping[tuple[int, int], Sequence[str]]
    row_names: Sequence[str]
    column_names: Sequence[str]
    color_map: str
    scale: tuple[str, str, str]
    label: str = ""
    side: str = ""
    below: str = ""
    title: str = ""

    def margins(self, cell: int, sizes: Sizes) -> Box:
        """Pixels that are needed left, above, right and below, where cells are so large."""
        left = max(text_width(name, sizes.number) for name in self.row_names) + 14
        right = 32 + max(text_width(text, sizes.number) for text in self.scale)
        widest = max(text_width(name, sizes.number) for name in self.column_names)
        below = (widest if self._is_turned(cell, sizes) else sizes.number + 2) + 14
        line = round(2.4 * sizes.number)
        return (
            left + line * bool(self.side),
            2 * sizes.label * bool(self.label) + 16,
            right + line * bool(self.title) + 8,
            below + line * bool(self.below),
        )

    def _is_turned(self, cell: int, sizes: Sizes) -> bool:
        return max(text_width(name, sizes.number) for name in self.column_names) > cell - 8

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper, with a legend of its colours at the right."""
        left, top, right, bottom = box
        rows, columns = self.values.shape
        frame = Frame(paper, box, sizes, (0.0, columns), (rows, 0.0))
        frame.label(self.label)
        size = sizes.number
        for (row, column), value in np.ndenumerate(self.values):
            if np.isnan(value):
                continue
            cell = frame.x(column), frame.y(row), frame.x(column + 1), frame.y(row + 1)
            color = map_color(float(value), self.color_map)
            paper.area(cell, color)
            lines = self.texts.get((row, column), ())
            middle = (cell[1] + cell[3]) / 2 - 0.65 * size * (len(lines) - 1)
            for number, line in enumerate(lines):
                x, y = (cell[0] + cell[2]) // 2, round(middle + 1.3 * size * number)
                room = cell[2] - cell[0] - 4
                paper.text(x, y, line, size, room=room, color=ink_on(color), on=color)
        for row, name in enumerate(self.row_names):
            paper.text(left - 8, frame.y(row + 0.5), name, size, "rm")
        is_turned = self._is_turned((right - left) // columns, sizes)
        for column, name in enumerate(self.column_names):
            reach = text_width(name, size) // 2 if is_turned else size // 2
            paper.text(frame.x(column + 0.5), bottom + 8 + reach, name, size, turned=is_turned)
        wide, _, beyond, under = self.margins((right - left) // columns, sizes)
        paper.text(left - wide + size, (top + bottom) // 2, self.side, size, turned=True)
        paper.text((left + right) // 2, bottom + under - size, self.below, size)
        ramp = right + 12, top, right + 24, bottom
        paper.cells(np.linspace(1, -1, 64)[:, None], ramp, self.color_map)
        for text, y in zip(self.scale, (top + 6, (top + bottom) // 2, bottom - 6), strict=True):
            paper.text(ramp[2] + 5, y, text, size, "lm")
        x, room = right + beyond - size, bottom - top
        paper.text(x, (top + bottom) // 2, self.title, size, turned=True, room=room)
