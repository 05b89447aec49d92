"""Pictures and what they show, in words: of two handwritten digits, or a person's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from seqexp.data import Data, Sequences
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.own_files import found
from seqexp.dataset.pictures.digits import caption, composed, fold_notes, scans_by_split
from seqexp.dataset.pictures.examples import (
    Examples,
    NumPictures,
    Resize,
    divided,
    examples_of_parts,
)
from seqexp.dataset.pictures.parts import read_parts
from seqexp.dataset.pictures.tables import CAPTIONS, read_captions
from seqexp.dataset.pictures.words import (
    cut_note,
    ids_of,
    padded,
    symbols_of,
    unknown_note,
    words_of,
)
from seqexp.dataset.words.classification import MaxTokens
from seqexp.formats.ends import ends_for, output_names
from seqexp.ranges import CountOrZero, HeldOutShare, Seed
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary


@dataclass(frozen=True)
class Captions:
    """Writes what is in a picture: the next word, with the picture as context.

    A picture is a sequence of rows: its columns, each with its channels, are the features of a row,
    from 0 to 1. Captions are lower-case words between a begin and an end.

    Without a path, pictures are made of scikit-learn's scans of digits: two, side by side, each
    moved by up to two rows and columns. The caption is `a three left of an eight`: article, digit,
    `left of`, article, digit. Scans are divided between the splits before pictures are made.

    Args:
        path: a folder or .tar.gz archive with `images/N.png` and `captions.tsv`, a table with the
            columns image (a number or name) and caption; in folders `train`, `test` and perhaps
            `valid`, or once, to be divided. A picture may have several captions. None: digits.
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
        max_tokens: size of the vocabulary: all others are the most frequent words of the training
            captions.
        max_length: words of a caption that are used, at most.
        seed: selects scans and pictures.

    Raises:
        InputError: from `load`, if a file is not sound.

    Source: of the scans, scikit-learn's `load_digits` (UCI Optical Recognition of Handwritten
    Digits, Alpaydin & Kaynak 1998).
    """

    path: str | None = None
    resize: Resize = None
    valid_share: HeldOutShare = 0.2
    test_share: HeldOutShare = 0.2
    folds: Folds | None = None
    fold: CountOrZero = 0
    num_train: NumPictures = 4000
    num_valid: NumPictures = 500
    num_test: NumPictures = 1000
    max_tokens: MaxTokens = 20_000
    max_length: Annotated[int, Interval(ge=1, le=1000)] = 50
    seed: Seed = 0

    output = "next_token"

    def load(self) -> Data:
        """Read or make pictures, and encode their captions."""
        splits, notes = self._splits()
        texts = {
            split: words_of(entry.text for entry in examples.entries)
            for split, examples in splits.items()
        }
        ends = ends_for({word for words in texts["train"] for word in words})
        symbols = (*ends, *symbols_of(texts["train"], self.max_tokens - len(ends)))
        vocabulary = Vocabulary(symbols)
        train, valid, test = (
            self._sequences(splits[split], texts[split], vocabulary)
            for split in ("train", "valid", "test")
        )
        for split, words in texts.items():
            notes += cut_note(words, self.max_length, f"captions of {split}")
            notes += unknown_note(words, vocabulary.ids, f"captions of {split}")
        spec = TaskSpec(
            vocabulary=vocabulary,
            num_outputs=len(vocabulary),
            output=Output.NEXT_TOKEN,
            output_names=output_names(symbols),
            context=splits["train"].features(),
        )
        return Data(spec, train, valid, test, notes=tuple(notes))

    def _splits(self) -> tuple[dict[str, Examples], list[str]]:
        fold = Fold.of(self)
        if self.path is None:
            sizes = {"train": self.num_train, "valid": self.num_valid, "test": self.num_test}
            scans = scans_by_split(self.valid_share, self.test_share, self.seed, fold)
            return composed(scans, sizes, caption, 0, self.seed), fold_notes(scans, fold)
        parts = read_parts(found("dataset.path", self.path), CAPTIONS)
        named = {split: read_captions(part) for split, part in parts.items()}
        examples, notes = examples_of_parts(parts, named, self.resize)
        splits, told = divided(examples, self.valid_share, self.test_share, self.seed, fold)
        return splits, [*notes, *told]

    def _sequences(
        self, examples: Examples, texts: Sequence[list[str]], vocabulary: Vocabulary
    ) -> Sequences:
        """Each caption from begin to end; one that is cut off has no end."""
        begin, end = vocabulary.encode(vocabulary.symbols[:2])
        rows = [ids_of(words, vocabulary.ids) for words in texts]
        width = max((min(len(row), self.max_length) for row in rows), default=0) + 1
        tokens = [[begin, *row[: self.max_length]] for row in rows]
        targets = [
            [*row, end] if len(row) <= self.max_length else row[: self.max_length] for row in rows
        ]
        return Sequences(
            padded(tokens, width),
            padded(targets, width, IGNORE),
            context=examples.context(),
            context_rows=examples.context_rows(),
        )
