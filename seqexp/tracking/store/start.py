"""Begins a run in a store exactly once, whatever interrupts it."""

import getpass
import os
import re
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.errors import InputError
from seqexp.metrics import higher_is_better
from seqexp.tracking.journal.note import Note
from seqexp.tracking.labels import NOTES, changes
from seqexp.tracking.store.address import absolute, is_served
from seqexp.tracking.store.orphans import FOLDER, HOST, PID
from seqexp.tracking.store.quick import Pair, QuickClient, is_of_mlflow
from seqexp.tracking.store.view import view_of_runs
from seqexp.tracking.tracker import RunFacts
from seqexp.utils.names import one_line, visible

if TYPE_CHECKING:
    from mlflow import MlflowClient

TOKEN = "seqexp.token"
"""Tag by which a run is found whose id could not be noted."""

_MAX_VALUE, _MAX_KEY = 6000, 250
"""Characters of a parameter, and of its key, that MLflow keeps."""

_MAX_NAME = 500
"""Characters of an experiment's name that MLflow takes."""


class Beginning:
    """Creates a run, or continues one.

    Args:
        artifacts: folder for those of a new experiment; None where a server keeps them.
        journal: folder in which the run is noted.
    """

    def __init__(
        self, client: "MlflowClient | QuickClient", uri: str, artifacts: str | None, journal: Path
    ) -> None:
        self.client = client
        self.uri = uri
        self.artifacts = None if is_served(uri) else artifacts
        self.journal = journal
        self._is_new = False  # whether this process has created the run

    def __call__(self, facts: RunFacts) -> tuple[str, str]:
        """Ids of the run and its experiment.

        Raises:
            InputError: if the run to go on with is not there.
        """
        note = Note.read(self.journal)
        if facts.run_id and note and note.run_id not in (None, facts.run_id):
            raise InputError(f"{self.journal} is of run {note.run_id}, not of {facts.run_id}")
        token = note.token if note else uuid.uuid4().hex
        known = facts.run_id or (note.run_id if note else None)
        experiment = self._experiment_of(known) if known else self._experiment(facts)
        run_id = known or (self._begun(token) if note else None)
        uri = absolute(self.uri)
        if run_id is None:
            Note(uri, token).write(self.journal)
            run_id = self._create(experiment, facts, token)
        else:
            experiment = experiment if known else self._experiment_of(run_id)
            self._go_on(run_id)
        Note(uri, token, run_id).write(self.journal)
        if facts.run_id is None:
            self._log_params(run_id, facts)
            self._choose_columns(experiment, facts)
        return run_id, experiment

    def labels(self, run_id: str, facts: RunFacts) -> dict[str, str]:
        """Give a run that goes on its tags and notes; returns the notes, old or new."""
        given = _labels(facts)
        tags = given if self._is_new else labelled(self.client, run_id, given)
        return {NOTES: tags[NOTES]} if NOTES in tags else {}

    def _choose_columns(self, experiment: str, facts: RunFacts) -> None:
        """Choose the columns of the table of runs that the printed address opens."""
        metric = facts.params.get("optimized_metric")
        if metric is None:
            return
        more = (metric, higher_is_better(metric), facts.headline, facts.columns)
        try:
            tags = self.client.get_experiment(experiment).tags
            name, value = view_of_runs(*more, tags.get(view_of_runs(*more)[0]))
            if tags.get(name) != value:
                self.client.set_experiment_tag(experiment, name, value)
        except Exception as error:  # a table without them is no reason to fail
            if not is_of_mlflow(error):
                raise

    def _experiment_of(self, run_id: str) -> str:
        with self._unless_gone(run_id):
            return str(self.client.get_run(run_id).info.experiment_id)

    @contextmanager
    def _unless_gone(self, run_id: str) -> Iterator[None]:
        """Say of a run that is not there what to do."""
        try:
            yield
        except Exception as error:
            is_gone = getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
            if not is_of_mlflow(error) or not (is_gone or _is_refusal(error)):
                raise
            raise InputError(
                f"{self.journal.parent}: its run {run_id} cannot be continued in {self.uri}"
                f" ({error}); give the tracking.uri that it was started with, restore the run, or"
                " move the folder away to start anew"
            ) from error

    def _experiment(self, facts: RunFacts) -> str:
        if facts.parent:  # the page of a sweep lists the runs of its own experiment only
            return str(self.client.get_run(facts.parent).info.experiment_id)
        name = visible(facts.experiment)
        if len(name) > _MAX_NAME:
            raise InputError(
                f"experiment_name is {one_line(name)!r}, of {len(name):,} characters; give at most"
                f" {_MAX_NAME}"
            )
        found = self.client.get_experiment_by_name(name)
        if found is None:
            return self._new_experiment(name)
        if found.lifecycle_stage != "active":
            raise InputError(
                f"experiment_name is {facts.experiment!r}, an experiment that was deleted in"
                " MLflow; restore it there, or give another name"
            )
        return str(found.experiment_id)

    def _new_experiment(self, name: str) -> str:
        location = Path(self.artifacts).as_uri() if self.artifacts else None
        try:
            return str(self.client.create_experiment(name, location))
        except Exception as error:  # another run may just have done so
            if not is_of_mlflow(error):
                raise
            found = self.client.get_experiment_by_name(name)
            if found is None and _is_refusal(error):
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"experiment_name is {name[:40]!r}, which MLflow does not take ({reason});"
                    " give another"
                ) from error
            if found is None or not _is_refusal(error):
                raise
            return str(found.experiment_id)

    def _begun(self, token: str) -> str | None:
        """The run that a process created which was killed before it could note its id.

        Of several, as a request that was repeated makes them, the first; the others are closed.
        """
        experiments = [found.experiment_id for found in self.client.search_experiments()]
        query, order = f"tags.`{TOKEN}` = '{token}'", ["attributes.start_time ASC"]
        found = list(self.client.search_runs(experiments, query, order_by=order))
        for double in found[1:]:
            self.client.set_terminated(double.info.run_id, "KILLED")
        return str(found[0].info.run_id) if found else None

    def _create(self, experiment: str, facts: RunFacts, token: str) -> str:
        tags = {
            "mlflow.user": _user(),
            "mlflow.source.name": "seqexp",
            "mlflow.source.type": "LOCAL",
            TOKEN: token,
            **_place(),
            **facts.tags,
            **changes({}, _labels(facts)),
        }
        if facts.folder:
            tags[FOLDER] = str(facts.folder.absolute())
        if facts.parent:
            tags["mlflow.parentRunId"] = facts.parent
        self._is_new = True
        run = self.client.create_run(experiment, tags=tags, run_name=one_line(facts.name, _MAX_KEY))
        return str(run.info.run_id)

    def _go_on(self, run_id: str) -> None:
        with self._unless_gone(run_id):
            self.client.update_run(run_id, status="RUNNING")
        for tag, value in _place().items():
            self.client.set_tag(run_id, tag, value)

    def _log_params(self, run_id: str, facts: RunFacts) -> None:
        values = {_key(key): _shortened(visible(value)) for key, value in facts.params.items()}
        params = [self._param(key, value) for key, value in values.items()]
        for start in range(0, len(params), 100):  # MLflow takes a hundred at a time
            try:
                self.client.log_batch(run_id, params=params[start : start + 100])
            except Exception as error:
                # it was begun by another command of the same run, whose words for it stay
                if "Changing param values" not in str(error):
                    raise

    def _param(self, key: str, value: str) -> Any:
        if isinstance(self.client, QuickClient):
            return Pair(key, value)
        from mlflow.entities import Param

        return Param(key, value)


def _is_refusal(error: Exception) -> bool:
    """Whether MLflow will never take it; an error of its own has imported it."""
    from seqexp.tracking.store.client import is_refusal

    return is_refusal(error)


def labelled(client: Any, run_id: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Give a run tags and notes; returns all tags that it has then."""
    tags: dict[str, str] = dict(client.get_run(run_id).data.tags)
    changed = changes(tags, labels)
    for key, value in changed.items():
        client.set_tag(run_id, key, value)
    return {**tags, **changed}


def _labels(facts: RunFacts) -> dict[str, str]:
    return {key: visible(value) for key, value in facts.labels.items()}


def _place() -> dict[str, str]:
    return {HOST: socket.gethostname(), PID: str(os.getpid())}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _key(key: str) -> str:
    """A key as MLflow takes it: of letters, digits and a few signs, and no path that climbs."""
    parts = re.sub(r"[^\w.\- :/]", "_", key).split("/")
    return "/".join(part if part.strip(".") else f"_{part}" for part in parts)[:_MAX_KEY]


def _shortened(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else f"{value[: _MAX_VALUE - 3]}..."
