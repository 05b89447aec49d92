"""Tokenised texts on disk, so that each corpus is tokenised once.

An entry is a few arrays, which are mapped into memory rather than read, and a JSON file that is
written last and holds their checksums. Its key is a digest of all that went into it.
"""

import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seqexp.dataset.corpus import Corpus, Texts
from seqexp.dataset.entries import appearing, found_or_made

log = logging.getLogger("seqexp")

ARRAYS = ("ids", "offsets", "labels")


def cached(folder: Path | None, key: str, build: Callable[[], Corpus]) -> Corpus:
    """The corpus of a key, built and written where it is not there yet, or is damaged.

    Without a folder, or where it cannot or may not be written to, it is built each time.
    """
    if folder is None:
        return build()
    entry = folder / f"words-{key[:32]}"

    def make(entry: Path) -> Corpus:
        corpus = build()
        write(entry, corpus)
        return read(entry) or corpus  # mapped from the file: one copy in memory for parallel runs

    return found_or_made(entry, read, make, build)


def write(entry: Path, corpus: Corpus) -> None:
    """Write an entry; each file appears whole or not at all."""
    checksums: dict[str, int] = {}
    for split, texts in corpus.texts.items():
        for name in ARRAYS:
            values = np.ascontiguousarray(getattr(texts, name))
            with appearing(_array_file(entry, split, name)) as file:
                np.save(file, values)
            checksums[f"{split}.{name}"] = _checksum(values)
    index = {"words": corpus.words, "classes": corpus.classes, "splits": list(corpus.texts)}
    content = json.dumps(index, ensure_ascii=False)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    with appearing(entry.with_suffix(".json")) as file:
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
