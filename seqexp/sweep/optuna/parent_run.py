"""The search's own run in MLflow: parent of its trials' runs, with their table and history."""

import logging
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, Trial, TrialState

from seqexp.metrics import higher_is_better
from seqexp.sweep.grid.sweeper import have_told
from seqexp.sweep.job import Job
from seqexp.sweep.optuna.figure import history_figure
from seqexp.sweep.optuna.study import Study
from seqexp.sweep.table import csv_text, markdown, on_a_page, shown
from seqexp.tracking.labels import labels_after, labels_of
from seqexp.tracking.tracker import RunFacts, Status, Tracker
from seqexp.utils import names
from seqexp.utils.table import pairs

log = logging.getLogger("seqexp")

MAX_COMMAND = 2000
"""Characters of a command on the search's page."""

STATES = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "PRUNED",
    TrialState.FAIL: "FAILED",
    TrialState.RUNNING: "CUT OFF",
}


class SearchRun:
    """A run that stands for a search.

    Args:
        base: the composition without what varies.
        study: its trials.
        folder: of the search's files; None writes none.
    """

    def __init__(self, base: Job, study: Study, folder: Path | None) -> None:
        self.base, self.study = base, study
        self.metric: str = base.config["optimized_metric"]
        self.maximize = higher_is_better(self.metric)
        self.tracker: Tracker = base.part("tracking")
        keys = " ".join(study.space)
        facts = RunFacts(
            experiment=base.config["experiment_name"] or base.dataset,
            name=f"search {keys}",
            params={"search": keys, "sampler": study.settings.sampler},
            tags={"seqexp.sweep": str(folder)},
            folder=folder,  # the same run, where the search was begun before
            mark=study.told.get("mark", 0),
            labels=labels_of(base.config),
        )
        self.run_id = self.tracker.start(facts)
        self._label_again(labels_after(base.config))

    def _label_again(self, labels: Mapping[str, str]) -> None:
        """Give trials of earlier commands the tags and notes of this one."""
        told: Mapping[str, str] = self.study.told.get("labels", {})
        new = {key: value for key, value in labels.items() if told.get(key) != value}
        results = (one.user_attrs.get("result", {}) for one in self.study.trials())
        run_ids = [result["run_id"] for result in results if result.get("run_id")]
        if new and run_ids:
            self.tracker.label(run_ids, new)
        if new:
            self.study.tell_of_run({**self.study.told, "labels": {**told, **new}})

    @property
    def num_done(self) -> int:
        """Trials that trained, to the end or until they were stopped."""
        done = (TrialState.COMPLETE, TrialState.PRUNED)
        return sum(trial.state in done for trial in self.study.trials())

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Have the jobs know their parent, and close it whatever happens."""
        status: Status = "FINISHED"
        try:
            with have_told(self.run_id, self.study.space):
                yield
        except BaseException as error:
            status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
            raise
        finally:
            self._close(status)

    def tell(self, trial: Trial, values: Mapping[str, str], found: Mapping[str, Any]) -> None:
        """Tell the study the result of a trial, and print it."""
        told_of = (self.metric, *shown(found["metrics"]))
        metrics = {name: value for name, value in found["metrics"].items() if name in told_of}
        error = str(found["error"])
        value = metrics.get(self.metric) if found["status"] == "FINISHED" else None
        if found["status"] == "FINISHED" and value is None:
            error = f"it reports no {self.metric}"
        result = {**found, "metrics": metrics, "error": error}
        for long in ("gradient_flow", "history", "summary", "traceback"):
            result.pop(long, None)
        result["pruned"] = result.get("pruned") or self.study.noted(trial).user_attrs.get("pruned")
        self.study.tell(trial, value, values, result)
        told = error.partition("\n")[0] or f"{self.metric} {value:.6g}"
        if result["pruned"]:
            told += f", stopped after epoch {result['pruned']}"
        log.info(f"trial {trial.number}: {_shown(values)}: {told}")

    def result_of(self, values: Mapping[str, str]) -> dict[str, Any] | None:
        """The result of an earlier trial of the same values."""
        for trial in self.study.trials():
            if trial.user_attrs.get("values") == values and "result" in trial.user_attrs:
                return dict(trial.user_attrs["result"])
        return None

    def _close(self, status: Status) -> None:
        trials = list(self.study.best_first())
        known = {n for one in trials for n in one.user_attrs.get("result", {}).get("metrics", {})}
        columns = list(dict.fromkeys([self.metric, *shown(known)]))
        rows = [self._row(trial, columns) for trial in trials]
        if rows:
            narrow = [{k: v for k, v in r.items() if k not in ("run id", "error")} for r in rows]
            best = trials[0]
            if best.state is TrialState.COMPLETE:
                log.info(f"\nbest: {_command(best)}")
                self._tell_best(float(best.value or 0.0))
            command = names.markdown(_command(best), MAX_COMMAND)
            self.tracker.describe(f"Best: {command}\n\n{markdown(rows, cell=on_a_page)}")
            self.tracker.table(rows, "comparison.json")
            self.tracker.text(csv_text(rows), "comparison.csv")
            if self.tracker.keeps:
                figure = history_figure(self.study.study, self.study.trials(), self.metric)
                self.tracker.figure(figure, "search/history.png")
            log.info("\n" + markdown(narrow))
        mark = self.tracker.mark()
        self.tracker.finish(status)
        self.study.tell_of_run({**self.study.told, "mark": mark})
        links = dict(self.tracker.links(self.metric))
        if links:
            links = {"this search": links.pop("this run"), **links}
            log.info("\n" + pairs(links.items(), width=12))

    def _tell_best(self, value: float) -> None:
        """Once, though a search may be continued many times."""
        if self.study.told.get("best") != value:
            self.tracker.metrics({self.metric: value}, step=0)
            self.study.tell_of_run({**self.study.told, "best": value})

    def _row(self, trial: FrozenTrial, columns: Sequence[str]) -> dict[str, Any]:
        result = trial.user_attrs.get("result", {})
        metrics = result.get("metrics", {})
        values = trial.user_attrs.get("values", {})
        return {
            "trial": trial.number,
            **{key: _rounded(values.get(key, "")) for key in self.study.space},
            "status": STATES.get(trial.state, trial.state.name),
            **{name: metrics.get(name) for name in columns},
            "epochs": result.get("pruned") or "",
            "seconds": round(result.get("seconds", 0.0), 1),
            "run id": result.get("run_id") or "",
            "error": result.get("error", "").partition("\n")[0],
        }


def _command(trial: FrozenTrial) -> str:
    """The words that one types for the values of a trial."""
    return shlex.join(f"{k}={v}" for k, v in trial.user_attrs.get("values", {}).items())


def _rounded(value: str) -> str:
    """A number to four figures; other texts as they are."""
    return f"{float(value):.4g}" if re.fullmatch(r"-?[\d.]+(e-?\d+)?", value) else value


def _shown(values: Mapping[str, str]) -> str:
    return " ".join(f"{key.rpartition('.')[2]}={_rounded(v)}" for key, v in values.items())
