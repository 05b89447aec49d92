"""Signals: what a sweep's jobs are told before the sweep ends, and what a hangup leaves."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqexp.errors import Terminated
from seqexp.utils import signals as stopping
from seqexp.utils.signals import Jobs, Stop, heard, sigterm_raises

WORKER = """
import pathlib, signal, sys, time
busy = pathlib.Path(sys.argv[1])
def end(number, frame):
    time.sleep(0.3)
    busy.unlink()
signal.signal(signal.SIGTERM, end if sys.argv[2] == "orderly" else signal.SIG_IGN)
busy.touch()
while True:
    time.sleep(0.05)
"""


def started(busy: Path, how: str) -> "subprocess.Popen[bytes]":
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(busy), how])
    while not busy.exists():
        time.sleep(0.02)
    return worker


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stopping, "_told", [])
    yield


def only(worker: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the processes below this one, which are the tests' too."""
    monkeypatch.setattr(stopping, "_workers", lambda: [worker.pid])
    monkeypatch.setattr(stopping, "_below", lambda root: [worker.pid])


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (signal.SIGTERM, Terminated),
        (signal.SIGHUP, Terminated),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_a_sweep_that_is_told_to_end_lets_its_jobs_end_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    raised: type[BaseException],
) -> None:
    monkeypatch.setattr(stopping, "_leave_terminal", lambda number: None)
    with pytest.raises(raised), Jobs((tmp_path / "busy").exists).ended():
        worker = started(tmp_path / "busy", "orderly")
        only(worker, monkeypatch)
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert not (tmp_path / "busy").exists()  # it has done what was left
    assert worker.wait(5) == -signal.SIGKILL  # and does not outlive the sweep


def test_a_job_that_does_not_listen_is_killed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "ORDERLY_SECONDS", 0.5)
    with pytest.raises(Terminated), Jobs((tmp_path / "busy").exists).ended():
        worker = started(tmp_path / "busy", "deaf")
        only(worker, monkeypatch)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert worker.wait(5) == -signal.SIGKILL


def test_a_second_signal_kills_the_jobs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def are_busy() -> bool:  # asked while it waits
        os.kill(os.getpid(), signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt), Jobs(are_busy).ended():
        worker = started(tmp_path / "busy", "deaf")
        only(worker, monkeypatch)
        began = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert time.monotonic() - began < 5 and worker.wait(5) == -signal.SIGKILL


def test_processes_that_were_there_before_a_sweep_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = started(tmp_path / "busy", "deaf")
    only(other, monkeypatch)
    with pytest.raises(Terminated), Jobs(lambda: False).ended():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_processes_below_are_found_with_theirs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(30)"]
    nested = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", nested]) as outer:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                found = stopping._below(outer.pid)
                if found:
                    break
                time.sleep(0.05)
            assert len(found) == 1 and outer.pid in stopping._workers()
        finally:
            for pid in (*stopping._below(outer.pid), outer.pid):
                os.kill(pid, signal.SIGKILL)


def test_a_worker_that_was_told_to_end_begins_no_further_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "is_worker", lambda: True)
    with pytest.raises(Terminated), sigterm_raises():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    with pytest.raises(Terminated), sigterm_raises():
        raise AssertionError("the next job has begun")


def test_a_worker_takes_ctrl_c_and_the_sweeps_own_signal_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(stopping, "is_worker", lambda: True)
        os.kill(os.getpid(), signal.SIGTERM)  # does not leave at once
        assert stop.wanted
        with pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)


def test_a_hangup_stops_as_sigterm_does_and_stays_ignored_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "_leave_terminal", lambda number: None)
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.wanted
    with pytest.raises(Terminated):
        stop.leave()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert signal.SIGHUP not in heard() and signal.SIGTERM in heard()
    finally:
        signal.signal(signal.SIGHUP, before)
