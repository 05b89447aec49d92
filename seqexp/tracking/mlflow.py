"""Records runs in MLflow, by way of a journal.

A run is begun without MLflow, whose import takes seconds, where that can be; what is told lies in
the journal. A process beside the run imports MLflow when the training begins, and does what takes
it. Where there is none, the run imports it: some seconds into a training, or for its first figure.
"""

import atexit
import io
import json
import logging
import math
import shutil
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from seqexp.errors import RunError
from seqexp.ranges import NotNegative
from seqexp.tracking.journal.items import MODEL, End, Inputs, Item, Name, Points, Tags
from seqexp.tracking.journal.journal import Journal
from seqexp.tracking.journal.note import JOURNAL, UNWRITTEN, Note, deliver_command
from seqexp.tracking.journal.sender import Outbox, Postman, first_line
from seqexp.tracking.journal.waiting import Waiting, lines
from seqexp.tracking.labels import PAGE, REGISTERED, page
from seqexp.tracking.store.address import absolute, database_file
from seqexp.tracking.store.database import holders, patiently
from seqexp.tracking.store.delivery import (
    import_mlflow,
    prepare,
    registered,
    save_model,
    send,
)
from seqexp.tracking.store.environment import unfollowed
from seqexp.tracking.store.links import links
from seqexp.tracking.store.orphans import close_orphans
from seqexp.tracking.store.quick import input_errors, opened
from seqexp.tracking.store.start import Beginning, labelled
from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status
from seqexp.utils.beside import Picture, png_of
from seqexp.utils.companion import Companion, LostCompanionError, has_room, taken
from seqexp.utils.files import inside, write_whole
from seqexp.utils.names import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

T = TypeVar("T")

PROMPT_SECONDS = 5.0
"""A training that has gone on for so long has its points sent; of a shorter one they are sent when
figures are drawn, beside which MLflow is imported."""

HURRIED_PATIENCE_SECONDS = 10
"""Of a run that was interrupted: who interrupts it may not wait for long."""

WHEELS = ".wheels"
"""Folder, among those of artifacts, of the wheels that models have hard links to."""

FINGERPRINT = "seqexp.fingerprint"
"""Tag of each run that trains something."""

PREVIEW = 256
"""Pixels at most of the longer side of what the page loads before the image; MLflow's has them."""


class MlflowTracker:
    """A tracker on an MLflow store.

    All that a run tells is written to a journal in its folder and sent from there, by a thread:
    a store that is slow or away does not slow or end the run.

    Args:
        uri: the tracking store; `sqlite:////absolute/path.db`, or a server's `http://...`.
        artifacts: folder of the artifacts, absolute; None where a server keeps them.
        log_model: keep the trained model with the run.
        patience_seconds: how long a finished run tries to deliver what is left.
        register: name of a registered model that the trained one becomes a version of.
        system_metrics: record memory and CPU of the process.
    """

    keeps = True

    def __init__(
        self,
        uri: str,
        artifacts: str | None = None,
        log_model: bool = True,
        patience_seconds: NotNegative = 60.0,
        register: str | None = None,
        system_metrics: bool = False,
    ) -> None:
        self.uri = uri
        self.artifacts = artifacts
        self.log_model = log_model
        self.patience_seconds = patience_seconds
        self.register = register
        self.system_metrics = system_metrics
        self._has_model = False
        self.experiment_id = ""
        self.run_id = ""

    def start(self, facts: RunFacts) -> str:
        """Begin a run, or continue one; the first run in a folder creates the database."""
        with input_errors(self.uri):
            self.client = opened(self.uri)
            if self.register is not None:
                from seqexp.tracking.store.models import refuse_without_registry

                refuse_without_registry(self.client, self.uri, self.register)
            self._make_folder(facts.folder)
            begin = Beginning(self.client, self.uri, self.artifacts, self._folder / JOURNAL)
            self.run_id, self.experiment_id = self._patiently(lambda: begin(facts))
            self._own = (self.run_id, facts.parent)
            self._patiently(lambda: close_orphans(self.client, self._own))
            self._labels = self._patiently(lambda: begin.labels(self.run_id, facts))
            self._open_journal(facts)
        if facts.parent is None and (told := unfollowed(self.uri)):
            log.warning(told)
        return self.run_id

    def _patiently(self, work: Callable[[], T]) -> T:
        """Do what changes nothing when it is repeated, also where a database is locked."""
        file = database_file(self.uri)
        return work() if file is None else patiently(file, work)

    def _make_folder(self, folder: Path | None) -> None:
        """The run's folder, or one that is there until all is delivered."""
        self._remove: Callable[[], None] | None = None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="seqexp-"))
            self._remove = partial(shutil.rmtree, folder, ignore_errors=True)
            atexit.register(self._remove)
        self._folder = folder.absolute()
        inside(self._folder, JOURNAL)
        with suppress(OSError):
            (self._folder / JOURNAL / UNWRITTEN).unlink(missing_ok=True)

    def _open_journal(self, facts: RunFacts) -> None:
        self._journal = Journal(self._folder / JOURNAL, first=facts.mark or 0)
        again = Counter() if facts.mark is None else self._journal.comes_again(facts.mark)
        if again is None:
            log.warning(
                f"{self._journal.folder} does not hold what was told up to the checkpoint; what"
                " the store has of this run is not recorded again"
            )
            from seqexp.tracking.store.client import recorded

            again = self._patiently(lambda: recorded(self.client, self.run_id))
        self._again: Counter[Name] = again
        self._since = self._journal.told
        self._postman: Postman | None = None
        self._began = time.monotonic()
        self._waiting = Waiting(self._journal, self._tell)
        self._companion: Companion | None = None
        if "mlflow" in sys.modules:
            self._deliver()
        elif facts.parent is None and FINGERPRINT in facts.tags and has_room():
            self._accompany()  # jobs of a sweep import MLflow once for all

    def _deliver(self) -> Postman:
        """Begin to send what the journal has, which takes MLflow."""
        if self._postman is None:
            if self._companion is None:
                import_mlflow()
            self._outbox = Outbox(self._journal, self._send, since=self._since)
            self._postman = Postman(self._outbox, self.uri)
        return self._postman

    def _accompany(self) -> None:
        """Begin to import MLflow in a process beside this one, and to send by it."""
        with suppress(OSError):  # no room for a process
            self._companion = taken()
            self._companion.begin(prepare, self.uri)
            self._deliver()

    def _by_mlflow(self, function: Callable[..., T], *given: Any, **named: Any) -> T:
        """Do what takes MLflow: in the process beside this one, or here where there is none."""
        companion = self._companion
        if companion is not None:
            try:
                return companion.begin(function, *given, **named).result()
            except LostCompanionError:
                log.warning(f"tracking: {companion.end()}; what it did is done here")
                self._companion = None
        return function(*given, **named)

    @property
    def _client(self) -> Any:
        """What is given to the process that imports MLflow; None: it opens the store itself."""
        return self.client if self._companion is None else None

    def _send(self, items: Sequence[Item]) -> Sequence[str]:
        given = (self.uri, self._client, self.run_id, self._journal.files)
        return self._by_mlflow(send, *given, items)

    def _tell(self, item: Item) -> None:
        self._journal.append(item)
        is_training = isinstance(item, Points) and item.step > 0
        if self._postman is not None or (is_training and self._is_late()):
            self._deliver().told(item)

    def _is_late(self) -> bool:
        """Whether a training is so long that its points are wanted before its end."""
        return time.monotonic() - self._began >= PROMPT_SECONDS

    def _is_told(self, *name: *Name) -> bool:
        """Whether it was told before the run was cut off, and comes again; once for each time."""
        if not self._again[name]:
            return False
        self._again[name] -= 1
        return True

    def mark(self) -> int:
        """Sync all items to disk; returns the number that a checkpoint keeps."""
        self._waiting.retry()
        return self._journal.mark(self._again)

    def data(self, facts: DataFacts) -> None:
        """An input of the run."""
        self._tell(Inputs(facts.name, facts.digest, facts.profile))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve; many are sent together."""
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

    def file(self, write: Callable[[Path], Any], path: str) -> None:
        """An artifact that may be too large for memory."""
        self._keep(path, write)

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """A JSON artifact that the page shows as a table."""
        columns = list(rows[0]) if rows else []
        data = [[_plain(row[column]) for column in columns] for row in rows]
        content = json.dumps({"columns": columns, "data": data})
        self._keep(path, lambda file: file.write_text(content, encoding="utf-8"), table=path)

    def figure(self, figure: "Figure | Picture | bytes", path: str) -> None:
        """A PNG artifact."""
        if isinstance(figure, Picture):
            self._deliver()  # MLflow is imported while another process draws
        content = png_of(figure)
        self._keep(path, lambda file: file.write_bytes(content))

    def image(self, image: bytes, key: str, step: int) -> None:
        """A PNG image with a step slider, beside the curves.

        Source: `MlflowClient.log_image`, whose file names the page reads.
        """
        if self._is_told("image", key, step):
            return
        series = key.replace("/", "~")
        name = f"images/{series}+step+{step}+timestamp+{_milliseconds()}+{uuid.uuid4()}"

        def write(file: Path) -> None:
            from PIL import Image

            file.write_bytes(image)
            small = Image.open(io.BytesIO(image)).convert("RGB")
            small = small.reduce(max(1, -(-max(small.size) // PREVIEW)))
            small.save(file.with_name(f"{file.stem}+compressed.webp"), method=0)

        self._keep(f"{name}.png", write, image=(key, step))

    def model(self, files: ModelFiles) -> None:
        """A Python-function model, from texts or numbers to a table; holds no pickle."""
        if not self.log_model:
            return
        import torch

        version = torch.__version__.partition("+")[0]
        kept = None if self.artifacts is None else Path(self.artifacts) / WHEELS
        write = partial(self._by_mlflow, save_model, files=files, torch=version, kept=kept)
        self._keep(MODEL, write, model=MODEL)
        self._has_model = True

    def _keep(self, path: str, write: Callable[[Path], Any], **what: Any) -> None:
        """Write an artifact beside the journal, then tell of it; a full disk ends no training."""
        was_waiting = bool(self._waiting.artifacts)
        error = self._waiting.keep(path, write, what)
        if error is not None and not was_waiting:
            log.warning(
                f"tracking: {path} cannot be written ({error.strerror or error}); it is kept in"
                " memory, as what follows, and written when there is room"
            )

    def describe(self, markdown: str) -> None:
        """The description of the run, below its notes."""
        self.tags({PAGE: page(self._labels, markdown)})

    def label(self, run_ids: Sequence[str], labels: Mapping[str, str]) -> None:
        """Give tags and notes to runs that have ended; needs no `start`."""
        shown = {key: visible(value) for key, value in labels.items() if key != REGISTERED}
        with input_errors(self.uri):
            client = opened(self.uri)
            for run_id in run_ids:
                tags = self._patiently(partial(labelled, client, run_id, shown))
                if REGISTERED in labels and FINGERPRINT in tags:  # a sweep's own run has no model
                    from seqexp.tracking.store.models import register  # MLflow

                    log.info(f"its model is {register(client, run_id, labels[REGISTERED])}")

    def finish(self, status: Status) -> dict[str, str]:
        """Close the run when all before has been delivered, and say so if it has not.

        Returns:
            The labels that its end has given it: the name that its model is registered by.

        Raises:
            RunError: if it would be FINISHED, but a full disk keeps something from being written.
        """
        try:
            return self._finish(status)
        finally:
            if self._companion is not None:
                self._companion.end()

    def _finish(self, status: Status) -> dict[str, str]:
        patience = self.patience_seconds
        if status == "KILLED":
            patience = min(patience, HURRIED_PATIENCE_SECONDS)
        deadline = time.monotonic() + patience
        unwritten = self._wait_for_room(deadline)
        self._tell(End("KILLED" if unwritten and status == "FINISHED" else status, _milliseconds()))
        if unwritten:  # the store's disk may be the same one: not the same time again
            patience = max(deadline - time.monotonic(), min(patience, 1.0))
        is_delivered = self._deliver().close(patience)
        if is_delivered:
            self._journal.close()
            self._close_cut_off(status)
        if self._remove is not None:
            atexit.unregister(self._remove)
            if is_delivered:
                self._remove()
        if not is_delivered:
            self._say_undelivered()
        if unwritten:
            self._say_unwritten(unwritten, status)
        wanted = self.register if self._has_model and status == "FINISHED" else None
        return {} if wanted is None else self._registered(wanted, is_delivered)

    def _registered(self, name: str, is_delivered: bool) -> dict[str, str]:
        """Register the model of a run that has delivered it; what fails ends no run."""
        later = "the same command registers it"
        if not is_delivered:
            log.warning(
                f"tracking: the model is NOT registered as {name}; when it is sent, {later}"
            )
            return {}
        try:
            found = self._by_mlflow(registered, self.uri, self._client, self.run_id, name)
        except Exception as error:
            log.warning(f"tracking: the model is NOT registered: {first_line(error)}; {later}")
            return {}
        log.info(f"the model is {found}")
        return {REGISTERED: name}

    def _wait_for_room(self, deadline: float) -> list[str]:
        """Write what a full disk has kept waiting; returns names of what still does."""
        self._waiting.retry()
        if self._waiting.names:
            count = len(self._waiting.names)
            log.warning(
                f"tracking: the disk of {self._folder} is full; {count} artifacts wait for room,"
                f" at most {max(deadline - time.monotonic(), 0):.0f} s"
            )
        while self._waiting.names and time.monotonic() < deadline:
            time.sleep(0.5)
            self._waiting.retry()
        return self._waiting.names

    def _close_cut_off(self, status: Status) -> None:
        """Where a sweep is cut off, so may its jobs have been: none stays RUNNING."""
        if status == "KILLED":
            with suppress(Exception):  # the next run does the same
                close_orphans(self.client, self._own)

    def _say_unwritten(self, names: list[str], status: Status) -> None:
        with suppress(OSError):
            write_whole(self._folder / JOURNAL / UNWRITTEN, "\n".join(names).encode())
        note = Note.read(self._folder / JOURNAL)
        elsewhere = self._waiting.moved(note) if note is not None else None
        told = [
            f"the disk of {self._folder} is full, and {len(names)} artifacts of run {self.run_id}"
            " could not be written:",
            *lines(names),
            "  Make room, and the same command goes on from its last checkpoint and makes them"
            " again.",
        ]
        if elsewhere is not None:
            told += [
                f"  Until then they are kept in {elsewhere}, and can be sent as they are:",
                f"    {deliver_command(elsewhere, self.uri)}",
            ]
        if status == "FINISHED":
            raise RunError("\n".join(told))
        log.warning("tracking: " + "\n".join(told))

    def _say_undelivered(self) -> None:
        log.warning(
            f"\ntracking: {self._outbox.left} items of run {self.run_id} are NOT YET in {self.uri}"
            f"\n  reason: {self._reason()}"
            f"\n  They are kept in {self._folder / JOURNAL}, nothing is lost."
            "\n  When the store is there again, send them:"
            f"\n    {deliver_command(self._folder, self.uri)}\n"
        )

    def _reason(self) -> str:
        reason, file = self._outbox.reason or "it is too slow", database_file(self.uri)
        in_use = file is not None and "locked" in reason
        return f"{reason}; {holders(file)}" if in_use and file is not None else reason

    def links(self, optimized_metric: str) -> dict[str, str]:
        """The command for a local store, and the pages of the run and its experiment."""
        return links(absolute(self.uri), self.experiment_id, self.run_id, optimized_metric)


def _plain(value: Any) -> Any:
    """A cell as JSON has it, which has no numbers that are none."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _milliseconds() -> int:
    return int(time.time() * 1000)
