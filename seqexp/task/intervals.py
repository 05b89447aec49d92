"""95 % intervals of measures of a test, over its sequences as a sample of all."""

import math

import numpy as np
from jaxtyping import Bool, Float

from seqexp.task.ranking import NORMAL, auroc_difference

Interval = tuple[float, float]


def of_share(right: int, count: int) -> Interval:
    """Of a share. Source: Wilson (1927), whose interval stays within 0 and 1."""
    share, square = right / count, NORMAL**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    half *= NORMAL / (1 + square / count)
    return middle - half, middle + half


def of_mean(
    sums: Float[np.ndarray, " sequences"], counts: Float[np.ndarray, " sequences"]
) -> Interval | None:
    """Of a mean over positions, which are not independent within a sequence: a ratio of sums.

    None of fewer than two sequences. Source: Cochran (1977), sec. 6.4.
    """
    if len(sums) < 2:
        return None
    mean = sums.sum() / counts.sum()
    rests = sums - mean * counts
    variance = (rests**2).sum() / (len(sums) - 1) * len(sums)
    half = NORMAL * math.sqrt(variance) / counts.sum()
    return float(mean - half), float(mean + half)


def of_auroc(
    scores: Float[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]
) -> Interval | None:
    """Of the area under the ROC curve; None where a class has fewer than two items.

    Source: DeLong et al. (1988): its difference to chance, whose area does not vary.
    """
    found = auroc_difference(scores, np.zeros_like(scores), is_positive)
    return None if found is None else (max(0.0, found[1] + 0.5), min(1.0, found[2] + 0.5))
