"""Questions on pictures: of two handwritten digits, or a person's own, as easy-VQA."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval

from seqexp.data import Data, Sequences
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.own_files import found
from seqexp.dataset.pictures.digits import (
    NUM_DRAWS,
    composed,
    fold_notes,
    questions,
    scans_by_split,
)
from seqexp.dataset.pictures.examples import (
    Entry,
    Examples,
    NumPictures,
    Resize,
    divided,
    examples_of_parts,
)
from seqexp.dataset.pictures.parts import read_parts
from seqexp.dataset.pictures.tables import QUESTIONS, read_questions
from seqexp.dataset.pictures.words import (
    cut_note,
    ids_of,
    padded,
    symbols_of,
    unknown_note,
    words_of,
)
from seqexp.dataset.words.classification import MaxTokens
from seqexp.errors import InputError
from seqexp.ranges import CountOrZero, HeldOutShare, Seed
from seqexp.spec import Output, TaskSpec, Vocabulary, WordEncoding


@dataclass(frozen=True)
class Questions:
    """Answers a question on a picture: its words are the tokens, the picture is the context.

    A picture is a sequence of rows: its columns, each with its channels, are the features of a row,
    from 0 to 1. Each answer is a class.

    Without a path, pictures are made of scikit-learn's scans of digits: two, side by side, each
    moved by up to two rows and columns. Each picture has four questions, as `is there a three?`,
    `what is left of the seven?`, `what is right of the three?`, `which is larger?` or `smaller`.
    Scans are divided between the splits before pictures are made.

    Args:
        path: a folder or .tar.gz archive with `images/N.png` and `questions.json`, a list of
            `[question, answer, N]`; in folders `train`, `test` and perhaps `valid`, or once, to be
            divided. None: digits.
        resize: rows and columns to which pictures are scaled; None: all have one size.
        valid_share: part of the pictures that are left from the test, for validation, where there
            is no folder `valid`; of the scans, where pictures are made.
        test_share: part of all pictures, for the test, where there is no folder `test`; likewise.
        folds: parts of all pictures, or of the scans, each of which is the test of one run; None:
            the test is drawn, or has a folder.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        num_train: training pictures that are made without a path.
        num_valid: validation pictures that are made.
        num_test: test pictures that are made.
        max_tokens: size of the vocabulary, with padding and `<unk>`: all others are the most
            frequent words of the training questions.
        max_length: words of a question that are used, at most.
        seed: selects scans, pictures and questions.

    Raises:
        InputError: from `load`, if a file is not sound, or answers are no classes.

    Source: of the scans, scikit-learn's `load_digits` (UCI Optical Recognition of Handwritten
    Digits, Alpaydin & Kaynak 1998).
    """

    path: str | None = None
    resize: Resize = None
    valid_share: HeldOutShare = 0.2
    test_share: HeldOutShare = 0.2
    folds: Folds | None = None
    fold: CountOrZero = 0
    num_train: NumPictures = 2000
    num_valid: NumPictures = 250
    num_test: NumPictures = 500
    max_tokens: MaxTokens = 20_000
    max_length: Annotated[int, Interval(ge=1, le=1000)] = 50
    seed: Seed = 0

    output = "sequence_class"

    def load(self) -> Data:
        """Read or make pictures, and encode the questions on them."""
        splits, notes = self._splits()
        texts = {
            split: words_of(entry.text for entry in examples.entries)
            for split, examples in splits.items()
        }
        classes, told = _classes(splits)
        vocabulary = Vocabulary(symbols_of(texts["train"], self.max_tokens - 1))
        words = WordEncoding(truncate="tail", pad="right")
        longest = max(len(text) for of_split in texts.values() for text in of_split)
        width = min(longest, self.max_length)
        train, valid, test = (
            _sequences(splits[split], texts[split], vocabulary, classes, width)
            for split in ("train", "valid", "test")
        )
        notes += told
        for split, of_split in texts.items():
            notes += cut_note(of_split, self.max_length, f"questions of {split}")
            notes += unknown_note(of_split, vocabulary.ids, f"questions of {split}")
        spec = TaskSpec(
            vocabulary=vocabulary,
            num_outputs=len(classes),
            output=Output.SEQUENCE_CLASS,
            output_names=classes,
            length=width,
            words=words,
            context=splits["train"].features(),
        )
        return Data(spec, train, valid, test, notes=tuple(notes))

    def _splits(self) -> tuple[dict[str, Examples], list[str]]:
        fold = Fold.of(self)
        if self.path is None:
            sizes = {"train": self.num_train, "valid": self.num_valid, "test": self.num_test}
            scans = scans_by_split(self.valid_share, self.test_share, self.seed, fold)
            return composed(scans, sizes, questions, NUM_DRAWS, self.seed), fold_notes(scans, fold)
        parts = read_parts(found("dataset.path", self.path), QUESTIONS)
        named = {split: read_questions(part) for split, part in parts.items()}
        examples, notes = examples_of_parts(parts, named, self.resize)
        splits, told = divided(examples, self.valid_share, self.test_share, self.seed, fold)
        return splits, [*notes, *told]


def _classes(splits: Mapping[str, Examples]) -> tuple[tuple[str, ...], list[str]]:
    """All answers by the alphabet, and a note on those that training lacks.

    Raises:
        InputError: if the training answers are no classes.
    """
    train = splits["train"].entries
    counts = Counter(entry.answer for entry in train)
    first = train[0]
    if len(counts) < 2:
        raise InputError(
            f"{first.place}: all {len(train):,} training questions have the answer"
            f" {first.answer!r:.40}; at least two answers are needed"
        )
    if len(train) >= 10 and 2 * len(counts) > len(train):
        raise InputError(
            f"{first.place}: the answers are as {first.answer!r:.40}, {len(counts):,} different"
            f" ones to {len(train):,} questions: they look like texts, not like classes; give"
            " answers that occur often"
        )
    notes = [
        note
        for split in ("valid", "test")
        for note in _unlearned(splits[split].entries, counts, split)
    ]
    names = {entry.answer for examples in splits.values() for entry in examples.entries}
    return tuple(sorted(names)), notes


def _unlearned(entries: Sequence[Entry], counts: Mapping[str, int], split: str) -> list[str]:
    """A note on answers that no training question has."""
    new = Counter(entry.answer for entry in entries if entry.answer not in counts)
    if not new:
        return []
    shown = ", ".join(f"{answer!r:.40}" for answer, _ in new.most_common(3))
    return [
        f"{new.total():,} of {len(entries):,} questions of {split} have an answer that no training"
        f" question has ({shown}); they count as wrong"
    ]


def _sequences(
    examples: Examples,
    texts: Sequence[list[str]],
    vocabulary: Vocabulary,
    classes: Sequence[str],
    width: int,
) -> Sequences:
    numbers = {name: index for index, name in enumerate(classes)}
    targets = [numbers[entry.answer] for entry in examples.entries]
    return Sequences(
        padded([ids_of(words, vocabulary.ids)[:width] for words in texts], width),
        torch.tensor(targets, dtype=torch.int64)[:, None],
        context=examples.context(),
        context_rows=examples.context_rows(),
    )
