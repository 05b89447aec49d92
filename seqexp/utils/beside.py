"""Figures that are drawn in a process beside this one, while it goes on.

A process that is forked has all that a figure shows, and gives back files. Where no process can be
forked, where there is a single core, and where the process fails, a figure is drawn here when its
file is asked for: the file is the same, and errors are raised where they can be seen.
"""

import contextlib
import ctypes
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

Make = Callable[[], "Figure"]
"""Makes a figure; uses no GPU, and no threads of PyTorch."""

PATIENCE = 60.0
"""Seconds after which figures are drawn here, where a process of the system stands still."""

PR_SET_PDEATHSIG = 1
"""Of Linux's `prctl`: a signal to be sent when the process that forked this one ends."""


class Picture:
    """A figure that is being drawn.

    Args:
        drawing: that it is one of.
        name: among these.
    """

    def __init__(self, drawing: "Drawing", name: str) -> None:
        self._drawing, self._name = drawing, name

    def png(self) -> bytes:
        """The figure as a PNG file; waits until it is drawn."""
        return self._drawing.png(self._name)


class Drawing:
    """Figures that one process draws, one after the other.

    Args:
        makes: how each figure is made, by name.
    """

    def __init__(self, makes: Mapping[str, Make]) -> None:
        self._makes, self._drawn = dict(makes), dict[str, bytes]()
        self._process: tuple[int, int] | None = None  # its number, and where it writes
        self._parent = os.getpid()
        if makes and can_fork():
            with contextlib.suppress(OSError):  # no room for a process: drawn here
                self._process = self._forked()

    def png(self, name: str) -> bytes:
        """The file of one of the figures."""
        self._receive()
        if name not in self._drawn:
            from seqexp.utils.drawing import png

            self._drawn[name] = png(self._makes[name]())
        return self._drawn[name]

    def _forked(self) -> tuple[int, int]:
        import seqexp.utils.drawing  # noqa: F401  Matplotlib, once for all processes

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
            self._draw(writer, parent)
        finally:
            os._exit(1)  # without the farewells of the process that it is a copy of

    def _draw(self, writer: int, parent: int) -> None:
        """Draw all figures and write them to a pipe, in the process that was forked."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process is told, and ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with contextlib.suppress(OSError, AttributeError):  # elsewhere than on Linux
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if "torch" in sys.modules:  # whose threads are not here
            sys.modules["torch"].set_num_threads(1)
        from seqexp.utils.drawing import png

        with contextlib.redirect_stderr(None):  # what fails is done again where it can be seen
            drawn = {name: png(make()) for name, make in self._makes.items()}
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(drawn, pipe)
        os._exit(0)

    def _receive(self) -> None:
        """Take what the process has drawn; nothing where it failed."""
        if self._process is None:
            return
        _, reader = self._process
        content, deadline = b"", time.monotonic() + PATIENCE
        poll = select.poll()  # `select` takes no file whose number is above 1,023
        poll.register(reader)
        while poll.poll(1000 * max(0.0, deadline - time.monotonic())):
            piece = os.read(reader, 2**20)
            if not piece:
                break
            content += piece
        self._end()
        with contextlib.suppress(EOFError, pickle.UnpicklingError):  # it ended before all of it
            self._drawn = pickle.loads(content)  # written by this program

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
        """Where nobody wants the figures any more."""
        self._end()


def can_fork() -> bool:
    """Whether a process can be forked that has a core to itself; known to be safe on Linux."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


def pictures(makes: Mapping[str, Make]) -> dict[str, Picture]:
    """Begin to draw figures, by name."""
    drawing = Drawing(makes)
    return {name: Picture(drawing, name) for name in makes}


def png_of(figure: "Figure | Picture") -> bytes:
    """A figure as a PNG file; of one that is being drawn, when it is done."""
    if isinstance(figure, Picture):
        return figure.png()
    from seqexp.utils.drawing import png  # with Matplotlib, which who draws has imported

    return png(figure)
