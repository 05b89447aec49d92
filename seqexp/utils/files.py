"""Files that are whole or not there, and their names in a folder; imports nothing heavy.

Others may have written what lies in a folder: a link in it is never followed when something is
written, and what a file names is a path inside its folder or refused.
"""

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from seqexp.errors import InputError

RUN = "run.json"
"""Which run a folder is of."""

RESULT = "result.json"
"""File of a run's result."""

LOCK = ".lock"
"""Held (`filelock`) by the process that works in a folder."""

PREVIOUS = "previous"
"""Folder to which `force=true` moves the files of before."""

UNFINISHED = ".unfinished"
"""Ending of a file that is being written."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


MAX_JSON = 2**28
"""Bytes of a file of JSON above which it is refused: a vocabulary of millions of words has less."""

MAX_DEPTH = 100
"""Levels of nested JSON."""

_LEFT_SECONDS = 3600
"""Age from which a file that is being written has no writer any more."""


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is there with all of its content, or not at all.

    Raises:
        OSError: naming the file, if it cannot be written; a file of that name is as it was.
    """
    with _naming(file), appearing(file) as opened:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(opened.fileno(), rest) :]


@contextlib.contextmanager
def appearing(file: Path) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name when it is complete and on the disk.

    Until then it has a name that nobody can know before; what has that already is not touched.

    Raises:
        OSError: naming the file, if it cannot be made; a file of that name is as it was.
    """
    unfinished = file.with_name(f"{file.name}.{secrets.token_hex(8)}{UNFINISHED}")
    with _naming(file):
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
            with _naming(file):
                opened.flush()
                os.fsync(descriptor)
        with _naming(file):
            unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    with _naming(file):
        sync(file.parent)  # the new name is not safe before
    _drop_left(file)


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Have errors name the file that is meant, not the one that is written in its place."""
    try:
        yield
    except OSError as error:
        error.filename = str(file)
        raise


def _drop_left(file: Path) -> None:
    """Remove what processes that were killed have left of a file."""
    with contextlib.suppress(OSError), os.scandir(file.parent) as entries:
        for entry in entries:
            is_unfinished = entry.name.startswith(file.name) and entry.name.endswith(UNFINISHED)
            if not is_unfinished:
                continue
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_SECONDS:
                    Path(entry.path).unlink()


def open_own(file: Path, flags: int) -> int:
    """Open a file for writing; returns its descriptor.

    Raises:
        InputError: if it is a link, which might lead to another's file.
        OSError: if it cannot be opened.
    """
    try:
        return os.open(file, flags | _NO_LINK | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) or file.is_symlink():
            raise link_error(file) from error
        raise


def inside(folder: Path, name: str) -> Path:
    """The path of a name that a file gives, below a folder.

    Raises:
        InputError: if it leads out of the folder, by itself or by a link.
    """
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name:
        raise InputError(f"{folder}: a file in it names {name[:100]!r}, which is not inside it")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise link_error(path)
    return path


def refuse_links_below(folder: Path) -> None:
    """Refuse a tree that holds anything but folders and plain files.

    Raises:
        InputError: naming what is neither.
    """
    if folder.is_symlink():
        raise link_error(folder)
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            if path.is_symlink():
                raise link_error(path)
            if not (path.is_dir() or path.is_file()):
                raise InputError(f"{path}: is neither a file nor a folder")


def link_error(path: Path) -> InputError:
    """The error for a link where none is followed."""
    return InputError(
        f"{path}: is a symbolic link, which is not followed here: it may lead to files of others."
        " Nothing was changed; put the folder itself there, or give another place, as paths.outputs"
    )


def read_json(file: Path, what: str = "JSON") -> Any:
    """Content of a file of JSON, which may be of others.

    Args:
        file: its path.
        what: it should hold, for a message.

    Raises:
        InputError: naming the file, if it cannot be read, is too large or is no JSON.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_JSON + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return parsed(content, str(file), what)


def parsed(text: str | bytes, source: str, what: str = "JSON") -> Any:
    """Values of a text of JSON that anybody may have written.

    Raises:
        InputError: naming the source, if it is no JSON, too large or nested too deeply.
    """
    if len(text) > MAX_JSON:
        raise InputError(f"{source}: is larger than {MAX_JSON:,} bytes; expected is {what}")
    try:
        found = json.loads(text)
        if _depth(found) > MAX_DEPTH:
            raise RecursionError
    except RecursionError as error:
        raise InputError(
            f"{source}: is damaged: nested more than {MAX_DEPTH} deep; expected is {what}"
        ) from error
    except ValueError as error:
        raise InputError(f"{source}: is damaged ({error}); expected is {what}") from error
    return found


def _depth(value: Any) -> int:
    """Levels, counted only up to one too many."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH:
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [v for item in inner for v in (item.values() if isinstance(item, dict) else item)]
        depth += 1
    return depth


def full_disk(error: BaseException) -> str | None:
    """The message for an error that a full disk causes; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}the disk is full ({error.strerror}); make room, and the same command goes on"


class LogFile(logging.FileHandler):
    """A log file that is never written through a link; a full disk raises no error.

    It is made before Hydra writes its own files beside it, and takes links out of their way.
    """

    def __init__(self, filename: str, **options: Any) -> None:
        super().__init__(filename, **options)
        hydra = Path(self.baseFilename).parent / ".hydra"
        links = [hydra] if hydra.is_symlink() else hydra.glob("*.yaml")
        for path in links:
            if path.is_symlink():
                path.unlink()
        self._is_full = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's)
        """Say once that there is no room; anything else as logging has it."""
        error = sys.exc_info()[1]
        if error is None or full_disk(error) is None:
            super().handleError(record)
        elif not self._is_full:
            self._is_full = True
            print(f"{self.baseFilename}: cannot be written (the disk is full)", file=sys.stderr)

    def _open(self) -> Any:
        descriptor = open_own(Path(self.baseFilename), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return os.fdopen(descriptor, "a", encoding=self.encoding or "utf-8", errors=self.errors)


def digest(file: Path) -> str:
    """SHA-256 of a file's content; read again only if the file was written since."""
    state = file.stat()
    return _digest_of(file, state.st_size, state.st_mtime_ns)


@functools.cache
def _digest_of(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside(folder: Path, names: Collection[str] | None = None) -> None:
    """Move a folder's content to `previous/N`, so that it starts anew; deletes nothing.

    `names` are the files and folders that are moved; None is all but the lock.
    """
    content = [path for path in folder.iterdir() if path.name not in (LOCK, PREVIOUS)]
    content = [path for path in content if names is None or path.name in names]
    if not content:
        return
    taken = [int(old.name) for old in folder.glob(f"{PREVIOUS}/[0-9]*")]
    target = folder / PREVIOUS / str(max(taken, default=0) + 1)
    target.mkdir(parents=True)
    for path in content:
        path.rename(target / path.name)
