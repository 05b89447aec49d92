"""What the readers of motif files share: numbers, faults, and what makes a matrix sound."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS

MAX_POSITIONS, MAX_MOTIFS = 100_000, 100_000
"""Of a motif, and of a file. Databases have a few thousand motifs of at most 100 positions."""

MAX_SHOWN, MAX_NAME = 5, 60
"""Motifs without matrix that are named, and letters of a name in a message."""

Lines = Iterator[tuple[int, str]]
"""Lines with their numbers, counted from 1."""

LOG_ODDS = "log-odds matrices (.pwm) are not read; give counts or probabilities"


@dataclass(frozen=True, eq=False)
class PositionFrequencyMatrix:
    """Counts of the letters A, C, G, T at each position of a motif.

    `other_names` are further names that the motif can be chosen by: its id, its consensus.
    """

    name: str
    pfm: Float[np.ndarray, "width 4"]
    other_names: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of positions."""
        return int(self.pfm.shape[0])

    @property
    def keys(self) -> set[str]:
        """All that the motif can be chosen by."""
        return {self.name, *self.name.split(), *self.other_names}

    def ppm(
        self, pseudocount: float = 0.0, background: Sequence[float] | None = None
    ) -> Float[np.ndarray, "width 4"]:
        """Probabilities, with `pseudocount` counts added a position, in the background's shares."""
        share = np.full(4, 0.25) if background is None else np.asarray(background, dtype=np.float64)
        smoothed = self.pfm + pseudocount * share
        probabilities: np.ndarray = smoothed / smoothed.sum(axis=1, keepdims=True)
        return probabilities


@dataclass
class Found:
    """What a reader found: motifs, and names of those that have no matrix."""

    path: Path
    motifs: list[PositionFrequencyMatrix] = field(default_factory=list)
    without_matrix: list[str] = field(default_factory=list)  # the first few, with their lines
    num_without_matrix: int = 0

    def fault(self, line: int, said: str) -> InputError:
        """An error at a line of the file."""
        return InputError(f"{self.path}, line {line}: {said}")

    def add(
        self,
        names: Sequence[str],
        counts: Float[np.ndarray, "width 4"],
        line_of: Callable[[int, int], int],
    ) -> None:
        """Keep a motif whose counts are sound.

        Args:
            names: all names of it, the first of which is not empty is shown.
            counts: of A, C, G, T.
            line_of: the line of a position's letter.
        """
        shown = [" ".join(name.split()) for name in names if name.strip()]
        name = shown[0] if shown else f"motif {len(self.motifs) + 1}"
        self._check(name, counts, line_of)
        if len(self.motifs) == MAX_MOTIFS:
            raise self.fault(line_of(0, 0), f"the file has more than {MAX_MOTIFS:,} motifs")
        self.motifs.append(PositionFrequencyMatrix(name, counts, tuple(shown[1:])))

    def leave_out(self, name: str, line: int) -> None:
        """Note a motif that has no matrix."""
        self.num_without_matrix += 1
        if self.num_without_matrix > MAX_MOTIFS:
            raise self.fault(line, f"over {MAX_MOTIFS:,} motifs have no matrix")
        if len(self.without_matrix) < MAX_SHOWN:
            shown = " ".join(name.split())[:MAX_NAME] or "one without name"
            self.without_matrix.append(f"{shown} (line {line})")

    def _check(
        self,
        name: str,
        counts: Float[np.ndarray, "width 4"],
        line_of: Callable[[int, int], int],
    ) -> None:
        with np.errstate(over="ignore"):
            sums = counts.sum(axis=1)
        if np.isfinite(sums).all() and counts.min() >= 0 and sums.min() > 0:
            return
        wrong = ~np.isfinite(counts) | (counts < 0)
        if wrong.any():
            position, letter = (int(index) for index in np.argwhere(wrong)[0])
            value = counts[position, letter]
            said = f"has {value:g} for {LETTERS[letter]} at position {position + 1}; counts are 0"
            said += f" or more ({LOG_ODDS})" if value < 0 else " or more"
        else:
            position, letter = int(np.argmin(np.isfinite(sums) & (sums > 0))), 0
            what = "nothing" if sums[position] == 0 else "more than a number holds"
            said = f"counts {what} at position {position + 1}"
        raise self.fault(line_of(position, letter), f"{name[:MAX_NAME]} {said}")


def numbers(words: Sequence[str]) -> list[float] | None:
    """The words as numbers; None if one of them is none."""
    try:
        values = list(map(float, words))
    except ValueError:
        return None
    return None if "_" in "".join(words) else values  # Python reads 1_0 as 10


def letter_order(words: Sequence[str]) -> list[int] | None:
    """Where A, C, G and T (or U) stand among four words; None if these are not they."""
    letters = "".join(words).upper().replace("U", "T")
    if len(words) != 4 or sorted(letters) != list(LETTERS):
        return None
    return [letters.index(letter) for letter in LETTERS]
