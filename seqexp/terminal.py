"""What only a person at a terminal sees: colours, and how far a training is.

Files and pipes get plain lines: no colours, no carriage returns. What the terminal cannot write,
and control characters in what others named, are shown as escapes.
"""

import logging
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from seqexp.bar import Bar, is_terminal
from seqexp.names import visible
from seqexp.streams import fitting, silence

if TYPE_CHECKING:
    from seqexp.trainer.training import Report, Training

SECONDS = 0.1
"""Between two looks at the bar: a training never waits for the terminal."""

RED, YELLOW = "31", "33"


def coloured(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where that is welcome. Source: https://no-color.org."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{colour}m{text}\033[0m"


def log_to_console(level: int) -> None:
    """Have the log written to standard output, where no composition says how."""
    console = Console(sys.stdout)
    console.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[console])


class PlainFormatter(logging.Formatter):
    """Lines for a file, with control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several."""
        return visible(super().format(record))


class Formatter(logging.Formatter):
    """Plain lines; on a terminal, warnings are yellow and errors red."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several."""
        text = fitting(super().format(record), sys.stdout)
        if record.levelno < logging.WARNING:
            return text
        return coloured(text, RED if record.levelno >= logging.ERROR else YELLOW, sys.stdout)


class Console(logging.StreamHandler[TextIO]):
    """Writes to standard output, for as long as somebody reads it; then a run goes on silently."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Write nothing more where the reader has gone, as `head` does, or the disk is full."""
        if isinstance(sys.exc_info()[1], OSError):
            silence(self.stream)
        else:
            super().handleError(record)


class Progress:
    """A bar of the whole training, with its loss, its rate and the time left.

    It goes away when all is trained, and lines of the log appear above it.

    Args:
        training: what is shown.
        total_steps: updates of all epochs; patience may end it before.
        unit: what is counted, in the plural.
        per_step: of these an update, on average.
        wanted: whether this process speaks at all.
    """

    def __init__(
        self, training: "Training", total_steps: int, unit: str, per_step: float, wanted: bool
    ) -> None:
        self.training, self.total_steps = training, total_steps
        self.unit, self.per_step = unit, per_step
        self.wanted = wanted and is_terminal(sys.stderr)
        self._next = 0.0

    def __enter__(self) -> Self:
        if self.wanted:
            total, done = self.total_steps * self.per_step, self.training.step * self.per_step
            self._bar = Bar(total, done, self.unit, self._place())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.wanted:
            self._bar.close()

    def after(self, report: "Report") -> None:
        """Show how far the training is, unless it has just been shown."""
        if not self.wanted or report.kind == "test" or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        text = f"{self._place()}  {self._loss(report)}"
        self._bar.show(self.training.step * self.per_step, text)

    def _place(self) -> str:
        return f"epoch {max(1, self.training.epoch)}/{self.training.settings.epochs}"

    def _loss(self, report: "Report") -> str:
        """Of the epoch in progress up to here, or of the one that is done."""
        place = self.training.place
        if place is None:
            return f"loss {report.metrics['train/loss_nats']:.4f}"
        score = place.total.score + place.recent.score
        return f"loss {score.nats / max(1, score.count):.4f}"
