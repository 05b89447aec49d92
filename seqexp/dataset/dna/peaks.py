"""Intervals of a genome as sequences, with what is asked of each: `dataset.intervals`."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqexp.dataset.asked import Task
from seqexp.dataset.dna.answers import Question, answered
from seqexp.dataset.dna.background import gc_matched
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
from seqexp.dataset.dna.regions import Regions, Window, read_regions
from seqexp.dataset.dna.windows import SKIPPED, Centre, Reader
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
        kept = {SKIPPED: reader.table()} if reader.skipped else {}
        return Found(records, question, notes, kept)

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
            unique = list({record.window: record for record in positives}.values())
            avoid = Regions([*taken.places(), *reader.blacklist.places()])
            return gc_matched(reader.genome, unique, avoid, self.seed)
        path = Path(self.negatives)
        if is_fasta(path):
            return records_of_fasta(path)
        found = reader.read(path, "dataset.negatives")
        both = sum(taken.overlaps(*record.window[:3]) for record in found if record.window)
        notes = [f"{both:,} of {len(found):,} negatives overlap a positive"] if both else []
        return found, notes

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
