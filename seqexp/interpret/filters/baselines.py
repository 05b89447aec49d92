"""What one known matrix reaches on the same DNA."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn import functional

from seqexp.data import Pattern, Sequences
from seqexp.spec import PAD, Vocabulary, other_strand
from seqexp.task.ranking import auroc

MAX_CHOSEN_ON = 2000
"""Training sequences on which the best matrix is chosen."""

_ROWS = 250


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
            groups.append((chosen, pwms))
    for start in range(0, len(tokens), _ROWS):
        rows = tokens[start : start + _ROWS]
        strands = [_Letters.of(strand) for strand in (rows, other_strand(rows, vocabulary))]
        for chosen, pwms in groups:
            best = torch.maximum(*(_best_windows(letters, pwms) for letters in strands))
            scores[chosen, start : start + len(rows)] = best.T
    lowest = scores.masked_fill(scores.isinf(), torch.inf).amin(dim=1, keepdim=True)
    found: np.ndarray = torch.where(scores.isinf(), lowest, scores).double().numpy()
    return found


@dataclass(frozen=True)
class _Letters:
    """Sequences for matrices of all widths: 1 for the letter that is there, and where one is.

    `is_real` is None where none is padding.
    """

    one_hot: Float[Tensor, "sequences letters time"]
    is_real: Bool[Tensor, "sequences time"] | None

    @classmethod
    def of(cls, rows: Integer[Tensor, "sequences time"]) -> "_Letters":
        one_hot = functional.one_hot(rows.long(), 5)[..., 1:].float().transpose(1, 2)
        is_real = rows != PAD
        return cls(one_hot.contiguous(), None if is_real.all() else is_real)


def _best_windows(
    letters: _Letters, pwms: Float[Tensor, "matrices letters width"]
) -> Float[Tensor, "sequences matrices"]:
    scores = functional.conv1d(letters.one_hot, pwms)  # (sequences, matrices, starts)
    if letters.is_real is not None:
        whole = letters.is_real.unfold(1, pwms.shape[2], 1).all(dim=2)
        scores = scores.masked_fill(~whole[:, None], -torch.inf)
    return scores.amax(dim=2)
