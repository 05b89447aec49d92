"""What is asked of texts beside one class: labels, numbers, or the next word.

Until they are encoded, documents hold the values of all columns that are asked for in one label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from seqexp.dataset.asked import (
    Column,
    Task,
    kind_of,
    labels_of,
    listed,
    numbers_of,
    refuse_fractions,
    refuse_missing,
)
from seqexp.dataset.words.corpus import Corpus
from seqexp.dataset.words.documents import BETWEEN
from seqexp.dataset.words.labels import Document, Tally, class_names


@dataclass(frozen=True)
class Answers:
    """What is asked of texts, and what is known of it.

    Args:
        task: the kind.
        names: of labels or values; empty for a class.
        splits: documents by split; for a class, with one label a class.
        notes: what a reader should know.
    """

    task: Task
    names: tuple[str, ...]
    splits: Mapping[str, Sequence[Document]]
    notes: tuple[str, ...]


def answers(
    splits: Mapping[str, Sequence[Document]], names: Sequence[str], given: Task | None
) -> Answers:
    """Tell the kind of what is asked, and check all values.

    Args:
        splits: documents with joined labels.
        names: of the columns.
        given: the kind; None is told by the values.

    Raises:
        InputError: if values are not of the kind, or do not tell it.
    """
    documents = [document for found in splits.values() for document in found]
    tallies = {split: Tally.of(found) for split, found in splits.items()}
    labels = [document.label for document in documents]
    asked = columns_of(labels, names, [document.place for document in documents])
    task, columns, named, notes = answers_of(asked, labels, tallies, given)
    if named is not None:
        splits = {
            split: [d._replace(label=named[d.label]) for d in found]
            for split, found in splits.items()
        }
    return Answers(task, columns, splits, tuple(notes))


def answers_of(
    columns: Sequence[Column],
    labels: Sequence[str],
    tallies: Mapping[str, Tally],
    given: Task | None,
) -> tuple[Task, tuple[str, ...], dict[str, str] | None, list[str]]:
    """The kind of what is asked; names as of `Answers`; what each label becomes, its class or the
    labels that it lists, or None if it stays; and notes.

    Args:
        columns: of all texts.
        labels: that hold them.
        tallies: these by split.
        given: as of `answers`.

    Raises:
        InputError: as `answers`.
    """
    task, notes = kind_of(columns, given)
    if task == "sequence_class":
        refuse_missing(columns[0], "texts")
        refuse_fractions(columns[0])
        classes, more = class_names(tallies, key="dataset.targets")
        return task, (), classes, [*notes, *more]
    columns, about = listed(columns, task)
    (numbers_of if task == "regression" else labels_of)(columns)
    names = tuple(column.name for column in columns)
    if not about:
        return task, names, None, notes
    rows = zip(*(column.values for column in columns), strict=True)
    named = {label: BETWEEN.join(row) for label, row in zip(labels, rows, strict=True)}
    return task, names, named, [*notes, *about]


def columns_of(
    labels: Sequence[str],
    names: Sequence[str],
    places: Sequence[object],
    counts: Sequence[int] | None = None,
) -> list[Column]:
    """Columns of joined labels, as `Column` has them."""
    values = list(zip(*(label.split(BETWEEN) for label in labels), strict=True))
    pairs = zip(names, values, strict=True)
    return [Column(name, found, places, counts) for name, found in pairs]


def targets_by_label(corpus: Corpus) -> Num[np.ndarray, "labels targets"]:
    """Targets of each label of a corpus: its number, or a column a label or value that it holds."""
    if corpus.task == "sequence_class":
        return np.arange(len(corpus.classes))[:, None]
    columns = columns_of(corpus.classes, corpus.names, [""] * len(corpus.classes))
    return (numbers_of if corpus.task == "regression" else labels_of)(columns)


def as_targets(values: Num[np.ndarray, "rows targets"]) -> Num[Tensor, "rows targets"]:
    """The same for `Sequences`: int64, or float32 for numbers."""
    kind = np.float32 if values.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))
