"""The trial that a job of a search is, from inside the job: a run reports to it as it trains."""

from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial

NAME = "search"

optuna.logging.set_verbosity(optuna.logging.WARNING)


def opened(journal: Path, number: int, pruner: BasePruner) -> Trial:
    """The trial of this number in the study that a journal holds."""
    study = optuna.load_study(study_name=NAME, storage=storage(journal), pruner=pruner)
    (found,) = (t for t in study.get_trials(deepcopy=False) if t.number == number)
    return Trial(study, found._trial_id)


class Lock(JournalFileOpenLock):
    """One that ends with its process; Optuna's own is a file, waited for 30 s after a kill."""

    def __init__(self, path: Path) -> None:
        self.lock = FileLock(path)

    def acquire(self) -> bool:
        """Wait until it is free."""
        self.lock.acquire()
        return True

    def release(self) -> None:
        """Let others have it."""
        self.lock.release()


def storage(journal: Path) -> JournalStorage:
    """Where Optuna keeps a study."""
    lock = Lock(journal.with_suffix(".lock"))
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))


def make_pruner(
    kind: Literal["none", "median", "hyperband"], startup: int, warmup: int, num_epochs: int
) -> BasePruner:
    """The rule that says whether a run is stopped.

    Args:
        kind: `hyperband` shares out the epochs, `median` compares with the trials before.
        startup: of `median`, trials that are never stopped.
        warmup: of `median`, epochs before a run may be stopped.
        num_epochs: that a run takes.
    """
    if kind == "median":
        return optuna.pruners.MedianPruner(startup, warmup)
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=num_epochs)
    return optuna.pruners.NopPruner()
