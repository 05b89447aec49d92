"""What lies below the folder of outputs, in MB; and away with what is of no run any more.

python -m seqexp clean [yes=true]

  yes            true: delete without asking; false

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp; a folder is cleaned
                 by its own store only

It offers what belongs to runs that the store of the folder has not, or that you have deleted there:
folders with checkpoints, artifacts, and models. It keeps all else: runs that stand in the store,
what a registered model has a version of, runs of other stores, runs that go on or have something
undelivered, downloads, links, and what it does not know. A model shares its files with its run, so
that their sizes count twice. Runs that were deleted in MLflow's pages stay in its database;
`mlflow gc` takes them out.

  python -m seqexp clean
  python -m seqexp clean yes=true paths.outputs=other_outputs
"""

import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlflow.entities import LifecycleStage, ViewType

from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.errors import InputError
from seqexp.tracking.journal.journal import Journal
from seqexp.tracking.journal.note import JOURNAL, Note
from seqexp.tracking.store.address import absolute
from seqexp.tracking.store.client import input_errors
from seqexp.utils.files import PREVIOUS
from seqexp.utils.lock import is_held, unused
from seqexp.utils.names import visible
from seqexp.utils.table import pairs

ARTIFACTS, MODELS, BESIDE = "mlartifacts", "models", "mlmodels"
"""Folders: of artifacts, of the models of MLflow 3 below it, and what links there lead to."""

PAGE = 1000
"""Runs that the store is asked for at a time."""

Standing = Literal["stands", "deleted", "unknown"]


@dataclass(frozen=True)
class Found:
    """A folder below that of outputs.

    Args:
        path: the folder.
        size: of its files, bytes.
        what: it is, in words.
        reason: why it may go; None: it stays.
    """

    path: Path
    size: int
    what: str
    reason: str | None


def clean(place: Place, yes: bool = False) -> int:
    """Say what lies where, and delete what is of no run if it is wanted; returns the exit status.

    Raises:
        InputError: if there is no store to ask, or it is not that of the folder.
    """
    if place.is_named:
        raise InputError("tracking.uri: leave it out; a folder is cleaned by its own store")
    store = Store(place)
    known = standings(store)
    found = list(folders(place.outputs, absolute(place.uri), known, registered(store)))
    _say(place.outputs, found)
    offered = [one for one in found if one.reason is not None]
    if not offered:
        print("nothing is to be cleaned: all of it belongs to runs of the store")
        return 0
    for one in offered:
        print(f"  {visible(str(one.path))}, {_mb(one.size)}: {one.reason}")
    total = sum(one.size for one in offered)
    if not yes and not _agrees(f"delete these {len(offered)}, {_mb(total)}? [y/N] "):
        print("nothing is deleted" + ("" if sys.stdin.isatty() else "; with yes=true it is"))
        return 0
    failed = [one for one in offered if not _deleted(one.path)]
    left = sum(one.size for one in failed)
    print(f"{len(offered) - len(failed)} folders are deleted, {_mb(total - left)}")
    return 1 if failed else 0


def standings(store: Store) -> dict[str, Standing]:
    """How each run of a store stands in it, by its id."""
    found: dict[str, Standing] = {}
    with input_errors(store.uri):
        experiments = store.client.search_experiments(view_type=ViewType.ALL)
        token = None
        while True:
            page = store.client.search_runs(
                [one.experiment_id for one in experiments],
                run_view_type=ViewType.ALL,
                max_results=PAGE,
                page_token=token,
            )
            for run in page:
                is_active = run.info.lifecycle_stage == LifecycleStage.ACTIVE
                found[run.info.run_id] = "stands" if is_active else "deleted"
            token = page.token
            if not token:
                return found


def registered(store: Store) -> frozenset[str]:
    """Parts of the addresses of all versions of registered models: ids of runs and of models."""
    found: set[str] = set()
    with input_errors(store.uri):
        token = None
        while True:
            page = store.client.search_model_versions(max_results=PAGE, page_token=token)
            for version in page:
                found |= {*str(version.source).split("/"), str(version.run_id)}
            token = page.token
            if not token:
                return frozenset(found)


def folders(
    outputs: Path,
    uri: str,
    known: Mapping[str, Standing],
    versions: Collection[str] = (),
) -> Iterator[Found]:
    """Folders of runs, of artifacts and of models, and whether each may go.

    Args:
        outputs: that they are below.
        uri: of its store.
        known: how each run stands in it.
        versions: ids of runs and models that a registered model has a version of: their files stay.
    """
    places = [*outputs.glob("runs/*"), *outputs.glob("sweeps/*/*")]
    before = [old for path in places for old in path.glob(f"{PREVIOUS}/[0-9]*")]
    for path in sorted({*places, *before}):
        if path.is_dir() and not path.is_symlink() and path.name != PREVIOUS:
            yield Found(path, size_of(path), "folders of runs", _of_run(path, uri, known))
    for path in sorted(outputs.glob(f"{ARTIFACTS}/*")):
        if path.is_dir() and not path.is_symlink() and path.name != MODELS:
            is_id = re.fullmatch(r"[0-9a-f]{32}", path.name) is not None
            stays = not is_id or path.name in versions
            reason = None if stays else _of_standing(known.get(path.name, "unknown"))
            yield Found(path, size_of(path), "artifacts", reason)
    models = [*outputs.glob(f"{ARTIFACTS}/{MODELS}/m-*"), *outputs.glob(f"{BESIDE}/m-*")]
    for path in sorted(models):
        if path.is_dir() and not path.is_symlink():
            run_id = _run_of_model(path)
            stays = run_id is None or path.name in versions
            reason = None if stays else _of_standing(known.get(str(run_id), "unknown"))
            yield Found(path, size_of(path), "models", reason)


def _run_of_model(path: Path) -> str | None:
    """The run that a model says it is of; None where it says none."""
    file = path / "artifacts" / "MLmodel"
    if file.is_symlink() or not file.is_file():
        return None
    found = re.search(r"^run_id: ([0-9a-f]{32})$", file.read_text("utf-8", "replace"), re.M)
    return found[1] if found else None


def _of_run(path: Path, uri: str, known: Mapping[str, Standing]) -> str | None:
    """Why the folder of a run may go."""
    if is_held(path):
        return None
    try:
        note = Note.read(path / JOURNAL)
        if note is None or note.run_id is None or absolute(note.uri) != uri:
            return None  # it keeps no track, is no folder of a run, or is of another store
        reason = _of_standing(known.get(note.run_id, "unknown"))
        if reason is None or (path / JOURNAL).is_symlink() or _has_undelivered(path):
            return None
    except (InputError, OSError):
        return None  # what is damaged is looked at by its owner
    return reason


def _has_undelivered(path: Path) -> bool:
    journal = Journal(path / JOURNAL)
    try:
        return journal.told > journal.delivered
    finally:
        journal.close()


def _of_standing(standing: Standing) -> str | None:
    if standing == "stands":
        return None
    return "its run is deleted" if standing == "deleted" else "its run is not in the store"


def size_of(folder: Path) -> int:
    """Bytes of the files below a folder; of links nothing."""
    files = (path for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
    return sum(path.lstat().st_size for path in files)


def _say(outputs: Path, found: list[Found]) -> None:
    """What lies where."""
    rows: list[tuple[str, str]] = []
    for what in ("folders of runs", "artifacts", "models"):
        own = [one for one in found if one.what == what]
        rows.append((what, f"{len(own):,}, {_mb(sum(one.size for one in own))}"))
    seen = sum(one.size for one in found if PREVIOUS not in one.path.parts)
    rows.append(("all else", _mb(max(0, size_of(outputs) - seen))))
    print(f"{visible(str(outputs))}")
    print(pairs(rows))


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _agrees(question: str) -> bool:
    return sys.stdin.isatty() and input(question).strip().lower() in ("y", "yes")


def _deleted(path: Path) -> bool:
    """Whether a folder could be deleted; says why not."""
    try:
        with unused(path) as is_unused:
            if not is_unused:
                print(f"seqexp: {visible(str(path))} stays: a process works in it", file=sys.stderr)
                return False
            shutil.rmtree(path)
            if path.parent.name == BESIDE:
                link = path.parent.with_name(ARTIFACTS) / MODELS / path.name
                if link.is_symlink() and not link.exists():
                    link.unlink()
    except FileNotFoundError:  # with the folder that it lay in
        return True
    except OSError as error:
        print(f"seqexp: {visible(str(path))} stays: {error.strerror}", file=sys.stderr)
        return False
    return True
