"""The best of several initial weights: a small network can start where nothing is to be learned."""

import math
from collections.abc import Callable, Iterator

from torch import Tensor

from seqexp.data import MANY, Data
from seqexp.trainer.loop import fit
from seqexp.trainer.training import Training, Update
from seqexp.trainer.update import update

MAX_DEAD = 10
"""Further starts where none of those asked for has learned anything."""

DEAD = 0.99
"""A training loss above this share of that of knowing the targets' shares alone is no learning."""


ROWS = 1000
"""Sequences whose targets are counted together."""


def best_start(
    make: Callable[[int], Training], data: Data, update: Update = update
) -> tuple[Training, int]:
    """The start with the lowest training loss after `start_epochs`, made anew; and how many were
    tried.

    Args:
        make: a training that has not begun, with the initial weights of this number.
        data: to train on.
        update: does one update.

    A start is dead that has learned no more than how frequent each target is; if all are, more are
    tried, up to `MAX_DEAD`.
    """
    training = make(0)
    settings = training.settings
    if settings.starts == 1:
        return training, 1
    limit = DEAD * training.task.ignorance(_targets(data))
    losses: list[float] = []
    while len(losses) < settings.starts or (
        min(losses) > limit and len(losses) < settings.starts + MAX_DEAD
    ):
        losses.append(_loss_after(make(len(losses)), data, settings.start_epochs, update))
    return make(losses.index(min(losses))), len(losses)


def _targets(data: Data) -> Iterator[Tensor]:
    """Those of the training, a few at a time."""
    for batch in data.train.batches(ROWS):
        for part in batch.windows(MANY):
            yield part.targets


def _loss_after(training: Training, data: Data, epochs: int, update: Update) -> float:
    loss = math.inf
    for report in fit(training, data, update):
        if report.kind == "epoch":
            loss = report.metrics["train/loss_nats"]
            if report.step >= epochs:
                break
    return loss
