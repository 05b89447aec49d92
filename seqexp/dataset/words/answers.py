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
    numbers_of,
    refuse_fractions,
    refuse_missing,
)
from seqexp.dataset.words.corpus import Corpus
from seqexp.dataset.words.documents import BETWEEN
from seqexp.dataset.words.labels import Document, classes_of


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
    columns = _columns([d.label for d in documents], names, [d.place for d in documents])
    task, notes = kind_of(columns, given)
    if task == "sequence_class":
        refuse_missing(columns[0], "texts")
        refuse_fractions(columns[0])
        splits, more = classes_of(splits, key="dataset.targets")
        return Answers(task, (), splits, (*notes, *more))
    (numbers_of if task == "regression" else labels_of)(columns)
    return Answers(task, tuple(names), splits, tuple(notes))


def _columns(labels: Sequence[str], names: Sequence[str], places: Sequence[str]) -> list[Column]:
    values = list(zip(*(label.split(BETWEEN) for label in labels), strict=True))
    return [Column(name, found, places) for name, found in zip(names, values, strict=True)]


def targets_by_label(corpus: Corpus) -> Num[np.ndarray, "labels targets"]:
    """Targets of each label of a corpus: its number, or a column a label or value that it holds."""
    if corpus.task == "sequence_class":
        return np.arange(len(corpus.classes))[:, None]
    columns = _columns(corpus.classes, corpus.names, [""] * len(corpus.classes))
    return (numbers_of if corpus.task == "regression" else labels_of)(columns)


def as_targets(values: Num[np.ndarray, "rows targets"]) -> Num[Tensor, "rows targets"]:
    """The same for `Sequences`: int64, or float32 for numbers."""
    kind = np.float32 if values.dtype.kind == "f" else np.int64
    return torch.from_numpy(np.ascontiguousarray(values, dtype=kind))
