"""A person's own texts, and what is asked of them: classes, labels, numbers, or next words."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Interval, Len

from seqexp.data import Data
from seqexp.dataset.cache import file_digest, key_of
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.mapped import size_of
from seqexp.dataset.words.answers import answers, answers_of, columns_of
from seqexp.dataset.words.cache import cached, streamed
from seqexp.dataset.words.classification import (
    Choices,
    HeadOrTail,
    LeftOrRight,
    MaxLength,
    MaxTokens,
    classification,
)
from seqexp.dataset.words.corpus import Corpus, Unit, encode
from seqexp.dataset.words.documents import Columns, documents_of, read_documents
from seqexp.dataset.words.labels import Document, class_names, classes_of
from seqexp.dataset.words.streamed import LARGE, Classed, Known, Source, Splits
from seqexp.dataset.words.synthetic import made_reviews
from seqexp.dataset.words.tokenizer import TOKENIZER
from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Seed

log = logging.getLogger("seqexp")

Name = Annotated[str, Len(1)]

TextTask = Literal["sequence_class", "multi_label", "regression", "next_token"]


@dataclass(frozen=True)
class Text:
    """Texts as words or characters. Without a path, short reviews of two classes are made.

    Args:
        path: a .csv, .tsv, .jsonl or .ndjson file (also .gz) or a folder with a folder of .txt
            files a class, where hidden ones are omitted; None makes sentences whose class depends
            on an adjective and on whether it is denied.
        text_column: column, or key of a JSON line, that holds the text.
        label_column: column, or key, that holds the class.
        targets: columns that are asked for instead: one of classes, several of 0 and 1, or numbers.
            Missing labels and numbers (empty, NA, NaN, null) are not scored. With
            `task=multi_label` one column may list names, as `sport;money`.
        task: the kind of what is asked: `sequence_class`, `multi_label`, `regression`, or
            `next_token`, which needs no column but the text (then a .txt file of a text a line will
            do); None is told by the values of `targets` and said.
        unit: what a text is made of: `words`, or `characters`, as they stand.
        valid_path: texts for validation, in a file or folder of their own.
        test_path: texts for the test, likewise.
        valid_share: part of the texts that are left from the test, for validation, where there is
            no `valid_path`; the same part of each class.
        test_share: part of all texts, for the test, where there is no `test_path`.
        folds: parts of all texts, of the same shares of classes, each of which is the test of one
            run; None: the test is drawn, or in a file of its own.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        num_made: texts that are made without a path.
        cache: where tokenised texts are kept, so that later starts are quick, and large ones are
            mapped into memory from; None keeps none.
        max_tokens: size of the vocabulary, with padding and `<unk>`: all others are the most
            frequent words of the texts that are trained on.
        max_length: words, or characters, of a text that are used, at most.
        truncate: the end that is cut off longer texts: `tail` keeps their first words.
        pad: the side on which shorter ones are filled up.
        one_output: one output, the logit of the second of two classes, as with a sigmoid;
            otherwise one for each class, as with a softmax.
        vectors: a file of pretrained word vectors for the embedding to start from.
        num_train: train on so many of the remaining texts, the same part of each class; None: all.
        vocabulary: counts words of the texts that are trained on (`used`), or also of those that
            `num_train` leaves out (`all`), as a run has read that this one starts from.
        num_valid: validate on so many of those that are held out, likewise; None: all.
        num_test: test on so many of them, likewise; None: all.
        seed: selects the texts that are held out, left out, or made.

    Texts of the same words are kept in one split, where that leaves texts of each class to learn
    from: the drawn splits take all of them together, and those that stand in `test_path` or
    `valid_path` too are removed from what is learned from.

    Raises:
        InputError: from `load`, if a file is not sound or its classes cannot be learned.
    """

    path: str | None = None
    text_column: Name = "text"
    label_column: Name = "label"
    targets: Annotated[list[Name], Len(1)] | None = None
    task: TextTask | None = None
    unit: Unit = "words"
    valid_path: str | None = None
    test_path: str | None = None
    valid_share: HeldOutShare = 0.1
    test_share: Annotated[float, Interval(gt=0, le=0.9)] = 0.1
    folds: Folds | None = None
    fold: CountOrZero = 0
    num_made: Annotated[int, Interval(ge=20, le=10**6)] = 2000
    cache: str | None = None
    max_tokens: MaxTokens = 20_000
    max_length: MaxLength = 400
    truncate: HeadOrTail = "tail"
    pad: LeftOrRight = "right"
    one_output: bool = False
    vectors: str | None = None
    num_train: Count | None = None
    vocabulary: Literal["used", "all"] = "used"
    num_valid: Count | None = None
    num_test: Count | None = None
    seed: Seed = 0

    output = "sequence_class"

    def load(self) -> Data:
        """Read the texts, or what a cache has of them, and encode them."""
        choices = Choices.of(self, keep_apart=self.path is not None, tested=Fold.of(self))
        return classification(self._corpus(), choices)

    def _corpus(self) -> Corpus:
        if self.path is None:
            return self._made()
        given = {"train": self.path, "valid": self.valid_path, "test": self.test_path}
        paths = {split: Path(path) for split, path in given.items() if path is not None}
        columns = self._columns()

        def build() -> Corpus:
            log.info(f"{self.path}: reading and tokenising")
            splits = {split: read_documents(path, columns) for split, path in paths.items()}
            return self._asked(splits, columns)

        for path in paths.values():
            if not path.exists():
                raise InputError(f"{path}: there is no such file or folder")
        digests = [f"{split} {file_digest(path)}" for split, path in paths.items()]
        cache = None if self.cache is None else Path(self.cache)
        asked = repr(columns), str(self.task), self.unit
        key = key_of("text 3", TOKENIZER, *asked, *digests)
        size = size_of(paths.values())
        if size > LARGE:
            return streamed(cache, key, self._source(paths, columns, size))
        return cached(cache, key, build)

    def _source(self, paths: Mapping[str, Path], columns: Columns, size: int) -> Source:
        """The same texts, to be read one at a time."""

        def read() -> Splits:
            return {split: documents_of(path, columns) for split, path in paths.items()}

        return Source(
            str(self.path), size, read, self.unit, partial(_classed, self.task, columns.asked)
        )

    def _columns(self) -> Columns:
        """Which columns are read: the class as one, or what is asked as it stands."""
        if self.task == "next_token":
            return Columns(self.text_column, self.label_column, ())
        if self.targets is None and self.task is None:
            return Columns(self.text_column, self.label_column)
        return Columns(
            self.text_column, self.label_column, tuple(self.targets or [self.label_column])
        )

    def _asked(self, splits: Mapping[str, Sequence[Document]], columns: Columns) -> Corpus:
        """Documents with their classes, or with what else is asked of them, encoded."""
        if self.task == "next_token":
            corpus = encode(splits, ("",), unit=self.unit)
            return replace(corpus, task=self.task)
        if columns.asked is None:
            named, notes = classes_of(splits)
            return replace(encode(named, None, unit=self.unit), notes=tuple(notes))
        found = answers(splits, columns.asked, self.task)
        corpus = encode(found.splits, None, unit=self.unit)
        return replace(corpus, notes=found.notes, task=found.task, names=found.names)

    def _made(self) -> Corpus:
        if self.targets is not None or self.task in ("multi_label", "regression"):
            raise InputError(
                f"dataset.targets is {self.targets} and dataset.task is {self.task}, but"
                " dataset.path is null, and made reviews have a class only; give dataset.path"
            )
        made = made_reviews(self.num_made, self.seed)
        if self.task != "next_token":
            return encode({"train": made}, None, unit=self.unit)
        without = (document._replace(label="") for document in made)
        return replace(encode({"train": without}, ("",), unit=self.unit), task=self.task)


def _classed(task: TextTask | None, asked: Sequence[str] | None, known: Known) -> Classed:
    """Classes of the labels of many texts, or what else is asked of them."""
    if task == "next_token":
        return Classed(known.labels, task=task)
    if asked is None:
        names, notes = class_names(known.tallies)
        return Classed([names[label] for label in known.labels], notes)
    rows: Counter[str] = Counter()
    for tally in known.tallies.values():
        rows.update(tally.counts)
    counts = [rows[label] for label in known.labels]
    columns = columns_of(known.labels, asked, [*map(known.place_of, known.labels)], counts)
    kind, of_labels, named, notes = answers_of(columns, known.labels, known.tallies, task)
    labels = known.labels if named is None else [named[label] for label in known.labels]
    return Classed(labels, notes, kind, of_labels)
