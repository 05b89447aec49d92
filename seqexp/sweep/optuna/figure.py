"""How a search went: each trial's value, the best so far, and which of the values mattered."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

if TYPE_CHECKING:
    from optuna import Study

MIN_TRIALS = 10
"""Completed ones, below which importances say nothing."""


def history_figure(study: "Study", trials: Sequence[FrozenTrial], metric: str) -> Figure:
    """Values by trial, and, where enough trials are completed, importances."""
    done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    importances = _importances(study) if len(done) >= MIN_TRIALS else {}
    figure = Figure(figsize=(11 if importances else 7, 4), layout="constrained")
    axes = figure.subplots(1, 2 if importances else 1, squeeze=False)[0]
    _draw_history(axes[0], study, trials, metric)
    if importances:
        names = list(importances)[::-1]
        axes[1].barh(range(len(names)), [importances[name] for name in names], color="#4477aa")
        axes[1].set_yticks(range(len(names)), [one_line(name) for name in names])
        axes[1].set_xlim(0, 1)
        axes[1].set_xlabel("importance, by PED-ANOVA")
    return literal(figure)


def _draw_history(axes, study: "Study", trials: Sequence[FrozenTrial], metric: str) -> None:  # type: ignore[no-untyped-def]
    marks = (
        (TrialState.COMPLETE, "o", "#4477aa", "finished"),
        (TrialState.PRUNED, "x", "#bbbbbb", "stopped early"),
    )
    for state, mark, color, label in marks:
        found = [(t.number, t.value) for t in trials if t.state is state and t.value is not None]
        if found:
            axes.plot(*zip(*found, strict=True), mark, color=color, label=label)
    best = math.inf
    sign = 1 if study.direction.name == "MINIMIZE" else -1
    numbers, values = [], []
    for trial in trials:
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            best = min(best, sign * trial.value)
            numbers.append(trial.number)
            values.append(sign * best)
    if numbers:
        axes.step(numbers, values, where="post", color="#cc6677", label="best so far")
        axes.legend(frameon=False)
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.spines[["top", "right"]].set_visible(False)


def _importances(study: "Study") -> dict[str, float]:
    """Share of each key in what sets good trials apart.

    Source: Watanabe et al. (2023), PED-ANOVA.
    """
    try:
        return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
    except (RuntimeError, ValueError):  # of a single value, or of keys that few trials have
        return {}
