"""What is asked of sequences: their classes, labels or numbers, from columns as they stand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import repeat

import numpy as np
import torch
from jaxtyping import Int32, Num
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
from seqexp.dataset.words.labels import Tally, class_names, is_number
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


NO_CLASS = -1
"""Number of the class of a sequence of which labels or numbers are asked."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What is asked of many sequences, and its answers.

    Args:
        question: what is asked.
        labels: number of the class of each; `NO_CLASS` where labels or numbers are asked for.
        values: a row a sequence, a column a label or number; None where a class is asked for.
    """

    question: Question
    labels: Int32[np.ndarray, " sequences"]
    values: Num[np.ndarray, "sequences values"] | None = None

    @classmethod
    def binary(cls, positives: int, negatives: int) -> "Answers":
        """Those of positives, and negatives after them."""
        labels: np.ndarray = np.repeat(np.array([1, 0], dtype=np.int32), [positives, negatives])
        return cls(Question(), labels)

    @classmethod
    def of_values(cls, question: Question, values: Num[np.ndarray, "sequences _"]) -> "Answers":
        """Those of labels or numbers."""
        return cls(question, np.full(len(values), NO_CLASS, dtype=np.int32), values)

    def targets(self, rows: Int32[np.ndarray, " rows"]) -> Num[np.ndarray, "rows targets"]:
        """A row a sequence: the class, or a column a label or value."""
        if self.values is None:
            labels: np.ndarray = self.labels[rows].astype(np.int64)[:, None]
            return labels
        found: np.ndarray = self.values[rows]
        return found

    @property
    def codes(self) -> Int32[np.ndarray, " sequences"]:
        """A number of each sequence, which those of equal answers share."""
        if self.values is None:
            return self.labels
        width = self.values.dtype.itemsize * self.values.shape[1]
        whole = np.ascontiguousarray(self.values).view(np.dtype((np.void, width))).ravel()
        found: np.ndarray = np.unique(whole, return_inverse=True)[1].astype(np.int32)
        return found


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
        InputError: as `answers_of`.
    """
    places = [record.place for record in records]
    found, notes = answers_of(
        [
            Column(name, [record.asked[number] for record in records], places)
            for number, name in enumerate(columns)
        ],
        task,
        key,
    )
    if found.values is None:
        pairs = zip(records, found.labels.tolist(), strict=True)
        return [replace(record, label=label) for record, label in pairs], found.question, notes
    rows = zip(records, found.values.tolist(), strict=True)
    return [replace(record, values=tuple(row)) for record, row in rows], found.question, notes


def answers_of(columns: Sequence[Column], task: Task | None, key: str) -> tuple[Answers, list[str]]:
    """What columns ask for, with the answers of their rows; and notes.

    Args:
        columns: as they stand. Where they have counts, a row stands for as many sequences.
        task: the kind; None is told by the values.
        key: that names the columns, for messages.

    Raises:
        InputError: if values are not of the kind, or do not tell it.
    """
    task, notes = kind_of(columns, task)
    if task == "sequence_class":
        found, more = _classed(columns[0], key)
        return found, [*notes, *more]
    listed_columns, about = listed(columns, task)
    values = (numbers_of if task == "regression" else labels_of)(listed_columns)
    names = tuple(column.name for column in listed_columns)
    question = Question(task, names, is_binary=False)
    return Answers.of_values(question, values), [*notes, *about]


def _classed(column: Column, key: str) -> tuple[Answers, list[str]]:
    refuse_missing(column, "sequences")
    refuse_fractions(column)
    if all(value.lower() in TRUTH for value in column.values):
        return Answers(Question(), _numbered(column, lambda value: TRUTH[value.lower()])), []
    tally = Tally(lambda number: str(column.places[number]))
    counts = column.counts or repeat(1)
    for value, count in zip(column.values, counts, strict=False):
        tally.add(value, count)
    named, notes = class_names({"train": tally}, "sequences", key)
    names = _ordered(set(named.values()))
    numbers = {name: number for number, name in enumerate(names)}
    question = Question("sequence_class", names, is_binary=False)
    return Answers(question, _numbered(column, lambda value: numbers[named[value]])), notes


def _numbered(column: Column, number_of: Callable[[str], int]) -> Int32[np.ndarray, " sequences"]:
    """A number of each sequence, by its value."""
    values = map(number_of, column.values)
    found: np.ndarray = np.fromiter(values, dtype=np.int32, count=len(column.values))
    return found if column.counts is None else np.repeat(found, column.counts)


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Classes in order: by number where all are numbers, else by alphabet."""
    if all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: (Decimal(name), name)))
    return tuple(sorted(names))


def refuse_unfit(
    parts: Mapping[str, Num[np.ndarray, "rows targets"]], question: Question
) -> list[str]:
    """Check that there is something to learn and to test in each split; and notes.

    Args:
        parts: targets by split.
        question: what they answer.

    Raises:
        InputError: naming the split, if it has no sequences, or lacks a class that it needs.
    """
    if question.is_binary:
        refuse_one_class({name: counts_of(part) for name, part in parts.items()})
        return []
    for name in ("train", "test"):
        if not len(parts[name]):
            raise InputError(
                f"the {name} split has no sequences ({sum(map(len, parts.values())):,} in all);"
                f" give more, a larger dataset.{'test' if name == 'test' else 'valid'}_share, or"
                " other names or splits"
            )
    if question.task != "sequence_class":
        return _value_notes(parts, question)
    notes = []
    for name, part in parts.items():
        there = set(np.unique(part).tolist())
        absent = [one for number, one in enumerate(question.names) if number not in there]
        if absent and name == "train":
            raise InputError(
                f"class {absent[0]!r} has no sequence in the train split; give more of it, or"
                " split otherwise"
            )
        if absent and len(part):
            shown = f"{', '.join(map(repr, absent)):.100}"
            notes.append(f"{len(absent)} classes have no sequence in {name}: {shown}")
    return notes


def _value_notes(
    parts: Mapping[str, Num[np.ndarray, "rows targets"]], question: Question
) -> list[str]:
    notes = refuse_unlearnable(question.names, parts["train"])
    for name, part in parts.items():
        if not len(part) or name == "train":
            continue
        is_known = ~np.isnan(part) if part.dtype.kind == "f" else part != NOT_KNOWN
        counts = is_known.sum(axis=0).tolist()
        absent = [one for one, count in zip(question.names, counts, strict=True) if not count]
        if len(absent) == len(counts):
            raise InputError(
                f"no value of {', '.join(absent):.100} is known in the {name} split; give some, or"
                " split otherwise"
            )
        if absent:
            notes.append(f"{', '.join(absent):.100}: not known for any sequence of {name}")
    return notes


def counts_of(targets: Num[np.ndarray, "rows targets"]) -> tuple[int, int]:
    """Positives and negatives."""
    positives = int((targets == 1).sum())
    return positives, len(targets) - positives


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
