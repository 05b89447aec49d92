"""A process beside this one, that does what takes heavy imports while this one goes on.

It is an interpreter of its own: it has nothing of this process but the paths that modules are
imported from. It ends when this process does, however that ends, and hears no Ctrl-C: what was
begun is brought to its end by who asked for it.
"""

import contextlib
import itertools
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from seqexp.utils import garbage

log = logging.getLogger("seqexp")

T = TypeVar("T")

BEGIN = (
    "import sys; sys.path[:] = {paths!r}; from seqexp.utils.companion import serve; serve({file})"
)

KNOWN = ("builtins", "seqexp.errors")
"""Modules of errors that cross as they are; of others, only name and words do."""

LOG = -1
"""Number of a message that is a line of the log."""


class LostCompanionError(Exception):
    """The process has ended before it had done what it was asked."""


class CompanionError(Exception):
    """An error of the process, of a kind that this one has not imported.

    Args:
        kind: name of its class.
        text: what it says.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text

    def __str__(self) -> str:
        return self.text


def has_room() -> bool:
    """Whether a process beside this one has a core to itself."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class Companion:
    """The process, as it is asked; by several threads at once, if they like.

    Raises:
        OSError: if there is no room for a process.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        begin = BEGIN.format(paths=sys.path, file=theirs.fileno())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", begin],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # away from Ctrl-C of the terminal
            )
        self._connection = Connection(ours.detach())
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Any]] | None = {}  # None: it has ended
        threading.Thread(target=self._listen, name="companion", daemon=True).start()

    def begin(self, function: Callable[..., T], *given: Any, **named: Any) -> "Future[T]":
        """Have it do a function, of a module that it imports; both are pickled.

        The future's error is `LostCompanionError` where it has ended before.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._asked is None:
                future.set_exception(LostCompanionError())
                return future
            number = next(self._numbers)
            self._asked[number] = future
            with contextlib.suppress(OSError):  # it has ended, which who listens hears
                self._connection.send_bytes(pickle.dumps((number, function, given, named)))
        return future

    def _listen(self) -> None:
        """Hand out what comes back, until the process ends."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, error, found = self._connection.recv()
                if number == LOG:
                    log.log(*found)
                    continue
                with self._lock:
                    future = (self._asked or {}).pop(number)
                if error is None:
                    future.set_result(found)
                else:
                    future.set_exception(error)
        with self._lock:
            asked, self._asked = self._asked or {}, None
        for future in asked.values():
            future.set_exception(LostCompanionError())

    def end(self) -> str:
        """End it, also where it has ended: what it still does is lost. Says how it ended."""
        self._process.kill()
        return f"process {self._process.pid} beside this one ended ({self._process.wait()})"


_ahead: list[Companion] = []
"""Processes that were begun before it was known who would ask them."""


def begin_ahead(function: Callable[..., Any], *given: Any) -> None:
    """Begin a process, and a function in it, for who takes it later."""
    with contextlib.suppress(OSError):  # no room for one
        process = Companion()
        process.begin(function, *given)
        _ahead.append(process)


def taken() -> Companion:
    """The process that was begun ahead; a new one where there is none.

    Raises:
        OSError: if there is no room for a process.
    """
    return _ahead.pop() if _ahead else Companion()


# --- in the process itself ---------------------------------------------------------------------


class _Told(logging.Handler):
    """Has lines of the log told where they can be seen.

    Args:
        tell: sends a message.
    """

    def __init__(self, tell: Callable[[int, Exception | None, Any], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a line."""
        self._tell(LOG, None, (record.levelno, "%s", record.getMessage()))


def serve(file: int) -> None:
    """Do what is asked, each in a thread of its own, until nobody can ask any more."""
    connection, lock = Connection(file), threading.Lock()

    def tell(number: int, error: Exception | None, found: Any) -> None:
        with lock, contextlib.suppress(OSError):
            connection.send((number, error, found))

    def do(content: bytes) -> None:
        # of the process that this one belongs to
        number, function, given, named = pickle.loads(content)
        try:
            tell(number, None, function(*given, **named))
        except Exception as error:
            is_known = type(error).__module__ in KNOWN
            crossing = error if is_known else CompanionError(type(error).__name__, str(error))
            tell(number, crossing, None)
        garbage.resume()  # what is asked first imports the rest

    garbage.pause()
    logging.getLogger("seqexp").addHandler(_Told(tell))
    logging.getLogger("seqexp").propagate = False
    with contextlib.suppress(EOFError, OSError):
        while True:
            threading.Thread(target=do, args=(connection.recv_bytes(),), daemon=True).start()
    os._exit(0)  # whatever it still does
