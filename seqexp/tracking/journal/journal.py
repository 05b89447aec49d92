"""Writes each item to disk before it is sent to the store: a kill loses nothing.

The journal is a folder of segments, `journal-<number of the first item>.jsonl`, with an item a
line. A checkpoint is a mark at the end of a segment. `delivered` holds the number of the next item
to be sent, `files/` the bytes of artifacts until they are delivered.
"""

import logging
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from seqexp.errors import InputError
from seqexp.tracking.journal.items import Files, Item, Mark, Name, from_line, names, to_line
from seqexp.utils.files import inside, open_own, sync

log = logging.getLogger("seqexp")

SEGMENTS_KEPT = 4
"""The last three marks and what was told after them: a run has two checkpoints, and while the
next is written, its mark is there already."""

READ_BYTES = 2**20
"""At a time, from a segment."""


class Journal:
    """Items in the order told, each with its number; one process at a time writes.

    Args:
        folder: the journal's own, made where it is not there. A last line that was torn by a
            crash is cut off. It may be of others: what it names stays inside.
        first: number that the next item has at least.

    Raises:
        InputError: if it holds a link, or what is no item.
    """

    def __init__(self, folder: Path, first: int = 0) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.files = inside(folder.parent, f"{folder.name}/files")
        self.files.mkdir(parents=True, exist_ok=True)
        self.unwritten = b""  # what a full disk keeps from being written
        segments = self.segments()
        last = segments[-1] if segments else first
        self.told = last + (_cut_torn(self.file(last)) if segments else 0)
        self._position = open_own(folder / "delivered", os.O_RDWR | os.O_CREAT)
        self.delivered = max(min(self._kept_position(), self.told), (segments or [first])[0])
        if self.told < first:  # the journal was lost, but not the checkpoint
            last = self.told = first
        self._descriptor = _appending(self.file(last))

    def _kept_position(self) -> int:
        try:
            return int(os.pread(self._position, 40, 0))
        except ValueError:  # none yet, or torn: all is delivered again, which changes nothing
            return 0

    def segments(self) -> list[int]:
        """Numbers of their first items."""
        names = [file.name for file in self.folder.glob("journal-*.jsonl")]
        found = [re.fullmatch(r"journal-([0-9]{12})\.jsonl", name) for name in names]
        return sorted(int(match[1]) for match in found if match)

    def file(self, first: int) -> Path:
        """The segment that begins with an item of this number."""
        return self.folder / f"journal-{first:012d}.jsonl"

    def append(self, item: Item) -> None:
        """Write an item through to the system, which keeps it whatever becomes of the process.

        While the disk is full it waits in memory, and is written before the next one.
        """
        had_room = not self.unwritten
        self.unwritten += to_line(item)
        self.told += 1
        error = self.write_rest()
        if error is not None and had_room:
            log.warning(f"{self.folder}: cannot be written ({error.strerror}); tried again")

    def write_rest(self) -> OSError | None:
        """Write what waits in memory; returns what keeps it from being written."""
        try:
            while self.unwritten:
                written = os.write(self._descriptor, self.unwritten)
                self.unwritten = self.unwritten[written:]
        except OSError as error:
            return error
        return None

    def mark(self, again: Mapping[Name, int]) -> int:
        """Put all that was told on disk for good; returns the number that a checkpoint keeps."""
        self.append(Mark([(*name, count) for name, count in again.items() if count]))
        try:
            self._sync_files()
            os.fsync(self._descriptor)
            if not self.unwritten:
                following = _appending(self.file(self.told))
                os.close(self._descriptor)
                self._descriptor = following
            sync(self.folder)
            self._drop_old()
        except OSError as error:
            log.warning(f"{self.folder}: cannot be written ({error.strerror}); tried again")
        return self.told

    def _sync_files(self) -> None:
        """Bytes of artifacts that are still to be delivered, to disk."""
        for folder, _, files in os.walk(self.files):
            for name in (".", *files):
                with suppress(FileNotFoundError):  # delivered in the meantime
                    sync(Path(folder, name))

    def _drop_old(self) -> None:
        segments = self.segments()
        for first, following in zip(segments[:-SEGMENTS_KEPT], segments[1:], strict=False):
            if following <= self.delivered:
                self.file(first).unlink()

    def comes_again(self, mark: int) -> Counter[Name] | None:
        """The items after a mark, which a run resumed there tells again; None: no such mark.

        Mark 0 is the start of the journal.
        """
        if self.segments()[0] > mark:
            return None
        found: Counter[Name] = Counter()
        if mark:
            number, item = Reader(self, mark - 1).take() or (0, None)
            if number != mark - 1 or not isinstance(item, Mark):
                return None
            found.update({(kind, key, step): count for kind, key, step, count in item.again})
        for _, item in iter(Reader(self, mark).take, None):
            found.update(names(item))
        return found

    def keep_position(self, delivered: int) -> None:
        """Note that all items before a number have been delivered."""
        self.delivered = delivered
        with suppress(OSError):  # then they are delivered again, which changes nothing
            os.pwrite(self._position, b"%-20d\n" % delivered, 0)

    def next_files(self) -> Path:
        """The folder for the artifacts of the next item."""
        return self.files / f"{self.told:012d}"

    def new_files(self) -> Path:
        """An empty folder for the artifacts of the next item."""
        folder = self.next_files()
        shutil.rmtree(folder, ignore_errors=True)  # of an item that a crash kept from being told
        folder.mkdir()
        return folder

    def remove_files(self, item: Item) -> None:
        """Forget the bytes of artifacts that are delivered."""
        if isinstance(item, Files):
            # its name has 12 digits (`from_line`), and `files` is no link
            shutil.rmtree(self.files / item.folder, ignore_errors=True)

    def close(self) -> None:
        """Close its files; nothing can be told then."""
        os.close(self._descriptor)
        os.close(self._position)


class Reader:
    """Takes items from a journal, from a number on, while more are written."""

    def __init__(self, journal: Journal, start: int) -> None:
        self._journal = journal
        self._start = start
        segments = journal.segments()
        self._segment = max([first for first in segments if first <= start] or segments[:1])
        self._number = self._segment
        self._offset = 0  # bytes of the segment that are read
        self._lines: deque[bytes] = deque()

    def take(self) -> tuple[int, Item] | None:
        """The next item and its number; None if there is none yet."""
        while self._lines or self._read():
            line = self._lines.popleft()
            self._number += 1
            if self._number > self._start:
                return self._number - 1, _item(line, self._journal.file(self._segment))
        return None

    def _read(self) -> bool:
        """Lines from the segment, or the next one; false if there are none yet."""
        # looked for before the lines: a segment is at its end when another one follows
        later = [first for first in self._journal.segments() if first > self._segment]
        try:
            with self._journal.file(self._segment).open("rb") as segment:
                segment.seek(self._offset)
                lines = segment.readlines(READ_BYTES)
        except FileNotFoundError:  # dropped: it was read to its end, and all of it is delivered
            if not later:
                raise
            lines = []
        if lines and not lines[-1].endswith(b"\n"):  # it is being written
            lines.pop()
        if not lines and later:
            self._segment = self._number = later[0]
            self._offset = 0
            return self._read()
        self._lines.extend(lines)
        self._offset += sum(map(len, lines))
        return bool(lines)


def _appending(file: Path) -> int:
    return open_own(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _item(line: bytes, file: Path) -> Item:
    try:
        return from_line(line)
    except InputError as error:
        raise InputError(f"{file}: {error}; nothing of it was sent or removed") from error


def _cut_torn(file: Path) -> int:
    """Cut off what is no item, at the end of a file; returns the number of items."""
    count = size = 0
    with os.fdopen(open_own(file, os.O_RDWR), "r+b") as lines:
        for line in lines:
            try:
                _item(line if line.endswith(b"\n") else b"", file)
            except ValueError:
                lines.truncate(size)
                break
            count, size = count + 1, size + len(line)
    return count
