"""What is asked of sequences: their classes, labels or numbers, from columns as they stand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import torch
from jaxtyping import Num
from torch import Tensor

from seqexp.dataset.asked import (
    NOT_KNOWN,
    TRUTH,
    Column,
    Task,
    kind_of,
    labels_of,
    listed,
    numbers_of,
    refuse_fractions,
    refuse_missing,
    refuse_unlearnable,
)
from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.words.labels import Document, classes_of, is_number
from seqexp.errors import InputError

BINARY = ("negative", "positive")


@dataclass(frozen=True)
class Question:
    """What is asked of each sequence.

    Args:
        task: the kind.
        names: of classes, labels or values.
        is_binary: whether the classes are positives and negatives.
    """

    task: Task = "sequence_class"
    names: tuple[str, ...] = BINARY
    is_binary: bool = True

    def targets(self, records: Sequence[Record]) -> Num[Tensor, "records targets"]:
        """A row a record: the class, or a column a label or value."""
        if self.task == "sequence_class":
            labels = [[record.label] for record in records]
            return torch.tensor(labels, dtype=torch.int64).view(-1, 1)
        kind = torch.float32 if self.task == "regression" else torch.int64
        values = [record.values for record in records]
        return torch.tensor(values, dtype=kind).view(-1, len(self.names))


def answered(
    records: Sequence[Record], columns: Sequence[str], task: Task | None, key: str
) -> tuple[list[Record], Question, list[str]]:
    """Records with their classes, labels or numbers; what is asked of them; and notes.

    Args:
        records: with the values of the columns as they stand.
        columns: their names.
        task: the kind; None is told by the values.
        key: that names the columns, for messages.

    Raises:
        InputError: if values are not of the kind, or do not tell it.
    """
    places = [record.place for record in records]
    found = [
        Column(name, [record.asked[number] for record in records], places)
        for number, name in enumerate(columns)
    ]
    task, notes = kind_of(found, task)
    if task == "sequence_class":
        return _classed(records, found[0], notes, key)
    found, about = listed(found, task)
    values = (numbers_of if task == "regression" else labels_of)(found)
    with_values = [
        replace(record, values=tuple(row))
        for record, row in zip(records, values.tolist(), strict=True)
    ]
    names = tuple(column.name for column in found)
    return with_values, Question(task, names, is_binary=False), [*notes, *about]


def _classed(
    records: Sequence[Record], column: Column, notes: list[str], key: str
) -> tuple[list[Record], Question, list[str]]:
    refuse_missing(column, "sequences")
    refuse_fractions(column)
    if all(value.lower() in TRUTH for value in column.values):
        labelled = [
            replace(record, label=TRUTH[value.lower()])
            for record, value in zip(records, column.values, strict=True)
        ]
        return labelled, Question(), notes
    documents = [
        Document(record.sequence, value, str(place))
        for record, value, place in zip(records, column.values, column.places, strict=True)
    ]
    named, more = classes_of({"train": documents}, "sequences", key)
    labels = [document.label for document in named["train"]]
    names = _ordered(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    classed = [
        replace(record, label=numbers[label]) for record, label in zip(records, labels, strict=True)
    ]
    return classed, Question("sequence_class", names, is_binary=False), [*notes, *more]


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Classes in order: by number where all are numbers, else by alphabet."""
    if all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(names))


def refuse_unfit(parts: dict[str, list[Record]], question: Question) -> list[str]:
    """Check that there is something to learn and to test in each split; and notes.

    Raises:
        InputError: naming the split, if it has no sequences, or lacks a class that it needs.
    """
    if question.is_binary:
        refuse_one_class({name: _counts(part) for name, part in parts.items()})
        return []
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(
                f"the {name} split has no sequences ({sum(map(len, parts.values())):,} in all);"
                f" give more, a larger dataset.{'test' if name == 'test' else 'valid'}_share, or"
                " other names or splits"
            )
    if question.task != "sequence_class":
        return _value_notes(parts, question)
    notes = []
    for name, part in parts.items():
        there = {record.label for record in part}
        absent = [one for number, one in enumerate(question.names) if number not in there]
        if absent and name == "train":
            raise InputError(
                f"class {absent[0]!r} has no sequence in the train split; give more of it, or"
                " split otherwise"
            )
        if absent and part:
            shown = f"{', '.join(map(repr, absent)):.100}"
            notes.append(f"{len(absent)} classes have no sequence in {name}: {shown}")
    return notes


def _value_notes(parts: dict[str, list[Record]], question: Question) -> list[str]:
    notes = refuse_unlearnable(question.names, question.targets(parts["train"]).numpy())
    for name, part in parts.items():
        if not part or name == "train":
            continue
        targets = question.targets(part)
        is_known = ~targets.isnan() if targets.is_floating_point() else targets != NOT_KNOWN
        counts = is_known.sum(dim=0).tolist()
        absent = [one for one, count in zip(question.names, counts, strict=True) if not count]
        if len(absent) == len(counts):
            raise InputError(
                f"no value of {', '.join(absent):.100} is known in the {name} split; give some, or"
                " split otherwise"
            )
        if absent:
            notes.append(f"{', '.join(absent):.100}: not known for any sequence of {name}")
    return notes


def _counts(part: Sequence[Record]) -> tuple[int, int]:
    positives = sum(record.label == 1 for record in part)
    return positives, len(part) - positives


def refuse_one_class(counts: Mapping[str, tuple[int, int]]) -> None:
    """Refuse splits that lack a class, by the positives and negatives of each.

    Raises:
        InputError: naming the split.
    """
    whole = tuple(map(sum, zip(*counts.values(), strict=True)))
    for name, (positives, negatives) in {"whole": whole, **counts}.items():
        count = positives + negatives
        is_one_class = bool(count) and not (positives and negatives)
        if is_one_class or (not count and name != "valid"):
            where = "the dataset as a whole" if name == "whole" else f"the {name} split"
            raise InputError(
                f"{where} has {positives} positives and {negatives} negatives; both are needed:"
                " check the labels, the files, or what splits them"
            )
