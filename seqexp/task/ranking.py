"""How well scores put one class before the other."""

import numpy as np
from jaxtyping import Bool, Float

NORMAL = 1.959964
"""Standard errors on either side of a 95 % interval."""


def auroc(
    scores: Float[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]
) -> float | None:
    """Chance that a positive scores higher than a negative; ties count half.

    None where a class is missing. Source: Mann & Whitney (1947).
    """
    num_positive = int(is_positive.sum())
    num_negative = len(is_positive) - num_positive
    if not num_positive or not num_negative:
        return None
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    is_new = np.ones(len(ordered), dtype=bool)  # in a third of the memory of np.unique
    is_new[1:] = (ordered[1:] != ordered[:-1]) & ~(np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    starts = np.flatnonzero(is_new)
    positives = np.add.reduceat(is_positive[order], starts, dtype=np.int64)
    counts = np.diff(starts, append=len(scores))
    mean_ranks = starts + (counts + 1) / 2  # of equal scores, from 1
    rank_sum = (mean_ranks * positives).sum()
    wins = rank_sum - num_positive * (num_positive + 1) / 2
    return float(wins / (num_positive * num_negative))


def auprc(
    scores: Float[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]
) -> float | None:
    """Average precision: precision at each score that occurs, weighted by the recall it adds.

    None where there is no positive. Source: Davis & Goadrich (2006), without interpolation.
    """
    num_positive = int(is_positive.sum())
    if not num_positive:
        return None
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(is_positive[order])
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]), -1.0))
    recall_added = np.diff(found[last_of_ties], prepend=0) / num_positive
    precision = found[last_of_ties] / (last_of_ties + 1)
    return float((recall_added * precision).sum())


def auroc_difference(
    scores: Float[np.ndarray, " items"],
    others: Float[np.ndarray, " items"],
    is_positive: Bool[np.ndarray, " items"],
) -> tuple[float, float, float] | None:
    """By how much one method's AUROC is above another's on the same items, and a 95 % interval.

    None where a class has fewer than two items. Source: DeLong et al. (1988).
    """
    if min(is_positive.sum(), (~is_positive).sum()) < 2:
        return None
    placed = [_placements(one, is_positive) for one in (scores, others)]
    of_positives, of_negatives = (placed[0][side] - placed[1][side] for side in (0, 1))
    mean = float(of_positives.mean())
    variance = of_positives.var(ddof=1) / len(of_positives)
    variance += of_negatives.var(ddof=1) / len(of_negatives)
    half = NORMAL * float(np.sqrt(variance))
    return mean, mean - half, mean + half


def _placements(
    scores: Float[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]
) -> tuple[Float[np.ndarray, " positives"], Float[np.ndarray, " negatives"]]:
    """Of each positive, the share of negatives below it; of each negative, of positives above it.

    Ties count half. The mean of either is the AUROC.
    """
    positives, negatives = scores[is_positive], scores[~is_positive]
    found = []
    for items, among in ((positives, negatives), (negatives, positives)):
        order = np.sort(among)
        below = np.searchsorted(order, items, "left") + np.searchsorted(order, items, "right")
        found.append(below / (2 * len(among)))
    return found[0], 1 - found[1]
