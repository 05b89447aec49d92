"""An MLflow store: how it is opened, and how a journal's items get there.

Importing this module takes seconds; it is imported when a run starts, not before.
"""

import contextlib
import json
import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import requests
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, RunTag
from mlflow.exceptions import MlflowException

from seqexp.errors import InputError
from seqexp.tracking.address import database_file, fault, is_served
from seqexp.tracking.items import End, Files, Inputs, Item, Name, Points, Tags
from seqexp.tracking.outbox import BATCH_POINTS

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)
for _noisier in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_noisier).setLevel(logging.CRITICAL)  # a store that is away: we say so once

PROBE_SECONDS = 5
"""A server that takes longer to say that it is there is not."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what no repetition will make it take."""

REFUSED_FILES = (400, 413, 422)
"""The same of a server that is given an artifact: HTTP statuses."""


def connect(uri: str) -> MlflowClient:
    """A client of a store that is there, and sound as far as a look at it can tell.

    Raises:
        InputError: if it is not, within seconds.
    """
    wrong = fault(uri)
    if wrong is not None:
        raise InputError(wrong)
    if is_served(uri):
        # short tries: what cannot be sent waits in the journal, not inside a call
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        _probe(uri)
    _refuse_broken_database(uri)
    with _one_at_a_time(uri):
        return MlflowClient(uri)


def _probe(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS)
        if answer.status_code < 500:
            return
        reason = f"HTTP status {answer.status_code}"
    except requests.RequestException as error:
        reason = type(error).__name__
    raise InputError(
        f"tracking.uri is {uri}, where no MLflow server answers ({reason}); start one (see"
        " conf/tracking/server.yaml), or give tracking=mlflow for a file of your own"
    )


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Two processes that create the tables of a database at once break it for good."""
    file = database_file(uri)
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        yield


def _refuse_broken_database(uri: str) -> None:
    """Look before MLflow does: it tries a broken file again and again, for minutes."""
    file = database_file(uri)
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
def input_errors(uri: str) -> Iterator[None]:
    """Say which store failed, instead of how."""
    try:
        yield
    except MlflowException as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"tracking.uri is {uri}, which cannot be used: {reason}") from error


def recorded(client: MlflowClient, run_id: str) -> Counter[Name]:
    """Names of all points that the store has of a run."""
    return Counter(
        ("point", key, point.step)
        for key in client.get_run(run_id).data.metrics
        for point in client.get_metric_history(run_id, key)
    )


def is_refusal(error: Exception) -> bool:
    """The store will never take it; otherwise it may only be away."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in REFUSED_FILES
    return isinstance(error, MlflowException) and error.error_code in REFUSALS


class StoredRun:
    """A run in a store, to which items are sent; sending one again changes nothing.

    Args:
        files: folder of the journal's artifacts.
    """

    def __init__(self, client: MlflowClient, run_id: str, files: Path) -> None:
        self.client = client
        self.run_id = run_id
        self.files = files
        self._has_images = False  # as far as is known

    def send(self, items: Sequence[Item]) -> list[str]:
        """Deliver points together, or one other item; returns what is refused for good, and why.

        Raises:
            Exception: if the store cannot take it now.
        """
        points = [
            Metric(key, value, item.time, item.step)
            for item in items
            if isinstance(item, Points)
            for key, value in item.values.items()
        ]
        refused: list[str] = []
        for start in range(0, len(points), BATCH_POINTS):
            refused += self._points(points[start : start + BATCH_POINTS])
        for item in items:
            try:
                self._other(item)
            except Exception as error:
                if not is_refusal(error):
                    raise
                refused.append(f"{_shown(item)} ({_reason(error)})")
        return refused

    def _points(self, points: list[Metric]) -> list[str]:
        """The store drops a row that it has: same key, value, time and step."""
        try:
            self.client.log_batch(self.run_id, metrics=points)
        except MlflowException as error:
            if not is_refusal(error):
                raise
            if len(points) > 1 and self._is_active():  # find the one that it is about
                half = len(points) // 2
                return self._points(points[:half]) + self._points(points[half:])
            return [f"{point.key} at step {point.step} ({_reason(error)})" for point in points]
        return []

    def _is_active(self) -> bool:
        return bool(self.client.get_run(self.run_id).info.lifecycle_stage == "active")

    def _other(self, item: Item) -> None:
        if isinstance(item, Tags):
            self._tags(item.values)
        elif isinstance(item, Inputs):
            self._inputs(item)
        elif isinstance(item, Files):
            self._artifacts(item)
        elif isinstance(item, End):
            self.client.set_terminated(self.run_id, item.status, item.time)

    def _tags(self, values: Mapping[str, str]) -> None:
        self.client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in values.items()])

    def _inputs(self, item: Inputs) -> None:
        """A dataset with our own digest: MLflow's own looks at the head of an array only."""
        source = CodeDatasetSource(tags={"mlflow.source.name": "seqexp"})
        entity = DatasetEntity(
            name=item.name,
            digest=item.digest[:36],  # all that MLflow keeps; the whole stands in a tag
            source_type=source._get_source_type(),
            source=source.to_json(),
            profile=json.dumps(dict(item.profile)),
        )
        tag = InputTag("mlflow.data.context", "train, valid, test")
        self.client.log_inputs(self.run_id, [DatasetInput(entity, [tag])])

    def _artifacts(self, item: Files) -> None:
        folder = self.files / item.folder
        if not folder.is_dir():  # removed after it was delivered
            return
        self.client.log_artifacts(self.run_id, str(folder))
        if item.image is not None and not self._has_images:
            self._tags({"mlflow.loggedImages": "True"})
            self._has_images = True
        if item.table is not None:
            self._list_table(item.table)

    def _list_table(self, path: str) -> None:
        """What MLflow's page knows tables by; its own `log_table` appends when it is repeated."""
        tags = self.client.get_run(self.run_id).data.tags
        tables = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in tables:
            self._tags({"mlflow.loggedArtifacts": json.dumps([*tables, entry])})


def _shown(item: Item) -> str:
    """What an item is, for a message."""
    if isinstance(item, Tags):
        return f"the tags {', '.join(item.values)}"
    return f"{type(item).__name__.lower()} {getattr(item, 'folder', '')}".strip()


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
