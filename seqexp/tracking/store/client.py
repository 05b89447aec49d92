"""An MLflow store: how it is opened, and how a journal's items get there.

Importing this module takes seconds; it is imported when a run starts, not before.
"""

import contextlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, RunTag
from mlflow.exceptions import MlflowException

from seqexp.errors import InputError
from seqexp.tracking.journal.items import End, Files, Inputs, Item, Name, Points, Tags
from seqexp.tracking.journal.sender import BATCH_POINTS
from seqexp.tracking.store.address import database_file, fault
from seqexp.tracking.store.answers import guard, within
from seqexp.tracking.store.database import (
    holders,
    is_locked,
    one_at_a_time,
    patiently,
    refuse_unsound,
)
from seqexp.tracking.store.environment import quieten
from seqexp.tracking.store.models import link_metrics, log_model
from seqexp.tracking.store.new_database import make_database
from seqexp.tracking.store.points import Curves
from seqexp.utils.files import refuse_links_below

quieten()
for _noisier in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_noisier).setLevel(logging.CRITICAL)  # a store that is away: we say so once

PROBE_SECONDS = 5
"""A server that takes longer to say that it is there is not."""

REFUSALS = ("INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what no repetition will make it take."""

REFUSED_FILES = (400, 413, 422)
"""The same of a server that is given an artifact: HTTP statuses."""


def connect(uri: str, is_written: bool = True) -> MlflowClient:
    """A client of a store that is there, and sound as far as a look at it can tell.

    Args:
        uri: its address, as the caller names it: what logs in is sent to its host alone.
        is_written: whether it is; a file that is only read has to be there.

    Raises:
        InputError: if it is not, within seconds; where it is locked, within minutes.
    """
    wrong = fault(uri)
    if wrong is not None:
        raise InputError(wrong)
    file = database_file(uri)
    if file is None:
        # short tries: what cannot be sent waits in the journal, not inside a call
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        guard(uri)
        _probe(uri)
        return MlflowClient(uri, uri)  # MLFLOW_REGISTRY_URI is not followed
    guard(None)
    if is_written:
        file.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(file):  # while its tables are made it looks like one of an older MLflow
        refuse_unsound(file, is_written)
        if is_written:
            make_database(file)
        return patiently(file, lambda: MlflowClient(uri, uri))


def _probe(uri: str) -> None:
    address = f"{uri.rstrip('/')}/health"
    try:
        answer = within(PROBE_SECONDS, lambda: requests.get(address, timeout=PROBE_SECONDS))
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
def input_errors(uri: str) -> Iterator[None]:
    """Say which store failed, instead of how."""
    try:
        yield
    except MlflowException as error:
        file = database_file(uri)
        reason = (str(error).strip().splitlines() or [""])[0]
        if file is not None and is_locked(error):
            raise InputError(
                f"{file}: is locked by another process; {holders(file)}. Nothing is lost: try"
                " again when that has ended"
            ) from error
        if file is not None and "readonly database" in reason:
            raise InputError(
                f"{file}: may not be written by you ({reason}); give another with tracking.uri"
            ) from error
        if file is not None and "disk is full" in reason:
            raise InputError(f"{file}: the disk is full ({reason}); make room") from error
        raise InputError(f"tracking.uri is {uri}, which cannot be used: {reason}") from error


def recorded(client: MlflowClient, run_id: str) -> Counter[Name]:
    """Names of all points that the store has of a run."""
    return Counter(
        ("point", key, point.step)
        for key in client.get_run(run_id).data.metrics
        for point in client.get_metric_history(run_id, key)
    )


def is_refusal(error: Exception) -> bool:
    """The store will never take it, or must not have it; otherwise it may only be away."""
    if isinstance(error, InputError):
        return True
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code in REFUSED_FILES
    return isinstance(error, MlflowException) and error.error_code in REFUSALS


class StoredRun:
    """A run in a store, to which items are sent; sending one again changes nothing.

    Args:
        client: of the store.
        run_id: the run's.
        files: folder of the journal's artifacts.
        curves: of the store, where points can be written without MLflow.
    """

    def __init__(
        self, client: MlflowClient, run_id: str, files: Path, curves: Curves | None = None
    ) -> None:
        self.client = client
        self.run_id = run_id
        self.files = files
        self.curves = curves
        self._has_images = False  # as far as is known

    def send(self, items: Sequence[Item]) -> list[str]:
        """Deliver points together, or one other item; returns what is refused for good, and why.

        Raises:
            Exception: if the store cannot take it now.
        """
        points = [
            (key, value, item.time, item.step)
            for item in items
            if isinstance(item, Points)
            for key, value in item.values.items()
        ]
        refused: list[str] = []
        if points and not (self.curves is not None and self.curves.add(self.run_id, points)):
            for start in range(0, len(points), BATCH_POINTS):
                batch = points[start : start + BATCH_POINTS]
                refused += self._points([Metric(*point) for point in batch])
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
            if item.status == "FINISHED":
                link_metrics(self.client, self.run_id)

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
        refuse_links_below(folder)  # they might lead to any file of who delivers
        if item.model is not None:
            log_model(self.client, self.run_id, folder / item.model)
            return
        self.client.log_artifacts(self.run_id, str(folder))
        if item.image is not None and not self._has_images:
            self._tags({"mlflow.loggedImages": "True"})
            self._has_images = True
        if item.table is not None:
            self._list_table(item.table)

    def _list_table(self, path: str) -> None:
        """Set the tag by which MLflow's page knows tables; `log_table` would append each time."""
        tags = self.client.get_run(self.run_id).data.tags
        tables = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in tables:
            self._tags({"mlflow.loggedArtifacts": json.dumps([*tables, entry])})


def _shown(item: Item) -> str:
    """The kind of an item, for a message."""
    if isinstance(item, Tags):
        return f"the tags {', '.join(item.values)}"
    return f"{type(item).__name__.lower()} {getattr(item, 'folder', '')}".strip()


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
