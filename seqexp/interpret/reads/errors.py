"""Errors of reads against the sequence that they are of, by an alignment with fewest edits.

Among equally good alignments one is shown: a letter lost from AAA may stand at any of the three.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import edlib
import numpy as np
from jaxtyping import Float

from seqexp.formats.dna import LETTERS

GAP = "-"


class Column(NamedTuple):
    """One place of an alignment: a letter of the read over one of the truth, or a gap in either.

    `place` is the letter of the truth that stands there, or before which letters are inserted.
    """

    place: int
    read: str
    truth: str


def columns(read: str, truth: str) -> Iterator[Column]:
    """The alignment, from left to right."""
    if not read or not truth:
        yield from (Column(place, GAP, letter) for place, letter in enumerate(truth))
        yield from (Column(0, letter, GAP) for letter in read)
        return
    found = edlib.align(read, truth, task="path")
    nice = edlib.getNiceAlignment(found, read, truth)
    place = 0
    for one, other in zip(nice["query_aligned"], nice["target_aligned"], strict=True):
        yield Column(place, one, other)
        place += other != GAP


class AlignedRows(NamedTuple):
    """Sequences written below each other, gaps filled in; all rows are equally long.

    `is_place` says of each column whether the truth has a letter there; in the others, letters are
    inserted.
    """

    truth: str
    rows: tuple[str, ...]
    is_place: tuple[bool, ...]


def align_all(sequences: Sequence[str], truth: str) -> AlignedRows:
    """Each sequence aligned with the truth; letters inserted at one place share columns."""
    inserted = [[""] * (len(truth) + 1) for _ in sequences]
    written = [[GAP] * len(truth) for _ in sequences]
    for row, sequence in enumerate(sequences):
        for place, letter, base in columns(sequence, truth):
            if base == GAP:
                inserted[row][place] += letter
            else:
                written[row][place] = letter
    widths = [
        max((len(row[place]) for row in inserted), default=0) for place in range(len(truth) + 1)
    ]
    is_place: list[bool] = []
    for width in widths[:-1]:
        is_place += [False] * width + [True]
    is_place += [False] * widths[-1]
    rows = tuple(
        "".join(
            letters.ljust(width, GAP) + letter
            for letters, width, letter in zip(gaps, widths, [*bases, ""], strict=True)
        )
        for gaps, bases in zip(inserted, written, strict=True)
    )
    bases = iter(truth)
    own = "".join(next(bases) if is_base else GAP for is_base in is_place)
    return AlignedRows(own, rows, tuple(is_place))


@dataclass(frozen=True, eq=False)
class ErrorProfile:
    """Counts of errors along the true sequences, which are cut into equally long parts.

    `substituted[a, b]` counts letters b written for a; its diagonal those written right.
    """

    inserted: Float[np.ndarray, " parts"]
    deleted: Float[np.ndarray, " parts"]
    wrong: Float[np.ndarray, " parts"]
    bases: Float[np.ndarray, " parts"]  # letters of the truth that were to be read
    substituted: Float[np.ndarray, "4 4"]

    def rates(self) -> dict[str, float]:
        """Errors of each kind for each letter of the truth."""
        total = max(1.0, float(self.bases.sum()))
        return {
            "insertions": float(self.inserted.sum()) / total,
            "deletions": float(self.deleted.sum()) / total,
            "substitutions": float(self.wrong.sum()) / total,
        }


def error_profile(pairs: Sequence[tuple[str, str]], num_parts: int = 44) -> ErrorProfile:
    """Errors of sequences, each given with the true one."""
    inserted, deleted, wrong, bases = np.zeros((4, num_parts))
    substituted = np.zeros((len(LETTERS), len(LETTERS)))
    for sequence, truth in pairs:
        for place, letter, base in columns(sequence, truth):
            part = min(num_parts - 1, place * num_parts // max(1, len(truth)))
            if base == GAP:
                inserted[part] += 1
                continue
            bases[part] += 1
            deleted[part] += letter == GAP
            wrong[part] += letter not in (GAP, base)
            if letter != GAP:
                substituted[LETTERS.index(base), LETTERS.index(letter)] += 1
    return ErrorProfile(inserted, deleted, wrong, bases, substituted)
