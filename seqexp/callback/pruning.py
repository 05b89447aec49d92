"""Stops a run of a search that is worse than others were after as many epochs."""

import logging
from typing import Any, Protocol, runtime_checkable

from seqexp.callback.base import Callback, Observed
from seqexp.trainer.training import Report

log = logging.getLogger("seqexp")

TAG = "seqexp.pruned"


@runtime_checkable
class Prunes(Protocol):
    """A search that may stop its runs."""

    def trial_to_prune(self, num_epochs: int) -> Any:
        """The trial that a run is, which the study may stop; None where it may not."""
        ...


class Pruning(Callback):
    """Tells the study how a run gets on, and asks whether it shall; does nothing in other runs.

    Args:
        sweeper: what the run is a trial of.
        metric: what the search works on.
        run: that may be stopped.
    """

    def __init__(self, sweeper: object, metric: str, run: Observed) -> None:
        self.metric, self.run = metric, run
        self.trial: Any = None
        if isinstance(sweeper, Prunes):
            self.trial = sweeper.trial_to_prune(run.training.settings.epochs)

    def after(self, report: Report) -> None:
        """Tell the study of an epoch, and end the run if it is not worth more."""
        if self.trial is None or report.kind != "epoch":
            return
        training = self.run.training
        value = {**report.metrics, **training.best_metrics}.get(self.metric)
        if value is None:
            return
        self.trial.report(value, report.step)
        # after the last epoch there is nothing to save
        is_last = report.step >= training.settings.epochs
        self.ends_run = not is_last and bool(self.trial.should_prune())
        if self.ends_run and training.processes.is_first:
            self._record(report.step)

    def _record(self, epoch: int) -> None:
        """Say that the run was stopped; it ends as one that finished, for nothing is left to do."""
        run = self.run
        run.log(run.training.best_metrics, 0)
        run.story.result.pruned = epoch
        self.trial.set_user_attr("pruned", epoch)
        said = f"stopped after epoch {epoch}: other trials were better by then"
        run.tracker.tags({TAG: f"after epoch {epoch}"})
        run.tracker.describe(said)
        log.info(f"{said} (sweeper.pruner)")
