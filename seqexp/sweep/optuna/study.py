"""Optuna's study of a search, in a file, so that a search that was killed resumes.

The file is Optuna's journal: lines that are appended and synced under a lock. It needs no database,
and the jobs of a cluster can report to it, where they see the same files.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from seqexp.errors import InputError
from seqexp.sweep.optuna.settings import Optuna
from seqexp.sweep.optuna.space import Range, Space
from seqexp.sweep.optuna.trial import NAME, make_pruner, storage
from seqexp.utils.files import inside

JOURNAL = "study.journal"
LOST, AGAIN = "lost", "again"
"""Notes on a trial whose process ended before it did, and on the one that takes its place."""

Keys = Callable[[Mapping[str, str]], Sequence[str]]
"""Which of the other keys vary, given what was chosen of each group."""


class Study:
    """Trials, asked for and told.

    Args:
        settings: of the search.
        space: what varies.
        folder: of its file.
        maximize: whether a larger value is the better one.
        num_epochs: that a run takes, for a pruner that shares them out.
    """

    def __init__(
        self, settings: Optuna, space: Space, folder: Path, maximize: bool, num_epochs: int
    ) -> None:
        self.settings, self.space = settings, space
        self.path = folder / JOURNAL
        inside(folder, JOURNAL)
        try:
            mend(self.path)
            self.study = optuna.create_study(
                study_name=NAME,
                storage=storage(self.path),
                pruner=make_pruner(
                    settings.pruner,
                    settings.startup_trials,
                    settings.warmup_epochs,
                    num_epochs,
                ),
                direction="maximize" if maximize else "minimize",
                load_if_exists=True,
            )
            self._refuse_foreign()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{self.path}: is damaged, or no search of seqexp ({error}); force=true starts anew"
            ) from error

    def _refuse_foreign(self) -> None:
        """Look at what is noted on each trial: the file may be of others.

        Raises:
            ValueError: if it is not what seqexp notes.
        """
        for trial in self.study.get_trials(deepcopy=False):
            values, result = (trial.user_attrs.get(key, {}) for key in ("values", "result"))
            if not isinstance(values, dict) or not isinstance(result, dict):
                raise ValueError(f"trial {trial.number} has no values or result")
            if not all(isinstance(text, str) for text in values.values()):
                raise ValueError(f"a value of trial {trial.number} is no text")
            if not isinstance(result.get("metrics", {}), dict):
                raise ValueError(f"the metrics of trial {trial.number} are none")

    def trials(self) -> list[FrozenTrial]:
        """All trials except those that were lost in a crash and replaced."""
        found = self.study.get_trials(deepcopy=False)
        lost = [t for t in found if LOST in t.user_attrs or t.state is TrialState.WAITING]
        return [trial for trial in found if trial not in lost]

    @property
    def told(self) -> dict[str, Any]:
        """The facts that the search's own run has recorded."""
        return dict(self.study.user_attrs.get("told", {}))

    def tell_of_run(self, told: Mapping[str, Any]) -> None:
        """Note what that run has been told."""
        self.study.set_user_attr("told", dict(told))

    def take_up(self) -> int:
        """Queue the trials again that ran when the last process ended, once; returns how many."""
        found = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get(AGAIN) for trial in found}
        running = [trial for trial in found if trial.state is TrialState.RUNNING]
        for trial in running:
            # in this order: a process that is killed in between leaves it running, and put up
            if trial.number not in replaced and trial.params:
                self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})
            Trial(self.study, trial._trial_id).set_user_attr(LOST, True)
            self.study.tell(trial.number, state=TrialState.FAIL)
        return len(running)

    def ask(self, groups: Sequence[str], keys: Keys) -> tuple[Trial, dict[str, str]]:
        """A new trial and its values, as one writes them on the command line."""
        self.study.sampler = sampler(self.settings, len(self.trials()))
        trial = self.study.ask()
        values = {key: self._suggest(trial, key) for key in groups}
        values |= {key: self._suggest(trial, key) for key in keys(values)}
        return trial, values

    def _suggest(self, trial: Trial, key: str) -> str:
        found = self.space[key]
        if not isinstance(found, Range):
            return str(trial.suggest_categorical(key, found.values))
        low, high = found.low, found.high
        if found.is_whole:
            step = int(found.step or 1)
            value = trial.suggest_int(key, int(low), int(high), step=step, log=found.log)
            return str(value)
        return repr(trial.suggest_float(key, low, high, step=found.step, log=found.log))

    def noted(self, trial: Trial) -> FrozenTrial:
        """A trial with what its job has noted of it."""
        (found,) = (t for t in self.study.get_trials(deepcopy=False) if t.number == trial.number)
        return found

    def tell(
        self,
        trial: Trial,
        value: float | None,
        values: Mapping[str, str],
        result: Mapping[str, Any],
    ) -> None:
        """Record the result of a trial; without a finite value it has failed."""
        trial.set_user_attr("values", dict(values))
        trial.set_user_attr("result", dict(result))
        if value is None or not math.isfinite(value):
            self.study.tell(trial, state=TrialState.FAIL)
        elif result.get("pruned"):
            if not self.noted(trial).intermediate_values:  # it had no job of its own
                trial.report(value, result["pruned"])
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, value)

    def best_first(self) -> Iterator[FrozenTrial]:
        """Completed trials by value, then the others by number."""
        trials = self.trials()
        done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        down = self.study.direction.name == "MAXIMIZE"
        yield from sorted(done, key=lambda trial: trial.value or 0.0, reverse=down)
        yield from (trial for trial in trials if trial.state is not TrialState.COMPLETE)


def mend(journal: Path) -> None:
    """Take off a last line that was not written to its end; every other line stands."""
    if not journal.is_file():
        return
    content = journal.read_bytes()
    if not content.endswith(b"\n"):
        with journal.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def sampler(settings: Optuna, number: int) -> BaseSampler:
    """The sampler that draws the values of one trial.

    Its seed follows from the trial's number, so that a search that goes on draws what it would
    have drawn without the break.
    """
    digest = hashlib.sha256(json.dumps([settings.seed, number]).encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    if settings.sampler == "random":
        return RandomSampler(seed)
    # trials that still run count as bad ones, so that those asked for together differ
    return TPESampler(n_startup_trials=settings.startup_trials, seed=seed, constant_liar=True)
