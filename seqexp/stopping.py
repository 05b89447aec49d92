"""Stops a run in an orderly way: the update in progress ends, and a checkpoint is written."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from seqexp.errors import StoppedError, Terminated

log = logging.getLogger("seqexp")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            if self._listeners == 0:
                for number, handler in self._before.items():
                    signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise_signal(number)
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
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM ends what is in progress as Ctrl-C does, so that a run is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, raise_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
