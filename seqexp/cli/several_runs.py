"""The runs whose predictions are averaged, their models and their weights."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqexp.cli.run_lookup import ID_LETTERS, Store
from seqexp.cli.which import Which
from seqexp.errors import InputError
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.together import refuse_apart
from seqexp.utils.nearest import did_you_mean

if TYPE_CHECKING:
    from mlflow.entities import Run

EQUAL, VALIDATION = "equal", "validation"

WEIGHTS = "ensemble_weights.json"
"""Of a sweep's own run: a row a run."""


def chosen(
    store: Store, which: Which, weights: str, trusted: Sequence[str]
) -> tuple[dict[str, SavedModel], list[float]]:
    """The model of a run with the weight 1; or those of several, by id, and the weight of each.

    Of a sweep, these are its finished runs.

    Raises:
        InputError: if there is no such run, they predict different things, or a weight is none.
    """
    if which.is_one:
        if weights != EQUAL:
            raise InputError(
                f"weights is {weights}, but weights are for several runs; leave it out"
            )
        run = which.one(store)
        return {run.info.run_id: store.model(run, trusted)}, [1.0]
    parent = which.parent(store)
    if parent is None:
        found = which.named(store, ", or one by run=ID")
    else:
        jobs = store.jobs(parent)
        found = _finished(jobs)
        count = f"{len(found):,} of {len(jobs):,} runs have finished"
        store.note(f"sweep {parent.info.run_id[:ID_LETTERS]} ({parent.info.run_name}): {count}")
    shares = _weights(store, found, parent, weights)
    used = [(run, share) for run, share in zip(found, shares, strict=True) if share]
    store.tell([run for run, _ in used])
    models = {run.info.run_id: store.model(run, trusted) for run, _ in used}
    refuse_apart(models)
    return models, [share for _, share in used]


def _finished(found: Sequence["Run"]) -> list["Run"]:
    finished = [run for run in found if run.info.status == "FINISHED"]
    if not finished:
        raise InputError("no run of this sweep has finished")
    return finished


def _weights(
    store: Store, runs: Sequence["Run"], parent: "Run | None", weights: str
) -> list[float]:
    """The weight of each run: equal, as the sweep has chosen by validation, or as given."""
    if weights == EQUAL:
        return [1 / len(runs)] * len(runs)
    if weights != VALIDATION:
        return _given(weights, len(runs))
    if parent is None:
        raise InputError(
            "weights is validation, which a sweep chooses at its end: give sweep=ID, or a number a"
            " run, as weights=1,1,0.5"
        )
    content = store.text(parent, WEIGHTS)
    rows = _rows(content, parent)
    known = {row.get("run id"): row.get("weights by validation") for row in rows}
    shares = [
        float(share)
        for share in (known.get(run.info.run_id) for run in runs)
        if isinstance(share, float | int) and 0 <= share < math.inf
    ]
    if len(shares) < len(runs) or not sum(shares):
        raise InputError(
            f"the sweep {parent.info.run_id} has chosen no weights by validation: its runs have"
            " not held out the same sequences, or differ by their seeds alone; give weights=equal"
        )
    return shares


def _rows(content: str | None, parent: "Run") -> list[dict[str, object]]:
    if content is None:
        return []
    try:
        columns = json.loads(content)
        names, values = columns["columns"], columns["data"]
        return [dict(zip(names, row, strict=True)) for row in values]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{WEIGHTS} of run {parent.info.run_id} is damaged ({error})") from error


def _given(weights: str, count: int) -> list[float]:
    try:
        found = [float(value) for value in weights.split(",")]
    except ValueError:
        hint = did_you_mean(weights, (EQUAL, VALIDATION))
        raise InputError(
            f"weights is {weights!r}; give equal, validation, or a number a run, as 1,1,0.5{hint}"
        ) from None
    if len(found) != count:
        raise InputError(f"weights has {len(found)} numbers, and there are {count} runs")
    if not all(0 <= value < math.inf for value in found) or not sum(found):
        raise InputError(f"weights is {weights}; give numbers from 0, not all of them 0")
    return found
