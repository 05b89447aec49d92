"""Work in processes of their own, each started once and given one piece after the other.

A worker is a fresh interpreter, not a fork: a fork would inherit an OpenMP team without its
threads. It imports what the function's module does and nothing else, so keep that light.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
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
    with _team(workers) as ask:
        going: dict[Future[T], int] = {}
        while True:
            while not failed and len(going) < 2 * workers:
                index, call = next(waiting, (-1, ()))
                if index < 0:
                    break
                going[ask(function, call)] = index
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


@contextmanager
def _team(workers: int) -> Iterator[Callable[..., Future[Any]]]:
    """How to have workers do something; they end with the block, whatever they are at."""
    free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()

    def ask(function: Callable[..., Any], call: tuple[Any, ...]) -> Any:
        worker = free.get()
        try:
            return _answer(worker, function, call)
        finally:
            free.put(worker)

    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(workers))
        for _ in range(workers):
            worker = _start()
            stack.callback(_end, worker)  # before the threads, which wait for answers
            free.put(worker)
        yield lambda function, call: threads.submit(ask, function, call)


def _start() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    command = [sys.executable, "-P", "-c", "from seqexp.utils.workers import serve; serve()"]
    pipe = subprocess.PIPE
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
    for stream in (worker.stdin, worker.stdout):
        with suppress(OSError):  # what it was not told any more
            assert stream is not None
            stream.close()


def _answer(
    worker: subprocess.Popen[bytes], function: Callable[..., Any], call: tuple[Any, ...]
) -> Any:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        pickle.dump((function, call), worker.stdin)
        worker.stdin.flush()
        is_sound, answer = pickle.load(worker.stdout)
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise RuntimeError(f"a worker process ended with status {worker.wait()}") from error
    if not is_sound:
        raise answer
    return answer


def serve() -> None:
    """Do what is asked on standard input, and answer on standard output, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed is no answer
    with suppress(EOFError, BrokenPipeError):
        while True:
            function, call = pickle.load(sys.stdin.buffer)
            try:
                answer = True, function(*call)
            except Exception as error:
                answer = False, error
            pickle.dump(answer, answers)
            answers.flush()
