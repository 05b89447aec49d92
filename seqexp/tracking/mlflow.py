"""Records runs in MLflow.

Importing this module takes seconds; it is imported when a run starts, not before.
"""

import contextlib
import getpass
import json
import logging
import os
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

# before the import: MLflow starts its telemetry thread while it is imported
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import mlflow.pyfunc
import numpy as np
from filelock import FileLock
from jaxtyping import UInt8
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from seqexp.errors import InputError
from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)

FLUSH_POINTS = 100
FLUSH_SECONDS = 1.0
"""Metrics wait for so many others, or so long: a batch is 30 times faster than single points."""

_MAX_VALUE = 6000
"""Characters of a parameter that MLflow keeps."""


class MlflowTracker:
    """A tracker on an MLflow store.

    Args:
        uri: the tracking store; `sqlite:////absolute/path.db`, or a server's `http://...`.
        artifacts: folder of the artifacts, absolute; None where a server keeps them.
        log_model: keep the trained model with the run.
    """

    def __init__(self, uri: str, artifacts: str | None = None, log_model: bool = True) -> None:
        self.uri = uri
        self.artifacts = artifacts
        self.log_model = log_model
        self.experiment_id = ""
        self.run_id = ""
        self._points: list[Metric] = []
        self._flushed = time.monotonic()

    def start(self, facts: RunFacts) -> str:
        """Begin a run; the first one in a folder creates the database."""
        with _input_errors(self.uri):
            _refuse_broken_database(self.uri)
            with _one_at_a_time(self.uri):
                # two processes that create the tables at once break the database for good
                self.client = MlflowClient(self.uri)
                self.experiment_id = self._experiment(facts)
            tags = {
                "mlflow.user": _user(),
                "mlflow.source.name": "seqexp",
                "mlflow.source.type": "LOCAL",
                **facts.tags,
            }
            if facts.parent:
                tags["mlflow.parentRunId"] = facts.parent
            if facts.run_id:
                self.client.update_run(facts.run_id, status="RUNNING")
                self.run_id = facts.run_id
                return self.run_id
            run = self.client.create_run(self.experiment_id, tags=tags, run_name=facts.name)
        self.run_id = run.info.run_id
        params = [Param(key, _shortened(value)) for key, value in facts.params.items()]
        for start in range(0, len(params), 100):  # MLflow takes a hundred at a time
            self.client.log_batch(self.run_id, params=params[start : start + 100])
        return self.run_id

    def _experiment(self, facts: RunFacts) -> str:
        if facts.parent:  # the page of a sweep lists the runs of its own experiment only
            return str(self.client.get_run(facts.parent).info.experiment_id)
        found = self.client.get_experiment_by_name(facts.experiment)
        if found is None:
            location = Path(self.artifacts).as_uri() if self.artifacts else None
            return str(self.client.create_experiment(facts.experiment, location))
        if found.lifecycle_stage != "active":
            raise InputError(
                f"experiment_name is {facts.experiment!r}, an experiment that was deleted in"
                " MLflow; restore it there, or give another name"
            )
        return str(found.experiment_id)

    def data(self, facts: DataFacts) -> None:
        """A dataset with our own digest: MLflow's own looks at the head of an array only."""
        source = CodeDatasetSource(tags={"mlflow.source.name": "seqexp"})
        entity = DatasetEntity(
            name=facts.name,
            digest=facts.digest[:36],  # all that MLflow keeps; the whole stands in a tag
            source_type=source._get_source_type(),
            source=source.to_json(),
            profile=json.dumps(dict(facts.profile)),
        )
        tag = InputTag("mlflow.data.context", "train, valid, test")
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [tag])])

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Points wait in memory for a batch."""
        now = int(time.time() * 1000)
        self._points += [Metric(key, float(value), now, step) for key, value in values.items()]
        waited = time.monotonic() - self._flushed
        if len(self._points) >= FLUSH_POINTS or waited >= FLUSH_SECONDS:
            self._flush()

    def _flush(self) -> None:
        while self._points:
            self.client.log_batch(self.run_id, metrics=self._points[:1000])
            del self._points[:1000]
        self._flushed = time.monotonic()

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags of the run."""
        self.client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in values.items()])

    def text(self, content: str, path: str) -> None:
        """A text artifact."""
        self.client.log_text(self.run_id, content, path)

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """A JSON artifact that the page shows as a table."""
        columns = {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
        with tempfile.TemporaryDirectory() as folder:  # log_table would add to what is there
            table = {"columns": list(columns), "data": [list(row.values()) for row in rows]}
            file = Path(folder) / Path(path).name
            file.write_text(json.dumps(table), encoding="utf-8")
            folder_of = str(Path(path).parent) if "/" in path else None
            self.client.log_artifact(self.run_id, str(file), folder_of)
        tables = [{"path": path, "type": "table"}]
        self.tags({"mlflow.loggedArtifacts": json.dumps(tables)})

    def figure(self, figure: "Figure", path: str) -> None:
        """A PNG artifact."""
        self.client.log_figure(self.run_id, figure, path)

    def image(self, image: UInt8[np.ndarray, "height width 3"], key: str, step: int) -> None:
        """An image with a step slider, beside the curves."""
        self.client.log_image(self.run_id, image, key=key, step=step)

    def model(self, files: ModelFiles) -> None:
        """A Python-function model, from text to a table of numbers; holds no pickle."""
        if not self.log_model:
            return
        import torch

        signature = ModelSignature(
            inputs=Schema([ColSpec("string")]),
            outputs=Schema([ColSpec("double", name) for name in files.outputs]),
        )
        torch_version = torch.__version__.partition("+")[0]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            # an input example would be run through the model to guess the signature given here
            warnings.filterwarnings("ignore", message=".*input example.*")
            path = Path(folder) / "model"
            mlflow.pyfunc.save_model(
                path,
                loader_module=files.loader_module,
                data_path=str(files.folder),
                signature=signature,
                pip_requirements=["seqexp", f"torch=={torch_version}"],
                metadata={"example": files.example},
            )
            self.client.log_artifacts(self.run_id, str(path), "model")

    def describe(self, markdown: str) -> None:
        """The description of the run."""
        self.tags({"mlflow.note.content": markdown})

    def mark(self) -> int:
        """To be made exact."""
        self._flush()
        return 0

    def finish(self, status: Status) -> None:
        """Write the last points and close the run."""
        try:
            self._flush()
        finally:
            self.client.set_terminated(self.run_id, status)

    def links(self, optimized_metric: str, descending: bool) -> dict[str, str]:
        """The command for a local store, and the pages of the run and its experiment."""
        page = f"/#/experiments/{self.experiment_id}"
        order = quote(f"metrics.`{optimized_metric}`")
        ascending = str(not descending).lower()
        table = f"{page}/runs?workflowType=machine_learning&orderByKey={order}"
        links = {}
        address = self.uri.rstrip("/")
        if not address.startswith("http"):
            address = "http://127.0.0.1:5000"
            python = Path(sys.executable)
            if python.is_relative_to(Path.cwd()):
                python = python.relative_to(Path.cwd())
            # the default starts four workers and a job runner, which a single user never needs
            links["open the UI"] = (
                f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {python} -m mlflow ui --workers 1"
                f" --backend-store-uri {self.uri}"
            )
        links["this run"] = f"{address}{page}/runs/{self.run_id}?workflowType=machine_learning"
        links["all runs"] = f"{address}{table}&orderByAsc={ascending}"
        return links


def _database_file(uri: str) -> Path | None:
    """File of an SQLite store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    file = _database_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        yield


def _refuse_broken_database(uri: str) -> None:
    """Look before MLflow does: it tries a broken file again and again, for minutes."""
    file = _database_file(uri)
    if file is None or not file.exists() or file.stat().st_size == 0:
        return
    if not file.is_file():
        raise InputError(f"tracking.uri names {file}, which is no file; give a path for a database")
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" in tables:
                connection.execute("SELECT count(*) FROM experiments").fetchone()
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"{file}: is not a sound MLflow database ({error}). Nothing was changed. Move it away"
            " and seqexp starts a new one, or give another with tracking.uri"
        ) from error
    if tables and "alembic_version" not in tables:
        raise InputError(
            f"{file}: is a database, but not one of MLflow's (its tables: "
            f"{', '.join(sorted(tables)[:5])}); give another file with tracking.uri"
        )


@contextlib.contextmanager
def _input_errors(uri: str) -> Iterator[None]:
    """Say which store failed, instead of how."""
    try:
        yield
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"tracking.uri is {uri}, which cannot be used: {reason}") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _shortened(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else f"{value[: _MAX_VALUE - 3]}..."
