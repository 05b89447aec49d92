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

from seqexp.dataset.cache import UNSOUND, checked_index, found_or_made
from seqexp.dataset.words.corpus import Corpus, Texts
from seqexp.utils.files import appearing, write_whole

log = logging.getLogger("seqexp")

ARRAYS = ("ids", "offsets", "labels")
SPLITS = ("train", "valid", "test")


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
    index = {
        "words": corpus.words,
        "classes": corpus.classes,
        "splits": list(corpus.texts),
        "notes": corpus.notes,
        "task": corpus.task,
        "names": corpus.names,
    }
    content = json.dumps(index, ensure_ascii=False)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    write_whole(entry.with_suffix(".json"), json.dumps(whole, ensure_ascii=False).encode())


def read(entry: Path) -> Corpus | None:
    """An entry, its arrays mapped into memory; None where there is none or it is damaged."""
    try:
        index, checksums = checked_index(entry)
        names = {key: _names(index[key], key) for key in ("words", "classes", "splits")}
        if "train" not in names["splits"] or not set(names["splits"]) <= {*SPLITS}:
            raise ValueError(f"the splits are {names['splits']}")
        texts = {split: _texts(entry, split, checksums) for split in names["splits"]}
        for split, found in texts.items():
            refuse_unsound(found, len(names["words"]), len(names["classes"]), split)
        asked = str(index.get("task", "sequence_class")), _names(index.get("names", []), "names")
        notes = _names(index["notes"], "notes")
        return Corpus(names["words"], names["classes"], texts, notes, *asked)
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _names(values: Any, key: str) -> tuple[str, ...]:
    """Strings of JSON, each once."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key} are no list of strings")
    if len(set(values)) != len(values):
        raise ValueError(f"{key} are there twice")
    return tuple(values)


def _texts(entry: Path, split: str, checksums: dict[str, int]) -> Texts:
    arrays = {}
    for name in ARRAYS:
        # copy on write: torch wants arrays that it could write to
        values = np.load(_array_file(entry, split, name), mmap_mode="c")
        if _checksum(values) != checksums[f"{split}.{name}"]:
            raise ValueError(f"{split}.{name} has another checksum")
        arrays[name] = values
    return Texts(**arrays)


def refuse_unsound(texts: Texts, num_words: int, num_classes: int, split: str) -> None:
    """Check what all that follows relies on: types, lengths and ranges.

    Raises:
        ValueError: naming the array.
    """
    for name, dtype in zip(ARRAYS, (np.int32, np.int64, np.int32), strict=True):
        values = getattr(texts, name)
        if values.dtype != dtype or values.ndim != 1 or not len(values):
            raise ValueError(f"{split}.{name} is {values.dtype} of the shape {values.shape}")
    ids, offsets, labels = texts.ids, texts.offsets, texts.labels
    if len(offsets) != len(labels) + 1 or offsets[0] or offsets[-1] != len(ids):
        raise ValueError(f"{split}.offsets are not those of {len(labels):,} texts")
    if np.diff(offsets).min() < 1:
        raise ValueError(f"{split}.offsets do not ascend")
    for name, values, count in (("ids", ids, num_words), ("labels", labels, num_classes)):
        if values.min() < 0 or values.max() >= count:
            raise ValueError(f"{split}.{name} are not from 0 to {count - 1:,}")


def _array_file(entry: Path, split: str, name: str) -> Path:
    return entry.with_name(f"{entry.name}-{split}-{name}.npy")


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(values.data) if values.size else 0
