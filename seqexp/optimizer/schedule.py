"""Learning-rate schedules. Any other of torch.optim.lr_scheduler can be named too.

They are PyTorch's own schedulers: after each update, the rate is the optimizer's `lr` times a
factor of the number of updates done. `plateau` alone is stepped after each epoch.
"""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from seqexp.ranges import CountOrZero, NotNegative, OpenShare, Share


def constant(optimizer: Optimizer) -> LambdaLR:
    """The same learning rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0)


def inverse_time(optimizer: Optimizer, decay: NotNegative) -> LambdaLR:
    """lr / (1 + decay * iteration), iterations being updates.

    Source: the `decay` argument of Keras' optimizers up to version 2; Robbins & Monro (1951).
    """
    return LambdaLR(optimizer, lambda step: 1 / (1 + decay * step))


def plateau(
    optimizer: Optimizer,
    higher_is_better: bool,
    factor: OpenShare = 0.5,
    patience: CountOrZero = 2,
    min_delta: NotNegative = 1e-4,
    cooldown: CountOrZero = 0,
    min_lr: NotNegative = 0.0,
) -> ReduceLROnPlateau:
    """The same rate while `trainer.monitor` gets better, and `factor` of it after each halt.

    Args:
        optimizer: whose learning rate is scheduled.
        higher_is_better: of the monitored metric.
        factor: what the rate is multiplied by.
        patience: epochs without a better value that are waited for.
        min_delta: a smaller gain does not count as better.
        cooldown: epochs after a reduction in which none is counted.
        min_lr: no lower rate than this.
    """
    return ReduceLROnPlateau(
        optimizer,
        mode="max" if higher_is_better else "min",
        factor=factor,
        patience=patience,
        threshold=min_delta,
        threshold_mode="abs",
        cooldown=cooldown,
        min_lr=min_lr,
    )


def cosine(
    optimizer: Optimizer, total_steps: int, warmup: Share = 0.0, final: Share = 0.0
) -> LambdaLR:
    """Linear rise over the first `warmup` share of updates, then half a cosine down to `final`.

    Args:
        optimizer: whose learning rate is scheduled.
        total_steps: updates of the whole training.
        warmup: share of the updates that rise from zero.
        final: the last rate, as a share of the highest.

    Source: Loshchilov & Hutter (2017), eq. 5, without restarts.
    """
    num_warmup = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < num_warmup:
            return (step + 1) / (num_warmup + 1)
        progress = min(1.0, (step - num_warmup) / max(1, total_steps - num_warmup))
        return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2

    return LambdaLR(optimizer, factor)
