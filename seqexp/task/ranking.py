"""How well scores put one class before the other."""

import numpy as np
from jaxtyping import Bool, Float


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
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2  # of equal scores
    rank_sum = mean_ranks[place][is_positive].sum()
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
