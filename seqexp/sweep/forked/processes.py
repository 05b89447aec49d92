"""Runs pieces of work in processes of their own, so many at once.

Each is forked from a server that has imported what all need and does nothing else: it has no
threads, and no computation has begun in it. Where a system has no forks, each is a new interpreter.
"""

import atexit
import contextlib
import gc
import multiprocessing
import os
import random
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from seqexp.utils.signals import SIGNALS

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

SERVER = "SEQEXP_FORK_SERVER"
"""Environment variable by which a module that is preloaded knows that it is."""

STOPPED = 130
"""Exit status of a process that was told to end before its work was done."""


def start_server(module: str) -> None:
    """Begin to import a module, and all that it imports, in the server that others are forked from.

    Signals to a terminal's processes are none of its business: whoever started it ends it.
    """
    if METHOD != "forkserver":
        return
    forkserver.set_forkserver_preload([module])
    resource_tracker.ensure_running()  # which ends with no signal blocked
    os.environ[SERVER] = "1"
    try:
        with _blocked():
            forkserver.ensure_running()
    finally:
        del os.environ[SERVER]


def start_early(module: str) -> None:
    """Begin before it is sure that anything is forked; without a use of it, it ends with us."""
    start_server(module)
    atexit.register(_end_unused)


def _end_unused() -> None:
    """End a server that nothing was forked from: what reads our output waits for it too."""
    server: Any = forkserver._forkserver
    if not _was_used and server._forkserver_pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)


_was_used = False


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Within, signals wait, and processes that are started leave them waiting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def each(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], at_once: int) -> list[Any]:
    """Results in the order of the calls; of one that came to none, the exit status of its process.

    Args:
        function: what is called; it may be of a module or not.
        calls: its arguments.
        at_once: processes.
    """
    global _was_used
    _was_used = True
    context: Any = multiprocessing.get_context(METHOD)
    waiting = deque(enumerate(calls))
    going: dict[Connection, tuple[int, BaseProcess]] = {}
    results: list[Any] = [None] * len(calls)
    try:
        while waiting or going:
            while waiting and len(going) < at_once:
                index, call = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                work = cloudpickle.dumps((function, call))
                process = context.Process(target=_work, args=(work, dict(os.environ), sender))
                process.start()
                sender.close()
                going[receiver] = index, process
            for ready in wait(list(going)):
                assert isinstance(ready, Connection)
                index, process = going.pop(ready)
                results[index] = _result(ready, process)
    finally:
        for _, process in going.values():
            process.kill()
    return results


class Ended(int):
    """The exit status of a process that ended without a result; of a signal, its negative."""


def _result(receiver: Connection, process: BaseProcess) -> Any:
    """What a process has sent."""
    with contextlib.closing(receiver):
        try:
            result = cloudpickle.loads(receiver.recv_bytes())
        except EOFError:
            result = None
        except Exception:  # of what cannot be made again here, as an error of a user's own
            process.join()
            return Ended(process.exitcode or 1)
    process.join()
    return Ended(process.exitcode or 0) if result is None else result[0]


def _work(work: bytes, environment: Mapping[str, str], sender: Connection) -> None:
    """What a process does: one call."""
    with contextlib.suppress(AttributeError):  # Windows has none
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        os.environ.clear()
        os.environ.update(environment)
        random.seed()  # the server's state is that of all
        gc.enable()
        function, call = cloudpickle.loads(work)
        sender.send_bytes(cloudpickle.dumps((function(*call),)))
    except KeyboardInterrupt:
        sys.stdout.flush()
        os._exit(STOPPED)
