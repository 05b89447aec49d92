"""Processes that are forked for one piece of work each."""

import contextlib
import operator
import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest
from conftest import ROOT
from hydra.core.utils import JobStatus

from seqexp.errors import RunError, StoppedError
from seqexp.sweep.forked.launcher import _told
from seqexp.sweep.forked.processes import METHOD, Ended, each, start_server

pytestmark = pytest.mark.skipif(METHOD != "forkserver", reason="there are no forks here")


@pytest.fixture(autouse=True)
def server() -> None:
    start_server("json")


def test_results_come_in_order_and_a_killed_process_costs_its_own_only() -> None:
    calls = [
        (divmod, 7, 2),
        (signal.raise_signal, signal.SIGKILL),
        (os._exit, 3),
        (signal.raise_signal, signal.SIGINT),
        (os.getppid,),
        (divmod, 9, 4),
    ]
    found = each(operator.call, calls, 2)
    assert found == [(3, 1), -signal.SIGKILL, 3, 130, found[4], (2, 1)]
    assert [isinstance(one, Ended) for one in found] == [False, True, True, True, False, False]
    assert found[4] != os.getpid()  # it is the server's child, and the server ours


def test_a_process_has_the_variables_of_the_caller_and_hears_signals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEQEXP_PARENT_RUN", "later")  # after the server was started
    assert each(os.getenv, [("SEQEXP_PARENT_RUN",)], 1) == ["later"]
    (blocked,) = each(signal.pthread_sigmask, [(signal.SIG_BLOCK, [])], 1)
    assert not set(blocked) & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class OddError(Exception):
    """Pickle would make it again with one argument."""

    def __init__(self, file: str, line: int) -> None:
        super().__init__(f"{file}, line {line}: odd")


def test_a_result_that_cannot_be_made_again_costs_its_process_only() -> None:
    calls = [(OddError, "reads.fa", 3), (divmod, 7, 2)]
    assert each(operator.call, calls, 1) == [1, (3, 1)]


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_server_does_not_hear_what_ends_a_terminals_processes() -> None:
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # another test may have begun it
    start_server("json")
    (server,) = each(os.getppid, [()], 1)
    status = Path(f"/proc/{server}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("SigBlk")]
    mask = int(line.split()[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert mask & (1 << (number - 1))


UNUSED = """
import multiprocessing.forkserver as forks
from seqexp.sweep.forked.processes import start_early
start_early("endless")
print(forks._forkserver._forkserver_pid, flush=True)
"""


def test_a_server_that_nothing_was_forked_from_ends_with_who_began_it(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time; time.sleep(600)")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    # what it prints to is closed by the server too, or else this waits
    done = subprocess.run(
        [sys.executable, "-c", UNUSED], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with contextlib.suppress(psutil.NoSuchProcess):  # or nobody has looked after its end yet
        assert psutil.Process(int(done.stdout)).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (-9, RunError, "its process was ended by SIGKILL"),
        (1, RunError, "its process ended with status 1"),
        (130, StoppedError, "it was stopped"),
    ],
)
def test_a_job_without_a_result_says_how_its_process_ended(
    status: int, kind: type[RunError], said: str
) -> None:
    found = _told(Ended(status), ("seed=1",))
    assert found.status is JobStatus.FAILED and found.overrides == ("seed=1",)
    assert type(found._return_value) is kind and str(found._return_value) == said
