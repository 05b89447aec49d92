"""How near to a planted pattern filters come that have learned nothing.

Also a random filter is excited most by what many sequences share: the windows that it counts can
hold the planted pattern, and the best of several filters agrees with it well before any training.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.nn import functional

from seqexp.data import Pattern
from seqexp.interpret.filters.extraction import Filters, LearnedFilter
from seqexp.interpret.filters.matrix import MIN_SHARED, is_dna, reverse_complement
from seqexp.interpret.filters.windows import exciting_windows
from seqexp.seeding import stream_seed

NUM_RANDOM = 100
"""Filters with random weights."""

MAX_SEQUENCES = 500
"""That they are read on."""


class RandomFilters:
    """Filters with weights from a normal distribution, read as a model's are.

    Args:
        count: of them.
        width: of each.
        num_symbols: of the vocabulary.
        both_strands: whether the model reads both.
        seed: selects the weights.
    """

    window_offset = 0

    def __init__(
        self, count: int, width: int, num_symbols: int, both_strands: bool, seed: int
    ) -> None:
        generator = torch.Generator().manual_seed(stream_seed(seed, "random filters"))
        self.weights = torch.randn(count, width, num_symbols, generator=generator)
        self.both_strands = both_strands

    def eval(self) -> None:
        """Nothing to switch off."""

    def filter_weights(self) -> Float[Tensor, "filters width symbols"]:
        """Weight of each symbol at each place."""
        return self.weights

    def filter_activations(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch positions filters"]:
        """Activation of each window that lies inside."""
        size = self.weights.shape[2] + 1
        one_hot = functional.one_hot(tokens, size)[..., 1:].float().transpose(1, 2)
        scores = functional.conv1d(one_hot, self.weights.transpose(1, 2))
        return scores.relu().transpose(1, 2)


def chance_metrics(
    filters: Sequence[LearnedFilter],
    tokens: Integer[Tensor, "sequences time"],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    settings: Filters,
    both_strands: bool,
    seed: int,
) -> dict[str, float]:
    """What `motif/correlation` is of as many filters with random weights, read on the same data.

    The median, and what 95 of 100 such sets of filters are below. Nothing without a pattern, or
    where no filter responds to anything.
    """
    alive = sum(learned.hits > 0 for learned in filters)
    width = len(filters[0].pfm) if filters else 0
    if not patterns or not alive or tokens.shape[1] < width:
        return {}
    model = RandomFilters(NUM_RANDOM, width, len(symbols), both_strands, seed)
    shape = (NUM_RANDOM, width, len(symbols))
    share, one = settings.activation_share, settings.one_per_sequence
    step = max(1, -(-len(tokens) // MAX_SEQUENCES))
    rows = tokens[::step].cpu().long()
    pfms, hits = exciting_windows(model, rows, shape, symbols, share, one)
    ppms = pfms / np.maximum(1, hits)[:, None, None]
    found = np.zeros(NUM_RANDOM)
    for target in _targets(patterns, symbols):
        found = np.maximum(found, best_correlations(ppms, target))
    # the best of n is below a value as often as one is, to the power of n
    median, high = np.quantile(found, [share ** (1 / alive) for share in (0.5, 0.95)])
    return {
        "motif/correlation_chance": float(median),
        "motif/correlation_chance_95": float(high),
    }


def _targets(patterns: Sequence[Pattern], symbols: Sequence[str]) -> Iterator[np.ndarray]:
    """Patterns as they are, and on the other strand: as well as turning each filter."""
    for pattern in patterns:
        yield pattern.ppm
        if is_dna(symbols):
            yield reverse_complement(pattern.ppm, symbols)


def best_correlations(
    matrices: Float[np.ndarray, "matrices width symbols"],
    target: Float[np.ndarray, "columns symbols"],
) -> Float[np.ndarray, " matrices"]:
    """Of each matrix, the best over all offsets, as `filters.matrix.matches` has it."""
    width, columns = matrices.shape[1], len(target)
    shared = min(MIN_SHARED, width, columns)
    best = np.full(len(matrices), -1.0)
    for offset in range(shared - width, columns - shared + 1):
        low, high = max(0, offset), min(columns, offset + width)
        a = matrices[:, low - offset : high - offset].reshape(len(matrices), -1)
        b = target[low:high].ravel()
        a = a - a.mean(axis=1, keepdims=True)
        b = b - b.mean()
        norms = np.sqrt((a * a).sum(axis=1) * (b * b).sum())
        found = np.divide(a @ b, norms, out=np.full_like(norms, -1), where=norms > 0)
        best = np.maximum(best, found)
    return best
