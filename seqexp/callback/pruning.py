"""Stops a run of a search that is worse than others were after as many epochs."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from seqexp.checkpoint.result import Result
from seqexp.config.instantiate import build
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.training import Report, Training

log = logging.getLogger("seqexp")

TAG = "seqexp.pruned"


@runtime_checkable
class Prunes(Protocol):
    """A search that may stop its runs."""

    def trial_to_prune(self, num_epochs: int) -> Any:
        """The trial that a run is, which the study may stop; None where it may not."""
        ...


class Pruning:
    """Tells the study how a run gets on, and asks whether it shall; does nothing in other runs.

    Args:
        node: the config of `sweeper`.
        metric: what the search works on.
        training: that may be stopped.
    """

    def __init__(self, node: Mapping[str, Any], metric: str, training: Training) -> None:
        settings = build(node)
        self.metric, self.training = metric, training
        self.pruned = False
        self.epoch = 0
        epochs = training.settings.epochs
        self.trial: Any = None
        if isinstance(settings, Prunes):
            self.trial = settings.trial_to_prune(epochs)

    def stops(self, report: Report) -> bool:
        """Whether to stop after this epoch."""
        if self.trial is None:
            return False
        value = {**report.metrics, **self.training.best_metrics}.get(self.metric)
        if value is None:
            return False
        self.epoch = report.step
        self.trial.report(value, report.step)
        # after the last epoch there is nothing to save
        is_last = report.step >= self.training.settings.epochs
        self.pruned = not is_last and bool(self.trial.should_prune())
        return self.pruned

    def record(self, tracker: Tracker, result: Result) -> None:
        """Say that the run was stopped; it ends as one that finished, for nothing is left to do."""
        result.pruned = self.epoch
        self.trial.set_user_attr("pruned", self.epoch)
        said = f"stopped after epoch {self.epoch}: other trials were better by then"
        tracker.tags({TAG: f"after epoch {self.epoch}"})
        tracker.describe(said)
        log.info(f"{said} (sweeper.pruner)")
