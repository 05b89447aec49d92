"""Stops a run in an orderly way: the update in progress ends, and a checkpoint is written."""

import logging
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from seqexp.errors import StoppedError, Terminated

log = logging.getLogger("seqexp")

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)
"""The terminal is gone; there is none on Windows."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, HANGUP)

ORDERLY_SECONDS = 30.0
"""How long jobs that are told to end may take: an update, a checkpoint, and what is to be sent."""


class Stop:
    """Knows whether a run is to stop: SIGTERM, Ctrl-C, or its minutes are over.

    Args:
        max_minutes: of this process; None is no limit.
    """

    def __init__(self, max_minutes: float | None = None) -> None:
        self.max_minutes = max_minutes
        self.began = time.monotonic()
        self.signal: int | None = None
        self._before: dict[int, Any] = {}
        self._listeners = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, the first signal is only noted; a second one leaves at once.

        Several may listen at once, and end in any order.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread gets signals
            return
        if self._listeners == 0:
            self._before = {number: signal.signal(number, self._note) for number in heard()}
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                for number, handler in self._before.items():
                    signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        _leave_terminal(number)
        # who ends a sweep signals its jobs, of which Ctrl-C has told some already
        is_again = number == self.signal or not is_worker()
        if self.signal is not None and is_again:
            raise_signal(number)
        _told.append(number)
        self.signal = number
        again = "; Ctrl-C again leaves at once" if number == signal.SIGINT else ""
        log.info(f"stopping after this update{again}")

    @property
    def wanted(self) -> bool:
        """Whether to stop now."""
        limit = self.max_minutes
        is_over = limit is not None and time.monotonic() - self.began >= 60 * limit
        return self.signal is not None or is_over

    def leave(self, follows: str = "the same command goes on") -> None:
        """Raise what ends the run; `follows` is what can be done then.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
            Terminated: after SIGTERM.
            StoppedError: if the minutes are over.
        """
        if self.signal is not None:
            raise_signal(self.signal)
        if self.max_minutes is None:
            raise Terminated  # another process was told to
        raise StoppedError(f"stopped after trainer.max_minutes={self.max_minutes:g}; {follows}")


def raise_signal(number: int, frame: Any = None) -> None:
    """Ctrl-C and SIGTERM as exceptions; a handler of signals."""
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def heard() -> list[int]:
    """Signals that end a run; an ignored one, as SIGHUP under `nohup`, stays ignored."""
    return [n for n in dict.fromkeys(SIGNALS) if signal.getsignal(n) is not signal.SIG_IGN]


def is_worker() -> bool:
    """Whether this process was started by another to do its jobs."""
    return multiprocessing.parent_process() is not None


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM and SIGHUP end what is in progress as Ctrl-C does, so that a run is closed.

    Raises:
        Terminated: in a worker that was told to end: it begins no further job.
    """
    if is_worker() and _told:
        raise Terminated
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in heard() if number != signal.SIGINT]
    before = {number: signal.signal(number, _raise_and_remember) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_told: list[int] = []
"""Signals that have told this process to end."""


def _raise_and_remember(number: int, frame: Any = None) -> None:
    _leave_terminal(number)
    _told.append(number)
    raise_signal(number)


def _leave_terminal(number: int) -> None:
    """Where the terminal is gone, what is written to it would end a run before it is saved."""
    if number == signal.SIGTERM or number != HANGUP:
        return
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream)
                os.close(nowhere)


class Jobs:
    """Processes that do a sweep's jobs, ended in order when the sweep is told to.

    Args:
        are_busy: whether any of them is still at a job.
    """

    def __init__(self, are_busy: Callable[[], bool]) -> None:
        self.are_busy = are_busy
        self._is_ending = False
        self._others: set[int] = set()  # whoever started this process may have more

    @contextmanager
    def ended(self) -> Iterator[None]:
        """Within, a signal ends the jobs first, and then this process; a second one kills them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._others = {*_below(os.getpid())}
        before = {number: signal.signal(number, self._end) for number in heard()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signal(self, pids: Iterable[int], number: int) -> None:
        for pid in {*pids} - self._others:
            with suppress(OSError):
                os.kill(pid, number)

    def _end(self, number: int, frame: FrameType | None) -> None:
        _leave_terminal(number)
        workers = _workers()
        if self._is_ending:
            self._signal(_below(os.getpid()), signal.SIGKILL)
            raise_signal(number)
        self._is_ending = True
        if workers and self.are_busy():
            log.info(
                f"stopping: the jobs in progress end after their update, in {ORDERLY_SECONDS:.0f} s"
                " at most; a second signal kills them"
            )
            self._signal(workers, signal.SIGTERM)
            deadline = time.monotonic() + ORDERLY_SECONDS
            while time.monotonic() < deadline and self.are_busy():
                time.sleep(0.2)
        # idle ones, and those that did not listen: nothing of a sweep outlives it
        self._signal(_below(os.getpid()), signal.SIGKILL)
        raise_signal(number)


def _workers() -> list[int]:
    """Processes that this one has started, itself or by a server of forks, which is not one."""
    parents = _parents()
    own = [pid for pid, parent in parents.items() if parent == os.getpid()]
    servers = {pid for pid in own if _FORKS in _command(pid)}
    forked = [pid for pid, parent in parents.items() if parent in servers]
    return [*(pid for pid in own if pid not in servers), *forked]


_FORKS = b"multiprocessing.forkserver"


def _command(pid: int) -> bytes:
    """The words by which a process was started; none if it has ended."""
    with suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes()
    return b""


def _below(root: int) -> list[int]:
    """Processes that were started by one, or by those."""
    parents = _parents()
    found = [root]
    for pid in found:  # it grows meanwhile
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def _parents() -> dict[int, int]:
    """The parent of each process that does jobs, as the system tells; no helpers of Python's."""
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            # after the command, which may hold blanks and parentheses: state, parent
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"resource_tracker" not in _command(int(folder.name)):
                found[int(folder.name)] = parent
    if not found:  # no Linux
        found = {child.pid: os.getpid() for child in multiprocessing.active_children() if child.pid}
    return found
