"""Cross-entropy, summed over scored targets."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.spec import IGNORE


def cross_entropy_sum(
    logits: Float[Tensor, "batch positions outputs"],
    targets: Int[Tensor, "batch positions"],
    weights: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy in nats, summed over scored targets, at least in float32.

    One output is the logit of target 1 against target 0. `weights` are what a target of each class
    counts; None is 1.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if weights is not None:
        weights = weights.to(logits.dtype)
    if logits.shape[-1] == 1:
        scored = targets != IGNORE
        known = targets[scored]
        return functional.binary_cross_entropy_with_logits(
            logits[..., 0][scored],
            known.to(logits.dtype),
            weight=None if weights is None else weights[known],
            reduction="sum",
        )
    return functional.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        weight=weights,
        ignore_index=IGNORE,
        reduction="sum",
    )


def entropy_of_shares(targets: Iterable[Tensor], weights: Sequence[float] | None) -> float:
    """Cross-entropy of targets with the constant shares that make it smallest, nats a target."""
    counts: Counter[int] = Counter()
    for part in targets:
        counts.update(part[part != IGNORE].tolist())
    total = counts.total()
    if weights is None:
        shares = [count / total for count in counts.values()]
        return -sum(share * math.log(share) for share in shares)
    weighted = [count * weights[target] for target, count in counts.items()]
    mass = sum(weighted)
    return -sum(value * math.log(value / mass) for value in weighted) / total
