"""Artifacts that a full disk keeps from being written: in memory until there is room."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqexp.tracking.journal.items import Files, from_line
from seqexp.tracking.journal.journal import Journal
from seqexp.tracking.journal.note import JOURNAL, Note
from seqexp.utils.files import write_whole

Write = Callable[[Path], Any]

SHARED_MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one: an artifact is made there while disks are full."""


@dataclass
class Artifact:
    """Content of an artifact by path, and what its item says beside the folder."""

    name: str
    content: Mapping[str, bytes] | None  # None: it could be made nowhere
    what: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write its files below a folder.

        Raises:
            OSError: if there is no room.
        """
        for path, content in (self.content or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / path, content)


def made(name: str, write: Write, what: Mapping[str, Any]) -> Artifact:
    """An artifact in memory, made in whatever folder has room for a moment."""
    for place in (None, SHARED_MEMORY):
        with (
            contextlib.suppress(OSError),
            tempfile.TemporaryDirectory(prefix="seqexp-", dir=place) as temporary,
        ):
            folder = Path(temporary)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name)
            files = [path for path in folder.rglob("*") if path.is_file()]
            content = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
            return Artifact(name, content, what)
    return Artifact(name, None, what)


class Waiting:
    """Items that wait for room, in the order told.

    Args:
        journal: beside which it belongs.
        tell: takes the item of an artifact that is written.
    """

    def __init__(self, journal: Journal, tell: Callable[[Files], None]) -> None:
        self.journal, self.tell = journal, tell
        self.artifacts: list[Artifact] = []

    @property
    def names(self) -> list[str]:
        """Names of all items that wait; journal lines count as one."""
        lines = ["the last metrics and tags"] if self.journal.unwritten else []
        return [*(artifact.name for artifact in self.artifacts), *lines]

    def keep(self, name: str, write: Write, what: Mapping[str, Any]) -> OSError | None:
        """Write an artifact beside the journal; one that finds no room waits, and says why."""
        self.retry()
        folder = None
        try:
            folder = self.journal.new_files()
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write(folder / name)
        except OSError as error:
            if folder is not None:  # half an artifact takes room, and is none
                shutil.rmtree(folder, ignore_errors=True)
            self.artifacts.append(made(name, write, what))
            return error
        self.tell(Files(folder.name, **what))
        return None

    def retry(self) -> None:
        """Write what waits, as far as there is room."""
        self.journal.write_rest()
        for artifact in list(self.artifacts):
            if artifact.content is None:
                continue
            try:
                folder = self.journal.new_files()
                artifact.write(folder)
            except OSError:
                with contextlib.suppress(OSError):
                    shutil.rmtree(self.journal.next_files(), ignore_errors=True)
                return
            self.artifacts.remove(artifact)
            self.tell(Files(folder.name, **artifact.what))

    def moved(self, note: Note) -> Path | None:
        """A folder elsewhere from which all that waits can be delivered; None: nowhere is room."""
        with contextlib.suppress(OSError):
            place = Path(tempfile.mkdtemp(prefix="seqexp-undelivered-"))
            try:
                self._move(place / JOURNAL, note)
            except OSError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            return place
        return None

    def _move(self, folder: Path, note: Note) -> None:
        note.write(folder)
        journal = Journal(folder)
        try:
            for line in self.journal.unwritten.splitlines(keepends=True):
                journal.append(from_line(line))
            for artifact in self.artifacts:
                if artifact.content is not None:
                    beside = journal.new_files()
                    artifact.write(beside)
                    journal.append(Files(beside.name, **artifact.what))
            if journal.unwritten:
                raise OSError("no room")
        finally:
            journal.close()


def lines(names: list[str], most: int = 12) -> Iterator[str]:
    """Names, one a line, for a message."""
    yield from (f"    {name}" for name in names[:most])
    if len(names) > most:
        yield f"    and {len(names) - most} more"
