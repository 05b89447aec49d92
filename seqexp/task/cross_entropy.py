"""Cross-entropy, summed over scored targets."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.spec import IGNORE


def cross_entropy_sum(
    logits: Float[Tensor, "batch positions outputs"], targets: Int[Tensor, "batch positions"]
) -> Float[Tensor, ""]:
    """Cross-entropy in nats, summed over scored targets, at least in float32.

    One output is the logit of target 1 against target 0.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[-1] == 1:
        scored = targets != IGNORE
        return functional.binary_cross_entropy_with_logits(
            logits[..., 0][scored], targets[scored].to(logits.dtype), reduction="sum"
        )
    return functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
