"""Tokenised texts on disk, so that each corpus is tokenised once.

An entry is a few arrays, which are mapped into memory rather than read, and a JSON file that is
written last and holds their checksums. The words of a large corpus are two of the arrays. The key
of an entry is a digest of all that went into it.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqexp.dataset.cache import UNSOUND, checked_index, found_or_made
from seqexp.dataset.mapped import Strings, kept, mapped
from seqexp.dataset.words.corpus import Corpus, Texts
from seqexp.dataset.words.joining import array_file
from seqexp.dataset.words.streamed import Source, write_streamed
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
    entry = folder / _name(key)

    def make(entry: Path) -> Corpus:
        corpus = build()
        write(entry, corpus)
        return read(entry) or corpus  # mapped from the file: one copy in memory for parallel runs

    return found_or_made(entry, read, make, build)


def streamed(folder: Path | None, key: str, source: Source, workers: int | None = None) -> Corpus:
    """The corpus of a key, larger than memory: encoded block by block, and mapped.

    Without a folder that can be written to, its files are in a temporary one.

    Raises:
        InputError: if the texts are not sound, or there is no room.
    """

    def make(entry: Path) -> Corpus:
        entry.with_suffix(".json").unlink(missing_ok=True)
        index, checksums = write_streamed(entry, source, workers)
        _write_index(entry, index, checksums)
        entry.with_suffix(".done").unlink(missing_ok=True)
        shutil.rmtree(entry.with_suffix(".parts"), ignore_errors=True)
        corpus = read(entry)
        if corpus is None:
            raise OSError(0, "it does not keep what is written")
        return corpus

    return kept(folder, _name(key), read, make)


def _name(key: str) -> str:
    return f"words-{key[:32]}"


def write(entry: Path, corpus: Corpus) -> None:
    """Write an entry; each file appears whole or not at all."""
    checksums: dict[str, int] = {}
    for split, texts in corpus.texts.items():
        for name in ARRAYS:
            values = np.ascontiguousarray(getattr(texts, name))
            with appearing(array_file(entry, split, name)) as file:
                np.save(file, values)
            checksums[f"{split}.{name}"] = _checksum(values)
    index = {
        "words": list(corpus.words),
        "classes": corpus.classes,
        "splits": list(corpus.texts),
        "notes": corpus.notes,
        "task": corpus.task,
        "names": corpus.names,
    }
    _write_index(entry, index, checksums)


def _write_index(entry: Path, index: dict[str, Any], checksums: dict[str, int]) -> None:
    content = json.dumps(index, ensure_ascii=False)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    write_whole(entry.with_suffix(".json"), json.dumps(whole, ensure_ascii=False).encode())


def read(entry: Path) -> Corpus | None:
    """An entry, its arrays mapped into memory; None where there is none or it is damaged."""
    try:
        index, checksums = checked_index(entry)
        words = _words(entry, index, checksums)
        names = {key: _names(index[key], key) for key in ("classes", "splits")}
        if "train" not in names["splits"] or not set(names["splits"]) <= {*SPLITS}:
            raise ValueError(f"the splits are {names['splits']}")
        texts = {split: _texts(entry, split, checksums) for split in names["splits"]}
        for split, found in texts.items():
            refuse_unsound(found, len(words), len(names["classes"]), split)
        asked = str(index.get("task", "sequence_class")), _names(index.get("names", []), "names")
        notes = _names(index["notes"], "notes")
        return Corpus(words, names["classes"], texts, notes, *asked, key=entry.name)
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _words(entry: Path, index: dict[str, Any], checksums: dict[str, Any]) -> Sequence[str]:
    """All words: in the index, or of a larger corpus in files."""
    if "num_words" not in index:
        return _names(index["words"], "words")
    letters, offsets = (
        mapped(array_file(entry, "words", name), dtype, 1, checksums[f"words.{name}"])
        for name, dtype in (("letters", np.uint8), ("offsets", np.int64))
    )
    if len(offsets) != index["num_words"] + 1 or offsets[0] or offsets[-1] != len(letters):
        raise ValueError("words.offsets are not those of the words")
    return Strings(letters, offsets)


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
        values = np.load(array_file(entry, split, name), mmap_mode="r")
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


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(values.data) if values.size else 0
