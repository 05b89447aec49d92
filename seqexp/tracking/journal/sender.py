"""Sends a journal's items to their store, in order, and again until it has them."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from seqexp.errors import InputError
from seqexp.tracking.journal.items import End, Item, Mark, Points
from seqexp.tracking.journal.journal import Journal, Reader
from seqexp.utils.files import open_own

log = logging.getLogger("seqexp")

BATCH_POINTS = 1000
"""All that MLflow takes at once."""

FLUSH_SECONDS = 1.0
"""What is told waits so long for more: a batch costs a database what its points do not."""

PAUSES = (1.0, 30.0)
"""Seconds between two tries at a store that is away: at first, and at most."""

Send = Callable[[Sequence[Item]], Sequence[str]]
"""Sends items, points only or a single other one; a repetition must change nothing.

Returns what the store refuses for good, and why; raises whatever it likes if it is away.
"""


class Outbox:
    """Delivers a journal.

    Args:
        send: takes items to the store.
        since: an end that was told before this number is outdated: the run went on.
    """

    def __init__(self, journal: Journal, send: Send, since: int = 0) -> None:
        self.journal = journal
        self.refused: list[str] = []
        self.reason = ""  # why the last try failed; empty if it did not
        self._send = send
        self._since = since
        self._reader = Reader(journal, journal.delivered)
        self._next = self._reader.take()
        self._batch: list[Item] = []
        self._end = journal.delivered  # number after the batch

    @property
    def left(self) -> int:
        """The number of items that are still to be delivered."""
        return self.journal.told - self.journal.delivered

    def deliver_batch(self) -> bool:
        """Send what comes next; false if there is nothing.

        Raises:
            Exception: if the store cannot take it now; the same items come next then.
        """
        if not self._batch and not self._take_batch():
            return False
        refused = self._send(self._batch)
        self._set_aside(refused)
        self.journal.keep_position(self._end)
        for item in (
            self._batch if not refused else ()
        ):  # files that are refused stay where they are
            self.journal.remove_files(item)
        self._batch = []
        return True

    def _take_batch(self) -> bool:
        """Fill the batch from the journal."""
        size = 0
        if self._next is None:
            self._next = self._reader.take()
        while self._next is not None:
            number, item = self._next
            outdated = isinstance(item, End) and number < self._since
            if not isinstance(item, Mark) and not outdated:
                points = len(item.values) if isinstance(item, Points) else BATCH_POINTS
                if self._batch and size + points > BATCH_POINTS:
                    return True
                self._batch.append(item)
                size += points
            self._end = number + 1
            self._next = self._reader.take()
        if not self._batch:
            self.journal.keep_position(self._end)
        return bool(self._batch)

    def _set_aside(self, refused: Sequence[str]) -> None:
        file = self.journal.folder / "refused.txt"
        if refused and not self.refused:
            log.warning(
                f"tracking: the store refuses {refused[0]}; the run goes on without it (this and"
                f" what else it refuses is listed in {file})"
            )
        self.refused += refused
        if refused:
            with suppress(OSError, InputError):
                descriptor = open_own(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                with os.fdopen(descriptor, "a", encoding="utf-8") as lines:
                    lines.writelines(f"{what}\n" for what in refused)


class Postman:
    """A thread that delivers an outbox, so that a slow or absent store does not slow a training.

    Args:
        store: what it is called when it is away.
    """

    def __init__(self, outbox: Outbox, store: str) -> None:
        self._outbox = outbox
        self._store = store
        self._points = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        # a daemon: who leaves at once need not wait for a store
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def told(self, item: Item) -> None:
        """There is something new in the journal."""
        self._points += len(item.values) if isinstance(item, Points) else BATCH_POINTS
        if self._points >= BATCH_POINTS:  # what is no point is sent by itself, so it need not wait
            self._points = 0
            self._wake.set()

    def close(self, patience: float) -> bool:
        """Deliver the rest, and give up after so many seconds without success."""
        self._patience = patience
        self._deadline = time.monotonic() + patience
        self._closing.set()
        self._wake.set()
        while self._thread.is_alive() and time.monotonic() < self._deadline + PAUSES[1]:
            self._thread.join(0.5)  # in slices: Ctrl-C is heard in between
        return not self._thread.is_alive() and not self._outbox.left

    def _work(self) -> None:
        pause = PAUSES[0]
        while True:
            closing = self._closing.is_set()
            try:
                # what is told meanwhile waits for more: a training tells something all the time
                told = self._outbox.journal.told
                while self._outbox.journal.delivered < told and self._outbox.deliver_batch():
                    self._say_back()
                    pause = PAUSES[0]
                    if closing:
                        self._deadline = time.monotonic() + self._patience
                self._say_back()
                if closing:
                    return
                self._wake.wait(FLUSH_SECONDS)
                self._wake.clear()
            except Exception as error:  # whatever it is, it must not end a training
                self._say_away(error)
                if closing and time.monotonic() >= self._deadline:
                    return
                self._pause(pause)
                pause = min(2 * pause, PAUSES[1])

    def _pause(self, seconds: float) -> None:
        if self._closing.is_set():
            remaining = max(self._deadline - time.monotonic(), 0)
            time.sleep(min(seconds, remaining, 5.0))
        else:
            self._closing.wait(seconds)

    def _say_away(self, error: Exception) -> None:
        if not self._outbox.reason:
            log.warning(
                f"tracking: {self._store} takes nothing now ({first_line(error)}); the run goes"
                f" on, what it tells is kept in {self._outbox.journal.folder} and sent later"
            )
        self._outbox.reason = first_line(error)

    def _say_back(self) -> None:
        if self._outbox.reason:
            log.warning(f"tracking: {self._store} is back")
        self._outbox.reason = ""


def first_line(error: BaseException) -> str:
    """The error in one line."""
    lines = str(error).strip().splitlines() or [""]
    cause = re.search(
        r"Caused by (\w+)\(.*?['\"](.*)['\"]", lines[0]
    )  # of MLflow's client: requests'
    kind, text = (
        cause.groups() if cause else (getattr(error, "kind", type(error).__name__), lines[0])
    )
    return f"{kind}: {text}"[:200]
