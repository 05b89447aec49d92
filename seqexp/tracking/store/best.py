"""The best of several runs, by a metric and its direction."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seqexp.errors import InputError
from seqexp.metrics import (
    METRICS,
    OWN,
    declare_logged,
    direction,
    higher_is_better,
    is_known,
)
from seqexp.utils.nearest import did_you_mean

if TYPE_CHECKING:
    from mlflow.entities import Run

OPTIMIZED = "optimized_metric"
"""Param of a run: what it is compared by."""

NO_CANDIDATES = ("seqexp.pruned", "seqexp.reproduces")
"""Tags of runs that a search has stopped, and of those that only repeat another one."""


def best_of(found: Sequence["Run"], metric: str | None, key: str) -> tuple["Run", list[str]]:
    """The run with the best value of a metric, and a line for each thing to be known of the choice.

    Of runs that are equally good, it is the one that began first.

    Args:
        found: runs that have finished.
        metric: None: what they optimize.
        key: of the command line, for messages.

    Raises:
        InputError: if no run has the metric, or neither way of it is better.
    """
    runs = [run for run in found if not any(tag in run.data.tags for tag in NO_CANDIDATES)]
    for run in runs:
        declare_logged(run.data.params)
    metric = metric or _optimized(runs, key)
    _refuse_other(metric)
    values = {run.info.run_id: run.data.metrics.get(metric, math.nan) for run in runs}
    candidates = [run for run in runs if math.isfinite(values[run.info.run_id])]
    if not candidates:
        there = sorted({name for run in runs for name in run.data.metrics if is_known(name)})
        raise InputError(
            f"{key} is best by {metric}, which none of the {len(runs)} finished runs reports; they"
            f" report {', '.join(there) or 'nothing'}"
        )
    sign = -1 if higher_is_better(metric) else 1
    candidates.sort(key=lambda run: (sign * values[run.info.run_id], run.info.start_time))
    best = candidates[0]
    return best, [*_notes(metric, values, len(runs) - len(candidates), best)]


def _optimized(runs: Sequence["Run"], key: str) -> str:
    wanted = sorted({run.data.params.get(OPTIMIZED, "") for run in runs} - {""})
    if len(wanted) != 1:
        told = " and ".join(wanted) or "nothing"
        raise InputError(f"{key} is best, and the runs optimize {told}; give metric=NAME")
    return wanted[0]


def _refuse_other(metric: str) -> None:
    if not is_known(metric):
        names = [*METRICS, *OWN]
        hint = did_you_mean(metric, names) or f"; give one of {', '.join(names)}"
        raise InputError(f"metric is {metric!r}: no such metric{hint}")
    if direction(metric) == "neither":
        raise InputError(f"metric is {metric}, of which neither more nor less is better")


def _notes(metric: str, values: dict[str, float], absent: int, best: "Run") -> Iterator[str]:
    value, direction = values[best.info.run_id], "highest" if higher_is_better(metric) else "lowest"
    yield f"best is the {direction} {metric} of {len(values) - absent:,} finished runs"
    if absent:
        yield f"  {absent:,} finished runs do not report it, and were no candidates"
    tied = sum(other == value for other in values.values())
    if tied > 1:
        yield f"  {tied:,} runs have {value:.6g}; taken is the one that began first"
