"""A bar on a terminal; files and pipes get none."""

import logging
import shutil
import sys
import time
from typing import Self

from seqexp.utils.names import one_line
from seqexp.utils.phases import is_alone, screen
from seqexp.utils.streams import is_terminal

log = logging.getLogger("seqexp")

QUIET = 60.0
"""Seconds between two lines of a log."""

FORMAT = "{desc}  {percentage:3.0f}% {bar:20}  {rate_noinv_fmt}  {remaining} left"


class Bar:
    """Share done, rate a second, and time left.

    Lines of the log appear above it, until it is closed and goes away.

    Args:
        total: what is all.
        done: of it, before now.
        unit: what is counted.
        text: what stands before it.
    """

    def __init__(self, total: float, done: float, unit: str, text: str) -> None:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        with screen.cleared():
            screen.bars += 1

        class Shown(tqdm):  # type: ignore[misc]
            monitor_interval = 0  # no thread of its own

        self._shown = Shown(
            total=total,
            initial=done,
            desc=one_line(text),
            unit=f" {unit}",
            unit_scale=True,
            bar_format=FORMAT,
            leave=False,
            mininterval=0,
            ncols=_columns(),
            nrows=2,  # there is one bar; else a terminal that tells no size would show none
            file=sys.stderr,
        )
        self._redirected = logging_redirect_tqdm(tqdm_class=Shown)
        self._redirected.__enter__()

    def show(self, done: float, text: str) -> None:
        """Draw it anew."""
        self._shown.set_description_str(one_line(text), refresh=False)
        self._shown.ncols = _columns()
        self._shown.update(done - self._shown.n)

    def close(self) -> None:
        """Take it away."""
        self._redirected.__exit__(None, None, None)
        self._shown.close()
        with screen.lock:
            screen.bars -= 1


def _columns() -> int:
    """Columns of the terminal, which may be resized; less one, as the last wraps some lines."""
    return shutil.get_terminal_size().columns - 1


def in_words(seconds: float) -> str:
    """About so long, in the unit that fits."""
    if seconds < 90:
        return f"{max(1, round(seconds)):,} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60):,} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:,.1f} days"


class Work:
    """Progress of a long work: a bar on a terminal, else a line of the log a minute.

    Args:
        total: what is all.
        unit: what is counted.
        text: what is done.
    """

    def __init__(self, total: float, unit: str, text: str) -> None:
        self.total, self.unit, self.text, self.done = total, unit, text, 0.0
        self._bar = Bar(total, 0, unit, text) if is_alone() and is_terminal(sys.stderr) else None
        self._next = time.monotonic() + QUIET

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: float) -> None:
        """So much more is done."""
        self.done += count
        if self._bar is not None:
            self._bar.show(self.done, self.text)
        elif time.monotonic() > self._next:
            self._next = time.monotonic() + QUIET
            log.info(f"{self.text}: {self.done / self.total:.0%}")
