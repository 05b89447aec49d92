"""Your own DNA: sequences with a signal against sequences without."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from seqexp.data import Data, Sequences
from seqexp.dataset.dna.labelled import (
    Record,
    label_of,
    records_of_fasta,
    records_of_table,
    values_by_name,
)
from seqexp.dataset.dna.shuffle import dinucleotide_shuffle
from seqexp.dataset.dna.splits import SPLITS, drawn, duplicate_notes, without_leaks
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS, reverse_complement
from seqexp.formats.expressions import found_in
from seqexp.ranges import Count, HeldOutShare, Seed
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec, Vocabulary

SHUFFLE = "shuffle"

_IDS = {"A": 1, "C": 2, "G": 3, "T": 4, "N": 0}


@dataclass(frozen=True)
class Fasta:
    """Positives and negatives from files, classified.

    Letters: `A C G T` in either case; `U` is `T`; `N` and the other IUPAC codes become padding (id
    0), which is a zero vector to filters and is skipped by recurrent models. Shorter sequences are
    padded on the right.

    Give one of: `positives` (and `negatives`); `sequences` and `labels`; `table`. A name ends at
    the first blank of its header. Where several are the same, the whole headers are the names, and
    equal ones are numbered; where a table has values by name, equal ones are refused.

    Args:
        positives: FASTA of the sequences with the signal.
        negatives: FASTA of sequences without; `shuffle` makes one of each positive, in its split,
            that has the same pairs of neighbouring letters.
        sequences: FASTA of both, with `labels`.
        labels: table with the columns id and label (0 or 1).
        table: table with the columns label, sequence, and perhaps id and split (train, valid, test,
            or all for those to be split by the seed).
        splits: table with the columns id and split, as above; wins over `table`'s column.
        valid_names: regular expression; records whose name it finds are for validation.
        test_names: the same for the test, first.
        valid_share: share for validation of the training sequences, by seed and class, where
            nothing else names any.
        test_share: share for the test of all sequences, by seed and class, where nothing else names
            any.
        min_length: shortest sequence allowed; at least as wide as a filter.
        reverse_complement: add the other strand of each training sequence as a row of its own.
        seed: selects splits and shuffles.

    A sequence that stands in two splits, on either strand, would make a test of memory: it is
    removed from training if it is in validation or test, and from validation if it is in the test.

    Raises:
        InputError: from `load`, on files that are not sound, sequences that are too short, and
            splits that lack a class.
    """

    positives: str | None = None
    negatives: str = "shuffle"
    sequences: str | None = None
    labels: str | None = None
    table: str | None = None
    splits: str | None = None
    valid_names: str | None = None
    test_names: str | None = None
    valid_share: HeldOutShare = 0.1
    test_share: HeldOutShare = 0.2
    min_length: Count = 20
    reverse_complement: bool = False
    seed: Seed = 0

    output = "sequence-class"

    def load(self) -> Data:
        """Read, split and encode."""
        records, notes = self._read()
        self._refuse_short(records)
        parts = self._split(records)
        notes += [_letters_note(records), *duplicate_notes(records)]
        parts, removed = without_leaks(parts)
        notes += removed
        if self.positives is not None and self.negatives == SHUFFLE:
            parts = {name: self._with_shuffled(part, notes) for name, part in parts.items()}
        _refuse_one_class(parts)
        if self.reverse_complement:
            parts["train"] = [turned for r in parts["train"] for turned in _both_strands(r)]
        lengths = {len(record.sequence) for part in parts.values() for record in part}
        _refuse_too_much(sum(map(len, parts.values())), max(lengths))
        spec = TaskSpec(
            vocabulary=Vocabulary(tuple(LETTERS)),
            num_outputs=2,
            output=Output.SEQUENCE_CLASS,
            output_names=("negative", "positive"),
            length=lengths.pop() if len(lengths) == 1 else None,
        )
        train, valid, test = (_encoded(parts[name]) for name in SPLITS)
        return Data(spec, train, valid, test, notes=tuple(note for note in notes if note))

    def _read(self) -> tuple[list[Record], list[str]]:
        """Records with their labels, and notes on their names."""
        is_looked_up = self.splits is not None
        if self.table is not None:
            records, notes = records_of_table(Path(self.table), is_looked_up)
        elif self.sequences is not None and self.labels is not None:
            path = Path(self.labels)
            records, notes = records_of_fasta(Path(self.sequences), is_looked_up=True)
            labels = values_by_name(path, "label", records, Path(self.sequences))
            records = [replace(r, label=label_of(labels[r.name], r.name, path)) for r in records]
        elif self.positives is not None:
            records, notes = _labelled(self.positives, 1, is_looked_up)
            if self.negatives != SHUFFLE:
                others, more = _labelled(self.negatives, 0, is_looked_up)
                records, notes = records + others, list(dict.fromkeys(notes + more))
        else:
            raise InputError(
                "dataset names no sequences; give dataset.positives, or dataset.sequences and"
                " dataset.labels, or dataset.table"
            )
        if self.splits is not None:
            path = Path(self.splits)
            chosen = values_by_name(path, "split", records, path)
            records = [replace(record, split=chosen[record.name]) for record in records]
        return records, notes

    def _refuse_short(self, records: Sequence[Record]) -> None:
        short = [record for record in records if len(record.sequence) < self.min_length]
        if short:
            raise InputError(
                f"dataset.min_length is {self.min_length}, but {len(short)} of {len(records)}"
                f" sequences are shorter, as {short[0].name!r} with {len(short[0].sequence)}"
                " letters; remove them, or give a smaller min_length and filters as narrow"
            )

    # --- splits -------------------------------------------------------------------------------

    def _split(self, records: Sequence[Record]) -> dict[str, list[Record]]:
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
                parts["train"], parts[name] = drawn(parts["train"], share, seed)
        return parts

    @staticmethod
    def _named_split(record: Record, is_test: bool, is_valid: bool) -> str:
        if is_test or is_valid:
            return "test" if is_test else "valid"
        if record.split is None or record.split == "all":
            return "train"
        if record.split not in SPLITS:
            raise InputError(
                f"{record.name!r} has the split {record.split!r}; give train, valid, test or all"
            )
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


def _labelled(path: str, label: int, is_looked_up: bool) -> tuple[list[Record], list[str]]:
    records, notes = records_of_fasta(Path(path), is_looked_up)
    return [replace(record, label=label) for record in records], notes


def _both_strands(record: Record) -> tuple[Record, Record]:
    other = reverse_complement(record.sequence)
    return record, replace(record, name=f"{record.name}_reverse", sequence=other)


def _letters_note(records: Sequence[Record]) -> str:
    unknown = sum(record.sequence.count("N") for record in records)
    total = sum(len(record.sequence) for record in records)
    return f"{unknown:,} of {total:,} letters are unknown (N)" if unknown else ""


def _refuse_one_class(parts: dict[str, list[Record]]) -> None:
    whole = [record for part in parts.values() for record in part]
    for name, part in {"whole": whole, **parts}.items():
        counts = Counter(record.label for record in part)
        if len(counts) == 1 or (not part and name != "valid"):
            where = "the dataset as a whole" if name == "whole" else f"the {name} split"
            raise InputError(
                f"{where} has {counts[1]} positives and {counts[0]} negatives; both are needed:"
                " check the labels, the files, or what splits them"
            )


def _refuse_too_much(count: int, length: int) -> None:
    needed, there = 9 * count * length, psutil.virtual_memory().total
    if needed > there // 2:
        raise InputError(
            f"{count:,} sequences padded to the longest, {length:,} letters, need"
            f" {needed / 2**30:,.1f} GiB, but half of this machine's memory is"
            f" {there / 2**31:,.1f} GiB; cut the long ones"
        )


def _encoded(records: Sequence[Record]) -> Sequences:
    length = max((len(record.sequence) for record in records), default=1)
    tokens = torch.zeros((len(records), length), dtype=torch.uint8)
    ids = bytes(_IDS.get(chr(code), 0) for code in range(256))
    for row, record in zip(tokens, records, strict=True):
        encoded = bytearray(record.sequence.encode("ascii").translate(ids))
        row[: len(encoded)] = torch.frombuffer(encoded, dtype=torch.uint8)
    targets = torch.tensor([[record.label] for record in records], dtype=torch.int64).view(-1, 1)
    return Sequences(tokens, targets)
