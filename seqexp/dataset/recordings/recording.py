"""A recording: frames of real numbers, with labels. Imports no torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqexp.errors import InputError

MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none"))
"""What tools write for a value that is missing, in lower case."""

_NUMBER = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?", re.ASCII)

LARGEST = 1e30
"""Size of a number above which float32 may overflow."""


SMALLEST = 1e-12
"""Deviation of a feature, of its size, below which it is taken for constant."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One sequence of frames.

    Args:
        group: what stays together in a split: a name of the file, or what a column says.
        values: of the features; NaN where one is missing.
        labels: columns of labels as they are written, each with one a frame, or one in all.
        places: where each frame stands, as `a.csv, line 7`; or one place for all.
        split: that the file names; None where it names none.
    """

    group: str
    values: Float[np.ndarray, "time size"]
    labels: tuple[Sequence[str], ...]
    places: Sequence[str]
    split: str | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.values)

    def place(self, frame: int) -> str:
        """Where a frame stands."""
        return self.places[frame if len(self.places) > 1 else 0]


def number(text: str, place: str, advice: str = "") -> float:
    """The number that a text is; NaN if it says that there is none.

    Args:
        text: a cell of a table.
        place: begins the message.
        advice: ends the message.

    Raises:
        InputError: if it is no number, infinite, or larger than `LARGEST`.
    """
    stripped = text.strip()
    if _NUMBER.fullmatch(stripped):
        value = float(stripped)
        if abs(value) > LARGEST:
            raise InputError(f"{place}: {stripped!r:.40} is larger than {LARGEST:g}")
        return value
    low = stripped.lower()
    if low in MISSING:
        return float("nan")
    if low.lstrip("+-") in ("inf", "infinity", "nan"):
        raise InputError(f"{place}: {stripped!r} is no finite number; remove the row or mend it")
    if re.fullmatch(r"[+-]?[\d.]*,[\d.,]*", stripped):
        why = "write a point for the decimal comma, and no sign between thousands"
    elif _NUMBER.match(stripped):
        why = "give the number alone, without a unit or other signs"
    else:
        why = "give a number, as -3.5"
    raise InputError(f"{place}: {stripped!r:.40} is no number; {why}{advice}")


def by_its_own(values: Float[np.ndarray, "time size"]) -> Float[np.ndarray, "time size"]:
    """Features of one recording around their mean there, by their deviation there.

    A missing value is the mean, and so is a feature that does not change.
    """
    known = ~np.isnan(values)
    count = np.maximum(1, known.sum(axis=0))
    mean = np.where(known, values, 0).sum(axis=0) / count
    centred = np.where(known, values - mean, 0)
    deviation = np.sqrt((centred**2).sum(axis=0) / count)
    is_constant = deviation <= SMALLEST * np.maximum(1, abs(mean))
    found: np.ndarray = np.where(is_constant, 0, centred / np.where(is_constant, 1, deviation))
    return found


def is_number(text: str) -> bool:
    """Whether a text is a number as `number` reads it."""
    return bool(_NUMBER.fullmatch(text.strip()))
