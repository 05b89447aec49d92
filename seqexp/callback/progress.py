"""A bar of the whole training on a terminal."""

import sys
import time
from types import TracebackType
from typing import Self

from seqexp.build import total_steps
from seqexp.callback.base import Callback
from seqexp.data import Data
from seqexp.trainer.training import Report, Training
from seqexp.utils.phases import is_alone
from seqexp.utils.progress import Bar
from seqexp.utils.streams import is_terminal

SECONDS = 0.1
"""Between two looks at the bar: a training never waits for the terminal."""


class Progress(Callback):
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
        self, training: Training, total_steps: int, unit: str, per_step: float, wanted: bool
    ) -> None:
        self.training, self.total_steps = training, total_steps
        self.unit, self.per_step = unit, per_step
        self.wanted = wanted and is_terminal(sys.stderr)
        self._next = 0.0
        self._bar: Bar | None = None

    def __enter__(self) -> Self:
        self.before()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def before(self) -> None:
        """Show the bar."""
        if self.wanted:
            total, done = self.total_steps * self.per_step, self.training.step * self.per_step
            self._bar = Bar(total, done, self.unit, self._place())

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def after(self, report: Report) -> None:
        """Show how far the training is, unless it has just been shown."""
        if report.kind == "test" or (report.kind == "epoch" and self.training.is_done):
            self.close()
        if self._bar is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        text = f"{self._place()}  {self._loss(report)}"
        self._bar.show(self.training.step * self.per_step, text)

    def _place(self) -> str:
        return f"epoch {max(1, self.training.epoch)}/{self.training.settings.epochs}"

    def _loss(self, report: Report) -> str:
        """Of the epoch in progress up to here, or of the one that is done."""
        place = self.training.place
        if place is None:
            return f"loss {report.metrics['train/loss_nats']:.4f}"
        score = place.total.score + place.recent.score
        return f"loss {score.nats / max(1, score.count):.4f}"


def shown(training: Training, data: Data) -> Progress:
    """A bar for who waits at a terminal; of several processes, the first one shows it."""
    steps = total_steps(training.settings, data)
    split, unit = data.train, "tokens" if data.train.is_stream else "sequences"
    count = split.tokens.numel() if split.is_stream else len(split)
    per_step = count * training.settings.epochs / steps
    return Progress(training, steps, unit, per_step, training.processes.is_first and is_alone())
