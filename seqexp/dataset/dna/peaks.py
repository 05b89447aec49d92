"""Intervals of a genome as sequences, with what is asked of each: `dataset.intervals`."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from seqexp.dataset.asked import Task
from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.dataset.dna.answers import Question, answered
from seqexp.dataset.dna.background import Wanted, gc_matched
from seqexp.dataset.dna.columns import Columns, columns_of, written
from seqexp.dataset.dna.interval_files import (
    GC_MATCHED,
    SHUFFLE,
    Intervals,
    Named,
    asks_one_class,
    is_fasta,
    named_files,
)
from seqexp.dataset.dna.labelled import Record, records_of_fasta
from seqexp.dataset.dna.regions import Regions, Window, Windows, read_regions
from seqexp.dataset.dna.windows import SKIPPED, Centre, Piece, Reader
from seqexp.dataset.read_only import is_looking
from seqexp.formats.genome import Genome, file_digest

NEGATIVE = "negative"
"""Class of negatives, beside several files that are a class each."""

SHARED = 0.5
"""Share of the shorter of two windows, from which one has the label of the other."""

_DIGITS = 16
"""Of a digest in a note."""


@dataclass(frozen=True)
class Found:
    """What intervals give.

    Args:
        records: sequences with their answers.
        question: what is asked of them.
        notes: what a reader of the results should know.
        files: texts that are kept with the run, by name.
    """

    records: list[Record]
    question: Question
    notes: list[str]
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class Placed:
    """What positives and negatives give, in files that are mapped.

    Args:
        sources: records of a file or of the genome, and their class.
        families: number of each record, which those share that have to be in one split; None:
            only equal sequences have to.
        notes: as of `Found`.
        files: as of `Found`.
    """

    sources: list[tuple[Columns, int]]
    families: Int32[np.ndarray, " records"] | None
    notes: list[str]
    files: dict[str, str]


@dataclass(frozen=True)
class Peaks:
    """Intervals, and how sequences are made of them: keys of `Fasta`."""

    intervals: Intervals
    genome: str
    width: int | None
    centre: Centre | None
    negatives: str
    blacklist: str | None
    max_unknown: float
    min_length: int
    targets: Sequence[str] | None
    task: Task | None
    seed: int

    def read(self) -> Found:
        """Read all files.

        Raises:
            InputError: on files that are not sound, or a question that intervals do not answer.
        """
        files = named_files(self.intervals)
        with Genome(self.genome, "dataset.genome", keep_index=not is_looking()) as genome:
            reader = self._reader(genome)
            by_file = {
                name: reader.read(Path(path), "dataset.intervals", self._columns)
                for name, path in files.items()
            }
            negatives, notes = self._negatives(reader, by_file)
            records, question, more = self._asked(by_file, negatives)
        notes = [*more, *notes, *reader.notes(), *self._digests(files)]
        return Found(records, question, notes, _kept(reader))

    def placed(self, alphabet: Alphabet) -> Placed:
        """The same of positives and negatives, without their letters in memory.

        Raises:
            InputError: as `read`; if there is no room for the files.
        """
        files = named_files(self.intervals)
        (path,) = (Path(name) for name in files.values())
        with Genome(self.genome, "dataset.genome", keep_index=not is_looking()) as genome:
            reader = self._reader(genome)
            positives = Wanted(Windows(genome.contigs))
            pieces = reader.pieces(path, "dataset.intervals")
            sources = [(written(_named(pieces, positives), alphabet), 1)]
            others, windows, notes = self._other(reader, positives, alphabet)
        sources += [] if others is None else [(others, 0)]
        families = _families(positives.windows, windows, sum(len(one) for one, _ in sources))
        notes = [*notes, *reader.notes(), *self._digests(files)]
        return Placed(sources, families, notes, _kept(reader))

    def _other(
        self, reader: Reader, positives: Wanted, alphabet: Alphabet
    ) -> tuple[Columns | None, Windows, list[str]]:
        """Negatives, and their windows where they are of the genome; as `_negatives`."""
        genome = reader.genome
        if self.negatives == SHUFFLE:
            return None, Windows(), []
        taken = Regions(window[:3] for window in positives.windows)
        if self.negatives == GC_MATCHED:
            avoid = Regions.joining(taken, reader.blacklist)
            windows, notes = gc_matched(genome, positives, avoid, self.seed)
            if not len(windows):
                return None, windows, notes
            return written(_named(reader.letters_of(windows)), alphabet), windows, notes
        path = Path(self.negatives)
        if is_fasta(path):
            columns = columns_of(path, alphabet, None)
            return columns, Windows(), [*columns.notes]
        found = Wanted(Windows(genome.contigs))
        columns = written(_named(reader.pieces(path, "dataset.negatives"), found), alphabet)
        both = sum(taken.overlaps(*window[:3]) for window in found.windows)
        return columns, found.windows, _overlap_notes(both, len(columns))

    @property
    def is_binary(self) -> bool:
        """Whether positives and negatives are told apart."""
        return asks_one_class(self.intervals, self.targets, self.task)

    @property
    def is_shuffled(self) -> bool:
        """Whether the negatives are shuffled positives."""
        return self.is_binary and self.negatives == SHUFFLE

    @property
    def _columns(self) -> Sequence[str]:
        if self.targets is None and self.task == "regression":
            return ["score"]
        return self.targets or []

    def _reader(self, genome: Genome) -> Reader:
        blacklist = Regions()
        if self.blacklist is not None:
            blacklist = read_regions(Path(self.blacklist), genome, "dataset.blacklist")
        return Reader(genome, self.width, self.centre, blacklist, self.max_unknown, self.min_length)

    def _negatives(
        self, reader: Reader, by_file: Mapping[str, list[Record]]
    ) -> tuple[list[Record], list[str]]:
        """Negatives of the genome or of a file; none of those that are shuffled later."""
        if self.negatives == SHUFFLE:
            return [], []
        positives = [record for records in by_file.values() for record in records]
        taken = Regions(record.window[:3] for record in positives if record.window is not None)
        if self.negatives == GC_MATCHED:
            avoid, wanted = (
                Regions.joining(taken, reader.blacklist),
                Wanted.of(reader.genome, positives),
            )
            windows, notes = gc_matched(reader.genome, wanted, avoid, self.seed)
            return [one for piece in reader.letters_of(windows) for one in piece.records()], notes
        path = Path(self.negatives)
        if is_fasta(path):
            return records_of_fasta(path)
        found = reader.read(path, "dataset.negatives")
        both = sum(taken.overlaps(*record.window[:3]) for record in found if record.window)
        return found, _overlap_notes(both, len(found))

    def _asked(
        self, by_file: Mapping[str, list[Record]], negatives: list[Record]
    ) -> tuple[list[Record], Question, list[str]]:
        """Records with their answers, what is asked of them, and notes."""
        positives = [record for records in by_file.values() for record in records]
        if self.is_binary:
            labelled = [replace(record, label=1) for record in positives]
            return [*labelled, *(replace(one, label=0) for one in negatives)], Question(), []
        if self._columns:
            return answered(positives, self._columns, self.task, "dataset.targets")
        notes = []
        if not negatives:
            notes.append(
                "there are no negatives: dataset.negatives=gc-matched draws windows of no file"
            )
        if self.task == "multi_label":
            records = [*_labelled(by_file), *_without_labels(negatives, len(by_file))]
            return records, Question("multi_label", (*by_file,), is_binary=False), notes
        named = [
            replace(record, asked=(name,))
            for name, records in (*by_file.items(), (NEGATIVE, negatives))
            for record in records
        ]
        records, question, more = answered(named, ["file"], self.task, "dataset.intervals")
        return records, question, [*more, *notes]

    def _digests(self, files: Named) -> Iterator[str]:
        """Of each file that was read."""
        paths = [*files.values(), self.genome]
        paths += [self.blacklist] if self.blacklist is not None else []
        paths += [self.negatives] if self.negatives not in (SHUFFLE, GC_MATCHED) else []
        for path in paths:
            yield f"{Path(path).name} has the SHA-256 {file_digest(Path(path))[:_DIGITS]}..."


def _kept(reader: Reader) -> dict[str, str]:
    """Texts that are kept with the run."""
    return {SKIPPED: reader.table()} if reader.skipped else {}


def _overlap_notes(both: int, count: int) -> list[str]:
    return [f"{both:,} of {count:,} negatives overlap a positive"] if both else []


def _named(
    pieces: Iterable[Piece], counted: Wanted | None = None
) -> Iterator[tuple[list[str], list[str]]]:
    """Names and letters of windows, which are counted as they pass."""
    for piece in pieces:
        for window, letters in zip(piece.windows, piece.letters, strict=True):
            if counted is not None:
                counted.add(window, letters)
        yield [window.name for window in piece.windows], piece.letters


def _families(
    positives: Windows, negatives: Windows, count: int
) -> Int32[np.ndarray, " records"] | None:
    """Of each of `count` records the number of those that overlap it; None if none do."""
    windows = Windows(positives.contigs)
    for window in chain(positives, negatives):
        windows.append(window)
    found: np.ndarray = np.arange(count, dtype=np.int32)
    found[: len(windows)] = windows.families()
    return None if len(np.unique(found)) == count else found


def _labelled(by_file: Mapping[str, list[Record]]) -> list[Record]:
    """Each window once, with the labels of all files that have a window there."""
    records: dict[Window, Record] = {}
    lookups = []
    for of_file in by_file.values():
        windows = [record.window for record in of_file if record.window is not None]
        lookups.append(_Lookup(windows))
        for record in of_file:
            if record.window is not None:
                records.setdefault(record.window, record)
    return [
        replace(record, values=tuple(int(lookup.shares(window)) for lookup in lookups))
        for window, record in records.items()
    ]


def _without_labels(records: Sequence[Record], count: int) -> list[Record]:
    return [replace(record, values=(0,) * count) for record in records]


class _Lookup:
    """Windows, and whether one of them shares enough with another."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.places = sorted((window.contig, window.start, window.end) for window in windows)
        self.longest = max((end - start for _, start, end in self.places), default=0)

    def shares(self, window: Window) -> bool:
        """Whether one of the windows shares at least half of the shorter of both."""
        first = (window.contig, window.start - self.longest, 0)
        for at in range(bisect_left(self.places, first), len(self.places)):
            contig, start, end = self.places[at]
            if contig != window.contig or start >= window.end:
                return False
            both = min(end, window.end) - max(start, window.start)
            if both > 0 and both >= SHARED * min(end - start, window.end - window.start):
                return True
        return False
