"""`sweeper=optuna`: what can be set; `seqexp.sweep.optuna.sweeper` is what does it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from seqexp.ranges import Count, CountOrZero, Seed


@dataclass(frozen=True)
class Optuna:
    """A search for the values that make `optimized_metric` best.

    Args:
        search: what may vary, by key: a list of values, or `low` and `high` and perhaps `log` or
            `step`; whole numbers where both are.
        n_trials: in all, those of earlier starts included.
        n_jobs: trials asked for at once; None is as many as the launcher runs at once.
        sampler: `tpe` learns from the trials before, `random` does not.
        startup_trials: of `tpe`, drawn at random first; of `median`, never stopped.
        seed: selects the values that are tried.
        pruner: stops runs that are worse than others were after as many epochs.
        warmup_epochs: of `median`, epochs before a run may be stopped.
        study: where the study is; the search itself tells its jobs.
        trial: the job's number in it; the search itself tells its jobs.

    Source: Akiba et al. (2019); Bergstra et al. (2011) for TPE, Li et al. (2018) for Hyperband.
    """

    search: dict[str, Any] = field(default_factory=dict)
    n_trials: Count = 20
    n_jobs: Count | None = None
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: Count = 10
    seed: Seed = 0
    pruner: Literal["none", "median", "hyperband"] = "none"
    warmup_epochs: CountOrZero = 0
    study: str | None = None
    trial: int | None = None

    def trial_to_prune(self, num_epochs: int) -> Any:
        """The trial that a run is, which the study may stop; None where it may not."""
        if self.trial is None or self.pruner == "none":
            return None
        from seqexp.sweep.optuna.study import trial_of  # Optuna: only in a search that prunes

        return trial_of(self, num_epochs)
