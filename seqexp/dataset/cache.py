"""What the caches of datasets share: keys, locks, and files that are whole or not there."""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from seqexp.dataset.read_only import is_looking
from seqexp.utils import files

log = logging.getLogger("seqexp")

T = TypeVar("T")

FORMAT = 2
"""Counts up when entries change: those of another format are not found."""


UNSOUND = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""What comes of reading an entry that was altered, however it was."""


def found_or_made(
    entry: Path, read: Callable[[Path], T | None], make: Callable[[Path], T], build: Callable[[], T]
) -> T:
    """What an entry holds, made where it is not there yet or is damaged.

    Where it cannot or may not be written, what is wanted is built in memory.

    Args:
        entry: its path, to which files add their endings.
        read: tells what an entry holds; None where there is none, or it is damaged.
        make: writes it and tells what it holds.
        build: the same without a file.
    """
    found = read(entry)
    if found is not None:
        return found
    if is_looking():
        return build()
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{entry}.lock"):  # parallel runs wait for the one that builds
            found = read(entry)
            return make(entry) if found is None else found
    except OSError as error:
        log.warning(f"{entry.parent}: cannot be written to ({error.strerror}); nothing is cached")
        return build()


def key_of(*parts: str) -> str:
    """A digest of everything that an entry depends on."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder, of the names, sizes and times of all its files."""
    if path.is_file():
        return files.digest(path)
    sha = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path, followlinks=True)):
        sha.update(f"{Path(folder).relative_to(path)}".encode())
        with os.scandir(folder) as items:
            stats = {item.name: item.stat() for item in items if item.is_file()}
        for name in sorted(names):
            if name in stats:
                sha.update(f"{name} {stats[name].st_size} {stats[name].st_mtime_ns}\n".encode())
    return sha.hexdigest()


def checked_index(entry: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON of an entry, and the checksums beside it.

    Raises:
        FileNotFoundError: if there is no entry.
        ValueError: if it is not as it was written; or another of `UNSOUND`.
    """
    whole = json.loads(entry.with_suffix(".json").read_bytes())
    if zlib.crc32(whole["index"].encode()) != whole["checksum"]:
        raise ValueError("the index has another checksum")
    index, checksums = json.loads(whole["index"]), whole.get("checksums", {})
    if not isinstance(index, dict) or not isinstance(checksums, dict):
        raise ValueError("the index is no object")
    return index, checksums
