"""A bar of the whole training on a terminal, and how long it will take."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from seqexp.build import total_steps
from seqexp.callback.base import Callback
from seqexp.data import Data
from seqexp.trainer.training import Report, Training
from seqexp.utils.phases import is_alone
from seqexp.utils.progress import Bar, in_words
from seqexp.utils.streams import is_terminal

log = logging.getLogger("seqexp")

SECONDS = 0.1
"""Between two looks at the bar: a training never waits for the terminal."""

WARM, TIMED = 2, 5.0
"""Updates before those that are timed, and the seconds that they are timed for."""

LONG = 60.0
"""Expected seconds that are worth a line."""

FORWARD = 1 / 3
"""Share of an update's time that predicting takes, without gradients."""


class Progress(Callback):
    """A bar of the whole training, with its loss, its rate and the time left.

    It goes away when all is trained, and lines of the log appear above it. After the first updates
    a line says how long all will take, where that is long.

    Args:
        training: what is shown.
        total_steps: updates of all epochs; patience may end it before.
        unit: what is counted, in the plural.
        per_step: of these an update, on average.
        wanted: whether this process speaks at all.
        scored: what is predicted for validation and test, in updates of as many tokens.
    """

    def __init__(
        self,
        training: Training,
        total_steps: int,
        unit: str,
        per_step: float,
        wanted: bool,
        scored: float = 0.0,
    ) -> None:
        self.training, self.total_steps = training, total_steps
        self.unit, self.per_step = unit, per_step
        self.wanted = wanted and is_terminal(sys.stderr)
        self.scored = scored
        self._next = 0.0
        self._bar: Bar | None = None
        self._expects = wanted
        self._first = 0  # update that this process begins after
        self._timed: tuple[int, float] | None = None  # the update that is timed from, and when

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
        if self._expects:
            self._first = self.training.step
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
        if self._expects:
            self._expect()
        if self._bar is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS
        text = f"{self._place()}  {self._loss(report)}"
        self._bar.show(self.training.step * self.per_step, text)

    def _expect(self) -> None:
        """Time some updates, then say how long the rest will take."""
        step, now = self.training.step, time.monotonic()
        if self._timed is None:
            if step >= self._first + WARM:
                self._timed = (step, now)
            return
        first, began = self._timed
        if step == first or now - began < TIMED:
            return
        self._expects = False
        left = self.total_steps - step
        share = left / max(1, self.total_steps)
        seconds = (left + FORWARD * self.scored * share) * (now - began) / (step - first)
        if seconds >= LONG:
            log.info(
                f"  expected: about {in_words(seconds)} for {left:,} updates, of"
                f" {self.training.settings.epochs} epochs, unless stopped early"
            )

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
    epochs = training.settings.epochs
    per_step = count * epochs / steps
    train, valid, test = (part.tokens.shape[:2].numel() for part in data.splits().values())
    scored = steps / max(1, epochs) * (epochs * valid + test) / max(1, train)
    wanted = training.processes.is_first and is_alone()
    return Progress(training, steps, unit, per_step, wanted, scored)
