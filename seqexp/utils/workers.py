"""Work in processes of their own, each started once and given one piece after the other.

A worker is a fresh interpreter, not a fork: a fork would inherit an OpenMP team without its
threads. It imports what the function's module does and nothing else, so keep that light.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    function: Callable[..., T], calls: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, T]]:
    """Results with the number of their call, in the order in which they are done.

    Calls are drawn as workers come free, a few ahead. One worker is this process itself.

    Raises:
        Exception: that of the first of the calls that failed; no further ones are begun.
        RuntimeError: if a worker was killed.
    """
    waiting = enumerate(calls)
    if workers == 1:
        yield from ((index, function(*call)) for index, call in waiting)
        return
    failed: dict[int, BaseException] = {}
    started: list[SpawnProcess] = []
    pool = ProcessPoolExecutor(workers, _Spawn(started), _obey_parent)
    try:
        going: dict[Future[T], int] = {}
        while True:
            while not failed and len(going) < 2 * workers:
                index, call = next(waiting, (-1, ()))
                if index < 0:
                    break
                going[pool.submit(function, *call)] = index
            if not going:
                break
            for future in wait(going, return_when=FIRST_COMPLETED).done:
                index, error = going.pop(future), future.exception()
                if error is None:
                    yield index, future.result()
                else:
                    failed[index] = error
        if failed:
            raise failed[min(failed)]
    except BrokenProcessPool as broken:
        pool.shutdown()
        status = _status(started)
        raise RuntimeError(f"a worker process ended with status {status}") from broken
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker(SpawnProcess):
    """A worker that does not import this process's main module: it may be heavy, or unguarded."""

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Spawn(SpawnContext):
    """Starts workers and keeps them in a list: the pool does not tell how one of them ended."""

    def __init__(self, started: list[SpawnProcess]) -> None:
        self._started = started

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        worker = _Worker(*args, **options)
        self._started.append(worker)
        return worker


def _obey_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end with it even where it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _status(workers: Iterable[SpawnProcess]) -> int | None:
    """Exit status of the worker that broke the pool; the others were sent SIGTERM because of it."""
    codes = [worker.exitcode for worker in workers]
    return next((code for code in codes if code not in (None, 0, -signal.SIGTERM)), codes[0])
