"""Which is better? The table and figures of a sweep, for any runs.

python -m seqexp compare runs=RUN,RUN,... [KEY=VALUE ...]
python -m seqexp compare sweep=RUN [KEY=VALUE ...]

  runs           ids of runs in MLflow, or the first few letters of each; also latest and best
  sweep          id of a sweep's own run, or latest: all runs below it
  experiment     name in MLflow: where latest and best look
  metric         what they are compared by; their optimized_metric
  output         a folder for the tables and figures; by default one in outputs/comparisons

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Runs that differ in their seeds and folds only are one point, with mean and standard deviation;
points are compared seed by seed, and fold by fold. Runs are told apart by the values in which their
configurations differ. Runs that were tested on the same sequences have a mean of what they predict.
Of two runs on one test, paired.json has the difference of the headline metrics with its 95 %
interval over draws of the test's sequences (paired bootstrap), and of classes McNemar's exact test.

  python -m seqexp compare runs=3f9c,77a0,e771
  python -m seqexp compare sweep=b02d metric=test/accuracy
  python -m seqexp compare sweep=latest
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.cli.run_lookup import ID_LETTERS, Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.config.groups import GROUPS, NOT_IN_FINGERPRINT
from seqexp.errors import InputError
from seqexp.inference import ensemble
from seqexp.inference.claims import result
from seqexp.metrics import METRICS, OWN, declare_logged, is_known
from seqexp.sweep import pooled
from seqexp.sweep.ensemble import sentences, try_ensembles
from seqexp.sweep.figures import curve_of, drawn
from seqexp.sweep.manifest import Entry, Manifest, differing
from seqexp.sweep.paired import Pair, pair_of
from seqexp.sweep.table import (
    csv_text,
    has_seeds,
    points_of,
    rows_of_points,
    rows_of_runs,
    table_text,
)
from seqexp.utils.drawing import save
from seqexp.utils.files import RESULT, read_json
from seqexp.utils.nearest import did_you_mean
from seqexp.utils.streams import show

if TYPE_CHECKING:
    from mlflow.entities import Run

UNTOLD = (*NOT_IN_FINGERPRINT, "overrides", "experiment", "trusted_packages")
"""Params that say where and how a run was started, not what it is."""


def compare(
    place: Place,
    several: Which,
    metric: str | None = None,
    output: str | None = None,
) -> None:
    """Print the table of a set of runs, and leave it with its figures in a folder.

    Raises:
        InputError: if a run is not there, or a metric is none.
    """
    store = Store(place)
    parent = several.parent(store)
    found = _named(store, several) if parent is None else store.jobs(parent)
    found = list(_each_once(found))
    if parent is not None:
        store.note(f"sweep {parent.info.run_id[:ID_LETTERS]} ({parent.info.run_name})")
    store.tell(found)
    for run in found:
        declare_logged(run.data.params)
    manifest = manifest_of(found, _metric(found, metric))
    results = {name: _result(store, run, manifest.by) for name, run in _by_name(found).items()}
    if manifest.has_folds:
        folders = {name: _folder_of(run) for name, run in _by_name(found).items()}
        manifest.pooled = pooled.pooled(manifest, folders)
    folder = Path(output) if output is not None else _folder(place, parent, found)
    show(f"\n{table_text(manifest)}\n")
    runs = _by_name(found)
    means = try_ensembles(manifest, lambda name: _folder_of(runs[name]))
    if means:
        show(f"{sentences(means)}\n")
    pair = _pair(found) if len(found) == 2 else None
    for file in _kept(manifest, results, folder, pair):
        show(f"  {file}")


def _named(store: Store, several: Which) -> list["Run"]:
    """The runs of these ids, each once."""
    found = several.named(store, " to compare")
    for run in found:
        if "seqexp.fingerprint" not in run.data.tags:
            raise InputError(
                f"runs has {run.info.run_id} ({run.info.run_name}), which trained nothing; if it is"
                f" a sweep's own, give sweep={run.info.run_id[:ID_LETTERS]}"
            )
    return found


def _each_once(found: Sequence["Run"]) -> Iterator["Run"]:
    """Of runs with the same configuration and seed, the newest that finished."""

    def order(run: "Run") -> tuple[bool, int]:
        return (run.info.status == "FINISHED", run.info.start_time)

    best: dict[str, Run] = {}
    for run in sorted(found, key=order):
        best[run.data.tags["seqexp.fingerprint"]] = run
    for run in found:
        kept = best[run.data.tags["seqexp.fingerprint"]]
        if run is kept:
            yield run
        else:
            print(
                f"{run.info.run_id} is left out: the configuration and seed of {kept.info.run_id}"
            )


def _metric(found: Sequence["Run"], given: str | None) -> str:
    """What runs are sorted by: what they all were to optimize, unless it is said."""
    if given is None:
        wanted = sorted({run.data.params["optimized_metric"] for run in found})
        if len(wanted) > 1:
            raise InputError(f"the runs optimize {' and '.join(wanted)}; give metric=NAME")
        return wanted[0]
    if not is_known(given):
        names = [*METRICS, *OWN]
        hint = did_you_mean(given, names) or f"; give one of {', '.join(names)}"
        raise InputError(f"metric is {given!r}: no such metric{hint}")
    if not any(given in run.data.metrics for run in found):
        there = sorted({key for run in found for key in run.data.metrics if is_known(key)})
        raise InputError(
            f"metric is {given!r}, which none of the runs reports; they report {', '.join(there)}"
        )
    return given


# --- what is known of them --------------------------------------------------------------------


def manifest_of(found: Sequence["Run"], metric: str) -> Manifest:
    """Runs as the jobs of a sweep: what sets them apart are their values, by key."""
    keys = differing_keys([run.data.params for run in found])
    jobs = {}
    for name, run in _by_name(found).items():
        params = run.data.params
        seconds = ((run.info.end_time or run.info.start_time) - run.info.start_time) / 1000
        jobs[name] = Entry(
            fingerprint=run.data.tags["seqexp.fingerprint"],
            overrides=[f"{key}={params[key]}" for key in keys if key in params],
            seed=int(params["seed"]),
            state="FINISHED" if run.info.status == "FINISHED" else _state(run),
            run_id=run.info.run_id,
            seconds=seconds,
            metrics=dict(run.data.metrics),
            error=run.data.tags.get("seqexp.error", ""),
            fold=_fold(params),
        )
    return Manifest(None, swept=keys, metric=metric, jobs=jobs)


def _fold(params: Mapping[str, str]) -> list[int]:
    """The fold that a run tests on, and the number of folds; nothing where there are none."""
    values = [params.get(f"dataset.{key}", "") for key in ("fold", "folds")]
    return [int(value) for value in values] if all(map(str.isdecimal, values)) else []


def _folder_of(run: "Run") -> Path | None:
    """The folder of a run on this machine, if what lies there is its own."""
    folder = Path(run.data.tags.get("seqexp.checkpoint.folder", "nowhere"))
    left = result(read_json(folder / RESULT)) if (folder / RESULT).is_file() else None
    return folder if left is not None and left.get("run_id") == run.info.run_id else None


def _state(run: "Run") -> Any:
    return run.info.status if run.info.status in ("RUNNING", "FAILED", "KILLED") else "PENDING"


def _by_name(found: Sequence["Run"]) -> dict[str, "Run"]:
    return {run.info.run_id: run for run in found}


def differing_keys(params: Sequence[Mapping[str, str]]) -> list[str]:
    """Keys of what sets runs apart; a group's only as far as it says more than its option does.

    `model=lstm` beside `model=rnn` is enough, although all their values have other keys.
    """
    found = {key for key in differing(params) if key in GROUPS and key not in UNTOLD}
    found |= {"seed"} & differing(params)
    for key in differing(params) - found:
        group = key.partition(".")[0]
        follows = all(one.get(key) in (None, one["seed"]) for one in params)  # ${seed}
        if group in UNTOLD or key in GROUPS or _is_untold(key) or follows:
            continue
        for option in {one.get(group) for one in params}:
            if differing([one for one in params if one.get(group) == option]) & {key}:
                found.add(key)
    return sorted(found)


def _is_untold(key: str) -> bool:
    """A target says what its option says; the rest may differ between the same runs."""
    group, _, name = key.partition(".")
    free = GROUPS[group].free if group in GROUPS else ()
    return name.split(".")[0] in free or key.endswith("._target_")


def _result(store: Store, run: "Run", metric: str) -> dict[str, Any]:
    """What a run left in its folder; its curve from the store, where that is not to be had."""
    file = Path(run.data.tags.get("seqexp.checkpoint.folder", "nowhere")) / RESULT
    with contextlib.suppress(InputError):
        left = result(read_json(file)) if file.is_file() else None
        if left is not None and left.get("run_id") == run.info.run_id:
            return left
    curve = curve_of(metric)
    points = store.client.get_metric_history(run.info.run_id, curve)
    return {"history": {point.step: {curve: point.value} for point in points}}


def _pair(found: Sequence["Run"]) -> Pair | None:
    """Two runs on one test, said in words; or a line that says why there is no such comparison."""
    names = (found[0].info.run_id[:ID_LETTERS], found[1].info.run_id[:ID_LETTERS])
    try:
        first, second = (_scores(run) for run in found)
        pair = pair_of(first, second, names)
    except InputError as error:
        show(f"not compared sequence by sequence: {error}\n")
        return None
    show("\n".join(said_of_pair(pair, names)) + "\n")
    return pair


def _scores(run: "Run") -> ensemble.Scores:
    """What a run has predicted for its test, from its folder.

    Raises:
        InputError: if that is not on this machine, or it has kept none.
    """
    folder = _folder_of(run)
    if folder is None or not (folder / ensemble.FILE).is_file():
        raise InputError(
            f"run {run.info.run_id[:ID_LETTERS]} has left no {ensemble.FILE} on this machine"
        )
    return ensemble.read(folder / ensemble.FILE)


def said_of_pair(pair: Pair, names: tuple[str, str]) -> Iterator[str]:
    """Lines of a terminal."""
    first, second = names
    yield f"{first} minus {second}, on the same {pair.rows:,} sequences of the test:"
    for one in pair.differences:
        values = f"{one.values[0]:.4g} and {one.values[1]:.4g}"
        interval = f"{one.difference:+.3g} [{one.low:+.3g}, {one.high:+.3g}]"
        yield f"  test/{one.measure:<11} {interval}  ({values})"
    yield f"  in brackets: 95 % interval, {pair.samples:,} draws of the test (paired bootstrap)"
    if pair.mcnemar is not None:
        found = pair.mcnemar
        yield (
            f"  right in {first} alone: {found.first_alone:,}, in {second} alone:"
            f" {found.second_alone:,}; McNemar's exact p {found.p:.2g}"
        )


# --- what is left -----------------------------------------------------------------------------


def _folder(place: Place, parent: "Run | None", found: Sequence["Run"]) -> Path:
    if parent is not None:
        name = f"sweep-{parent.info.run_id[:ID_LETTERS]}"
    else:
        ids = sorted(run.info.run_id for run in found)
        name = f"runs-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:ID_LETTERS]}"
    return place.outputs / "comparisons" / name


def _kept(
    manifest: Manifest,
    results: Mapping[str, Mapping[str, Any]],
    folder: Path,
    pair: Pair | None,
) -> Iterator[Path]:
    """Write tables and figures, and say which."""
    tables = {"comparison.csv": rows_of_runs(manifest)}
    if has_seeds(points_of(manifest)):
        tables["points.csv"] = rows_of_points(manifest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in tables.items():
            (folder / name).write_text(csv_text(rows), encoding="utf-8")
            yield folder / name
        if pair is not None:
            content = {"runs": list(manifest.jobs), **asdict(pair)}
            (folder / "paired.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
            yield folder / "paired.json"
        for name, figure in drawn(manifest, results):
            (folder / name).parent.mkdir(exist_ok=True)
            save(figure, folder / name)
            yield folder / name
    except OSError as error:
        raise InputError(
            f"output is {folder}, which cannot be written ({error.strerror})"
        ) from error
