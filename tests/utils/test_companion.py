"""A process beside this one: it does what it is asked, and outlives nobody."""

import errno
import logging
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from seqexp.errors import InputError
from seqexp.utils import companion
from seqexp.utils.companion import Companion, CompanionError, LostCompanionError, has_room

pytestmark = pytest.mark.skipif(not has_room(), reason="no core for a process of its own")

ALONE = """
import time
from seqexp.utils.companion import Companion
beside = Companion()
beside.begin(time.sleep, 60)
print(beside._process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def beside() -> Iterator[Companion]:
    begun = Companion()
    yield begun
    begun.end()


def test_it_does_several_things_at_once(beside: Companion) -> None:
    beside.begin(time.sleep, 60)
    assert beside.begin(os.getpid).result() == beside._process.pid != os.getpid()
    assert beside.begin(operator.add, 1, 2).result() == 3


def test_errors_come_back_with_their_words_and_warnings_are_seen(
    beside: Companion, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("seqexp"), "propagate", True)
    code = "from seqexp.errors import InputError; raise InputError('no such store')"
    with pytest.raises(InputError, match="no such store"):
        beside.begin(exec, code, {}).result()
    with pytest.raises(OSError) as full:
        beside.begin(exec, f"raise OSError({errno.ENOSPC}, 'no room')", {}).result()
    assert full.value.errno == errno.ENOSPC
    code = "import sqlite3; raise sqlite3.OperationalError('database is locked')"
    with pytest.raises(CompanionError, match="database is locked") as locked:
        beside.begin(exec, code, {}).result()
    assert locked.value.kind == "OperationalError"
    code = "import logging; logging.getLogger('seqexp').warning('%s is locked', 'it')"
    beside.begin(exec, code, {}).result()
    assert "it is locked" in caplog.text


def test_what_is_asked_of_a_process_that_is_killed_is_lost_at_once(beside: Companion) -> None:
    asked = beside.begin(time.sleep, 60)
    beside._process.kill()
    for one in (asked, beside.begin(os.getpid)):
        with pytest.raises(LostCompanionError):
            one.result(20)
    assert f"process {beside._process.pid} beside this one ended (-9)" in beside.end()


def test_it_hears_no_ctrl_c_and_ends_with_who_asked(beside: Companion) -> None:
    assert os.getpgid(beside._process.pid) != os.getpgid(0)
    with subprocess.Popen([sys.executable, "-c", ALONE], stdout=subprocess.PIPE) as alone:
        assert alone.stdout is not None
        orphan = psutil.Process(int(alone.stdout.readline()))
        alone.send_signal(signal.SIGKILL)
    while orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)


def test_on_one_core_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(companion.os, "sched_getaffinity", lambda process: {0})
    assert not has_room()
