"""Scores of a sweep over folds: of all predictions out of fold, pooled."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from seqexp.errors import InputError
from seqexp.inference import ensemble
from seqexp.inference.ensemble import Part, Scores, comparable, pooled_metrics
from seqexp.spec import Output
from seqexp.sweep.manifest import Entry, Manifest

log = logging.getLogger("seqexp")

Pooled = dict[str, dict[str, dict[str, float]]]
"""Metrics by point and seed."""


def pooled(manifest: Manifest, folders: Mapping[str, Path | None]) -> Pooled:
    """For each point and seed whose folds all have finished, the metrics of their tests together.

    What keeps others from having them is said in a line.

    Args:
        manifest: of the sweep.
        folders: of each job, where it has kept its predictions.
    """
    found: Pooled = {}
    if not manifest.has_folds:
        return found
    groups: dict[tuple[str, int], dict[str, Entry]] = {}
    for name, entry in manifest.jobs.items():
        groups.setdefault((manifest.point(entry), entry.seed), {})[name] = entry
    for (point, seed), jobs in groups.items():
        try:
            metrics = _of_folds(jobs, folders)
        except InputError as error:
            log.info(f"no pooled scores of {point}, seed {seed}: {error}")
            continue
        found.setdefault(point, {})[str(seed)] = {f"pooled/{k}": v for k, v in metrics.items()}
    return found


def _of_folds(jobs: Mapping[str, Entry], folders: Mapping[str, Path | None]) -> dict[str, float]:
    """The metrics of the tests of all folds together.

    Raises:
        InputError: if a fold lacks, or its predictions do.
    """
    folds = {entry.fold[1] for entry in jobs.values()}
    if len(folds) > 1:
        shown = " and ".join(map(str, sorted(folds)))
        raise InputError(f"its runs are of {shown} folds")
    by_fold = {e.fold[0]: name for name, e in jobs.items() if e.state == "FINISHED"}
    lacking = [fold for fold in range(folds.pop()) if fold not in by_fold]
    if lacking:
        shown = ", ".join(map(str, lacking[:10])) + (", ..." if len(lacking) > 10 else "")
        raise InputError(f"no run that has finished tests on fold {shown}")
    scores = [_scores(folders.get(by_fold[fold]), fold) for fold in sorted(by_fold)]
    _refuse_unlike(scores)
    parts = [
        Part(one.spec, comparable(one.spec, one.test.logits), one.test.targets) for one in scores
    ]
    return pooled_metrics(parts)


def _scores(folder: Path | None, fold: int) -> Scores:
    file = None if folder is None else folder / ensemble.FILE
    if file is None or not file.is_file():
        raise InputError(
            f"the run of fold {fold} has kept no predictions (there are too many numbers, or they"
            " are of reads)"
        )
    return ensemble.read(file)


def _refuse_unlike(scores: Sequence[Scores]) -> None:
    """Refuse folds whose outputs differ; next symbols may be of other vocabularies."""
    first = scores[0].spec
    for fold, one in enumerate(scores):
        is_next = one.spec.output is Output.NEXT_TOKEN is first.output
        if not is_next and (one.spec.output, one.spec.output_names) != (
            first.output,
            first.output_names,
        ):
            raise InputError(f"the outputs of fold {fold} are others than those of fold 0")


def of_point(found: Pooled, point: str) -> dict[str, float]:
    """The metrics of a point: the mean over its seeds."""
    runs = list(found.get(point, {}).values())
    names = [name for name in (runs[0] if runs else ()) if all(name in run for run in runs)]
    return {name: sum(run[name] for run in runs) / len(runs) for name in names}


def rows(found: Pooled) -> list[dict[str, str | float]]:
    """A row a point and seed, for a table."""
    return [
        {"point": point, "seed": seed, **metrics}
        for point, seeds in found.items()
        for seed, metrics in seeds.items()
    ]
