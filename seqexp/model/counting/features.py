"""How often each sequence has each n-gram, as a sparse matrix, and what each counts."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from seqexp.data import Sequences
from seqexp.model.counting.grams import pieces
from seqexp.model.counting.table import NGramTable
from seqexp.spec import Output, TaskSpec

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # a fifth of a second, and only where it is needed

SMOOTHING = 1.0
"""Added to each count of an n-gram in a class."""


def counts_of(table: NGramTable, split: Sequences) -> "tuple[csr_matrix, Int[Tensor, ' rows']]":
    """How often each n-gram of a table is in each sequence, and which sequence each row is.

    Rows are in the order of the sequences' lengths; column j is row j + 1 of the table.
    """
    from scipy.sparse import csr_matrix

    indices, values, sizes, order = [], [], [], []
    for rows, tokens in pieces(split, len(table.grams.patterns)):
        column, count, size = distinct(table.rows(tokens).flatten(1).numpy().astype(np.int32))
        indices.append(column - 1)
        values.append(count)
        sizes.append(size)
        order.append(rows)
    starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
    given = (_emptied(values), _emptied(indices), starts)
    matrix = csr_matrix(given, shape=(len(split), len(table.keys)), dtype=np.float32)
    return matrix, torch.cat(order)


def _emptied(parts: list[np.ndarray]) -> np.ndarray:
    """All parts as one array; the list is emptied, since there may be many millions of numbers."""
    found = np.concatenate(parts)
    parts.clear()
    return found


def distinct(
    rows: Int[np.ndarray, "batch places"],
) -> tuple[Int[np.ndarray, " found"], Float[np.ndarray, " found"], Int[np.ndarray, " batch"]]:
    """The different numbers above 0 of each row in order, how often each is there, and how many
    different ones a row has.
    """
    rows = np.sort(rows, axis=1)
    is_first = rows > 0
    is_first[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    places = np.flatnonzero(is_first)
    # zeros come first, so that each run ends where the next begins, or its row does
    ends = np.append(places[1:], rows.size)
    row_ends = (places // rows.shape[1] + 1) * rows.shape[1]
    counts = np.minimum(ends, row_ends) - places
    return rows.ravel()[places], counts.astype(np.float32), is_first.sum(axis=1)


def log_count_ratios(
    counts: "csr_matrix",
    is_in: Bool[np.ndarray, "rows outputs"],
    is_out: Bool[np.ndarray, "rows outputs"],
) -> Float[np.ndarray, "ngrams outputs"]:
    """By how much each n-gram is more frequent in sequences of an output than in others, nats.

    Source: Wang & Manning (2012), eq. 2.
    """
    inside, outside = (
        np.log(of / of.sum(axis=0))
        for of in (counts.T @ which.astype(np.float32) + SMOOTHING for which in (is_in, is_out))
    )
    ratios: np.ndarray = (inside - outside).astype(np.float32)
    return ratios


def sides(
    targets: Num[np.ndarray, "rows labels"], spec: TaskSpec, width: int
) -> tuple[Bool[np.ndarray, "rows outputs"], Bool[np.ndarray, "rows outputs"]]:
    """Which sequences are of each of `width` outputs, and which are not; one of classes that is
    alone is the second.
    """
    if spec.output is Output.MULTI_LABEL:
        return targets == 1, targets == 0
    classes = np.array([1]) if width == 1 else np.arange(width)
    known = targets >= 0
    return (targets == classes) & known, (targets != classes) & known


def inverse_frequencies(counts: "csr_matrix") -> Float[np.ndarray, " ngrams"]:
    """ln((1 + sequences) / (1 + those with the n-gram)) + 1 of each n-gram.

    Source: Salton & Buckley (1988), smoothed as scikit-learn does.
    """
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    found: np.ndarray = (np.log((1 + counts.shape[0]) / (1 + having)) + 1).astype(np.float32)
    return found
