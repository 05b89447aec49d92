"""What every callback is: it looks at a run while it trains and at its end; it changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from seqexp.checkpoint.result import Result, Story
from seqexp.data import Data
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.training import Report, Training


@dataclass(frozen=True)
class Observed:
    """A run as callbacks see it.

    Args:
        tracker: where curves, pictures, texts and tables go.
        training: whose model is looked at.
        data: what it learns from.
        story: what has come of the run so far.
        known: last values of metrics that an earlier report recorded; what repeats them is no new
            point of a curve.
    """

    tracker: Tracker
    training: Training
    data: Data
    story: Story = field(default_factory=Story)
    known: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether nothing was trained yet."""
        return self.training.epoch == 0

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add a point to each of these curves, and keep the last values for the summary."""
        self.tracker.metrics({k: v for k, v in metrics.items() if self.known.get(k) != v}, step)
        self.story.result.metrics.update(metrics)


class Callback:
    """Does nothing; a callback defines what it wants to do at these moments."""

    name: str | None = None
    """Key of its state in a checkpoint; None: it has nothing to remember."""

    doing: tuple[str, str] | None = None
    """What it does at the end of a run, in words, and the part of the run's time that it counts to;
    None: nothing that takes time."""

    ends_run = False
    """Whether the run is to end here, without a test."""

    def tags(self) -> dict[str, str]:
        """What it says of a run that begins to be recorded."""
        return {}

    def before(self) -> None:
        """Before the first update of this process."""

    def after(self, report: Report) -> None:
        """After a report of the loop."""

    def at_test(self) -> None:
        """When the model holds the weights that were tested, before any `at_end`: begin what is
        done in processes beside the rest.
        """

    def at_end(self, result: Result) -> None:
        """When the model holds the weights that were tested."""

    def close(self) -> None:
        """When the run is over, also one that failed."""

    def state(self) -> dict[str, Any]:
        """The part of it that a checkpoint holds."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""


def tell(callbacks: Sequence[Callback], report: Report) -> bool:
    """Tell each of a report of the loop, in order; returns whether none has ended the run."""
    for callback in callbacks:
        callback.after(report)
        if callback.ends_run:
            return False
    return True


def listeners(callbacks: Sequence[Callback]) -> list[Callback]:
    """Those that do something after a report; of an update there may be a thousand a second."""
    return [one for one in callbacks if type(one).after is not Callback.after]


@contextmanager
def closing(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Close all of them in the end, whatever happens."""
    try:
        yield
    finally:
        for callback in callbacks:
            callback.close()


class Curves(Callback):
    """Records all that the loop measures, and keeps the metrics of each epoch.

    The x axis of a curve is `Report.step`: the update for `step/*`, the epoch for all others.

    Args:
        run: that is recorded.
    """

    name = "story"

    def __init__(self, run: Observed) -> None:
        self.run = run

    def after(self, report: Report) -> None:
        """Add the report's points."""
        if report.metrics:
            self.run.log(report.metrics, report.step)
        if report.kind == "epoch":
            self.run.story.history[report.step] = report.metrics

    def state(self) -> dict[str, Any]:
        """The part of it that a checkpoint holds."""
        return self.run.story.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.run.story.restore(state)
