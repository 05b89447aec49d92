"""Several trainings whose updates are done as one, and what they have told."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from seqexp.data import Data
from seqexp.errors import NonFiniteError
from seqexp.trainer.lockstep import Replica, train_in_lockstep
from seqexp.trainer.loop import fit
from seqexp.trainer.replicas import JointUpdates
from seqexp.trainer.training import Report, Training, Update

Pair = tuple[Training, Data]


def as_one(
    pairs: Sequence[Pair],
) -> tuple[list[list[Report]], list[Exception | None], JointUpdates]:
    """The reports of each, and what it failed with."""
    joint = JointUpdates()
    reports: list[list[Report]] = [[] for _ in pairs]

    def train(pair: Pair, reports: list[Report], update: Update) -> None:
        for report in fit(*pair, update):
            reports.append(report)

    replicas = [Replica(partial(train, *each)) for each in zip(pairs, reports, strict=True)]
    train_in_lockstep(replicas, joint)
    errors: list[Exception | None] = []
    for replica in replicas:
        assert replica.outcome is None or isinstance(replica.outcome, NonFiniteError)
        errors.append(replica.outcome)
    return reports, errors, joint


def told(reports: Sequence[Report]) -> dict[tuple[str, int, str], float]:
    """Every point but times."""
    return {
        (report.kind, report.step, name): value
        for report in reports
        for name, value in report.metrics.items()
        if not name.startswith(("time/", "speed/"))
    }


def weights(training: Training) -> Tensor:
    return torch.cat([p.detach().flatten() for p in training.model.parameters()])
