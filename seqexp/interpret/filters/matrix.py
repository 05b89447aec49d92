"""Matrices over symbols: what they tell, how they are turned, and how two of them agree.

A position probability matrix (PPM) has a row a place and a column a symbol.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqexp.data import Pattern
from seqexp.spec import COMPLEMENT

MIN_SHARED = 12
"""Columns that two matrices must share to be compared, if both are that wide."""


@dataclass(frozen=True)
class Match:
    """How a matrix lies on a planted pattern: `offset` is the filter's first column on it."""

    pattern: str
    correlation: float
    offset: int
    reverse: bool


def information(ppm: Float[np.ndarray, "width symbols"]) -> Float[np.ndarray, "width symbols"]:
    """Heights of a logo's letters, bits: each symbol's share of its position's information.

    Source: Schneider & Stephens (1990), with equal background shares.
    """
    logs = np.log2(ppm, where=ppm > 0, out=np.zeros_like(ppm))
    bits = np.log2(ppm.shape[1]) + (ppm * logs).sum(axis=1, keepdims=True)
    heights: np.ndarray = ppm * bits
    return heights


def significant_part(ppm: Float[np.ndarray, "width symbols"], min_bits: float) -> slice:
    """The places from the first to the last that tell at least so much; empty where none does."""
    told = np.flatnonzero(information(ppm).sum(axis=1) >= min_bits)
    return slice(int(told[0]), int(told[-1]) + 1) if len(told) else slice(0, 0)


def chance_bits(num_symbols: int, count: int) -> float:
    """Information that `count` random symbols seem to have, on average, at one place.

    Source: Schneider, Stormo, Gold & Ehrenfeucht (1986), the approximate correction e(n).
    """
    return (num_symbols - 1) / (2 * math.log(2) * count)


def is_dna(symbols: Sequence[str]) -> bool:
    """Whether the symbols have complements."""
    return set(symbols) == set(COMPLEMENT)


def matches(
    matrix: Float[np.ndarray, "width symbols"],
    patterns: Sequence[Pattern],
    symbols: Sequence[str],
    log_odds: bool = False,
) -> tuple[Match, ...]:
    """Where a matrix correlates most with each pattern, over all offsets and both strands.

    Pearson's correlation of the entries of the shared columns, of which there are at least
    `MIN_SHARED` (or all of the narrower matrix). `log_odds` compares with the pattern's log-odds
    against equal shares instead of its probabilities.
    """
    found = []
    for pattern in patterns:
        target = pattern.ppm
        if log_odds:
            # a hundredth keeps a probability of 0 finite
            target = np.log2((target + 0.01) / (1 + 0.01 * len(symbols)) * len(symbols))
        strands = []
        for reverse in (False, True) if is_dna(symbols) else (False,):
            turned = reverse_complement(matrix, symbols) if reverse else matrix
            correlation, offset = _slide(turned, target)
            strands.append(Match(pattern.name, correlation, offset, reverse))
        found.append(max(strands, key=lambda match: match.correlation))
    return tuple(found)


def best(found: Sequence[Match]) -> Match | None:
    """The match that correlates most; None without a pattern to compare with."""
    return max(found, key=lambda match: match.correlation, default=None)


def _slide(
    matrix: Float[np.ndarray, "width symbols"], target: Float[np.ndarray, "columns symbols"]
) -> tuple[float, int]:
    width, columns = len(matrix), len(target)
    shared = min(MIN_SHARED, width, columns)
    best = (-1.0, 0)
    for offset in range(shared - width, columns - shared + 1):
        low, high = max(0, offset), min(columns, offset + width)
        a = matrix[low - offset : high - offset].ravel()
        b = target[low:high].ravel()
        found = _correlation(a, b)
        if found is not None:
            best = max(best, (found, offset))
    return best


def _correlation(
    a: Float[np.ndarray, " entries"], b: Float[np.ndarray, " entries"]
) -> float | None:
    """Pearson's, with the bits of `np.corrcoef`, which takes five times as long for so few numbers.

    None where all entries of one are the same.
    """
    both = np.stack([a, b])
    both -= both.mean(axis=1, keepdims=True)
    products = both @ both.T
    products *= 1 / (len(a) - 1)
    deviations = np.sqrt(np.diagonal(products))
    if not deviations.all():
        return None
    return min(1.0, max(-1.0, float(products[0, 1] / deviations[0] / deviations[1])))


def reverse_complement(
    matrix: Float[np.ndarray, "width symbols"], symbols: Sequence[str]
) -> Float[np.ndarray, "width symbols"]:
    """The same matrix read on the other strand."""
    order = [symbols.index(COMPLEMENT[symbol]) for symbol in symbols]
    return matrix[::-1][:, order]
