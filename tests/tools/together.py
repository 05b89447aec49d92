"""Several trainings whose updates are done as one, and what they have told."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqexp.data import Data
from seqexp.errors import NonFiniteError
from seqexp.trainer.loop import steps
from seqexp.trainer.replicas import Together
from seqexp.trainer.training import Report, Training, Work

Pair = tuple[Training, Data]


def as_one(pairs: Sequence[Pair]) -> tuple[list[list[Report]], list[Exception | None], Together]:
    """The reports of each, and what it failed with."""
    together = Together()
    reports: list[list[Report]] = [[] for _ in pairs]
    errors: list[Exception | None] = [None for _ in pairs]
    going = {index: steps(*pair) for index, pair in enumerate(pairs)}
    while going:
        works = []
        for index in list(going):
            try:
                item = next(going[index], None)
                while isinstance(item, Report):
                    reports[index].append(item)
                    item = next(going[index], None)
            except NonFiniteError as error:
                errors[index], item = error, None
            if isinstance(item, Work):
                works.append(item)
            else:
                del going[index]
        together.do(works)
    return reports, errors, together


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
