"""Records runs in MLflow, by way of a journal.

Importing this module takes seconds; it is imported when a run starts, not before.
"""

import atexit
import io
import json
import logging
import math
import shlex
import shutil
import tempfile
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from PIL import Image

from seqexp.names import visible
from seqexp.ranges import NotNegative
from seqexp.tracking.beginning import Beginning
from seqexp.tracking.items import End, Files, Inputs, Item, Name, Points, Tags
from seqexp.tracking.journal import Journal
from seqexp.tracking.links import links
from seqexp.tracking.note import JOURNAL
from seqexp.tracking.orphans import close_orphans
from seqexp.tracking.outbox import Outbox, Postman
from seqexp.tracking.store import StoredRun, connect, input_errors, recorded
from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

HURRIED_PATIENCE_SECONDS = 10
"""Of a run that was interrupted: who interrupts it may not wait for long."""

PREVIEW = 256
"""Pixels of the longer side of what the page loads before the image, as MLflow makes it."""


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
            self.client = connect(self.uri)
            self._make_folder(facts.folder)
            begin = Beginning(self.client, self.uri, self.artifacts, self._folder / JOURNAL)
            self.run_id, self.experiment_id = begin(facts)
            close_orphans(self.client, (self.run_id, facts.parent))
            self._open_journal(facts)
        return self.run_id

    def _make_folder(self, folder: Path | None) -> None:
        """The run's folder, or one that is there until all is delivered."""
        self._remove: Callable[[], None] | None = None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="seqexp-"))
            self._remove = partial(shutil.rmtree, folder, ignore_errors=True)
            atexit.register(self._remove)
        self._folder = folder.absolute()

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
        self._tell(Tags({key: visible(value) for key, value in values.items()}))

    def text(self, content: str, path: str) -> None:
        """A text artifact."""
        # half of a surrogate pair has no encoding; it must not end a run that has trained
        data = content.encode("utf-8", "backslashreplace")
        self._keep(path, lambda file: file.write_bytes(data))

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """A JSON artifact that the page shows as a table."""
        columns = list(rows[0]) if rows else []
        data = [[_plain(row[column]) for column in columns] for row in rows]
        content = json.dumps({"columns": columns, "data": data})
        self._keep(path, lambda file: file.write_text(content, encoding="utf-8"), table=path)

    def figure(self, figure: "Figure", path: str) -> None:
        """A PNG artifact."""
        from seqexp.drawing import save  # with Matplotlib, which who draws has imported

        self._keep(path, partial(save, figure))

    def image(self, image: bytes, key: str, step: int) -> None:
        """A PNG image with a step slider, beside the curves.

        Source: `MlflowClient.log_image`, whose file names the page reads.
        """
        if self._is_told("image", key, step):
            return
        series = key.replace("/", "~")
        name = f"images/{series}+step+{step}+timestamp+{_milliseconds()}+{uuid.uuid4()}"

        def write(file: Path) -> None:
            file.write_bytes(image)
            small = Image.open(io.BytesIO(image)).convert("RGB")
            small.thumbnail((PREVIEW, PREVIEW), Image.Resampling.BOX)
            small.save(file.with_name(f"{file.stem}+compressed.webp"), method=0)

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
        is_delivered = self._postman.close(patience)
        if is_delivered:
            self._journal.close()
        if self._remove is not None:
            atexit.unregister(self._remove)
            if is_delivered:
                self._remove()
        if not is_delivered:
            self._say_undelivered()

    def _say_undelivered(self) -> None:
        log.warning(
            f"\ntracking: {self._outbox.left} items of run {self.run_id} are NOT YET in {self.uri}"
            f"\n  reason: {self._outbox.reason or 'it is too slow'}"
            f"\n  They are kept in {self._folder / JOURNAL}, nothing is lost."
            "\n  When the store is there again, send them:"
            f"\n    python -m seqexp.tracking.deliver {shlex.quote(str(self._folder))}\n"
        )

    def links(self, optimized_metric: str) -> dict[str, str]:
        """The command for a local store, and the pages of the run and its experiment."""
        return links(self.uri, self.experiment_id, self.run_id, optimized_metric)


def _plain(value: Any) -> Any:
    """A cell as JSON has it, which has no numbers that are none."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _milliseconds() -> int:
    return int(time.time() * 1000)
