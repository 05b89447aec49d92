"""Words for the phases in which a person waits: reading, testing, drawing, writing.

A terminal shows the phase that goes on in one line, which is replaced and goes away. A log, which
has no such line, gets plain lines: that a phase goes on, where it takes long, and at its end the
seconds that it took. Processes of a parallel sweep write them to the logs of their jobs alone.
"""

import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass

from seqexp.utils.names import one_line
from seqexp.utils.streams import fitting, is_terminal

log = logging.getLogger("seqexp")

SHOWN = 0.3
"""Seconds after which a terminal shows a phase."""

ANNOUNCED = 3.0
"""Seconds after which a log says that a phase goes on."""

READING, STARTING, KERNELS, TESTING = "data", "start", "kernels", "test"
INTERPRETING, DRAWING, WRITING = "interpretation", "drawing", "writing"
"""Parts of the time of a run, beside its training and validation."""

AGAIN = 60.0
"""Seconds between two such lines of the same phase."""

SAID = 1.0
"""Seconds of a phase whose end has a line in a log."""

TICK = 0.2
"""Seconds between two looks at what goes on."""

OF_PHASE = "of_phase"
"""Attribute of the log's records that are of phases."""


@dataclass(eq=False)
class Phase:
    """What goes on.

    Args:
        text: in words.
        outer: the phase that it is a part of.
        part: of a run's time that it counts to; None: no part of it.
        began: on the monotonic clock.
    """

    text: str
    outer: "Phase | None"
    part: str | None
    began: float
    within: float = 0.0  # seconds of the phases in it
    next_line: float = ANNOUNCED  # seconds after which the log has its next line


_going: ContextVar[Phase | None] = ContextVar("going", default=None)

_spent: ContextVar[dict[str, float] | None] = ContextVar("spent", default=None)


@contextmanager
def phase(text: str, part: str | None = None) -> Iterator[None]:
    """Say what goes on, while it does.

    Args:
        text: in words, as "reading filters".
        part: of the time of a run that it counts to; None: that of the phase around it.
    """
    outer = _going.get()
    part = part or (outer.part if outer is not None else None)
    one = Phase(text, outer, part, time.monotonic())
    token = _going.set(one)
    screen.begin(one)
    is_whole = False
    try:
        yield
        is_whole = True
    finally:
        seconds = time.monotonic() - one.began
        _going.reset(token)
        if outer is not None:
            outer.within += seconds
        own, spent = seconds - one.within, _spent.get()
        if spent is not None and one.part is not None:
            spent[one.part] = spent.get(one.part, 0.0) + own
        screen.end(one)
        if is_whole and own >= SAID:
            _line(f"  {one.text}: {own:.1f} s")


@contextmanager
def counted() -> Iterator[dict[str, float]]:
    """Within, the seconds of phases by the part of the run's time that they count to."""
    spent: dict[str, float] = {}
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


def is_elsewhere() -> bool:
    """Whether lines of phases have no place on the console: a terminal shows what goes on, and in
    a process of a parallel sweep nobody would know of which job they are.
    """
    return not is_alone() or is_terminal(sys.stderr)


def is_alone() -> bool:
    """Whether this is no worker of a sweep, which has no terminal."""
    return multiprocessing.parent_process() is None


def _line(text: str) -> None:
    log.info(text, extra={OF_PHASE: True})


class Screen:
    """The line of a terminal that says what goes on; none is shown while there is a bar."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.phases: list[Phase] = []  # the innermost last
        self.bars = 0
        self._width = 0  # of the line that is shown
        self._over = threading.Event()

    def begin(self, one: Phase) -> None:
        """Show a phase, when it has taken a while."""
        with self.lock:
            self.phases.append(one)
            if len(self.phases) > 1 or not log.isEnabledFor(logging.WARNING):
                return
            self._over = threading.Event()
            threading.Thread(target=self._watch, args=(self._over,), daemon=True).start()

    def end(self, one: Phase) -> None:
        """Show it no more."""
        with self.lock:
            self.phases = [other for other in self.phases if other is not one]
            self.erase()
            if not self.phases:
                self._over.set()

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """Within, the line is not there: something else is written."""
        with self.lock:
            self.erase()
            yield

    def erase(self) -> None:
        """Take the line away, until the next look."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def look(self) -> None:
        """Show the innermost phase on a terminal, and have the log say it, where that is due."""
        with self.lock:
            if self.bars or not self.phases:
                return
            one = self.phases[-1]
            seconds = time.monotonic() - one.began
            if seconds >= SHOWN and is_alone() and is_terminal(sys.stderr):
                self._show(one, seconds)
            own = seconds - one.within
            is_due = own >= one.next_line
            if is_due:
                one.next_line = own + AGAIN
        if is_due:  # without the lock, which whoever writes to the log may be waiting for
            far = f": {own:.0f} s so far" if own >= AGAIN else " ..."
            _line(f"  {one.text}{far}")

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(TICK):
            self.look()

    def _show(self, one: Phase, seconds: float) -> None:
        columns = shutil.get_terminal_size().columns
        text = one_line(f"  {one.text} ... {seconds:.0f} s", max(8, columns - 1))
        blanks = " " * max(0, self._width - len(text))
        self._write(f"\r{fitting(text, sys.stderr)}{blanks}")
        self._width = len(text)

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # whoever looked has gone
            sys.stderr.write(text)
            sys.stderr.flush()


screen = Screen()
"""Of this process."""


def _forget() -> None:
    """A process that was forked has none of the phases, and no thread that watches them."""
    screen.__init__()  # type: ignore[misc]
    _going.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
