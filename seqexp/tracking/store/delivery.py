"""What of the recording of a run takes MLflow: it can be done in a process beside the run.

All that is given and returned can be pickled. A repetition changes nothing.
"""

import functools
import json
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.errors import InputError
from seqexp.tracking import wheel
from seqexp.tracking.journal.items import Item
from seqexp.tracking.store.address import database_file
from seqexp.tracking.store.database import patiently
from seqexp.tracking.store.environment import quieten
from seqexp.tracking.store.points import curves_of
from seqexp.tracking.store.quick import input_errors
from seqexp.tracking.tracker import Kind, ModelFiles
from seqexp.utils.companion import begin_ahead, has_room

if TYPE_CHECKING:
    from mlflow.types import ColSpec, ParamSpec

    from seqexp.tracking.store.client import StoredRun

TRACKER = "seqexp.tracking.mlflow.MlflowTracker"

_importing, _opening = threading.Lock(), threading.Lock()


def import_mlflow() -> None:
    """Import what the others need; by one thread at a time, since MLflow's modules need each other.

    It takes as long as PyTorch's import.
    """
    with _importing:
        import mlflow.pyfunc
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

        import seqexp.tracking.store.client  # noqa: F401


def import_ahead(tracking: Mapping[str, Any]) -> None:
    """Begin to import it in a process that the run will ask, while this one imports PyTorch.

    Not where the run imports it itself: for a server, and for a database that it has to make.

    Args:
        tracking: the group of the config.
    """
    file = database_file(tracking["uri"]) if tracking["_target_"] == TRACKER else None
    if file is not None and file.is_file() and "mlflow" not in sys.modules and has_room():
        begin_ahead(import_mlflow)  # alone: a store that is unsound is not opened


def prepare(uri: str) -> None:
    """Import it, and open a store."""
    import_mlflow()
    _client(uri).search_experiments(max_results=1)


def send(uri: str, client: Any, run_id: str, files: Path, items: Sequence[Item]) -> list[str]:
    """Deliver items of a run, as `StoredRun.send`.

    Args:
        client: of the store; None: it is a database, and opened here.
        files: folder of the journal's artifacts.
    """
    import_mlflow()
    return _run(uri, client or _client(uri), run_id, files).send(items)


def registered(uri: str, client: Any, run_id: str, name: str) -> str:
    """Make the model of a run a version of a registered model; returns which, in words.

    Raises:
        InputError: as `models.register`; if the store cannot be used.
    """
    import_mlflow()
    from seqexp.tracking.store.models import register

    with input_errors(uri):
        work = functools.partial(register, client or _client(uri), run_id, name)
        file = database_file(uri)
        return str(work() if file is None else patiently(file, work))


def _client(uri: str) -> Any:
    """MLflow's client of a database, of the file that is there now.

    Raises:
        InputError: if there is none: it is not made anew.
    """
    file = database_file(uri)
    assert file is not None
    with _opening:
        found = file.stat() if file.is_file() else None
        # SQLite makes an empty one where a file went away while it was being opened
        if found is None or found.st_size == 0:
            raise InputError(f"{file} is not there")
        return _opened(uri, found.st_ino)


@functools.cache
def _opened(uri: str, inode: int) -> Any:
    from seqexp.tracking.store.client import connect

    return connect(uri, is_written=False)  # else it would make one that goes away meanwhile


@functools.lru_cache(maxsize=1)
def _run(uri: str, client: Any, run_id: str, files: Path) -> "StoredRun":
    from seqexp.tracking.store.client import StoredRun

    return StoredRun(client, run_id, files, curves_of(uri))


def save_model(folder: Path, files: ModelFiles, torch: str, kept: Path | None) -> None:
    """Make a model's folder as MLflow has it, anew.

    Args:
        files: the model's, on this machine.
        torch: its version.
        kept: where the wheel is kept from one run to the next; None: it is made anew.

    Raises:
        OSError: if there is no room.
    """
    import_mlflow()
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, Schema

    signature = ModelSignature(
        inputs=Schema([_column(name, kind) for name, kind in files.inputs.items()]),
        outputs=Schema([_column(name, kind) for name, kind in files.outputs.items()]),
        params=ParamSchema([_param(name, value) for name, value in files.params.items()]),
    )
    quieten()
    shutil.rmtree(folder, ignore_errors=True)  # of a process that ended meanwhile
    with warnings.catch_warnings(), _versions_unchecked():
        warnings.filterwarnings("ignore", message=".*input example.*")
        mlflow.pyfunc.save_model(
            folder,
            loader_module=files.loader_module,
            data_path=str(files.folder),
            signature=signature,
            input_example=_example(files),
            pip_requirements=[wheel.requirement(), f"torch=={torch}"],
            metadata={"example": _in_words(files)},
        )
    wheel.put(folder, kept)


@contextmanager
def _versions_unchecked() -> Iterator[None]:
    """Without MLflow's look at all installed packages, a second of CPU time, for the versions that
    are noted from what runs here.
    """
    from mlflow.utils import environment

    name = "warn_dependency_requirement_mismatches"
    check = getattr(environment, name, None)
    if check is None:  # of another version
        yield
        return
    setattr(environment, name, lambda requirements: None)
    try:
        yield
    finally:
        setattr(environment, name, check)


def _example(files: ModelFiles) -> Any:
    """The example as MLflow takes it: a list for a single column, a table for several."""
    if files.example is None or len(files.inputs) == 1:
        return files.example
    import pandas as pd  # type: ignore[import-untyped]  # MLflow has it already

    return pd.DataFrame([files.example])


def _in_words(files: ModelFiles) -> str:
    """The same, as text where it is one, else as JSON."""
    found = files.example
    is_text = isinstance(found, list) and len(found) == 1 and isinstance(found[0], str)
    return str(found[0]) if is_text else json.dumps(found) if found is not None else ""


def _column(name: str, kind: Kind) -> "ColSpec":
    """A column as MLflow describes it."""
    from mlflow.types import ColSpec
    from mlflow.types.schema import AnyType

    if kind == "features":  # lists of lists of numbers, of which MLflow would refuse integers
        return ColSpec(AnyType(), name or None)  # type: ignore[no-untyped-call]
    return ColSpec(kind, name or None)


def _param(name: str, value: bool | str) -> "ParamSpec":
    """A choice of a request as MLflow describes it."""
    from mlflow.types import ParamSpec

    return ParamSpec(name, "boolean" if isinstance(value, bool) else "string", value)
