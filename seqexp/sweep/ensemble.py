"""The mean of what all runs of a sweep predict for one test: a row beside theirs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqexp.errors import InputError
from seqexp.inference import ensemble
from seqexp.inference.ensemble import Scores, comparable, fitted_weights, mean, metrics_of
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
        headline: of these, the measure that counts most.
    """

    method: str
    weights: Mapping[str, float]
    points: Mapping[str, str]
    run_ids: Mapping[str, str | None]
    metrics: Mapping[str, float]
    headline: str


def ensembles(manifest: Manifest) -> list[Ensemble]:
    """The means of all finished runs of a sweep, the one to be reported last.

    Of equal weights, and where points differ by more than their seed and all runs share their
    validation, of weights that are best there. Nothing where runs have no common mean.

    Raises:
        InputError: if runs were tested on different sequences, with the first two.
    """
    runs = _kept(manifest)
    if len(runs) < 2:
        return []
    ensemble.refuse_unlike(runs)
    scores, labels = list(runs.values()), list(runs)
    parts = [comparable(one.spec, one.test.logits) for one in scores]
    if len({part.shape for part in parts}) > 1:
        return []
    points = _points(manifest)
    run_ids = {
        label: entry.run_id for label, entry in zip(labels, manifest.jobs.values(), strict=True)
    }
    equal = [1 / len(runs)] * len(runs)
    fitted = fitted_weights(scores, points) if len(set(points)) > 1 else None
    name = HEADLINE[Output(scores[0].spec.output)][0]
    found = []
    for method, weights in ((EQUAL, equal), (FITTED, fitted)):
        if weights is not None:
            metrics = metrics_of(scores[0].spec, mean(parts, weights), scores[0].test.targets)
            shares = dict(zip(labels, weights, strict=True))
            values = dict(zip(labels, points, strict=True))
            found.append(Ensemble(method, shares, values, run_ids, metrics, name))
    return found


def _kept(manifest: Manifest) -> dict[str, Scores]:
    """The predictions of each finished run, by its label; nothing where one has kept none."""
    found: dict[str, Scores] = {}
    for name, entry in manifest.jobs.items():
        file = None if manifest.folder is None else manifest.folder / name / ensemble.FILE
        if entry.state != "FINISHED" or file is None or not file.is_file():
            return {}
        label = manifest.label(entry) or name
        found[label if label not in found else name] = ensemble.read(file)
    return found


def _points(manifest: Manifest) -> list[str]:
    """For each run, its values without the seed."""
    return [manifest.label(entry, "seed") or "all" for entry in manifest.jobs.values()]


def try_ensembles(manifest: Manifest) -> list[Ensemble]:
    """The same; where there is no common mean, nothing, and a line that says why."""
    try:
        return ensembles(manifest)
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
            "ensemble": f"{len(one.weights)} runs, {one.method}",
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


def _said_weights(found: Ensemble) -> str:
    """The largest weights, a point each; runs of a point share theirs."""
    by_point = {found.points[label]: weight for label, weight in found.weights.items()}
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
            lines.append(f"ensemble of {len(one.weights)} runs, {one.method}: {said}")
    if found and found[-1].method == FITTED:
        lines.append(f"  weight of each run: {_said_weights(found[-1])}")
    return "\n".join(lines)
