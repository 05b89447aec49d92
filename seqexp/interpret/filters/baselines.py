"""What one known matrix reaches on the same DNA."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.nn import functional

from seqexp.data import Pattern, Sequences
from seqexp.kernels import convolution_cpp as token_convolution
from seqexp.spec import PAD, Vocabulary, other_strand
from seqexp.task.ranking import auroc

MAX_CHOSEN_ON = 2000
"""Training sequences on which the best matrix is chosen."""

_ROWS = 1000


def best_scan(
    database: Sequence[Pattern],
    train: Sequences,
    test: Sequences,
    vocabulary: Vocabulary,
    seed: int = 0,
) -> tuple[Pattern, Float[np.ndarray, " sequences"]]:
    """The matrix whose best window tells the training classes apart best, and its test scores.

    Of many training sequences, some are drawn by class with the seed.
    """
    chosen = train.at_most(MAX_CHOSEN_ON, seed)
    scores = scan(database, chosen.tokens, vocabulary)
    truth = chosen.targets[:, 0].numpy() == 1
    areas = [auroc(row, truth) or 0.0 for row in scores]
    best = database[int(np.argmax(areas))]
    return best, scan([best], test.tokens, vocabulary)[0]


@torch.no_grad()
def scan(
    matrices: Sequence[Pattern],
    tokens: Integer[Tensor, "sequences time"],
    vocabulary: Vocabulary,
) -> Float[np.ndarray, "matrices sequences"]:
    """Log-odds of the best window on either strand, bits; unknown letters and padding left out.

    Against equal shares, with 0.01 added to each probability. A sequence without a window has the
    lowest score of its matrix.
    """
    scores = torch.full((len(matrices), len(tokens)), -torch.inf)
    by_width = sorted(range(len(matrices)), key=lambda index: len(matrices[index].ppm))
    groups = []
    for width, group in groupby(by_width, key=lambda index: len(matrices[index].ppm)):
        if width <= tokens.shape[1]:
            chosen = list(group)
            ppms = torch.tensor(np.stack([matrices[index].ppm for index in chosen]))
            pwms = torch.log2((ppms + 0.01) / 1.04 * 4).float().transpose(1, 2)
            groups.append((chosen, pwms.contiguous()))
    for start in range(0, len(tokens), _ROWS):
        rows = tokens[start : start + _ROWS]
        strands = [_Letters.of(strand) for strand in (rows, other_strand(rows, vocabulary))]
        for chosen, pwms in groups:
            best = torch.maximum(*(letters.best(pwms) for letters in strands))
            scores[chosen, start : start + len(rows)] = best.T
    lowest = scores.masked_fill(scores.isinf(), torch.inf).amin(dim=1, keepdim=True)
    found: np.ndarray = torch.where(scores.isinf(), lowest, scores).double().numpy()
    return found


@dataclass(frozen=True)
class _Letters:
    """Sequences for matrices of all widths: their ids, and how much padding is before each."""

    ids: Int[Tensor, "sequences time"]
    padding: Int[Tensor, "sequences ends"]

    @classmethod
    def of(cls, rows: Integer[Tensor, "sequences time"]) -> "_Letters":
        return cls(rows.long(), functional.pad((rows == PAD).cumsum(dim=1), (1, 0)))

    def best(
        self, pwms: Float[Tensor, "matrices letters width"]
    ) -> Float[Tensor, "sequences matrices"]:
        """The best window of each matrix; -inf where none is without padding."""
        width = pwms.shape[2]
        whole = self.padding[:, width:] == self.padding[:, :-width]  # (sequences, starts)
        if token_convolution.available(pwms).binary is not None:
            return token_convolution.highest(self.ids, pwms, whole)
        one_hot = functional.one_hot(self.ids, pwms.shape[1] + 1)[..., 1:].float()
        scores = functional.conv1d(one_hot.transpose(1, 2), pwms)  # (sequences, matrices, starts)
        return scores.masked_fill(~whole[:, None], -torch.inf).amax(dim=2)
