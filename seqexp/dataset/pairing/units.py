"""Texts as rows of symbols, and back. Imports no torch."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal

Unit = Literal["words", "characters", "blanks"]
Form = Literal["NFC", "NFD", "NFKC", "NFKD"]


@dataclass(frozen=True)
class Reading:
    """How a text becomes symbols.

    Args:
        unit: `blanks`: what stands between blanks; `words`: of that, letters and digits together
            and every other mark alone; `characters`: each character, blanks in the text too.
        form: Unicode form that the text is brought to first; None leaves it as it is.
        lower: in lower case.
    """

    unit: Unit = "blanks"
    form: Form | None = None
    lower: bool = False

    def symbols(self, text: str) -> tuple[str, ...]:
        """The symbols of a text; none of one that has blanks only."""
        if self.form is not None:
            text = unicodedata.normalize(self.form, text)
        if self.lower:
            text = text.lower()
        if self.unit == "characters":
            return tuple(" ".join(text.split()))
        pieces = text.split()
        if self.unit == "blanks":
            return tuple(pieces)
        return tuple(word for piece in pieces for word in _words(piece))


def joined(symbols: Sequence[str], unit: Unit) -> str:
    """The text that symbols are written as."""
    return ("" if unit == "characters" else " ").join(symbols)


@lru_cache(maxsize=2**16)
def _words(piece: str) -> tuple[str, ...]:
    return tuple(_divided(piece)) if not piece.isalnum() else (piece,)


def _divided(piece: str) -> Iterator[str]:
    for is_word, characters in groupby(piece, key=_is_of_a_word):
        if is_word:
            yield "".join(characters)
        else:
            yield from characters


def _is_of_a_word(character: str) -> bool:
    """Letters, digits, and the marks that stand on letters."""
    return unicodedata.category(character)[0] in "LMN"
