"""The mean of what all runs of a sweep predict for one test: a row beside theirs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqexp.errors import InputError
from seqexp.inference import ensemble
from seqexp.inference.ensemble import Part, Scores, comparable, fitted_weights, mean, pooled_metrics
from seqexp.metrics import HEADLINE, higher_is_better
from seqexp.spec import Output
from seqexp.sweep.manifest import Manifest

log = logging.getLogger("seqexp")

MAX_SAID = 6
"""Points whose weights a terminal shows."""

Row = dict[str, str | float | None]

EQUAL, FITTED = "equal weights", "weights by validation"


@dataclass(frozen=True)
class Ensemble:
    """The mean of several runs.

    Args:
        method: how they are weighted.
        weights: of each run, by its label.
        points: the values of each run without its seed, by its label.
        run_ids: of each run in the store, by its label.
        metrics: of the test, by name without the split.
        headline: of these, the one that runs are sorted by, or that counts most.
        folds: of which each has a mean of its own runs; metrics are of all of them together.
    """

    method: str
    weights: Mapping[str, float]
    points: Mapping[str, str]
    run_ids: Mapping[str, str | None]
    metrics: Mapping[str, float]
    headline: str
    folds: int = 1


Places = Callable[[str], Path | None]
"""The folder of a job's run, by the job's name; None where there is none."""


def ensembles(manifest: Manifest, places: Places | None = None) -> list[Ensemble]:
    """The means of all finished runs of a sweep, the one to be reported last.

    Of equal weights, and where points differ by more than their seed and all runs share their
    validation, of weights that are best there. Nothing where runs have no common mean. `places` are
    those of the sweep, unless given.

    Raises:
        InputError: if runs were tested on different sequences, with the first two.
    """
    runs = _kept(manifest, places or manifest.place)
    if len(runs) < 2:
        return []
    points = dict(zip(runs, (manifest.point(e) for e in manifest.jobs.values()), strict=True))
    run_ids = {
        label: entry.run_id for label, entry in zip(runs, manifest.jobs.values(), strict=True)
    }
    folds = _by_fold(manifest, runs)
    means = [_means(own, [points[label] for label in own]) for own in folds]
    found = []
    for method in (EQUAL, FITTED):
        parts = [of_fold[method] for of_fold in means if method in of_fold]
        if len(parts) < len(means):
            continue
        weights = {label: w / len(folds) for part in parts for label, w in part.weights.items()}
        spec = parts[0].part.spec
        metrics = pooled_metrics([part.part for part in parts])
        asked = manifest.by.partition("/")[2]  # what the table of the sweep is sorted by
        is_known = manifest.by.startswith("test/") and asked in metrics
        name = asked if is_known else HEADLINE[Output(spec.output)][0]
        shares = {label: weights[label] for label in runs}
        found.append(Ensemble(method, shares, points, run_ids, metrics, name, len(folds)))
    return found


class _Mean(NamedTuple):
    """The mean of runs of one test, and their weights by label."""

    part: Part
    weights: Mapping[str, float]


def _by_fold(manifest: Manifest, runs: Mapping[str, Scores]) -> list[dict[str, Scores]]:
    """The runs of each test: of each fold, or all."""
    found: dict[int, dict[str, Scores]] = {}
    for (label, scores), entry in zip(runs.items(), manifest.jobs.values(), strict=True):
        found.setdefault(entry.fold[0] if manifest.has_folds else 0, {})[label] = scores
    return list(found.values())


def _means(runs: Mapping[str, Scores], points: Sequence[str]) -> dict[str, _Mean]:
    """The means of runs of one test, by method; nothing where there is no mean.

    Raises:
        InputError: if runs were tested on different sequences.
    """
    if len(runs) < 2:
        return {}
    ensemble.refuse_unlike(runs)
    scores = list(runs.values())
    parts = [comparable(one.spec, one.test.logits) for one in scores]
    if len({part.shape for part in parts}) > 1:
        return {}
    equal = [1 / len(runs)] * len(runs)
    fitted = fitted_weights(scores, points) if len(set(points)) > 1 else None
    return {
        method: _Mean(
            Part(scores[0].spec, mean(parts, weights), scores[0].test.targets),
            dict(zip(runs, weights, strict=True)),
        )
        for method, weights in ((EQUAL, equal), (FITTED, fitted))
        if weights is not None
    }


def _kept(manifest: Manifest, places: Places) -> dict[str, Scores]:
    """The predictions of each finished run, by its label; nothing where one has kept none."""
    found: dict[str, Scores] = {}
    for name, entry in manifest.jobs.items():
        place = places(name)
        file = None if place is None else place / ensemble.FILE
        if entry.state != "FINISHED" or file is None or not file.is_file():
            return {}
        label = manifest.label(entry) or name
        found[label if label not in found else name] = ensemble.read(file)
    return found


def try_ensembles(manifest: Manifest, places: Places | None = None) -> list[Ensemble]:
    """The same; where there is no common mean, nothing, and a line that says why."""
    try:
        return ensembles(manifest, places)
    except InputError as error:
        log.info(f"no ensemble of the runs: {error}")
        return []


def metrics(found: Sequence[Ensemble]) -> dict[str, float]:
    """`ensemble/*` of the one to be reported."""
    return {f"ensemble/{k}": v for k, v in found[-1].metrics.items()} if found else {}


def rows(found: Sequence[Ensemble]) -> list[Row]:
    """A row each, for a table."""
    return [
        {
            "ensemble": f"{_runs(one)}, {one.method}",
            **{f"test/{name}": value for name, value in one.metrics.items()},
        }
        for one in found
    ]


def rows_of_weights(found: Sequence[Ensemble]) -> list[Row]:
    """A row a run: its id, and its weight in each mean."""
    return [
        {"run": label, "run id": run_id, **{one.method: one.weights[label] for one in found}}
        for label, run_id in (found[0].run_ids.items() if found else ())
    ]


def _runs(found: Ensemble) -> str:
    """How many runs, in words."""
    more = f" of {found.folds} folds, out of fold" if found.folds > 1 else ""
    return f"{len(found.weights)} runs{more}"


def _said_weights(found: Ensemble) -> str:
    """The largest weights, a point each; runs of a point share theirs."""
    of_point: dict[str, list[float]] = {}
    for label, weight in found.weights.items():
        of_point.setdefault(found.points[label], []).append(found.folds * weight)
    by_point = {point: sum(weights) / len(weights) for point, weights in of_point.items()}
    order = sorted(by_point, key=lambda point: -by_point[point])
    said = [f"{by_point[point]:.2f} {point}" for point in order[:MAX_SAID] if by_point[point] > 0]
    left = sum(by_point[point] > 0 for point in order) - len(said)
    return ", ".join(said) + (f", and {left} smaller ones" if left else "")


def sentences(found: Sequence[Ensemble]) -> str:
    """What a terminal says of them."""
    lines = []
    for one in found:
        name, value = one.headline, one.metrics.get(one.headline)
        better = "higher" if higher_is_better(f"test/{name}") else "lower"
        if value is not None:
            said = f"test/{name} {value:.4g} ({better} is better)"
            lines.append(f"ensemble of {_runs(one)}, {one.method}: {said}")
    if found and found[-1].method == FITTED:
        lines.append(f"  weight of each run: {_said_weights(found[-1])}")
    return "\n".join(lines)
