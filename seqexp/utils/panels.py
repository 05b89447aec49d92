"""Curves and counts in a frame, with numbers at its sides, on a sheet of paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from matplotlib.ticker import MaxNLocator

from seqexp.utils.paper import Box, Paper

MARK = 5
"""Pixels of a mark at a number."""

GREY = "#888888"

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
        for value in rounds(self.up, (bottom - top) // (2 * self.sizes.number), whole):
            y = self.y(value)
            self.paper.line(left - MARK, y, left, y)
            text = f"{round(value):,}" if whole else written(value)
            self.paper.text(left - MARK - 4, y, text, self.sizes.number, "rm")

    def numbers_across(self, values: Sequence[int] | Sequence[float]) -> None:
        """Numbers below."""
        bottom, size = self.box[3], self.sizes.number
        for value in values:
            x = self.x(value)
            self.paper.line(x, bottom, x, bottom + MARK)
            self.paper.text(x, bottom + MARK + round(0.75 * size), written(value), size)

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
        is_right, is_outside, step = (
            corner.endswith("right"),
            corner == "outside",
            round(1.5 * size),
        )
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


def written(value: int | float) -> str:
    """A number, with a minus sign as long as a plus."""
    return f"{value:.4g}".replace("-", "\u2212")


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
        corner: where the names stand.
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
    corner: str = "top right"
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
        frame.legend(colors, self.corner, self.title)


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
    whole: bool = True

    def draw(self, paper: Paper, box: Box, sizes: Sizes) -> None:
        """Put it on paper."""
        highest = max(1, int(self.counts.sum(axis=0).max()))
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
        frame.axes()
        frame.numbers_up(whole=True)
        frame.numbers_across(rounds(self.across, (right - left) // 60, self.whole))
        frame.beside(self.side)
        frame.below(self.below)
        frame.legend(dict(zip(self.names, self.colors, strict=False)))
