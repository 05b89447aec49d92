"""Labelled texts as word ids: all words, before any vocabulary or length is chosen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from seqexp.dataset.mapped import MANY, spans
from seqexp.dataset.words.labels import Document
from seqexp.dataset.words.numbering import Numbered, number
from seqexp.dataset.words.numbering import Unit as Unit
from seqexp.errors import InputError
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores, each

BLOCK = 1000
"""Texts that are tokenised at a time."""

LARGE = 2**24
"""Characters above which several processes tokenise; each takes seconds to start."""


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
        counts = np.zeros(num_words, dtype=np.int64)
        for span in spans(self.offsets):
            offsets = self.offsets[span.start : span.stop + 1]
            is_chosen = np.repeat(chosen[span], np.diff(offsets))
            words = self.ids[offsets[0] : offsets[-1]][is_chosen]
            counts += np.bincount(words, minlength=num_words)
        return counts

    def matrix(
        self,
        token_ids: Int[np.ndarray, " words"],
        width: int,
        cut_head: bool,
        pad_left: bool,
        chosen: Int[np.ndarray, " rows"] | None = None,
    ) -> Int[np.ndarray, "rows width"]:
        """One row a text: each word's token id; what is too long is cut, what is short padded.

        `chosen` are the texts of the rows; None is all of them.
        """
        chosen = np.arange(len(self)) if chosen is None else chosen
        matrix = np.zeros((len(chosen), width), dtype=token_ids.dtype)
        columns = np.arange(width)
        size = max(1, MANY // width)
        for start in range(0, len(chosen), size):
            rows = slice(start, start + size)
            begin = self.offsets[chosen[rows]]
            lengths = self.offsets[chosen[rows] + 1] - begin
            count = np.minimum(lengths, width)
            first = begin + (lengths - count if cut_head else 0)
            # places of the kept words: first[0], first[0] + 1, ..., first[1], ...
            before = np.cumsum(count) - count
            places = np.repeat(first - before, count) + np.arange(count.sum())
            is_word = columns >= width - count[:, None] if pad_left else columns < count[:, None]
            matrix[rows][is_word] = token_ids[self.ids[places]]
        return matrix


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts by split, with the words and classes that their numbers mean.

    `notes` are what a reader should know of the labels, a sentence each. `task` is the kind of what
    is asked; where that is no class, each of `classes` holds values of all that is asked, and
    `names` are theirs. `key` is that of its entry in a cache; empty if it has none.
    """

    words: Sequence[str]
    classes: tuple[str, ...]
    texts: Mapping[str, Texts]
    notes: tuple[str, ...] = ()
    task: str = "sequence_class"
    names: tuple[str, ...] = ()
    key: str = ""

    def strata(self, split: str) -> Int[np.ndarray, " texts"]:
        """What splits are drawn by: the class of each text; 0 of all where they have none.

        Next words are asked of the same texts as classes are, so that a model that begins with
        them has not seen what is held out.
        """
        labels = self.texts[split].labels
        have_class = self.task in ("sequence_class", "next_token")
        return labels if have_class else np.zeros_like(labels)


def encode(
    splits: Mapping[str, Iterable[Document]],
    classes: Sequence[str] | None,
    workers: int | None = None,
    unit: Unit = "words",
) -> Corpus:
    """Tokenise documents. Classes are in the order given, or sorted where None is given.

    Args:
        splits: documents by split.
        classes: their labels.
        workers: processes that tokenise; None is one a core where there is much to do.
        unit: what counts as a word.

    Raises:
        InputError: on a text without a word.
    """
    documents = {split: list(found) for split, found in splits.items()}
    if workers is None:
        size = sum(len(document.text) for found in documents.values() for document in found)
        workers = cores() if size > LARGE else 1
    known: dict[str, int] = {}
    ids: dict[str, list[np.ndarray]] = {split: [] for split in documents}
    lengths: dict[str, list[int]] = {split: [] for split in documents}
    with Work(sum(map(len, documents.values())), "texts", "tokenising") as work:
        for split, block, found in _numbered(documents, workers, unit):
            empty = next((d for d, n in zip(block, found.lengths, strict=True) if not n), None)
            if empty is not None:
                raise InputError(f"{empty.place}: the text has no word; remove it")
            numbers = [known.setdefault(word, len(known)) for word in found.words]
            ids[split].append(np.array(numbers, dtype=np.int32)[found.ids])
            lengths[split] += found.lengths
            work.advance(len(block))
    if classes is None:
        classes = sorted({document.label for found in documents.values() for document in found})
    numbers_of = {label: number for number, label in enumerate(classes)}
    texts = {
        split: Texts(
            np.concatenate([np.zeros(0, dtype=np.int32), *ids[split]]),
            np.cumsum([0, *lengths[split]], dtype=np.int64),
            np.array([numbers_of[document.label] for document in found], dtype=np.int32),
        )
        for split, found in documents.items()
    }
    return Corpus(tuple(known), tuple(classes), texts)


def _numbered(
    documents: Mapping[str, Sequence[Document]], workers: int, unit: Unit
) -> Iterator[tuple[str, Sequence[Document], Numbered]]:
    """Blocks of the documents of each split and their words, in order."""
    blocks = [
        (split, found[start : start + BLOCK])
        for split, found in documents.items()
        for start in range(0, len(found), BLOCK)
    ]
    calls = (([document.text for document in block], unit) for _, block in blocks)
    early: dict[int, Numbered] = {}
    turn = 0
    for index, numbered in each(number, calls, workers):
        early[index] = numbered
        while turn in early:
            yield *blocks[turn], early.pop(turn)
            turn += 1
