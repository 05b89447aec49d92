"""Texts larger than memory as word ids in files: read, tokenised and written block by block.

Each block is a file of its own until all are done, so that an interrupted encoding resumes.
"""

import logging
import shutil
import time
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqexp.dataset.characters.progress import Done
from seqexp.dataset.mapped import growing
from seqexp.dataset.words.joining import array_file, join
from seqexp.dataset.words.labels import Document, Tally
from seqexp.dataset.words.numbering import Unit, number_into
from seqexp.errors import InputError
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores, each

log = logging.getLogger("seqexp")

PART = 2**21
"""Characters of a block; a worker needs some 20 times as many bytes."""

LARGE = 2**24
"""Bytes of files above which texts are encoded here."""

Splits = Mapping[str, Iterable[Document]]


@dataclass(frozen=True)
class Known:
    """Labels of all texts, as they were read.

    Args:
        tallies: by split.
        labels: different ones, as they are first seen.
    """

    tallies: Mapping[str, Tally]
    labels: Sequence[str]

    def place_of(self, label: str) -> "Place":
        """The place of the first text of a label."""
        tally = next(tally for tally in self.tallies.values() if label in tally.counts)
        return Place(tally, label)


class Place(NamedTuple):
    """The place of the first text of a label: read when it is shown."""

    tally: Tally
    label: str

    def __str__(self) -> str:
        return self.tally.place_of(self.tally.firsts[self.label])

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class Classed(NamedTuple):
    """The class of each label, in the order of `Known.labels`; and facts of a `Corpus`."""

    classes: Sequence[str]
    notes: Sequence[str] = ()
    task: str = "sequence_class"
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """Texts that can be read again and again.

    Args:
        name: of the files, for messages.
        size: of all, bytes, about.
        read: reads them anew.
        unit: what counts as a word.
        classed: tells the classes of labels.
    """

    name: str
    size: int
    read: Callable[[], Splits]
    unit: Unit
    classed: Callable[[Known], Classed]

    def place_of(self, split: str, number: int) -> str:
        """The place of a text, found by reading again."""
        found = (d.place for at, d in enumerate(self.read()[split]) if at == number)
        return next(found, self.name)


def write_streamed(
    entry: Path, source: Source, workers: int | None = None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Write the arrays of an entry, and remove its blocks; returns the index and the checksums.

    Args:
        entry: files add their endings.
        source: of the texts.
        workers: processes that tokenise; None is one a core where there is much to do.

    Raises:
        InputError: if the texts are not sound.
        OSError: if a file cannot be written.
    """
    began = time.monotonic()
    blocks = _Blocks(entry, source, PART)
    workers = workers or min(cores(), 1 + source.size // LARGE)
    blocks.number(workers)
    found = source.classed(blocks.known())
    num_words, checksums = _joined(entry, blocks, workers)
    classes = sorted(set(found.classes))
    places = {name: number for number, name in enumerate(classes)}
    class_of = np.array([places[name] for name in found.classes], dtype=np.int32)
    for split, numbers in blocks.labels.items():
        with growing(array_file(entry, split, "labels"), np.int32) as labels:
            labels.add(class_of[np.array(numbers, dtype=np.int32)])
        checksums[f"{split}.labels"] = labels.checksum
    index = {
        "num_words": num_words,
        "classes": classes,
        "splits": list(blocks.labels),
        "notes": list(found.notes),
        "task": found.task,
        "names": list(found.names),
    }
    log.info(
        f"{source.name}: {sum(map(len, blocks.labels.values())):,} texts,"
        f" {num_words:,} different words, in {time.monotonic() - began:.1f} s"
    )
    return index, checksums


class _Blocks:
    """Texts in blocks, each tokenised into a file."""

    def __init__(self, entry: Path, source: Source, part: int) -> None:
        self.source, self.part = source, part
        self.journal, self.folder = entry.with_suffix(".done"), entry.with_suffix(".parts")
        self.numbers: dict[str, int] = {}  # label -> its number
        self.labels: dict[str, array[int]] = {}
        self.tallies: dict[str, Tally] = {}
        self.splits: list[str] = []  # of each block
        self.firsts: list[int] = []  # number of the first text of each block, in its split
        self.sizes: list[int] = []

    def number(self, workers: int) -> None:
        """Tokenise what is not done yet.

        Raises:
            InputError: on a text without a word.
        """
        self.folder.mkdir(exist_ok=True)
        plan = ["words 1", self.part, self.source.unit]
        log.info(f"{self.source.name}: tokenising {self.source.size:,} bytes, {workers} at a time")
        with Done(self.journal, plan) as done, Work(self.source.size, "B", "tokenising") as work:

            def after(index: int) -> None:
                work.advance(self.sizes[index])

            # a block is drawn when it is its turn, and known by then
            found = done.stream(
                "number", number_into, self._calls(), workers, after, self._is_sound
            )
        for index, (_, _, empty) in enumerate(found):
            if empty >= 0:
                place = self.source.place_of(self.splits[index], self.firsts[index] + empty)
                raise InputError(f"{place}: the text has no word; remove it")

    def file(self, index: int) -> Path:
        return self.folder / f"{index}.npz"

    def known(self) -> Known:
        return Known(self.tallies, list(self.numbers))

    def remove(self) -> None:
        """Remove what is of use until the entry is whole."""
        self.journal.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _calls(self) -> Iterator[tuple[Path, list[str], Unit]]:
        for split, documents in self.source.read().items():
            self.labels[split] = array("i")
            self.tallies[split] = Tally(partial(self.source.place_of, split))
            texts: list[str] = []
            size = 0
            for document in documents:
                self._label(split, document.label)
                texts.append(document.text)
                size += len(document.text)
                if size >= self.part:
                    yield self._call(split, texts, size)
                    texts, size = [], 0
            if texts:
                yield self._call(split, texts, size)

    def _call(self, split: str, texts: list[str], size: int) -> tuple[Path, list[str], Unit]:
        self.splits.append(split)
        self.firsts.append(len(self.labels[split]) - len(texts))
        self.sizes.append(size)
        return self.file(len(self.splits) - 1), texts, self.source.unit

    def _label(self, split: str, label: str) -> None:
        self.tallies[split].add(label)
        self.labels[split].append(self.numbers.setdefault(label, len(self.numbers)))

    def _is_sound(self, index: int, value: Any) -> bool:
        is_known = isinstance(value, list) and len(value) == 3
        return (
            is_known and all(isinstance(one, int) for one in value) and self.file(index).is_file()
        )


def _joined(entry: Path, blocks: _Blocks, workers: int) -> tuple[int, dict[str, int]]:
    """Join all blocks in a process that ends then: a dictionary of all words needs much memory.

    Returns the number of different words, and checksums.
    """
    files = {
        split: [blocks.file(index) for index, of in enumerate(blocks.splits) if of == split]
        for split in blocks.labels
    }
    call = (entry, files, blocks.source.unit)
    try:
        ((_, found),) = each(join, [call], min(2, workers))
    except (ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        blocks.remove()
        raise OSError(0, f"{blocks.folder} is damaged: {error}") from error
    return found
