"""Synthetic DNA: sequences that hold a motif, against sequences that do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Len
from jaxtyping import Bool, Float, Int, UInt8

from seqexp.data import Data, Pattern, Sequences
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS
from seqexp.formats.motifs import PositionFrequencyMatrix, load_motifs
from seqexp.ranges import Count, CountOrZero, NotNegative, OpenShare, Seed, Share
from seqexp.seeding import UniformSource, stream_seed
from seqexp.spec import Output, TaskSpec, Vocabulary

Background = Annotated[list[Share], Len(4, 4)]

_CHUNK = 2**22
"""Random numbers drawn at a time: bounds the memory of large datasets."""


@dataclass(frozen=True)
class Motif:
    """Positives: background letters with a motif's letters in them. Negatives: background alone.

    Every letter is drawn by itself: those of the motif from its position frequency matrix, the
    others from the background. With several motifs, each positive holds one of them, each motif
    with the same chance. Sequence i of a split and class depends on the seed and i only, not on
    how many there are.

    Args:
        num_train: training sequences a class.
        num_valid: validation sequences a class, drawn apart from the training sequences.
        num_test: test sequences a class.
        length: letters of every sequence.
        motif: MA0149.1, or a file of JASPAR, MEME, TRANSFAC, HOMER, HOCOMOCO or CIS-BP, or a list
            of such.
        motif_names: which matrices of the files, by id or name; None takes all.
        pseudocount: counts added to each position of the motif, shared out as the background.
        background: shares of A, C, G and T outside the motif; None is a quarter each.
        placement: `centre`, or `uniform` over all positions where the motif fits. In the centre,
            the odd letter of an uneven rest stands after the motif.
        strands: `both` plants the reverse complement in half of the positives.
        positives_without_motif: share of the positives that are background alone.
        keras_validation_split: this share of the training set, its *last* rows, is for
            validation, as in Keras. The positives come first, so these rows are mostly or all
            negatives. None uses `num_valid`.
        seed: selects all letters.

    Raises:
        InputError: from `load`, on a motif file that is not sound or a motif that does not fit.

    Source: JASPAR (Rauluseviciute et al. 2024) for the default motif, MA0149.1 (EWSR1-FLI1).
    """

    num_train: Count = 1000
    num_valid: CountOrZero = 200
    num_test: Count = 1000
    length: Count = 40
    motif: str | Annotated[list[str], Len(1)] = "MA0149.1"
    motif_names: Annotated[list[str], Len(1)] | None = None
    pseudocount: NotNegative = 0.0
    background: Background | None = None
    placement: Literal["centre", "uniform"] = "centre"
    strands: Literal["forward", "both"] = "forward"
    positives_without_motif: Share = 0.0
    keras_validation_split: OpenShare | None = None
    seed: Seed = 0

    output = "sequence-class"

    def load(self) -> Data:
        """Draw all sequences."""
        matrices = load_motifs(self.motif, self.motif_names)
        for matrix in matrices:
            if matrix.width > self.length:
                raise InputError(
                    f"dataset.length is {self.length}, but motif {matrix.name} is {matrix.width}"
                    f" wide; give at least {matrix.width}"
                )
        train = self._split("train", self.num_train, matrices)
        valid = self._split("valid", self.num_valid, matrices)
        if self.keras_validation_split is not None:
            train, valid = _keras_split(train, self.keras_validation_split)
        spec = TaskSpec(
            vocabulary=Vocabulary(tuple(LETTERS)),
            num_outputs=2,
            output=Output.SEQUENCE_CLASS,
            output_names=("background", "motif"),
            length=self.length,
        )
        patterns = tuple(
            Pattern(matrix.name, matrix.ppm(self.pseudocount, self.background))
            for matrix in matrices
        )
        return Data(spec, train, valid, self._split("test", self.num_test, matrices), patterns)

    def _split(
        self, split: str, num_per_class: int, matrices: Sequence[PositionFrequencyMatrix]
    ) -> Sequences:
        """The positives, then the negatives."""
        background = np.full(4, 0.25) if self.background is None else np.array(self.background)
        if not np.isclose(background.sum(), 1, atol=1e-6):
            raise InputError(
                f"dataset.background is {self.background}, which sums to {background.sum():g};"
                " give the shares of A, C, G and T, which sum to 1"
            )
        ppms = [matrix.ppm(self.pseudocount, self.background) for matrix in matrices]
        widest = max(ppm.shape[0] for ppm in ppms)
        classes, sites = [], []
        for label in (1, 0):
            num_draws = self.length + 4 + widest
            uniform = UniformSource(stream_seed(self.seed, "motif", split, label))
            rows = max(1, _CHUNK // num_draws)
            letters = np.empty((num_per_class, self.length), dtype=np.uint8)
            planted = np.zeros((num_per_class, self.length), dtype=bool)
            for start in range(0, num_per_class, rows):
                part = letters[start : start + rows]
                draws = uniform(len(part), num_draws)
                part[:] = _letters(draws[:, : self.length], background)
                if label == 1:
                    where = planted[start : start + rows]
                    self._plant(part, where, draws[:, self.length :], ppms)
            classes.append(letters)
            sites.append(planted)
        tokens = torch.from_numpy(np.concatenate(classes) + np.uint8(1))  # 0 is padding
        targets = torch.tensor([1, 0]).repeat_interleave(num_per_class)[:, None]
        return Sequences(tokens, targets, planted=torch.from_numpy(np.concatenate(sites)))

    def _plant(
        self,
        letters: UInt8[np.ndarray, "sequences length"],
        planted: Bool[np.ndarray, "sequences length"],
        draws: Float[np.ndarray, "sequences draws"],
        ppms: Sequence[Float[np.ndarray, "_ 4"]],
    ) -> None:
        """Write motifs over the letters, and where they are, in place."""
        which, present, place, strand = draws[:, :4].T
        choice = (which * len(ppms)).astype(int)
        for index, ppm in enumerate(ppms):
            width = ppm.shape[0]
            rows = np.flatnonzero((choice == index) & (present >= self.positives_without_motif))
            site = _letters(draws[rows, 4 : 4 + width], ppm)
            if self.strands == "both":
                # A, C, G, T are 0 to 3, so the complement of a letter is 3 minus it
                site = np.where(strand[rows, None] < 0.5, site, 3 - site[:, ::-1])
            free = self.length - width
            if self.placement == "centre":
                start = np.full(len(rows), free // 2)
            else:
                start = (place[rows] * (free + 1)).astype(int)
            places = rows[:, None], start[:, None] + np.arange(width)
            letters[places] = site
            planted[places] = True


def _keras_split(train: Sequences, share: float) -> tuple[Sequences, Sequences]:
    """Keras' `validation_split`: the last rows, before any shuffling."""
    cut = int(len(train) * (1 - share))
    if not 0 < cut < len(train):
        raise InputError(
            f"dataset.keras_validation_split is {share}, which leaves {cut} of {len(train)}"
            " sequences for training; give a share that leaves some on both sides"
        )
    return (
        Sequences(train.tokens[:cut], train.targets[:cut]),
        Sequences(train.tokens[cut:], train.targets[cut:]),
    )


def _letters(
    uniform: Float[np.ndarray, "sequences length"], shares: Float[np.ndarray, "*positions 4"]
) -> Int[np.ndarray, "sequences length"]:
    """Letters 0 to 3, drawn with these shares, for all positions or for each, by inversion."""
    limits = np.cumsum(shares, axis=-1)[..., :3]
    letters: np.ndarray = (uniform[..., None] >= limits).sum(axis=-1)
    return letters
