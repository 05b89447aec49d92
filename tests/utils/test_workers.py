"""Work in processes: each piece once, faults in the order of the calls, nobody left behind."""

import math
import operator
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from seqexp.utils.workers import each


@pytest.fixture(autouse=True)
def nobody_left_behind() -> Iterator[None]:
    """Python's own process that cleans up after semaphores stays until this one ends."""
    resource_tracker.ensure_running()
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


def test_a_failing_source_of_calls_ends_the_workers() -> None:
    def calls() -> Iterator[tuple[int, int]]:
        yield 1, 2
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(each(operator.mul, calls(), 2))


UNGUARDED = """
import time
from seqexp.utils.workers import each
for _, pid in each(__import__("os").getpid, [()] * 2, 2):
    print(pid, flush=True)
    time.sleep(60)
"""


def test_workers_of_a_killed_process_end_and_do_not_import_its_main_module(
    tmp_path: Path,
) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    children = psutil.Process(parent.pid).children()
    assert worker in children
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
