"""Work, such as drawing, that is done in a process beside this one, while it goes on.

A process that is forked has all that the work is about, and gives back what comes of it. Where no
process can be forked, where there is a single core, and where the process fails, the work is done
here when it is asked for: what comes of it is the same, and errors are raised where they are seen.
"""

import contextlib
import ctypes
import gc
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.utils.companion import has_room

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

Make = Callable[[], "Figure | bytes"]
"""Makes a figure, or the PNG file of one; uses no GPU, and no threads of PyTorch."""

PATIENCE = 60.0
"""Seconds after which work is done here, where its process stands still."""

PR_SET_PDEATHSIG = 1
"""Of Linux's `prctl`: a signal to be sent when the process that forked this one ends."""


class Picture:
    """A figure that is being drawn.

    Args:
        drawing: that it is one of.
        name: among these.
    """

    def __init__(self, drawing: "Beside", name: str) -> None:
        self._drawing, self._name = drawing, name

    def png(self) -> bytes:
        """The figure as a PNG file; waits until it is drawn."""
        content: bytes = self._drawing.result(self._name)
        return content


class Beside:
    """Work that one process does, one piece after the other.

    Args:
        works: each piece, by name; what comes of it can be pickled.
    """

    def __init__(self, works: Mapping[str, Callable[[], Any]]) -> None:
        self._works, self._done = dict(works), dict[str, Any]()
        self._process: tuple[int, int] | None = None  # its number, and where it writes
        self._parent = os.getpid()
        if works and can_fork():
            with contextlib.suppress(OSError):  # no room for a process: done here
                self._process = self._forked()

    def result(self, name: str, otherwise: Callable[[], Any] | None = None) -> Any:
        """What has come of a piece, or else of what is done here; waits until all are done."""
        self._receive()
        if name not in self._done:
            self._done[name] = (otherwise or self._works[name])()
        return self._done[name]

    def _forked(self) -> tuple[int, int]:
        reader, writer = os.pipe()
        parent = os.getpid()
        with warnings.catch_warnings():
            # threads of this process are not in the other one, and nothing there needs them
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process:
            os.close(writer)
            return process, reader
        try:
            os.close(reader)
            self._work(writer, parent)
        finally:
            os._exit(1)  # without the farewells of the process that it is a copy of

    def _work(self, writer: int, parent: int) -> None:
        """Do all and write it to a pipe, in the process that was forked."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if "torch" in sys.modules:  # whose threads are not here
            sys.modules["torch"].set_num_threads(1)
        gc.disable()  # its memory is the system's again in a moment
        with contextlib.redirect_stderr(None):  # what fails is done again where it can be seen
            done = {name: work() for name, work in self._works.items()}
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(done, pipe)
        os._exit(0)

    def _receive(self) -> None:
        """Take what the process has done; nothing where it failed."""
        if self._process is None:
            return
        process, reader = self._process
        content, worked, deadline = b"", 0, time.monotonic() + PATIENCE
        poll = select.poll()  # `select` takes no file whose number is above 1,023
        poll.register(reader)
        while time.monotonic() < deadline:
            if poll.poll(1000 * min(1.0, PATIENCE)):
                piece = os.read(reader, 2**20)
                if not piece:
                    break
                content += piece
            if (ticks := _ticks(process)) > worked:
                worked, deadline = ticks, time.monotonic() + PATIENCE
        self._end()
        with contextlib.suppress(EOFError, pickle.UnpicklingError):  # it ended before all of it
            self._done = pickle.loads(content)  # written by this program

    def _end(self) -> None:
        """End the process, which has nothing more to say."""
        if self._process is None:
            return
        process, reader = self._process
        self._process = None
        os.close(reader)
        if os.getpid() != self._parent:  # another process that was forked, with a copy of this
            return
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)

    def __del__(self) -> None:
        """Where nobody wants it any more."""
        self._end()


def _ticks(process: int) -> int:
    """The time of a core that a process has had, in Linux's ticks; 0 of one that has ended."""
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return 0
    # the name of the program, in brackets, may hold blanks
    return sum(map(int, told.rpartition(")")[2].split()[11:13]))


def can_fork() -> bool:
    """Whether a process can be forked that has a core to itself; known to be safe on Linux."""
    return has_room()


def pictures(makes: Mapping[str, Make]) -> dict[str, Picture]:
    """Begin to draw figures, by name."""
    drawing = Beside({name: partial(_drawn, make) for name, make in makes.items()})
    return {name: Picture(drawing, name) for name in makes}


def _drawn(make: Make) -> bytes:
    return png_of(make())


def png_of(figure: "Figure | Picture | bytes") -> bytes:
    """A figure as a PNG file, if it is none yet; of one that is being drawn, when it is done."""
    if isinstance(figure, bytes):
        return figure
    if isinstance(figure, Picture):
        return figure.png()
    from seqexp.utils.drawing import png  # with Matplotlib, which who draws has imported

    return png(figure)
