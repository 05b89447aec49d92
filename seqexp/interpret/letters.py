"""How a sequence logo is put together, whatever it is drawn with."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqexp.utils.names import one_line

DNA_COLORS = {"A": "#109648", "C": "#255c99", "G": "#f7b32b", "T": "#d62839"}

WIDTH = 0.92
"""Share of a place that its letters fill."""

VISIBLE = {" ": "\u2423", "\n": "\u00b6", "\t": "\u2192"}
"""What is shown for symbols that would be invisible, or break a line."""

NO_LETTER = "\u25a1"
"""Stands for symbols that cannot be drawn: controls, marks on other letters, odd blanks."""

_BLANKS = "\u115f\u1160\u2800\u3164\uffa0\ufffc"
"""Blanks that Unicode counts as letters or signs."""

_INVISIBLE = 0.005
"""Letters below this share of the highest stack are left out."""


@dataclass(frozen=True)
class Letter:
    """One letter of a stack: its symbol, where it stands, and how tall it is.

    A negative height hangs from `bottom`, upside down.
    """

    place: int
    symbol: int
    bottom: float
    height: float


def letter_of(symbol: str) -> str:
    """What a logo draws for a symbol."""
    if symbol in VISIBLE:
        return VISIBLE[symbol]
    if len(symbol) == 1 and (symbol in _BLANKS or unicodedata.category(symbol)[0] in "CMZ"):
        return NO_LETTER
    return symbol


def label_of(symbol: str) -> str:
    """What an axis writes for a symbol: one that cannot be drawn by its number in Unicode."""
    letter = letter_of(symbol)
    return f"U+{ord(symbol):04X}" if letter == NO_LETTER != symbol else one_line(letter, 20)


def color(letter: str, index: int) -> str:
    """Of a symbol, as Matplotlib names colours."""
    return DNA_COLORS.get(letter, f"C{index % 10}")


def stacked(heights: Float[np.ndarray, "width symbols"]) -> Iterator[Letter]:
    """The letters that can be seen, the largest outermost; places are counted from 0."""
    lowest, highest = reach(heights)
    smallest = _INVISIBLE * max(-lowest, highest)
    for place, row in enumerate(heights):
        above, below = 0.0, 0.0
        for symbol in np.argsort(np.abs(row)):
            height = float(row[symbol])
            if abs(height) <= smallest:
                continue
            # upside down, a letter grows from its foot
            yield Letter(place, int(symbol), above if height > 0 else below, height)
            if height > 0:
                above += height
            else:
                below += height


def reach(heights: Float[np.ndarray, "width symbols"]) -> tuple[float, float]:
    """How far stacks go down and up."""
    below, above = heights.clip(max=0).sum(axis=1), heights.clip(min=0).sum(axis=1)
    return float(below.min()), float(above.max())


def limits(heights: Float[np.ndarray, "width symbols"]) -> tuple[float, float]:
    """Of an axis that shows all of it."""
    low, high = reach(heights)
    margin = 0.03 * (high - low) or 1.0
    return low - margin if low < 0 else 0.0, high + margin


def centred(heights: Float[np.ndarray, "width symbols"]) -> Float[np.ndarray, "width symbols"]:
    """Weights, of which only differences between the symbols of one place matter."""
    centred: np.ndarray = heights - heights.mean(axis=1, keepdims=True)
    return centred


def have_logo(symbols: Sequence[str]) -> bool:
    """Whether they are letters, and few enough to be told apart."""
    return len(symbols) <= MAX_LETTERS and all(len(symbol) == 1 for symbol in symbols)


MAX_LETTERS = 30
"""Symbols that a logo or the axis of a heat map can still show."""


def numbered(first: int, width: int) -> list[int]:
    """Places whose numbers an axis has room for."""
    step = 1 if width <= 20 else 5
    return [place for place in range(first, first + width) if step == 1 or place % step == 0]
