"""Tokenised texts on disk, so that each corpus is tokenised once.

An entry is a few arrays, which are mapped into memory rather than read, and a JSON file that is
written last and holds their checksums. Its key is a digest of all that went into it.
"""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from seqexp.dataset.corpus import Corpus, Texts
from seqexp.dataset.looking import is_looking

log = logging.getLogger("seqexp")

FORMAT = 1
"""Counts up when entries change: those of another format are not found."""

ARRAYS = ("ids", "offsets", "labels")


def cached(folder: Path | None, key: str, build: Callable[[], Corpus]) -> Corpus:
    """The corpus of a key, built and written where it is not there yet, or is damaged.

    Without a folder, or where it cannot or may not be written to, it is built each time.
    """
    if folder is None:
        return build()
    entry = folder / f"words-{key[:32]}"
    found = read(entry)
    if found is not None:
        return found
    if is_looking():
        return build()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{entry}.lock"):  # parallel runs wait for the one that builds
            return read(entry) or _built(entry, build)
    except OSError as error:
        log.warning(f"{folder}: cannot be written to ({error.strerror}); texts are not cached")
        return build()


def key_of(*parts: str) -> str:
    """A digest of everything that an entry depends on."""
    return hashlib.sha256(repr((FORMAT, *parts)).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder, of the names, sizes and times of all its files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    sha = hashlib.sha256()
    for folder, _, names in sorted(os.walk(path, followlinks=True)):
        sha.update(f"{Path(folder).relative_to(path)}".encode())
        with os.scandir(folder) as items:
            stats = {item.name: item.stat() for item in items if item.is_file()}
        for name in sorted(names):
            if name in stats:
                sha.update(f"{name} {stats[name].st_size} {stats[name].st_mtime_ns}\n".encode())
    return sha.hexdigest()


def _built(entry: Path, build: Callable[[], Corpus]) -> Corpus:
    corpus = build()
    write(entry, corpus)
    return read(entry) or corpus  # mapped from the file: one copy in memory for parallel runs


def write(entry: Path, corpus: Corpus) -> None:
    """Write an entry; each file appears whole or not at all."""
    checksums: dict[str, int] = {}
    for split, texts in corpus.texts.items():
        for name in ARRAYS:
            values = np.ascontiguousarray(getattr(texts, name))
            with _appearing(_array_file(entry, split, name)) as file:
                np.save(file, values)
            checksums[f"{split}.{name}"] = _checksum(values)
    index = {"words": corpus.words, "classes": corpus.classes, "splits": list(corpus.texts)}
    content = json.dumps(index, ensure_ascii=False)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    with _appearing(entry.with_suffix(".json")) as file:
        file.write(json.dumps(whole, ensure_ascii=False).encode())


def read(entry: Path) -> Corpus | None:
    """An entry, its arrays mapped into memory; None where there is none or it is damaged."""
    try:
        whole: dict[str, Any] = json.loads(entry.with_suffix(".json").read_bytes())
        if zlib.crc32(whole["index"].encode()) != whole["checksum"]:
            raise ValueError("the index has another checksum")
        index = json.loads(whole["index"])
        texts = {split: _texts(entry, split, whole["checksums"]) for split in index["splits"]}
        return Corpus(tuple(index["words"]), tuple(index["classes"]), texts)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _texts(entry: Path, split: str, checksums: dict[str, int]) -> Texts:
    arrays = {}
    for name in ARRAYS:
        # copy on write: torch wants arrays that it could write to
        values = np.load(_array_file(entry, split, name), mmap_mode="c")
        if _checksum(values) != checksums[f"{split}.{name}"]:
            raise ValueError(f"{split}.{name} has another checksum")
        arrays[name] = values
    return Texts(**arrays)


def _array_file(entry: Path, split: str, name: str) -> Path:
    return entry.with_name(f"{entry.name}-{split}-{name}.npy")


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(values.data) if values.size else 0


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is complete and on the disk."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
