"""Intervals of a genome as sequences, with what is asked of each: `dataset.intervals`."""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32

from seqexp.dataset.asked import Column, Task
from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.dataset.dna.answers import Answers, Question, answered, answers_of
from seqexp.dataset.dna.background import Wanted, gc_matched
from seqexp.dataset.dna.columns import Columns, columns_of, written
from seqexp.dataset.dna.interval_files import (
    GC_MATCHED,
    SHUFFLE,
    Intervals,
    NamedFiles,
    asks_one_class,
    is_fasta,
    named_files,
)
from seqexp.dataset.dna.labelled import Record, records_of_fasta
from seqexp.dataset.dna.regions import Regions, Window, Windows, read_regions
from seqexp.dataset.dna.windows import SKIPPED, Centre, Piece, Reader, place_of
from seqexp.dataset.mapped import GrowingTexts, LazyTexts
from seqexp.dataset.read_only import is_looking
from seqexp.formats.genome import Genome, file_digest

NEGATIVE = "negative"
"""Class of negatives, beside several files that are a class each."""

SHARED = 0.5
"""Share of the shorter of two windows, from which one has the label of the other."""

NO_NEGATIVES = "there are no negatives: dataset.negatives=gc-matched draws windows of no file"

Named = tuple[list[str], list[str]]
"""Names of some records, and their letters."""

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
    """What intervals give, in files that are mapped.

    Args:
        sources: records of a file or of the genome.
        answers: of all of them.
        overlapping: of each record the number of the first that overlaps it, or that others
            connect; None: none do.
        place_of: a record in words.
        notes: as of `Found`.
        files: as of `Found`.
    """

    sources: list[Columns]
    answers: Answers
    overlapping: Int32[np.ndarray, " records"] | None
    place_of: Callable[[int], str]
    notes: list[str]
    files: dict[str, str]


class _Rows:
    """What is kept of the rows of the files as their letters pass.

    Args:
        contigs: of the genome.
        columns: that are asked for.
        takes_known: whether a window that an earlier file has is a record again.
    """

    def __init__(
        self, contigs: Iterable[str], columns: Sequence[str], *, takes_known: bool
    ) -> None:
        self.takes_known = takes_known
        self.wanted = Wanted(Windows(contigs))  # each window once
        self.windows = Windows(contigs)  # of the records
        self.of_files: list[Windows] = []
        self.counts: list[int] = []  # records of each file
        self.paths: list[str] = []
        self.asked = {name: GrowingTexts() for name in columns}
        self.lines: array[int] = array("q")

    def of_file(self, path: Path, pieces: Iterable[Piece]) -> Iterator[Named]:
        """Names and letters of the records of a file."""
        self.paths.append(str(path))
        self.counts.append(0)
        self.of_files.append(Windows(self.windows.contigs))
        for piece in pieces:
            chosen = [self.takes_known or is_new for is_new in piece.are_new]
            for window, letters, is_new in zip(
                piece.windows, piece.letters, piece.are_new, strict=True
            ):
                self.of_files[-1].append(window)
                if is_new:
                    self.wanted.add(window, letters)
            for window, line, asked in compress(
                zip(piece.windows, piece.lines, piece.asked, strict=True), chosen
            ):
                self.windows.append(window)
                self.lines.append(line)
                for column, value in zip(self.asked.values(), asked, strict=True):
                    column.append(value)
            names = [window.name for window in compress(piece.windows, chosen)]
            self.counts[-1] += len(names)
            yield names, list(compress(piece.letters, chosen))

    def place_of(self, row: int) -> str:
        """A record in words."""
        number = bisect_right([*accumulate(self.counts)], row)
        if number == len(self.counts):
            return ""
        return place_of(self.paths[number], self.lines[row]) if self.asked else self.paths[number]


class _Places(LazyTexts):
    """All records in words."""

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows.lines)

    def _text(self, index: int) -> str:
        return self.rows.place_of(index)


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
        """The same without their letters in memory.

        Raises:
            InputError: as `read`; if there is no room for the files.
        """
        files = named_files(self.intervals)
        with Genome(self.genome, "dataset.genome", keep_index=not is_looking()) as genome:
            reader = self._reader(genome)
            is_once = self.task == "multi_label" and not self._columns
            rows = _Rows(genome.contigs, self._columns, takes_known=not is_once)
            sources = []
            for path in map(Path, files.values()):
                known = rows.wanted.windows
                pieces = reader.pieces(path, "dataset.intervals", self._columns, known)
                sources.append(written(rows.of_file(path, pieces), alphabet))
            others, windows, place, notes = self._other(reader, rows.wanted, alphabet)
        count = 0 if others is None else len(others)
        answers, more = self._answers([*files], rows, count, place)
        sources += [] if others is None else [others]
        overlapping = _overlapping(rows.windows, windows, sum(map(len, sources)))
        notes = [*more, *notes, *reader.notes(), *self._digests(files)]
        return Placed(
            *(sources, answers, overlapping),
            lambda row: rows.place_of(row) or place,
            *(notes, _kept(reader)),
        )

    def _other(
        self, reader: Reader, positives: Wanted, alphabet: Alphabet
    ) -> tuple[Columns | None, Windows, str, list[str]]:
        """Negatives, their windows where they are of the genome, and their place; as `_negatives`.

        There are none of those that are shuffled later.
        """
        genome = reader.genome
        if self.negatives == SHUFFLE:
            return None, Windows(), "", []
        taken = Regions(window[:3] for window in positives.windows)
        if self.negatives == GC_MATCHED:
            avoid = Regions.joining(taken, reader.blacklist)
            windows, notes = gc_matched(genome, positives, avoid, self.seed)
            place = str(genome.path)
            if not len(windows):
                return None, windows, place, notes
            return written(_named(reader.letters_of(windows)), alphabet), windows, place, notes
        path = Path(self.negatives)
        if is_fasta(path):
            columns = columns_of(path, alphabet, None)
            return columns, Windows(), "", [*columns.notes]
        rows = _Rows(genome.contigs, (), takes_known=True)
        pieces = reader.pieces(path, "dataset.negatives")
        columns = written(rows.of_file(path, pieces), alphabet)
        both = sum(taken.overlaps(*window[:3]) for window in rows.windows)
        return columns, rows.windows, str(path), _overlap_notes(both, len(columns))

    def _answers(
        self, names: Sequence[str], rows: _Rows, negatives: int, place: str
    ) -> tuple[Answers, list[str]]:
        """As `_asked`, of the records of files and so many negatives, which are at a place."""
        if self.is_binary:
            return Answers.binary(len(rows.lines), negatives), []
        if self._columns:
            places = _Places(rows)
            columns = [Column(name, values, places) for name, values in rows.asked.items()]
            return answers_of(columns, self.task, "dataset.targets")
        notes = [] if negatives else [NO_NEGATIVES]
        if self.task == "multi_label":
            values = np.zeros((len(rows.lines) + negatives, len(names)), dtype=np.int64)
            for number, windows in enumerate(rows.of_files):
                values[: len(rows.lines), number] = _sharing(windows, rows.windows)
            question = Question("multi_label", (*names,), is_binary=False)
            return Answers.of_values(question, values), notes
        counts = [*rows.counts, *([negatives] if negatives else [])]
        named, places_of_all = [*names, NEGATIVE], [*rows.paths, place]
        column = Column("file", named[: len(counts)], places_of_all[: len(counts)], counts)
        answers, more = answers_of([column], self.task, "dataset.intervals")
        return answers, [*more, *notes]

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
        notes = [] if negatives else [NO_NEGATIVES]
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

    def _digests(self, files: NamedFiles) -> Iterator[str]:
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


def _named(pieces: Iterable[Piece]) -> Iterator[Named]:
    """Names and letters of windows."""
    for piece in pieces:
        yield [window.name for window in piece.windows], piece.letters


def _overlapping(
    positives: Windows, negatives: Windows, count: int
) -> Int32[np.ndarray, " records"] | None:
    """Of each of `count` records the number of the first that overlaps it; None if none do."""
    windows = Windows(positives.contigs)
    windows.extend(positives)
    windows.extend(negatives)
    found: np.ndarray = np.arange(count, dtype=np.int32)
    found[: len(windows)] = windows.families()
    return None if len(np.unique(found)) == count else found


def _labelled(by_file: Mapping[str, list[Record]]) -> list[Record]:
    """Each window once, with the labels of all files that have a window there."""
    contigs = {
        record.window.contig: None
        for of_file in by_file.values()
        for record in of_file
        if record.window is not None
    }
    records: dict[Window, Record] = {}
    of_files = []
    for of_file in by_file.values():
        of_files.append(Windows(contigs))
        for record in of_file:
            if record.window is not None:
                of_files[-1].append(record.window)
                records.setdefault(record.window, record)
    every = Windows(contigs)
    for window in records:
        every.append(window)
    labels = np.stack([_sharing(windows, every) for windows in of_files], axis=1)
    pairs = zip(records.values(), labels.tolist(), strict=True)
    return [replace(record, values=tuple(map(int, row))) for record, row in pairs]


def _without_labels(records: Sequence[Record], count: int) -> list[Record]:
    return [replace(record, values=(0,) * count) for record in records]


def _sharing(windows: Windows, asked: Windows) -> Bool[np.ndarray, " asked"]:
    """Of each window that is asked about whether one of the windows shares at least half of the
    shorter of both. Contigs of both are the same.
    """
    found = np.zeros(len(asked), dtype=bool)
    if not len(windows) or not len(asked):
        return found
    # contigs in a row, so far apart that none reaches into the next
    starts, ends, queries, stops = (
        np.asarray(values).astype(np.int64)
        for values in (windows.starts, windows.ends, asked.starts, asked.ends)
    )
    longest = int((ends - starts).max())
    step = int(max(ends.max(), stops.max())) + longest + 1
    starts, ends = (one + step * np.asarray(windows.numbers) for one in (starts, ends))
    queries, stops = (one + step * np.asarray(asked.numbers) for one in (queries, stops))
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    at = np.searchsorted(starts, queries - longest)
    beyond = np.searchsorted(starts, stops)
    rows = np.flatnonzero(at < beyond)
    while len(rows):  # each with the next window that it may share letters with
        here = at[rows]
        both = np.minimum(ends[here], stops[rows]) - np.maximum(starts[here], queries[rows])
        least = np.minimum(ends[here] - starts[here], stops[rows] - queries[rows])
        shares = (both > 0) & (both >= SHARED * least)
        found[rows[shares]] = True
        at[rows] += 1
        rows = rows[~shares & (at[rows] < beyond[rows])]
    return found
