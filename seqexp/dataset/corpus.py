"""Labelled texts as word ids: all words, before any vocabulary or length is chosen."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from seqexp.dataset.documents import Document
from seqexp.dataset.words import tokenize
from seqexp.errors import InputError

BLOCK = 1000
"""Texts that are cut and padded at a time: what is computed on the way stays in the CPU's cache."""


@dataclass(frozen=True, eq=False)
class Texts:
    """Some texts, end to end: text i is `ids[offsets[i]:offsets[i + 1]]`.

    Word ids count from 0 in the corpus' list of words, labels in its list of classes.
    """

    ids: Int[np.ndarray, " words"]
    offsets: Int[np.ndarray, " texts_and_one"]
    labels: Int[np.ndarray, " texts"]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.labels)

    def lengths(self) -> Int[np.ndarray, " texts"]:
        """Words of each text."""
        lengths: np.ndarray = np.diff(self.offsets)
        return lengths

    def counts(self, rows: Int[np.ndarray, " rows"], num_words: int) -> Int[np.ndarray, " words"]:
        """How often each word occurs in these texts."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[rows] = True
        words = self.ids[np.repeat(chosen, self.lengths())]
        counts: np.ndarray = np.bincount(words, minlength=num_words)
        return counts

    def matrix(
        self,
        token_ids: Int[np.ndarray, " words"],
        width: int,
        cut_head: bool,
        pad_left: bool,
    ) -> Int[np.ndarray, "texts width"]:
        """One row a text: each word's token id; what is too long is cut, what is short padded."""
        matrix = np.zeros((len(self), width), dtype=token_ids.dtype)
        lengths = self.lengths()
        kept = np.minimum(lengths, width)
        firsts = self.offsets[:-1] + (lengths - kept if cut_head else 0)
        columns = np.arange(width)
        for start in range(0, len(self), BLOCK):
            rows = slice(start, start + BLOCK)
            count, first = kept[rows], firsts[rows]
            # places of the kept words: first[0], first[0] + 1, ..., first[1], ...
            before = np.cumsum(count) - count
            places = np.repeat(first - before, count) + np.arange(count.sum())
            is_word = columns >= width - count[:, None] if pad_left else columns < count[:, None]
            matrix[rows][is_word] = token_ids[self.ids[places]]
        return matrix


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts by split, with the words and classes that their numbers mean."""

    words: tuple[str, ...]
    classes: tuple[str, ...]
    texts: Mapping[str, Texts]


def encode(splits: Mapping[str, Iterable[Document]], classes: Sequence[str] | None) -> Corpus:
    """Tokenise documents. Classes are in the order given, or sorted where None is given.

    Raises:
        InputError: on a text without a word.
    """
    known: dict[str, int] = {}
    labels: dict[str, list[str]] = {}
    parts: dict[str, tuple[array[int], list[int]]] = {}
    for split, documents in splits.items():
        ids, offsets, labels[split] = array("i"), [0], []
        for document in documents:
            words = tokenize(document.text)
            if not words:
                raise InputError(f"{document.place}: the text has no word; remove it")
            ids.extend([known.setdefault(word, len(known)) for word in words])
            offsets.append(len(ids))
            labels[split].append(document.label)
        parts[split] = (ids, offsets)
    if classes is None:
        classes = sorted({label for found in labels.values() for label in found})
    numbers = {label: number for number, label in enumerate(classes)}
    texts = {
        split: Texts(
            np.array(ids, dtype=np.int32),
            np.array(offsets, dtype=np.int64),
            np.array([numbers[label] for label in labels[split]], dtype=np.int32),
        )
        for split, (ids, offsets) in parts.items()
    }
    return Corpus(tuple(known), tuple(classes), texts)
