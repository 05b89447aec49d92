"""From text to tokens of which some carry a label: letters, words, or the pieces of words.

What a trained model is given is divided by the same code. Imports no torch.
"""

from collections.abc import Sequence
from typing import Literal

Unit = Literal["letters", "words", "characters", "pieces"]
"""`letters`: each letter of a text carries a label. The others label words: `words` are a token
each; `characters` are their letters, of which the last carries the label; `pieces` are their
shape, three first and two to four last letters, and themselves, which carries the label.
"""

UNKNOWN = "<unk>"
"""The symbol of every token that the vocabulary lacks."""

BLANK = "␣"
"""Stands between words that are read as their letters."""

_LONGEST_SHAPE = 6


def tokens_of(words: Sequence[str], unit: Unit, lower: bool = False) -> tuple[list[str], list[int]]:
    """The tokens of words or letters, and for each of these the place of the one with its label."""
    if lower:
        words = [word.lower() for word in words]
    if unit in ("letters", "words"):
        return list(words), list(range(len(words)))
    tokens: list[str] = []
    places: list[int] = []
    for word in words:
        if unit == "characters" and tokens:
            tokens.append(BLANK)
        tokens += word if unit == "characters" else pieces(word)
        places.append(len(tokens) - 1)
    return tokens, places


def pieces(word: str) -> list[str]:
    """What tells of a word that was never seen: always five tokens, the word as the last.

    >>> pieces("Kjeld")
    ['shape:Xx', 'kje-', '-ld', '-eld', 'Kjeld']
    """
    low = word.lower()
    return [f"shape:{shape(word)}", f"{low[:3]}-", f"-{low[-2:]}", f"-{low[-3:]}", word]


def shape(word: str) -> str:
    """Its capitals as X, small letters as x, digits as 0, each run once; other characters stay."""
    found = ""
    for letter in word:
        kind = _kind(letter)
        if not found.endswith(kind):
            found += kind
    return found[:_LONGEST_SHAPE]


def _kind(letter: str) -> str:
    if letter.isdigit():
        return "0"
    if letter.isalpha():
        return "X" if letter.isupper() else "x"
    return letter
