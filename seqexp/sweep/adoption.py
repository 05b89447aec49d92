"""Finished runs of other sweeps: a sweep takes them as its own, and trains nothing twice.

`-m model=lstm,rnn` and then `seeds=3` are two sweeps, since other keys are swept. A job of both has
one identity. Its run stays where it is. The new sweep's manifest names its folder, and a light run
below the new sweep's own run has its params and last metrics, and points to it (`seqexp.same_as`).
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp.errors import InputError
from seqexp.sweep.job import Job
from seqexp.sweep.manifest import Entry, Manifest
from seqexp.tracking.journal.note import JOURNAL, Note
from seqexp.tracking.store.address import absolute
from seqexp.tracking.tracker import RunFacts, Tracker
from seqexp.utils.files import RESULT, read_json

if TYPE_CHECKING:
    from mlflow.entities import Run  # seconds, and of no use where nothing is adopted

log = logging.getLogger("seqexp")

FOLDER = "adopted"
"""Below a sweep's: what is told of light runs, until the store has it."""


def adoptable(job: Job, folder: Path | None) -> Path | None:
    """The folder of a job's finished run, below another sweep beside this one, in the same store.

    Args:
        job: of this sweep.
        folder: the sweep's; None keeps nothing.
    """
    if folder is None or job.config["force"]:
        return None
    for place in sorted(folder.parent.glob(f"*/{job.name}")):
        with suppress(InputError, OSError):  # a damaged one is left alone
            if place.parent != folder and _is_it(job, place):
                return place
    return None


def _is_it(job: Job, place: Path) -> bool:
    """Whether a folder holds the finished run of a job, recorded where the job's would be."""
    result = read_json(place / RESULT) if (place / RESULT).is_file() else None
    if not isinstance(result, Mapping) or result.get("status") != "FINISHED":
        return False
    entry = Manifest.read(place.parent).jobs.get(place.name)
    if entry is None or entry.adopted or entry.fingerprint != job.identity:
        return False
    uri, note = job.config["tracking"].get("uri"), Note.read(place / JOURNAL)
    if uri is None or note is None or note.run_id is None or result.get("pruned") is not None:
        return False
    return absolute(note.uri) == absolute(uri) and note.run_id == result.get("run_id")


def adopt(jobs: Sequence[Job], manifest: Manifest) -> None:
    """Take finished runs of other sweeps for jobs that were not begun here, and say so."""
    for job in jobs:
        entry = manifest.entry(job)
        place = adoptable(job, manifest.folder) if entry.state == "PENDING" else None
        if place is None or _stored(job, place) is None:
            continue
        entry.adopted = f"../{place.parent.name}/{place.name}"
        manifest.look(job.name)
        log.info(f"{manifest.label(entry)}: finished in {place.parent}, and not trained again")


def _stored(job: Job, place: Path) -> "Run | None":
    """The run of a folder, in the store; None where it was deleted."""
    from seqexp.tracking.store.runs import Runs

    note = Note.read(place / JOURNAL)
    if note is None or note.run_id is None:
        return None
    found = Runs(job.config["tracking"]["uri"]).search(f"attributes.run_id = '{note.run_id}'", 1)
    return found[0] if found else None


def stand_for(job: Job, manifest: Manifest, parent: str | None) -> None:
    """Record a light run for an adopted one, below the sweep's own run; a second time, nothing."""
    entry = manifest.entry(job)
    place = manifest.place(job.name)
    if not entry.adopted or entry.stands is not None or place is None or manifest.folder is None:
        return
    run = _stored(job, place)
    if run is None:
        return
    tracker: Tracker = job.part("tracking")
    entry.stands = tracker.start(_facts(job, manifest, entry, run, parent))
    values = {
        key: value for key, value in run.data.metrics.items() if not key.startswith("system/")
    }
    tracker.metrics(values, step=0)
    tracker.describe(
        f"Stands for the run `{run.info.run_id}`, which was trained below another sweep of the same"
        " settings: curves, pictures and the model are there."
    )
    tracker.finish("FINISHED")
    manifest.save()


def _facts(job: Job, manifest: Manifest, entry: Entry, run: "Run", parent: str | None) -> RunFacts:
    from seqexp.tracking.store.runs import SAME_AS

    assert manifest.folder is not None
    return RunFacts(
        experiment=job.config["experiment_name"] or job.dataset,
        name=manifest.label(entry) or str(run.info.run_name),
        params=dict(run.data.params),
        tags={SAME_AS: str(run.info.run_id)},
        parent=parent,
        folder=manifest.folder / FOLDER / job.name,
    )
