"""Motifs that are put into sequences: a consensus, or matrices of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS
from seqexp.formats.motifs import BUILT_IN, PositionFrequencyMatrix, load_motifs
from seqexp.spec import Vocabulary

MIN_BITS = 0.25
"""That a place of a matrix tells for its letter to be put in; else what is there stays."""

CODES = {
    **{letter: letter for letter in LETTERS},
    **{"U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": ""},
}
"""IUPAC's letters and the bases that they leave open; N leaves the background's letter."""


@dataclass(frozen=True)
class Motif:
    """A motif as letters: of each place the bases of which one is drawn; none: what is there."""

    name: str
    places: tuple[str, ...]

    def __len__(self) -> int:
        """Number of places."""
        return len(self.places)

    @property
    def letters(self) -> str:
        """As IUPAC writes it."""
        code = {bases: letter for letter, bases in CODES.items() if letter != "U"}
        return "".join(code[bases] for bases in self.places)

    def turned(self) -> "Motif":
        """The same on the other strand."""
        turn = str.maketrans(LETTERS, LETTERS[::-1])
        places = ("".join(sorted(bases.translate(turn))) for bases in self.places[::-1])
        return Motif(self.name, tuple(places))

    def drawn(
        self, generator: np.random.Generator, vocabulary: Vocabulary
    ) -> Int[np.ndarray, " places"]:
        """Token ids, of open places one that is drawn; 0 leaves what is there."""
        ids = [
            vocabulary.symbols.index(bases[generator.integers(len(bases))]) + 1 if bases else 0
            for bases in self.places
        ]
        return np.array(ids)


def motifs_of(given: str, key: str, names: Sequence[str] | None = None) -> list[Motif]:
    """The motif that a consensus is, or all motifs of a file.

    Args:
        given: letters, the path of a motif file, or the id of a built-in motif.
        key: of the command line, for messages.
        names: of a file, only these.

    Raises:
        InputError: if it is neither, or a motif has no place that tells anything.
    """
    if not given.strip():
        raise InputError(f"{key} is empty; give a consensus, as TGACTCA, or a motif file")
    is_file = Path(given).exists() or (BUILT_IN / f"{given}.jaspar").is_file()
    letters = given.upper()
    if not is_file and letters and set(letters) <= set(CODES):
        if names is not None:
            raise InputError(f"names is for motif files, and {key} is {given}; leave names out")
        if set(letters) == {"N"}:
            raise InputError(f"{key} is {given}, which leaves every letter open")
        return [Motif(given, tuple(CODES[letter] for letter in letters))]
    if not is_file and not any(sign in given for sign in "./\\"):
        wrong = next((letter for letter in given if letter.upper() not in CODES), "")
        raise InputError(
            f"{key} is {given!r}, with {wrong!r}: give a consensus of {', '.join(CODES)}, a motif"
            " file (MEME, JASPAR, TRANSFAC, HOMER, ...), or the id of a built-in motif"
        )
    return [_of_matrix(matrix, given) for matrix in load_motifs(given, names)]


def _of_matrix(matrix: PositionFrequencyMatrix, source: str) -> Motif:
    """The most frequent letter of each place that tells something, from the first to the last."""
    ppm = matrix.ppm()
    logs = np.log2(ppm, where=ppm > 0, out=np.zeros_like(ppm))
    told = 2 + (ppm * logs).sum(axis=1) >= MIN_BITS
    if not told.any():
        raise InputError(f"{source}: no place of {matrix.name} tells {MIN_BITS} bits or more")
    places = [LETTERS[row.argmax()] if tells else "" for row, tells in zip(ppm, told, strict=True)]
    where = np.flatnonzero(told)
    return Motif(matrix.name, tuple(places[where[0] : where[-1] + 1]))
