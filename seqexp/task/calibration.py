"""How far probabilities are from how often predictions are right, and one temperature for them.

Source: Guo et al. (2017), eq. 3 and section 4.2.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from seqexp.spec import IGNORE, Output, TaskSpec

BINS = 10
"""Of probabilities, as a reliability diagram shows them."""

LOWEST, HIGHEST = 1 / 20, 20.0
"""Of temperatures: a validation split whose best one is beyond tells nothing of it."""

MOST_STEPS = 60
"""Of Newton's method; halving the interval alone gets to the last bit in as many."""

HAVE_PROBABILITIES = (Output.SEQUENCE_CLASS, Output.MULTI_LABEL, Output.TOKEN_CLASS)
"""Kinds of task whose probabilities have a temperature."""


def calibration_error(
    confidence: Float[np.ndarray, " items"], is_right: Bool[np.ndarray, " items"]
) -> float:
    """Expected calibration error: mean distance of probability and share in bins of equal width.

    Bins are weighted by the number in each. 0 of no items.
    """
    counts, means, shares = binned(confidence, is_right)
    return float((np.abs(shares - means) * counts).sum() / max(1, counts.sum()))


def binned(
    confidence: Float[np.ndarray, " items"], is_right: Bool[np.ndarray, " items"]
) -> tuple[Int[np.ndarray, " bins"], Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Items of each bin, their mean probability, and the share of them that is right."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    means, shares = (
        np.bincount(places, values, minlength=BINS) / np.maximum(1, counts)
        for values in (confidence, is_right.astype(float))
    )
    return counts, means, shares


def confidences(
    spec: TaskSpec,
    logits: Float[Tensor, "predictions outputs"],
    targets: Num[Tensor, "predictions labels"],
) -> tuple[Float[np.ndarray, " items"], Bool[np.ndarray, " items"]]:
    """What `calibration_error` takes: of classes the probability of the predicted one and whether
    it is right; of labels that are known the probability of each and whether it is there.
    """
    columns, classes = as_classes(spec, logits, targets)
    shares = torch.softmax(columns, dim=1)
    if spec.output is Output.MULTI_LABEL:
        return shares[:, 1].float().numpy(), (classes == 1).numpy()
    largest, predicted = shares.max(dim=1)
    return largest.float().numpy(), (predicted == classes).numpy()


def as_classes(
    spec: TaskSpec,
    logits: Float[Tensor, "predictions outputs"],
    targets: Num[Tensor, "predictions labels"],
) -> tuple[Float[Tensor, "items classes"], Int[Tensor, " items"]]:
    """All that is scored as one of several classes, float64: a label that is there or not is one
    of two.
    """
    wide = logits.double().cpu()
    if spec.output is Output.MULTI_LABEL or wide.shape[1] == 1:
        known = targets.cpu().reshape(wide.shape)
        is_known = known != IGNORE
        chosen = wide[is_known][:, None]
        return torch.cat([torch.zeros_like(chosen), chosen], dim=1), known[is_known].long()
    known = targets.cpu()[:, 0]
    return wide[known != IGNORE], known[known != IGNORE].long()


def fitted_temperature(
    columns: Float[Tensor, "items classes"], classes: Int[Tensor, " items"]
) -> float | None:
    """The temperature T whose `softmax(logits / T)` gives the classes the largest likelihood.

    None where there are no items, or the likelihood grows beyond the limits, as where all are
    predicted rightly. In 1/T the loss is convex: Newton's method, halving where that leaves the
    interval.
    """
    if not len(classes):
        return None
    columns = columns - columns.amax(dim=1, keepdim=True)
    own = columns.gather(1, classes[:, None]).sum()

    def slopes(inverse: float) -> tuple[float, float]:
        shares = torch.softmax(inverse * columns, dim=1)
        means = (shares * columns).sum(dim=1)
        spread = (shares * columns.square()).sum(dim=1) - means.square()
        return float(means.sum() - own), float(spread.sum())

    low, high = 1 / HIGHEST, 1 / LOWEST
    if slopes(low)[0] >= 0 or slopes(high)[0] <= 0:
        return None
    inverse = 1.0
    for _ in range(MOST_STEPS):
        first, second = slopes(inverse)
        low, high = (low, inverse) if first > 0 else (inverse, high)
        step = inverse - first / second if second > 0 else low
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    return 1 / inverse
