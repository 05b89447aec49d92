"""Work in processes: each piece once, faults in the order of the calls, nobody left behind."""

import math
import operator
import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from seqexp.utils.workers import each


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """Other tests' processes may be there before, as the one that cleans up after semaphores."""
    before = psutil.Process().children()
    yield
    assert psutil.Process().children() == before


@pytest.mark.parametrize("workers", [1, 3])
def test_each_call_is_answered_once(workers: int) -> None:
    calls = [(index, 3) for index in range(20)]
    assert dict(each(operator.mul, calls, workers)) == {index: 3 * index for index in range(20)}


def test_workers_are_other_processes_and_end_with_the_work() -> None:
    pids = {pid for _, pid in each(os.getpid, [()] * 10, 2)}
    assert os.getpid() not in pids and 1 <= len(pids) <= 2
    assert not any(map(psutil.pid_exists, pids))


def test_the_first_of_the_calls_that_fail_is_told() -> None:
    calls = [(1.0,), (4.0,), (-2.0,), (9.0,), ("x",)]
    for _ in range(3):
        with pytest.raises(ValueError, match="math domain error|nonnegative"):
            list(each(math.sqrt, calls, 3))


def test_a_worker_that_is_killed_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="a worker process ended with status -9"):
        list(each(signal.raise_signal, [(signal.SIGKILL,)], 2))
