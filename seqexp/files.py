"""Files that are whole or not there, and their names in a folder; imports nothing heavy."""

import functools
import hashlib
import os
from collections.abc import Collection
from pathlib import Path

RUN = "run.json"
"""Which run a folder is of."""

RESULT = "result.json"
"""What came of it."""

LOCK = ".lock"
"""Held (`filelock`) by the process that works in a folder."""

PREVIOUS = "previous"
"""Where `force=true` puts what was there before."""

UNFINISHED = ".unfinished"
"""Ending of a file that is being written."""


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that it is there with all of its content, or not at all.

    Raises:
        OSError: if it cannot be written; a file of that name is as it was.
    """
    unfinished = file.with_name(f"{file.name}{UNFINISHED}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(file)
    sync(file.parent)  # the new name is not safe before


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
