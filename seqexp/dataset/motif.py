"""Synthetic DNA: sequences that hold a motif or do not, or each of several motifs or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval, Len
from jaxtyping import Bool, Float, Int, UInt8

from seqexp.data import Data, Pattern, Sequences
from seqexp.dataset.dna.made_motifs import width_of, with_made
from seqexp.dataset.dna.planting import places
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

    As several labels (`multi_label`), each motif is in each sequence with a chance of one half,
    whatever others are, and none stands over another.

    Args:
        task: `sequence_class`: is there a motif; `multi_label`: which of the motifs are there.
        num_train: training sequences a class; as labels, half of all.
        num_valid: validation sequences a class, drawn apart from the training sequences.
        num_test: test sequences a class.
        length: letters of every sequence.
        motif: MA0149.1, or a file of JASPAR, MEME, TRANSFAC, HOMER, HOCOMOCO or CIS-BP, or a list
            of such.
        motif_names: which matrices of the files, by id or name; None takes all.
        made_motifs: so many motifs more that seqexp makes, the same for every seed; None is one
            beside a single motif that is one of several labels, else none.
        pseudocount: counts added to each position of the motif, shared out as the background.
        background: shares of A, C, G and T outside the motif; None is a quarter each.
        placement: `centre`, or `uniform` over all positions where the motif fits. In the centre,
            the odd letter of an uneven rest stands after the motif; several motifs stand there
            side by side, in an order by chance.
        strands: `both` plants the reverse complement in half of the positives.
        positives_without_motif: share of the positives that are background alone; as labels, of
            those that are 1 although their motif is not there.
        keras_validation_split: this share of the training set, its *last* rows, is for
            validation, as in Keras. The positives come first, so these rows are mostly or all
            negatives. None uses `num_valid`.
        seed: selects all letters.

    Raises:
        InputError: from `load`, on a motif file that is not sound or a motif that does not fit.

    Source: JASPAR (Rauluseviciute et al. 2024) for the default motif, MA0149.1 (EWSR1-FLI1).
    """

    task: Literal["sequence_class", "multi_label"] = "sequence_class"
    num_train: Count = 1000
    num_valid: CountOrZero = 200
    num_test: Count = 1000
    length: Count = 40
    motif: str | Annotated[list[str], Len(1)] = "MA0149.1"
    motif_names: Annotated[list[str], Len(1)] | None = None
    made_motifs: Annotated[int, Interval(ge=0, le=100)] | None = None
    pseudocount: NotNegative = 0.0
    background: Background | None = None
    placement: Literal["centre", "uniform"] = "centre"
    strands: Literal["forward", "both"] = "forward"
    positives_without_motif: Share = 0.0
    keras_validation_split: OpenShare | None = None
    seed: Seed = 0

    output = "sequence_class"
    does_without = {
        "folds": "sequences of training and test are drawn, as many as are asked for; give another"
        " dataset.seed, or a larger dataset.num_test"
    }

    def load(self) -> Data:
        """Draw all sequences."""
        are_labels = self.task == "multi_label"
        found = load_motifs(self.motif, self.motif_names)
        matrices = with_made(found, self.made_motifs, are_labels)
        width, what = width_of(matrices, are_labels)
        if width > self.length:
            raise InputError(
                f"dataset.length is {self.length}, but {what} {width} wide; give at least {width}"
            )
        split = self._labelled_split if are_labels else self._split
        train = split("train", self.num_train, matrices)
        valid = split("valid", self.num_valid, matrices)
        test = split("test", self.num_test, matrices)
        if self.keras_validation_split is not None:
            train, valid = _keras_split(train, self.keras_validation_split)
        spec = TaskSpec(
            vocabulary=Vocabulary(tuple(LETTERS)),
            num_outputs=len(matrices) if are_labels else 2,
            output=Output(self.task),
            output_names=(
                tuple(matrix.name for matrix in matrices) if are_labels else ("background", "motif")
            ),
            length=self.length,
        )
        patterns = tuple(
            Pattern(matrix.name, matrix.ppm(self.pseudocount, self.background))
            for matrix in matrices
        )
        return Data(spec, train, valid, test, patterns)

    def _split(
        self, split: str, num_per_class: int, matrices: Sequence[PositionFrequencyMatrix]
    ) -> Sequences:
        """The positives, then the negatives."""
        background = self._shares()
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

    def _shares(self) -> Float[np.ndarray, "4"]:
        """Of the letters outside the motifs."""
        background = np.full(4, 0.25) if self.background is None else np.array(self.background)
        if not np.isclose(background.sum(), 1, atol=1e-6):
            raise InputError(
                f"dataset.background is {self.background}, which sums to {background.sum():g};"
                " give the shares of A, C, G and T, which sum to 1"
            )
        return background

    def _labelled_split(
        self, split: str, half: int, matrices: Sequence[PositionFrequencyMatrix]
    ) -> Sequences:
        """Twice `half` sequences, each motif planted in each of them or not."""
        background = self._shares()
        ppms = [matrix.ppm(self.pseudocount, self.background) for matrix in matrices]
        num_draws = self.length + sum(5 + len(ppm) for ppm in ppms)
        uniform = UniformSource(stream_seed(self.seed, "motif", split, "labels"))
        letters = np.empty((2 * half, self.length), dtype=np.uint8)
        planted = np.zeros(letters.shape, dtype=bool)
        labels = np.empty((2 * half, len(ppms)), dtype=np.int64)
        rows = max(1, _CHUNK // num_draws)
        for start in range(0, len(letters), rows):
            part = letters[start : start + rows]
            draws = uniform(len(part), num_draws)
            part[:] = _letters(draws[:, : self.length], background)
            where = planted[start : start + rows]
            labels[start : start + rows] = self._plant_each(
                part, where, draws[:, self.length :], ppms
            )
        tokens = torch.from_numpy(letters + np.uint8(1))
        return Sequences(tokens, torch.from_numpy(labels), planted=torch.from_numpy(planted))

    def _plant_each(
        self,
        letters: UInt8[np.ndarray, "sequences length"],
        planted: Bool[np.ndarray, "sequences length"],
        draws: Float[np.ndarray, "sequences draws"],
        ppms: Sequence[Float[np.ndarray, "_ 4"]],
    ) -> Bool[np.ndarray, "sequences motifs"]:
        """Write motifs over the letters, and where they are, in place; their labels."""
        numbers = draws[:, : 5 * len(ppms)].reshape(len(draws), 5, len(ppms))
        label, present, order, place, strand = numbers.transpose(1, 0, 2)
        labels = label < 0.5
        is_there = labels & (present >= self.positives_without_motif)
        widths = np.array([len(ppm) for ppm in ppms])
        shares = None if self.placement == "centre" else place
        starts = places(is_there, widths, self.length, order, shares)
        first = 5 * len(ppms)
        for index, ppm in enumerate(ppms):
            rows = np.flatnonzero(is_there[:, index])
            site = _letters(draws[rows, first : first + len(ppm)], ppm)
            first += len(ppm)
            if self.strands == "both":
                site = np.where(strand[rows, index, None] < 0.5, site, 3 - site[:, ::-1])
            where = rows[:, None], starts[rows, index, None] + np.arange(len(ppm))
            letters[where] = site
            planted[where] = True
        return labels

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
