"""Records runs in MLflow, by way of a journal.

Importing this module takes seconds; it is imported when a run starts, not before.
"""

import getpass
import json
import logging
import math
import os
import shlex
import shutil
import socket
import sys
import tempfile
import time
import uuid
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from seqexp.tracking.store import (  # first: it sets MLflow's environment before the import
    StoredRun,
    connect,
    input_errors,
    is_refusal,
    one_at_a_time,
    recorded,
)

import mlflow.pyfunc  # isort: skip
import numpy as np
from jaxtyping import UInt8
from mlflow.entities import Param
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking.multimedia import compress_image_size
from mlflow.types import ColSpec, Schema
from PIL import Image

from seqexp.errors import InputError
from seqexp.ranges import NotNegative
from seqexp.tracking.address import is_served
from seqexp.tracking.items import End, Files, Inputs, Item, Name, Points, Tags
from seqexp.tracking.journal import Journal
from seqexp.tracking.note import JOURNAL, Note
from seqexp.tracking.orphans import FOLDER, HOST, PID, close_orphans
from seqexp.tracking.outbox import Outbox, Postman
from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

TOKEN = "seqexp.token"
"""Tag by which a run is found whose id could not be noted."""

HURRIED_PATIENCE_SECONDS = 10
"""Of a run that was interrupted: who interrupts it may not wait for long."""

_MAX_VALUE = 6000
"""Characters of a parameter that MLflow keeps."""


class MlflowTracker:
    """A tracker on an MLflow store.

    All that a run tells is written to a journal in its folder and sent from there, by a thread:
    a store that is slow or away does not slow or end the run.

    Args:
        uri: the tracking store; `sqlite:////absolute/path.db`, or a server's `http://...`.
        artifacts: folder of the artifacts, absolute; None where a server keeps them.
        log_model: keep the trained model with the run.
        patience_seconds: how long a finished run tries to deliver what is left.
    """

    def __init__(
        self,
        uri: str,
        artifacts: str | None = None,
        log_model: bool = True,
        patience_seconds: NotNegative = 60.0,
    ) -> None:
        self.uri = uri
        self.artifacts = artifacts
        self.log_model = log_model
        self.patience_seconds = patience_seconds
        self.experiment_id = ""
        self.run_id = ""

    def start(self, facts: RunFacts) -> str:
        """Begin a run, or go on with one; the first run in a folder creates the database."""
        with input_errors(self.uri):
            with one_at_a_time(self.uri):
                self.client = connect(self.uri)
                self.experiment_id = self._experiment(facts)
            self._make_folder(facts.folder)
            self._begin_or_go_on(facts)
            close_orphans(self.client, (self.run_id, facts.parent))
            self._open_journal(facts)
        return self.run_id

    def _experiment(self, facts: RunFacts) -> str:
        if facts.parent:  # the page of a sweep lists the runs of its own experiment only
            return str(self.client.get_run(facts.parent).info.experiment_id)
        found = self.client.get_experiment_by_name(facts.experiment)
        if found is None:
            location = None
            if self.artifacts and not is_served(self.uri):
                location = Path(self.artifacts).as_uri()
            try:
                return str(self.client.create_experiment(facts.experiment, location))
            except MlflowException as error:  # on a server, another run may just have done so
                found = self.client.get_experiment_by_name(facts.experiment)
                if found is None or not is_refusal(error):
                    raise
        if found.lifecycle_stage != "active":
            raise InputError(
                f"experiment_name is {facts.experiment!r}, an experiment that was deleted in"
                " MLflow; restore it there, or give another name"
            )
        return str(found.experiment_id)

    def _make_folder(self, folder: Path | None) -> None:
        """The run's folder, or one that is there until all is delivered."""
        self._passing: weakref.finalize[..., Any] | None = None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="seqexp-"))
            self._passing = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder.absolute()

    def _begin_or_go_on(self, facts: RunFacts) -> None:
        journal = self._folder / JOURNAL
        note = Note.read(journal)
        if facts.run_id and note and note.run_id not in (None, facts.run_id):
            raise InputError(f"{journal} belongs to run {note.run_id}, not to {facts.run_id}")
        token = note.token if note else uuid.uuid4().hex
        run_id = facts.run_id or (note and (note.run_id or self._begun(token)))
        if run_id:
            self._go_on(run_id)
        else:
            Note(self.uri, token).write(journal)
            run_id = self._create(facts, token)
        Note(self.uri, token, run_id).write(journal)
        self.run_id = run_id
        if not facts.run_id:
            self._params(facts)

    def _begun(self, token: str) -> str | None:
        """The run that a process created which was killed before it could note its id."""
        found = self.client.search_runs([self.experiment_id], f"tags.`{TOKEN}` = '{token}'")
        return str(found[0].info.run_id) if found else None

    def _create(self, facts: RunFacts, token: str) -> str:
        tags = {
            "mlflow.user": _user(),
            "mlflow.source.name": "seqexp",
            "mlflow.source.type": "LOCAL",
            TOKEN: token,
            **self._place(facts),
            **facts.tags,
        }
        if facts.parent:
            tags["mlflow.parentRunId"] = facts.parent
        run = self.client.create_run(self.experiment_id, tags=tags, run_name=facts.name)
        return str(run.info.run_id)

    def _place(self, facts: RunFacts) -> dict[str, str]:
        place = {HOST: socket.gethostname(), PID: str(os.getpid())}
        return place | ({FOLDER: str(self._folder)} if facts.folder else {})

    def _go_on(self, run_id: str) -> None:
        try:
            self.client.update_run(run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST" and not is_refusal(error):
                raise
            raise InputError(
                f"{self._folder}: its run {run_id} cannot be continued in {self.uri} ({error});"
                " give the tracking.uri that it was started with, restore the run, or move the"
                " folder away to start anew"
            ) from error
        self.experiment_id = str(self.client.get_run(run_id).info.experiment_id)
        self.client.set_tag(run_id, HOST, socket.gethostname())
        self.client.set_tag(run_id, PID, str(os.getpid()))

    def _params(self, facts: RunFacts) -> None:
        params = [Param(key, _shortened(value)) for key, value in facts.params.items()]
        for start in range(0, len(params), 100):  # MLflow takes a hundred at a time
            self.client.log_batch(self.run_id, params=params[start : start + 100])

    def _open_journal(self, facts: RunFacts) -> None:
        self._journal = Journal(self._folder / JOURNAL, first=facts.mark)
        again = self._journal.comes_again(facts.mark)
        if again is None:
            log.warning(
                f"{self._journal.folder} does not hold what was told up to the checkpoint; what"
                " the store has of this run is not recorded again"
            )
            again = recorded(self.client, self.run_id)
        self._again: Counter[Name] = again
        run = StoredRun(self.client, self.run_id, self._journal.files)
        self._outbox = Outbox(self._journal, run.send, since=self._journal.told)
        self._postman = Postman(self._outbox, self.uri)

    def _tell(self, item: Item) -> None:
        self._journal.append(item)
        self._postman.told(item)

    def _is_told(self, *name: *Name) -> bool:
        """Whether it was told before the run was cut off, and comes again; once for each time."""
        if not self._again[name]:
            return False
        self._again[name] -= 1
        return True

    def mark(self) -> int:
        """Put on disk what was told, for a checkpoint that keeps this number."""
        return self._journal.mark(self._again)

    def data(self, facts: DataFacts) -> None:
        """An input of the run."""
        self._tell(Inputs(facts.name, facts.digest, facts.profile))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Points, of which many are sent together."""
        points = {key: float(value) for key, value in values.items()}
        if self._again:
            points = {k: v for k, v in points.items() if not self._is_told("point", k, step)}
        if points:
            self._tell(Points(points, step, _milliseconds()))

    def tags(self, values: Mapping[str, str]) -> None:
        """Tags of the run."""
        self._tell(Tags(dict(values)))

    def text(self, content: str, path: str) -> None:
        """A text artifact."""
        self._keep(path, lambda file: file.write_text(content, encoding="utf-8"))

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """A JSON artifact that the page shows as a table."""
        columns = list(rows[0]) if rows else []
        data = [[_plain(row[column]) for column in columns] for row in rows]
        content = json.dumps({"columns": columns, "data": data})
        self._keep(path, lambda file: file.write_text(content, encoding="utf-8"), table=path)

    def figure(self, figure: "Figure", path: str) -> None:
        """A PNG artifact."""
        self._keep(path, figure.savefig)

    def image(self, image: UInt8[np.ndarray, "height width 3"], key: str, step: int) -> None:
        """An image with a step slider, beside the curves.

        Source: `MlflowClient.log_image`, whose file names the page reads.
        """
        if self._is_told("image", key, step):
            return
        picture = Image.fromarray(image)
        series = key.replace("/", "~")
        name = f"images/{series}+step+{step}+timestamp+{_milliseconds()}+{uuid.uuid4()}"

        def write(file: Path) -> None:
            picture.save(file)
            compress_image_size(picture).save(file.with_name(f"{file.stem}+compressed.webp"))

        self._keep(f"{name}.png", write, image=(key, step))

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

        def write(folder: Path) -> None:
            with warnings.catch_warnings():
                # an input example would be run through the model to guess the signature given here
                warnings.filterwarnings("ignore", message=".*input example.*")
                mlflow.pyfunc.save_model(
                    folder,
                    loader_module=files.loader_module,
                    data_path=str(files.folder),
                    signature=signature,
                    pip_requirements=["seqexp", f"torch=={torch_version}"],
                    metadata={"example": files.example},
                )

        self._keep("model", write)

    def _keep(self, path: str, write: Callable[[Path], Any], **what: Any) -> None:
        """Write an artifact beside the journal, then tell of it."""
        try:
            folder = self._journal.new_files()
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write(folder / path)
        except OSError as error:  # a full disk must not end a training
            log.warning(f"tracking: {path} could not be kept ({error})")
        else:
            self._tell(Files(folder.name, **what))

    def describe(self, markdown: str) -> None:
        """The description of the run."""
        self.tags({"mlflow.note.content": markdown})

    def finish(self, status: Status) -> None:
        """Close the run when all before has been delivered, and say so if it has not."""
        self._tell(End(status, _milliseconds()))
        patience = self.patience_seconds
        if status == "KILLED":
            patience = min(patience, HURRIED_PATIENCE_SECONDS)
        if self._postman.close(patience):
            self._journal.close()
            if self._passing is not None:
                self._passing()
            return
        if self._passing is not None:
            self._passing.detach()
        log.warning(
            f"\ntracking: {self._outbox.left} items of run {self.run_id} are NOT YET in {self.uri}"
            f"\n  reason: {self._outbox.reason or 'it is too slow'}"
            f"\n  They are kept in {self._folder / JOURNAL}, nothing is lost."
            "\n  When the store is there again, send them:"
            f"\n    python -m seqexp.tracking.deliver {shlex.quote(str(self._folder))}\n"
        )

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


def _plain(value: Any) -> Any:
    """A cell as JSON has it, which has no numbers that are none."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _shortened(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else f"{value[: _MAX_VALUE - 3]}..."
