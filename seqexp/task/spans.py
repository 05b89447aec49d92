"""Spans in labels of positions, as names in a text: which begin where, and how many are right.

Labels are O, or a place and a type: B-x begins a span, I-x is inside; E-x (or L-x) ends one, and
S-x (or U-x) is one by itself.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_OUTSIDE = "O"
_LABEL = re.compile(r"[BIESLU]-.+")
_PLACES = {"L": "E", "U": "S"}
"""Other letters for the end of a span, and for one by itself."""

Span = tuple[int, int, str]
"""First position, last position and type."""


def are_spans(names: Sequence[str]) -> bool:
    """Whether labels have the form of spans; O alone has not."""
    others = [name for name in names if name != _OUTSIDE]
    return bool(others) and all(_LABEL.fullmatch(name) for name in others)


def spans_of(labels: Sequence[str]) -> Iterator[Span]:
    """The spans of a sequence of labels, in any of the forms, also of one that is malformed.

    Source: conlleval of the CoNLL-2000 shared task: a span ends, or begins, by its label and the
    one before, so that I-x after O or after another type begins one.
    """
    before, kind, start = _OUTSIDE, "", 0
    for position, label in enumerate([*labels, _OUTSIDE]):
        letter, _, own = label.partition("-")
        place = _PLACES.get(letter, letter)
        is_other = own != kind
        if before != _OUTSIDE and (is_other or before in "ES" or place in "BSO"):
            yield start, position - 1, kind
        if place != _OUTSIDE and (is_other or place in "BS" or before in "ESO"):
            start = position
        before, kind = place, own


@dataclass
class SpanCounts:
    """Spans of a split: those that are predicted exactly, with their type, and how many there are.

    Args:
        right: predicted as they are.
        predicted: all that are predicted.
        true: all that there are.
    """

    right: int = 0
    predicted: int = 0
    true: int = 0

    def add(self, truth: Sequence[str], predicted: Sequence[str]) -> None:
        """Take in the labels of one sequence."""
        known, found = set(spans_of(truth)), set(spans_of(predicted))
        self.right += len(known & found)
        self.predicted += len(found)
        self.true += len(known)

    def merge(self, other: "SpanCounts") -> None:
        """Take in what another has."""
        self.right += other.right
        self.predicted += other.predicted
        self.true += other.true

    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where there is no span at all."""
        both = self.predicted + self.true
        return 2 * self.right / both if both else None
