"""Stops a run of a search that is worse than others were after as many epochs."""

import logging
from typing import Any

from seqexp.checkpoint.result import Result
from seqexp.sweep.optuna.settings import Optuna
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.training import Report, Training

log = logging.getLogger("seqexp")

TAG = "seqexp.pruned"


class Pruning:
    """Tells the study how a run gets on, and asks whether it shall; does nothing in other runs.

    Args:
        sweeper: what the run is a trial of.
        metric: what the search works on.
        training: that may be stopped.
    """

    def __init__(self, sweeper: object, metric: str, training: Training) -> None:
        self.metric, self.training = metric, training
        self.pruned = False
        self.epoch = 0
        self.trial: Any = None
        if isinstance(sweeper, Optuna) and sweeper.trial is not None and sweeper.pruner != "none":
            from seqexp.sweep.optuna.study import trial_of  # Optuna: only in a search that prunes

            self.trial = trial_of(sweeper, training.settings.epochs)

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
