"""The best of several initial weights: a small network can start where nothing is to be learned."""

import math
from collections import Counter
from collections.abc import Callable, Generator

from seqexp.data import MANY, Data
from seqexp.spec import IGNORE
from seqexp.trainer.loop import alone, steps
from seqexp.trainer.training import Report, Training, Work

MAX_DEAD = 10
"""Further starts where none of those asked for has learned anything."""

DEAD = 0.99
"""A training loss above this share of what the targets' shares alone would give is no learning."""


ROWS = 1000
"""Sequences whose targets are counted together."""


def best_start(make: Callable[[int], Training], data: Data) -> tuple[Training, int]:
    """The start with the lowest training loss after `start_epochs`, made anew; and how many were
    tried.

    Args:
        make: a training that has not begun, with the initial weights of this number.
        data: to train on.

    A start is dead that has learned no more than how frequent each target is; if all are, more are
    tried, up to `MAX_DEAD`.
    """
    return alone(choose_start(make, data))


def choose_start(
    make: Callable[[int], Training], data: Data
) -> Generator[Work, None, tuple[Training, int]]:
    """As `best_start`, and before each update the work that it is."""
    training = make(0)
    settings = training.settings
    if settings.starts == 1:
        return training, 1
    limit = DEAD * constant_loss(data)
    losses: list[float] = []
    while len(losses) < settings.starts or (
        min(losses) > limit and len(losses) < settings.starts + MAX_DEAD
    ):
        loss = yield from _loss_after(make(len(losses)), data, settings.start_epochs)
        losses.append(loss)
    return make(losses.index(min(losses))), len(losses)


def constant_loss(data: Data) -> float:
    """Cross-entropy of the training targets with their own shares, nats a target."""
    counts: Counter[int] = Counter()
    for batch in data.train.batches(ROWS):
        for part in batch.windows(MANY):
            counts.update(part.targets[part.targets != IGNORE].tolist())
    shares = [count / counts.total() for count in counts.values()]
    return -sum(share * math.log(share) for share in shares)


def _loss_after(training: Training, data: Data, epochs: int) -> Generator[Work, None, float]:
    loss = math.inf
    for item in steps(training, data):
        if not isinstance(item, Report):
            yield item
        elif item.kind == "epoch":
            loss = item.metrics["train/loss_nats"]
            if item.step >= epochs:
                break
    return loss
