"""Memory and CPU: at most a point in ten seconds, and one at the end."""

from typing import Any, cast

import torch

from seqexp.callback.system_use import SystemUse


class Run:
    """What the callback sees of a run."""

    def __init__(self) -> None:
        self.told: list[tuple[set[str], int]] = []
        self.tracker = self
        self.training = self
        self.device, self.step = torch.device("cpu"), 0

    def metrics(self, values: dict[str, float], step: int) -> None:
        assert all(value >= 0 for value in values.values())
        self.told.append(({*values}, step))


def test_points_are_ten_seconds_apart_at_least_and_the_last_is_at_the_end() -> None:
    now = [0.0]
    run = Run()
    callback = SystemUse(cast(Any, run), True, clock=lambda: now[0])
    callback.before()
    for now[0] in (1.0, 9.9, 10.0, 12.0, 19.0, 20.5):
        run.step += 5
        callback.after(cast(Any, None))
    now[0] = 21.0
    callback.at_end(cast(Any, None))
    assert [step for _, step in run.told] == [0, 15, 30, 30]
    assert run.told[1][0] == {
        "system/process_memory_megabytes",
        "system/process_cpu_percentage",
        "system/system_memory_usage_percentage",
    }


def test_nothing_is_measured_where_it_is_not_wanted() -> None:
    run = Run()
    callback = SystemUse(cast(Any, run), False, clock=lambda: 1e9)
    callback.before()
    callback.after(cast(Any, None))
    callback.at_end(cast(Any, None))
    assert run.told == []
