"""Texts larger than memory as word ids in files: read, tokenised and written block by block.

Each block is a file of its own until all are done, so that an interrupted encoding resumes.
"""

import logging
import shutil
import time
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqexp.dataset.characters.progress import Done
from seqexp.dataset.mapped import StringsWriter, growing
from seqexp.dataset.words.labels import Document, Tally
from seqexp.dataset.words.numbering import Unit, number_into, read_numbered
from seqexp.errors import InputError
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores

log = logging.getLogger("seqexp")

PART = 2**22
"""Characters of a block; a worker needs some 20 times as many bytes."""

LARGE = 2**24
"""Bytes of files above which texts are encoded here."""

_MANY_WORDS = 2**16
"""Words that are written together."""

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
    blocks.number(workers or min(cores(), 1 + source.size // LARGE))
    found = source.classed(blocks.known())
    with ExitStack() as stack:
        index, checksums = _joined(entry, blocks, found, stack)
    log.info(
        f"{source.name}: {sum(map(len, blocks.labels.values())):,} texts,"
        f" {index['num_words']:,} different words, in {time.monotonic() - began:.1f} s"
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


def _joined(
    entry: Path, blocks: _Blocks, found: Classed, stack: ExitStack
) -> tuple[dict[str, Any], dict[str, int]]:
    """Write words, ids, offsets and labels of all blocks; returns the index and the checksums."""
    known: dict[str, int] = {}
    checksums: dict[str, int] = {}
    for split in blocks.labels:
        with (
            growing(array_file(entry, split, "ids"), np.int32) as ids,
            growing(array_file(entry, split, "offsets"), np.int64) as offsets,
        ):
            end = 0
            offsets.add(np.zeros(1, dtype=np.int64))
            for index in (i for i, of in enumerate(blocks.splits) if of == split):
                part = _part(blocks, index)
                numbers = [known.setdefault(word, len(known)) for word in part.words]
                ids.add(np.array(numbers, dtype=np.int32)[part.ids])
                ends = np.cumsum(part.lengths, dtype=np.int64) + end
                offsets.add(ends)
                end = int(ends[-1])
        checksums |= {f"{split}.ids": ids.checksum, f"{split}.offsets": offsets.checksum}
    classes = sorted(set(found.classes))
    places = {name: number for number, name in enumerate(classes)}
    class_of = np.array([places[name] for name in found.classes], dtype=np.int32)
    for split, numbers_of in blocks.labels.items():
        with growing(array_file(entry, split, "labels"), np.int32) as labels:
            labels.add(class_of[np.array(numbers_of, dtype=np.int32)])
        checksums[f"{split}.labels"] = labels.checksum
    content = stack.enter_context(growing(array_file(entry, "words", "letters"), np.uint8))
    offsets = stack.enter_context(growing(array_file(entry, "words", "offsets"), np.int64))
    words = StringsWriter(content, offsets)
    everything = iter(known)
    while some := list(islice(everything, _MANY_WORDS)):
        words.add(some)
    checksums |= {"words.letters": content.checksum, "words.offsets": offsets.checksum}
    facts = {
        "num_words": len(known),
        "classes": classes,
        "splits": list(blocks.labels),
        "notes": list(found.notes),
        "task": found.task,
        "names": list(found.names),
    }
    return facts, checksums


def _part(blocks: _Blocks, index: int) -> Any:
    try:
        return read_numbered(blocks.file(index), blocks.source.unit)
    except (ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        blocks.remove()
        raise OSError(0, f"{blocks.file(index)} is damaged: {error}") from error


def array_file(entry: Path, split: str, name: str) -> Path:
    """The file of an array."""
    return entry.with_name(f"{entry.name}-{split}-{name}.npy")
