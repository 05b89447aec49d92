"""Learning-rate schedules against their formulas."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from seqexp.optimizer.schedule import constant, cosine, inverse_time


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return found


def test_constant() -> None:
    assert rates(constant(optimizer()), 3) == [0.1, 0.1, 0.1]


def test_inverse_time_begins_undecayed() -> None:
    found = rates(inverse_time(optimizer(), decay=0.5), 4)
    assert found == pytest.approx([0.1, 0.1 / 1.5, 0.1 / 2, 0.1 / 2.5])


def test_cosine_goes_through_half_at_half_time() -> None:
    found = rates(cosine(optimizer(), total_steps=10), 11)
    assert found[0] == pytest.approx(0.1)
    assert found[5] == pytest.approx(0.05)
    assert found[3] == pytest.approx(0.1 * (1 + math.cos(0.3 * math.pi)) / 2)
    assert found[10] == pytest.approx(0, abs=1e-12)


def test_cosine_warms_up_and_ends_where_it_is_told() -> None:
    found = rates(cosine(optimizer(), total_steps=10, warmup=0.4, final=0.2), 11)
    assert found[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert found[10] == pytest.approx(0.02)


def test_torchs_own_schedules_work_as_well() -> None:
    found = rates(torch.optim.lr_scheduler.StepLR(optimizer(), step_size=2, gamma=0.5), 4)
    assert found == pytest.approx([0.1, 0.1, 0.05, 0.05])
