"""Your own sequences, and what is asked of them: classes, labels or numbers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import psutil
import torch
from annotated_types import Len
from jaxtyping import Int

from seqexp.data import Data, Sequences
from seqexp.dataset.asked import Task
from seqexp.dataset.cache import file_digest, key_of
from seqexp.dataset.dna.alphabets import (
    AUTO,
    DNA,
    Alphabet,
    alphabet_of,
    as_it_stands,
    told_by,
)
from seqexp.dataset.dna.answers import Answers, Question, answered, refuse_unfit
from seqexp.dataset.dna.columns import columns_of
from seqexp.dataset.dna.folds import FoldBy, by_fold
from seqexp.dataset.dna.homology import families_of, with_families
from seqexp.dataset.dna.interval_files import SHUFFLE, named_files
from seqexp.dataset.dna.labelled import (
    Read,
    Record,
    asked_by_name,
    records_of_fasta,
    records_of_table,
    values_by_name,
)
from seqexp.dataset.dna.mapped_rows import How, rows_of
from seqexp.dataset.dna.named_splits import named_splits, other_split
from seqexp.dataset.dna.peaks import Peaks
from seqexp.dataset.dna.pool import Naming, Pool, Rows, letter_notes, split
from seqexp.dataset.dna.pool import by_fold as pool_by_fold
from seqexp.dataset.dna.pool import duplicate_notes as duplicate_notes_of
from seqexp.dataset.dna.pool import without_leaks as leaks_removed
from seqexp.dataset.dna.shuffle import dinucleotide_shuffle
from seqexp.dataset.dna.splits import SPLITS, Form, drawn, duplicate_notes, form_of, without_leaks
from seqexp.dataset.dna.windows import Centre
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.mapped import joined, size_of
from seqexp.dataset.own_files import found
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement
from seqexp.formats.expressions import found_in
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Seed, Share
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec, Vocabulary, WordEncoding

log = logging.getLogger("seqexp")

LARGE = 2**25
"""Bytes of files above which sequences are mapped from files, not held in memory."""

MANY_INTERVALS = 2**17
"""The same of a file of intervals: some 3,000 rows."""

LABEL = "label"
"""Column that is asked for where none is named."""

ColumnName = Annotated[str, Len(1)]


@dataclass(frozen=True)
class Fasta:
    """Sequences of letters from files, and a class, labels or numbers of each.

    Letters of DNA: `A C G T` in either case; `U` is `T`; `N` and the other IUPAC codes become
    padding (id 0), which is a zero vector to filters and is skipped by recurrent models. Shorter
    sequences are padded on the right.

    Give one of: `positives` (and `negatives`); `sequences` and `labels`; `table`; `intervals` of a
    `genome` (and `negatives`). A name ends at the first blank of its header; that of an interval is
    its place, as `chr1:100-300(+)`. Where several are the same, the whole headers are the names,
    and equal ones are numbered; where a table has values by name, equal ones are refused.

    Args:
        positives: FASTA of the sequences with the signal.
        negatives: FASTA of sequences without; `shuffle` makes one of each positive, in its split,
            that has the same pairs of neighbouring letters. Of intervals also a BED file, or
            `gc-matched`: windows of the genome of the same lengths, GC and unknown letters, on the
            same contigs, none over another. Files that are classes or labels have none unless a
            file or `gc-matched` is given.
        sequences: FASTA of both, with `labels`.
        labels: table with the columns id and label, or those of `targets`.
        table: table with the columns label (or those of `targets`), sequence, and perhaps id, split
            (train, valid, test, or all for those to be split by the seed) and group (of `fold_by`).
        targets: columns that are asked for: one of classes, several of 0 and 1, or numbers; None
            is `label`, a class. Missing labels and numbers (empty, NA, NaN, null) are not scored.
            With `task=multi_label` one column may list names, as `liver;brain`.
        task: the kind of what is asked: `sequence_class`, `multi_label` or `regression`; None is
            told by the values of `targets` and said.
        sequence_column: column of the letters.
        intervals: BED or narrowPeak files: one of positives, or several that are a class or a label
            each (`task` says which), as a list or by names of their own. `targets` may name a
            column instead: name, score, signalValue, pValue, qValue; `task=regression` is score. On
            strand `-` the other strand is read.
        genome: FASTA of all contigs, plain or packed by bgzip.
        width: letters of each window of an interval; None takes intervals as they are.
        centre: of such a window; None is the summit where a row has one, else the middle.
        blacklist: BED file; windows that overlap one of its regions are left out.
        max_unknown: share of unknown letters (N) above which a window is left out.
        alphabet: `dna`, `rna`, `protein` (20 amino acids; X, B, Z, J, U, O and * are padding), all
            letters in a row, or `auto`, which is told by the letters and said.
        length: letters of every sequence: shorter ones are padded, longer ones refused; None is
            that of the longest.
        pad: the side on which shorter ones are padded: `left` lines up their ends; needs `length`.
        splits: table with the columns id and split, as above; wins over `table`'s column.
        valid_names: regular expression; records whose name it finds are for validation.
        test_names: the same for the test, first.
        valid_share: share for validation of the training sequences, by seed and class, where
            nothing else names any.
        test_share: share for the test of all sequences, by seed and class, where nothing else names
            any.
        folds: parts of all sequences, each of which is the test of one run; None: the test is
            named, or drawn.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        fold_by: what is dealt to folds: `class`: single sequences, of the same share of each class;
            whole chromosomes, by names as `chr1:100-300`; or groups of a column `group`. Equal
            sequences, and those of `keep_together`, stay together; validation is of whole
            chromosomes and groups too.
        min_length: shortest sequence allowed; at least as wide as a filter.
        keep_together: letters in a row; sequences that share as many, on either strand, are in one
            split, and so are all that they connect. Words of one short repeat do not count. None:
            equal sequences only, and intervals that overlap.
        reverse_complement: add the other strand of each training sequence as a row of its own.
        cache: where token ids of many positives and negatives are kept and mapped into memory from;
            None keeps them in a temporary folder.
        seed: selects splits and shuffles.

    A sequence that stands in two splits, on either strand, would make a test of memory: it is
    removed from training if it is in validation or test, and from validation if it is in the test.

    Raises:
        InputError: from `load`, on files that are not sound, sequences that are too short, values
            that are not of the kind that is asked, and splits that lack a class.
    """

    positives: str | None = None
    negatives: str = "shuffle"
    sequences: str | None = None
    labels: str | None = None
    table: str | None = None
    targets: Annotated[list[ColumnName], Len(1)] | None = None
    task: Task | None = None
    sequence_column: ColumnName = "sequence"
    intervals: str | list[str] | dict[str, str] | None = None
    genome: str | None = None
    width: Count | None = None
    centre: Centre | None = None
    blacklist: str | None = None
    max_unknown: Share = 0.1
    alphabet: str = "dna"
    length: Count | None = None
    pad: Literal["left", "right"] = "right"
    splits: str | None = None
    valid_names: str | None = None
    test_names: str | None = None
    valid_share: HeldOutShare = 0.1
    test_share: HeldOutShare = 0.2
    folds: Folds | None = None
    fold: CountOrZero = 0
    fold_by: FoldBy = "class"
    min_length: Count = 20
    keep_together: Count | None = None
    reverse_complement: bool = False
    cache: str | None = None
    seed: Seed = 0

    output = "sequence_class"

    def load(self) -> Data:
        """Read, split and encode."""
        given = alphabet_of(self.alphabet)
        if given is None and self.intervals is not None:
            given = DNA  # as all genomes are
        if self._is_mapped(given) and given is not None:
            return self._mapped(given)
        read = as_it_stands if given is None else given.read
        records, question, notes, files = self._read(read)
        if given is None:
            alphabet = told_by([record.sequence for record in records], "dataset.alphabet is auto")
            records = [_read_as(record, alphabet) for record in records]
            notes += self._told(alphabet)
        else:
            alphabet = given
            notes += self._told(alphabet)
        lengths = np.array([len(record.sequence) for record in records])
        self._refuse_length(lengths, lambda row: records[row].name, alphabet)
        if self.keep_together is not None or self.intervals is not None:
            records = with_families(records, self.keep_together)
        form = form_of(alphabet.has_strands)
        fold = Fold.of(self)
        if fold is None:
            parts = self._split(records, form)
        else:
            parts, note = by_fold(records, fold, self.fold_by, self.valid_share, form)
            notes.append(note)
        notes += [*_letter_notes(records, alphabet)]
        notes += duplicate_notes(records, form, question.is_binary)
        parts, removed = without_leaks(parts, form)
        notes += removed
        if self._is_shuffled:
            parts = {name: self._with_shuffled(part, notes) for name, part in parts.items()}
        targets = {name: question.targets(part).numpy() for name, part in parts.items()}
        notes += refuse_unfit(targets, question)
        if self.reverse_complement:
            parts["train"] = [turned for r in parts["train"] for turned in _both_strands(r)]
        return replace(self._data(parts, question, alphabet, notes), files=files)

    def _told(self, alphabet: Alphabet) -> list[str]:
        """What is said of an alphabet that nobody named."""
        if self.alphabet != AUTO:
            return []
        return [f"dataset.alphabet is {alphabet.name}, as the letters tell"]

    @property
    def _is_shuffled(self) -> bool:
        """Whether negatives are shuffled positives, made in each split."""
        peaks = self._peaks
        if peaks is not None:
            return peaks.is_shuffled
        return self.positives is not None and self.negatives == SHUFFLE

    @property
    def _peaks(self) -> Peaks | None:
        if self.intervals is None:
            return None
        if self.genome is None:
            raise InputError("dataset.intervals is given, but dataset.genome is null; give both")
        return Peaks(
            self.intervals,
            self.genome,
            self.width,
            self.centre,
            self.negatives,
            self.blacklist,
            self.max_unknown,
            self.min_length,
            self.targets,
            self.task,
            self.seed,
        )

    def _data(
        self,
        parts: dict[str, list[Record]],
        question: Question,
        alphabet: Alphabet,
        notes: Sequence[str],
    ) -> Data:
        lengths = {len(record.sequence) for part in parts.values() for record in part}
        longest = max(lengths)
        _refuse_too_much(sum(map(len, parts.values())), self.length or longest)
        spec = self._spec(question, alphabet, (min(lengths), longest))
        train, valid, test = (
            Sequences(
                _tokens(parts[name], alphabet, self.length, self.pad == "left"),
                question.targets(parts[name]),
                names=joined(record.name for record in parts[name]),
            )
            for name in SPLITS
        )
        return Data(spec, train, valid, test, notes=tuple(note for note in notes if note))

    def _spec(self, question: Question, alphabet: Alphabet, lengths: tuple[int, int]) -> TaskSpec:
        """The spec of sequences from the shortest length to the longest."""
        shortest, longest = lengths
        return TaskSpec(
            vocabulary=Vocabulary(alphabet.symbols),
            num_outputs=len(question.names),
            output=Output(question.task),
            output_names=question.names,
            length=self.length or (longest if shortest == longest else None),
            words=None if self.length is None else WordEncoding("tail", self.pad, "letters"),
        )

    # --- more than memory holds ---------------------------------------------------------------

    def _is_mapped(self, alphabet: Alphabet | None) -> bool:
        """Whether sequences are so many that they are mapped from files; if not, says why."""
        given = (self.positives, self.sequences, self.table)
        named, large = [Path(path) for path in given if path is not None], LARGE
        if self.intervals is not None:
            named, large = [*map(Path, named_files(self.intervals).values())], MANY_INTERVALS
        if self.positives is not None and self.negatives != SHUFFLE:
            named.append(Path(self.negatives))
        if not all(path.is_file() for path in named) or size_of(named) <= large:
            return False
        in_memory = {
            "dataset.table": self.table,
            "dataset.sequences": self.sequences,
            "dataset.splits": self.splits if self.intervals is None else None,
            "dataset.alphabet=auto": alphabet is None,
            "a dataset.alphabet of other letters than ASCII": alphabet is not None
            and not "".join(alphabet.symbols).isascii(),
        }
        why = next((key for key, value in in_memory.items() if value), None)
        if why is not None:
            log.info(f"with {why}, all sequences are held in memory: some 1,000 bytes each")
        return why is None

    def _mapped(self, alphabet: Alphabet) -> Data:
        """As `load`, of positives and negatives in files that are mapped."""
        if (peaks := self._peaks) is not None:
            placed = peaks.placed(alphabet)
            pool = Pool(
                *(placed.sources, alphabet, placed.answers, placed.overlapping, placed.place_of)
            )
            notes = [*placed.notes, *self._told(alphabet)]
            data = self._of_pool(pool, peaks.is_shuffled, None, notes)
            return replace(data, files=placed.files)
        assert self.positives is not None
        is_shuffled = self.negatives == SHUFFLE
        paths = [Path(self.positives), *([] if is_shuffled else [Path(self.negatives)])]
        cache = None if self.cache is None else Path(self.cache)
        columns = [columns_of(path, alphabet, cache) for path in paths]
        counts = [*map(len, columns), 0]
        pool = Pool(
            *(columns, alphabet, Answers.binary(*counts[:2])),
            place_of=lambda row: str(paths[int(row >= counts[0])]),
        )
        names = dict.fromkeys(note for one in columns for note in one.notes)
        return self._of_pool(pool, is_shuffled, cache, [*names], [*map(file_digest, paths)])

    def _of_pool(
        self,
        pool: Pool,
        is_shuffled: bool,
        cache: Path | None,
        notes: Sequence[str],
        digests: Sequence[str] = (),
    ) -> Data:
        """The data of a pool; `digests` are those of its files, for a cache.

        Families of the pool are those of intervals that overlap.
        """
        alphabet = pool.alphabet
        self._refuse_length(pool.every_length(), pool.name, alphabet)
        naming = Naming(
            self.valid_names, self.test_names, self.valid_share, self.test_share, self.seed
        )

        fold = Fold.of(self)

        def parts() -> tuple[dict[str, Rows], list[str]]:
            named = None
            if self.splits is not None:
                named = named_splits(Path(self.splits), pool.names())
            if self.keep_together is not None:
                pool.families = families_of(pool.families, pool.sequences(), self.keep_together)
            if fold is None:
                chosen, notes = split(pool, naming, named), []
            else:
                chosen, note = pool_by_fold(pool, fold, self.fold_by, self.valid_share, named)
                notes = [note]
            notes += [*letter_notes(pool), *duplicate_notes_of(pool)]
            left, removed = leaks_removed(pool, chosen)
            return left, [*notes, *removed]

        how = How(
            *(self.seed, is_shuffled, self.reverse_complement, self.length, self.pad == "left")
        )
        more = {"folds": (fold, self.fold_by) if fold else None, "letters": self.keep_together}
        chosen = [repr(one) for one in more.items() if one[1] is not None]
        key = key_of("dna 1", *digests, repr((alphabet, naming, how)), *chosen)
        found = rows_of(pool, parts, how, cache, key)
        splits = [found.parts[name] for name in SPLITS]
        train, valid, test = (
            Sequences(part.tokens, part.targets, names=part.names) for part in splits
        )
        spec = self._spec(pool.answers.question, alphabet, found.lengths)
        return Data(spec, train, valid, test, notes=(*notes, *found.notes))

    def _read(self, read: Read) -> tuple[list[Record], Question, list[str], dict[str, str]]:
        """Records with their answers, what is asked of them, notes, and texts to keep."""
        asked = self.targets or [LABEL]
        task = self.task or (None if self.targets else "sequence_class")
        key = "dataset.targets" if self.targets else "the column label"
        is_looked_up = self.splits is not None
        question, files, peaks = Question(), dict[str, str](), self._peaks
        if peaks is not None:
            found_there = peaks.read()
            records, question = found_there.records, found_there.question
            notes, files = found_there.notes, found_there.files
        elif self.table is not None:
            path = found("dataset.table", self.table)
            records, notes = records_of_table(path, is_looked_up, asked, self.sequence_column, read)
        elif self.sequences is not None and self.labels is not None:
            source, path = Path(self.sequences), Path(self.labels)
            records, notes = records_of_fasta(source, is_looked_up=True, read=read)
            records = asked_by_name(path, asked, records, source)
            if self.folds is not None and self.fold_by == "group":
                groups = values_by_name(path, "group", records, source)
                records = [replace(record, group=groups[record.name]) for record in records]
        elif self.positives is not None:
            records, notes = self._positives_and_negatives(is_looked_up, read)
        else:
            raise InputError(
                "dataset names no sequences; give dataset.positives, or dataset.sequences and"
                " dataset.labels, dataset.table, or dataset.intervals and dataset.genome"
            )
        if self.positives is None and peaks is None:
            records, question, more = answered(records, asked, task, key)
            notes += more
        if self.splits is not None:
            path = Path(self.splits)
            chosen = values_by_name(path, "split", records, path)
            records = [replace(record, split=chosen[record.name]) for record in records]
        return records, question, notes, files

    def _positives_and_negatives(
        self, is_looked_up: bool, read: Read
    ) -> tuple[list[Record], list[str]]:
        assert self.positives is not None
        records, notes = _labelled(self.positives, 1, is_looked_up, read)
        if self.negatives != SHUFFLE:
            others, more = _labelled(self.negatives, 0, is_looked_up, read)
            records, notes = records + others, list(dict.fromkeys(notes + more))
        return records, notes

    def _refuse_length(
        self,
        lengths: Int[np.ndarray, " records"],
        name_of: Callable[[int], str],
        alphabet: Alphabet,
    ) -> None:
        """Refuse what the choices of lengths and strands do not fit."""
        if self.reverse_complement and not alphabet.has_strands:
            raise InputError(
                "dataset.reverse_complement is true, but the sequences are no DNA or RNA"
                f" ({alphabet.name or 'dataset.alphabet'}), which alone have another strand; give"
                " false"
            )
        is_short = lengths < self.min_length
        if is_short.any():
            first = int(is_short.argmax())
            raise InputError(
                f"dataset.min_length is {self.min_length}, but {is_short.sum()} of {len(lengths)}"
                f" sequences are shorter, as {name_of(first)!r} with {lengths[first]}"
                " letters; remove them, or give a smaller min_length and filters as narrow"
            )
        longest = int(lengths.argmax())
        if self.length is not None and lengths[longest] > self.length:
            raise InputError(
                f"dataset.length is {self.length}, but {name_of(longest)!r} has"
                f" {lengths[longest]} letters; give at least as many, or null"
            )
        if self.length is None and self.pad == "left":
            raise InputError("dataset.pad is left, but dataset.length is null; give a length")

    # --- splits -------------------------------------------------------------------------------

    def _split(self, records: Sequence[Record], form: Form) -> dict[str, list[Record]]:
        """Each record to its split: named by a pattern or a table, or drawn by the seed."""
        parts: dict[str, list[Record]] = {name: [] for name in SPLITS}
        names = [record.name for record in records]
        is_test, is_valid = (
            [False] * len(names) if pattern is None else found_in(pattern, names, f"dataset.{key}")
            for key, pattern in (("test_names", self.test_names), ("valid_names", self.valid_names))
        )
        for index, record in enumerate(records):
            parts[self._named_split(record, is_test[index], is_valid[index])].append(record)
        for name, pattern in (("test", self.test_names), ("valid", self.valid_names)):
            if pattern is not None and not parts[name]:
                raise InputError(
                    f"dataset.{name}_names is {pattern!r}, which is found in none of"
                    f" {len(records)} names, as {records[0].name!r}"
                )
        for name, share in (("test", self.test_share), ("valid", self.valid_share)):
            if not parts[name]:
                seed = stream_seed(self.seed, name)
                parts["train"], parts[name] = drawn(parts["train"], share, seed, form)
        return parts

    @staticmethod
    def _named_split(record: Record, is_test: bool, is_valid: bool) -> str:
        if is_test or is_valid:
            return "test" if is_test else "valid"
        if record.split is None or record.split == "all":
            return "train"
        if record.split not in SPLITS:
            raise other_split(record.name, record.split)
        return record.split

    def _with_shuffled(self, part: Sequence[Record], notes: list[str]) -> list[Record]:
        """The records, and one shuffled negative of each."""
        made = []
        for record in part:
            seed = stream_seed(self.seed, "shuffle", record.sequence)
            shuffled = dinucleotide_shuffle(record.sequence, seed)
            if shuffled != record.sequence:
                made.append(Record(f"{record.name}_shuffled", shuffled, label=0))
        if len(made) < len(part):
            notes.append(f"{len(part) - len(made)} positives have no other order of their pairs")
        return [*part, *made]


def _labelled(
    path: str, label: int, is_looked_up: bool, read: Read
) -> tuple[list[Record], list[str]]:
    records, notes = records_of_fasta(Path(path), is_looked_up, read)
    return [replace(record, label=label, place=path) for record in records], notes


def _read_as(record: Record, alphabet: Alphabet) -> Record:
    place = record.place or "dataset"
    return replace(record, sequence=alphabet.read(record.sequence, record.name, place))


def _both_strands(record: Record) -> tuple[Record, Record]:
    other = reverse_complement(record.sequence)
    return record, replace(record, name=f"{record.name}_reverse", sequence=other)


def _letter_notes(records: Sequence[Record], alphabet: Alphabet) -> list[str]:
    total = sum(len(record.sequence) for record in records)
    notes = []
    if alphabet.open:
        unknown = sum(record.sequence.count(alphabet.open) for record in records)
        if unknown:
            notes.append(f"{unknown:,} of {total:,} letters are unknown ({alphabet.open})")
    if alphabet.name == "protein":
        bases = sum(record.sequence.count(base) for record in records for base in "ACGTX")
        if bases == total:
            notes.append("all letters are A, C, G, T or unknown: this looks like DNA, not protein")
    return notes


def _refuse_too_much(count: int, length: int) -> None:
    needed, there = 9 * count * length, psutil.virtual_memory().total
    if needed > there // 2:
        raise InputError(
            f"{count:,} sequences padded to the longest, {length:,} letters, need"
            f" {needed / 2**30:,.1f} GiB, but half of this machine's memory is"
            f" {there / 2**31:,.1f} GiB; cut the long ones"
        )


def _tokens(
    records: Sequence[Record], alphabet: Alphabet, length: int | None, pad_left: bool
) -> torch.Tensor:
    """Token ids, `(records, time)`."""
    longest = max((len(record.sequence) for record in records), default=1)
    tokens = np.zeros((len(records), length or longest), dtype=np.uint8)
    ids = alphabet.ids()
    for row, record in zip(tokens, records, strict=True):
        encoded = record.sequence.translate(ids).encode("latin-1")
        start = len(row) - len(encoded) if pad_left else 0
        row[start : start + len(encoded)] = np.frombuffer(encoded, dtype=np.uint8)
    return torch.from_numpy(tokens)
