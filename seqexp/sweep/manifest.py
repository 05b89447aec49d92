"""Keeps the jobs of a sweep on disk: the source of its table, also after it was killed.

A job lives in a folder named by its identity, below the sweep's, whatever its number is. What
became of it is read there: jobs run in other processes, and may go on when the sweep is gone.
"""

import json
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hydra.core.utils import JobReturn, JobStatus

from seqexp.checkpoint.provenance import is_result
from seqexp.errors import InputError, StoppedError
from seqexp.metrics import compared_by
from seqexp.sweep.job import Job
from seqexp.utils.files import LOCK, RESULT, RUN, inside, read_json, write_whole
from seqexp.utils.lock import is_held, locked

State = Literal["PENDING", "RUNNING", "FINISHED", "FAILED", "KILLED"]

MANIFEST = "manifest.json"

Repeat = int | tuple[int, int]
"""A seed, or a seed and a fold."""

SEED, FOLD = "seed", "dataset.fold"
"""Keys whose values repeat a point."""


@dataclass
class Entry:
    """A job and its result; times are in seconds since 1970.

    `fold` is that of its dataset and the number of folds; empty where there are none. `adopted` is
    the folder of its run where another sweep has trained it, from this sweep's; `stands` the id of
    the light run that stands for it below this one.
    """

    fingerprint: str
    overrides: list[str]
    seed: int
    state: State = "PENDING"
    run_id: str | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""
    fold: list[int] = field(default_factory=list)
    adopted: str = ""
    stands: str | None = None

    @property
    def repeat(self) -> Repeat:
        """Which one it is of the runs of its point."""
        return (self.seed, self.fold[0]) if self.fold else self.seed

    @property
    def given(self) -> dict[str, str]:
        """Its values, by key."""
        return dict(item.partition("=")[::2] for item in self.overrides)


@dataclass
class Manifest:
    """All jobs of a sweep by the name of their folder, those of earlier commands included.

    Args:
        folder: the sweep's; None keeps nothing.
        swept: the keys that differ among jobs.
        metric: that jobs are to be sorted by; see `by`.
        run_id: of the sweep's own run.
        mark: how much that run had been told when it was closed.
        best: a metric and the best point's mean of it, as that run was told.
        closed: what its table shows, None while it is open; see `state_of_all`.
        links: where to look.
        said: of the mean of all runs, in words.
        pooled: metrics of all folds together, by point and seed.
        labels: tags and notes that it was given.
    """

    folder: Path | None
    swept: list[str] = field(default_factory=list)
    metric: str = ""
    run_id: str | None = None
    mark: int = 0
    best: list[Any] = field(default_factory=list)
    closed: str | None = None
    links: dict[str, str] = field(default_factory=dict)
    said: str = ""
    pooled: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path | None) -> "Manifest":
        """The manifest of a folder; an empty one where there is none.

        Raises:
            InputError: if the file is damaged.
        """
        file = folder / MANIFEST if folder is not None else None
        if file is None or not file.is_file():
            return cls(folder)
        try:
            content = read_json(file)
            jobs = {_job_name(name): _entry(found) for name, found in content.pop("jobs").items()}
            found = cls(folder, jobs=jobs, **content)
            _refuse_types(found, cls)
            return found
        except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file}: cannot be read ({error}); remove it, and it is made again from the jobs'"
                " folders"
            ) from error

    @property
    def by(self) -> str:
        """The metric that jobs are sorted by: a loss where no job reports `metric`."""
        return compared_by(self.metric, {name for e in self.jobs.values() for name in e.metrics})

    def save(self) -> None:
        """Write it, whole or not at all."""
        if self.folder is None:
            return
        jobs = {name: asdict(entry) for name, entry in self.jobs.items()}
        content = {k: v for k, v in vars(self).items() if k not in ("folder", "jobs")}
        text = json.dumps({**content, "jobs": jobs}, indent=2)
        write_whole(self.folder / MANIFEST, text.encode())

    def expect(self, jobs: Sequence[Job], swept: Sequence[str]) -> None:
        """Have an entry for each of these jobs, and know what became of all."""
        self.metric = jobs[0].config["optimized_metric"]
        for job in jobs:
            entry = Entry(job.identity, list(job.overrides), job.config["seed"])
            self.jobs.setdefault(job.name, entry).overrides = entry.overrides
            self.jobs[job.name].fold = fold_of(job.config["dataset"])
        self.swept = sorted({*swept, *differing([e.given for e in self.jobs.values()])})
        for name in self.jobs:
            self.look(name)

    def note(self, jobs: Sequence[Job], returns: Sequence[JobReturn]) -> None:
        """Take in what a launcher returned; it returns nothing of jobs that it was cut off in."""
        padded = [*returns, *[None] * (len(jobs) - len(returns))]
        for job, returned in zip(jobs, padded, strict=True):
            entry = self.jobs[job.name]
            self.look(job.name)
            # a job that could not even begin leaves nothing in its folder
            if returned is not None and (returned.status is JobStatus.FAILED or not entry.metrics):
                _take(entry, returned, self.metric)
        self.save()

    def entry(self, job: Job) -> Entry:
        """The entry of a job."""
        return self.jobs[job.name]

    @property
    def has_folds(self) -> bool:
        """Whether jobs differ in the fold that they test on."""
        return FOLD in self.swept and all(entry.fold for entry in self.jobs.values())

    def point(self, entry: Entry) -> str:
        """The values by which a job differs from the others, without its seed and fold."""
        if not self.has_folds:
            return self.label(entry, SEED) or "all seeds"
        both = "all seeds and folds" if SEED in self.swept else "all folds"
        return self.label(entry, SEED, FOLD) or both

    def label(self, entry: Entry, *but: str) -> str:
        """The values by which a job differs from the others, without some keys."""
        keys = {*self.swept} - {*but}
        return " ".join(o for o in entry.overrides if o.partition("=")[0] in keys)

    def place(self, name: str) -> Path | None:
        """The folder of a job's run, which may be another sweep's; None where nothing is kept."""
        return None if self.folder is None else self.folder / (self.jobs[name].adopted or name)

    def result(self, name: str) -> dict[str, Any]:
        """The result file of a job; empty where there is none."""
        place = self.place(name)
        found = {} if place is None else _read(place / RESULT)
        return found if is_result(found) else {}

    def state_of_all(self) -> str:
        """The facts that the sweep's table depends on, as one text that can be compared."""
        jobs = [[name, entry.state, entry.overrides] for name, entry in self.jobs.items()]
        return json.dumps([self.metric, self.swept, jobs])

    def look(self, name: str) -> None:
        """Take a job's state from its folder, where it has one."""
        folder, entry = self.place(name), self.jobs[name]
        if folder is None:
            return
        result, run = _read(folder / RESULT), _read(folder / RUN)
        if entry.adopted and entry.run_id not in (None, result.get("run_id")):
            return  # its folder is gone, or another run's by now: it stays as it was adopted
        noted = (found.get("run_id") for found in (result, run))
        entry.run_id = next((one for one in noted if one and isinstance(one, str)), entry.run_id)
        if run:
            entry.started = (folder / RUN).stat().st_mtime
        if is_held(folder):
            entry.state = "RUNNING"
        elif is_result(result):
            for key in ("metrics", "seconds", "error"):
                setattr(entry, key, result.get(key, getattr(Entry("", [], 0), key)))
            entry.state = result["status"]
            entry.traceback = result.get("traceback") or entry.traceback
            entry.ended = (folder / RESULT).stat().st_mtime
            entry.started = entry.started or entry.ended - entry.seconds
        elif run:  # its process is gone
            entry.state = "KILLED"


def fold_of(dataset: Mapping[str, Any]) -> list[int]:
    """The fold that a dataset tests on, and the number of folds; nothing where it has none."""
    folds, fold = dataset.get("folds"), dataset.get("fold")
    return [fold, folds] if isinstance(folds, int) and isinstance(fold, int) else []


def _take(entry: Entry, returned: JobReturn, metric: str) -> None:
    value = returned._return_value
    if returned.status is JobStatus.COMPLETED:
        entry.state, entry.error, entry.traceback = "FINISHED", "", ""
        entry.metrics = {} if value is None else {metric: value}
    else:
        entry.state = "KILLED" if isinstance(value, StoppedError) else "FAILED"
        error = f"{type(value).__name__}: {value}".strip(": ")  # as a run writes it
        if entry.error != error or not entry.traceback:  # an error of another process has no lines
            entry.traceback = "".join(traceback.format_exception(value))
        entry.error = error
    entry.ended = time.time()


def _job_name(name: str) -> str:
    """The name of a job's folder, which stands beside the manifest.

    Raises:
        ValueError: if it is none: it might lead anywhere.
    """
    if not re.fullmatch(r"[0-9a-f]{12}", name):
        raise ValueError(f"{name[:40]!r} is no job's name")
    return name


def _entry(content: Mapping[str, Any]) -> Entry:
    """An entry as it was kept.

    Raises:
        TypeError: if a field is of another type, or unknown.
    """
    found = Entry(**content)
    _refuse_types(found, Entry)
    if found.adopted and not re.fullmatch(r"\.\./[^/]+/[0-9a-f]{12}", found.adopted):
        raise TypeError(f"adopted is {found.adopted!r:.40}")  # it might lead anywhere
    is_whole = all(isinstance(text, str) for text in found.overrides)
    if not is_whole or not all(type(value) in (int, float) for value in found.metrics.values()):
        raise TypeError("overrides are texts, metrics are numbers")
    return found


def _refuse_types(found: Any, kind: type) -> None:
    for name, annotation in get_type_hints(kind).items():
        allowed = [get_origin(one) or one for one in get_args(annotation) or (annotation,)]
        if get_origin(annotation) is Literal:
            is_good = getattr(found, name) in get_args(annotation)
        elif get_origin(annotation) in (list, dict):
            is_good = isinstance(getattr(found, name), get_origin(annotation) or object)
        else:
            more = (int,) if float in allowed else ()  # JSON has one kind of number
            is_good = isinstance(getattr(found, name), (*allowed, *more))
        if not is_good:
            raise TypeError(f"{name} is {getattr(found, name)!r:.40}")


def differing(given: Sequence[Mapping[str, str]]) -> set[str]:
    """Keys that not all are given the same value of."""
    keys = {key for values in given for key in values}
    return {key for key in keys if len({values.get(key) for values in given}) > 1}


# --- files ------------------------------------------------------------------------------------


@contextmanager
def held(folder: Path | None) -> Iterator[None]:
    """Keep a sweep's folder for this process alone.

    Raises:
        InputError: if another process has it.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # launchers keep pickles in it
    for name in (LOCK, MANIFEST, "multirun.yaml", ".submitit"):
        inside(folder, name)
    refusal = "another process is running this sweep; wait for it, or stop it"
    with locked(folder, refusal):
        yield


def _read(file: Path) -> dict[str, Any]:
    """A JSON file; nothing where there is none, or it is damaged."""
    try:
        found = read_json(file) if file.is_file() else {}
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}
