"""How certain each letter of a decoded sequence is, and how often such letters are right."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import edlib
import numpy as np
from jaxtyping import Bool, Float

from seqexp.formats.dna import LETTERS

EDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Of bins of the expected share of errors."""


FLATTER = 1.5
"""By which differences of log-likelihoods between candidates are divided.

Chosen, with the next one, on validation clusters of real reads, by the letters' log-probability."""

UNSEEN = 0.2
"""Share that counts of the odds of edits which the learned model was not asked about."""

LEAST = 1e-6
"""Probability of an error below which nothing can be said."""


def certainties(
    best: str,
    scores: Float[np.ndarray, " candidates"],
    is_same: Bool[np.ndarray, "candidates bases"],
    gains: Float[np.ndarray, "places edits"] | None,
    has_length: bool,
) -> list[float]:
    """Probability of each letter of a sequence.

    Args:
        best: the sequence, one of the candidates.
        scores: log-probability of each candidate, up to a constant, by the learned model.
        is_same: which letters of `best` a candidate has, too.
        gains: of all single edits of `best`, by a model of three rates; None: not known.
        has_length: of which one alone changes the length that is known: with one that mends it.
    """
    weights = np.exp((scores - scores.max()) / FLATTER)
    wrong = 1 - (weights[:, None] / weights.sum() * is_same).sum(axis=0)
    odds = wrong / np.maximum(1 - wrong, 1e-12)
    if gains is not None:
        letters = len(LETTERS)
        each = np.exp(np.minimum(gains, 0))
        # of equal bases side by side any can be gone: an error of one of them, not of each
        deleted = each[:-1, letters] / np.array(runs(best))
        inserted = each[:, letters + 1 :].sum(axis=1)
        mended = (inserted.sum(), deleted.sum()) if has_length else (1.0, 1.0)
        by_length = deleted * min(1.0, mended[0]) + inserted[:-1] * min(1.0, mended[1]) / 2
        odds = odds + UNSEEN * (each[:-1, :letters].sum(axis=1) + by_length)
    chance: list[float] = (1 - np.maximum(LEAST, odds / (1 + odds))).tolist()
    return chance


def runs(text: str) -> list[int]:
    """How many equal letters stand together, at each letter."""
    return [size for _, own in groupby(text) for size in [len(list(own))] for _ in range(size)]


class Bin(NamedTuple):
    """Letters whose probability of being wrong is from `low` to `high`."""

    low: float
    high: float
    letters: int
    expected: float  # share of wrong letters
    observed: float


def same_letters(decoded: str, truth: str) -> list[int]:
    """Places of a sequence whose letter another has too, by an alignment with fewest edits."""
    if decoded == truth:
        return list(range(len(decoded)))
    if not decoded or not truth:
        return []
    path = edlib.getNiceAlignment(edlib.align(truth, decoded, task="path"), truth, decoded)
    places, at = [], 0
    for query, target in zip(path["query_aligned"], path["target_aligned"], strict=True):
        if target != "-":
            if query == target:
                places.append(at)
            at += 1
    return places


def reliability(found: Iterable[tuple[str, Sequence[float], str]]) -> list[Bin]:
    """Of decoded sequences, each with its letters' probabilities and the true sequence.

    A letter that is missing is no letter, and is not counted.
    """
    expected: list[float] = []
    is_wrong: list[bool] = []
    for decoded, certainty, truth in found:
        right = set(same_letters(decoded, truth))
        expected += [1 - value for value in certainty]
        is_wrong += [place not in right for place in range(len(decoded))]
    chance, wrong = np.array(expected), np.array(is_wrong, dtype=float)
    bins = []
    for low, high in zip(EDGES, EDGES[1:], strict=False):
        chosen = (chance >= low) & ((chance < high) | (high == EDGES[-1]))
        count = int(chosen.sum())
        means = (float(v[chosen].mean()) if count else 0.0 for v in (chance, wrong))
        bins.append(Bin(low, high, count, *means))
    return bins


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean difference of expected and observed shares of errors, weighted by letters.

    Source: Naeini, Cooper & Hauskrecht (2015), expected calibration error.
    """
    total = sum(one.letters for one in bins)
    wrong = sum(one.letters * abs(one.expected - one.observed) for one in bins)
    return wrong / max(1, total)
