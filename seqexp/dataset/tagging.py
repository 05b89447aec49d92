"""Tokens with a label each: parts of speech, names in a text, the structure of a protein."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import psutil
import torch
from annotated_types import Interval, Len

from seqexp.data import Data, Sequences, row_keys
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.own_files import found
from seqexp.dataset.tagged.made import made_sentences
from seqexp.dataset.tagged.reading import (
    Columns,
    Tagged,
    read_rows,
    read_tagged,
    tagged,
    unit_of,
)
from seqexp.dataset.tagged.splitting import (
    Splits,
    classes_of,
    notes,
    refuse_no_classes,
    split,
    unknown_note,
)
from seqexp.dataset.tagged.units import UNKNOWN, Unit, tokens_of
from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Seed
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary, WordEncoding

Name = Annotated[str, Len(1)]


@dataclass(frozen=True)
class Tagging:
    """Sequences of tokens with a label each. Without a path, tagged sentences are made.

    A file has a token, a tab (or blank) and its label a line, and a blank line between sequences;
    nothing in it is a quotation mark. Or it is CoNLL-U, or JSON lines with lists `tokens` and
    `labels`; its content tells which. Or it is a table whose two columns have equally long texts
    and labels: a letter of labels for each letter, or both with blanks between.

    Args:
        path: the file; None makes sentences with parts of speech.
        valid_path: sequences for validation, in a file of their own.
        test_path: sequences for the test, likewise.
        valid_share: part of the sequences that are left from the test, for validation, where
            neither a file nor a column `split` of the table names them.
        test_share: part of all sequences, for the test, likewise.
        folds: parts of all sequences, each of which is the test of one run; None: the test is
            drawn, or named.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        keep_together: tokens in a row; sequences that share as many are drawn into one split, as
            relatives among proteins. None: only equal ones are.
        text_column: of a table; None where a line is a token.
        labels_column: of a table, with as many labels as the text has tokens.
        label_column: where a line is a token, the column of its label: of CoNLL-U its name or
            number, None is `upos`; of other columns its number, None is the second of two. Of JSON
            lines, the key of the list of labels, None is `labels`.
        unit: what tokens are. `words` are read as they stand. `characters`: of a table, each
            letter carries a label; of other files, words are read as their letters, of which the
            last carries the label. `pieces`: each word is read as five tokens: its shape (`Xx` for
            Kjeld), its first and last letters, and itself, which carries the label, so that words
            that training lacks are told by their form. `auto` is words, or what a table says.
        max_tokens: size of the vocabulary, with padding and `<unk>`: all others are the most
            frequent tokens of the training sequences.
        min_count: how often a token stands in training, at least; rarer ones are `<unk>`.
        lower: read words in lower case.
        num_made: sentences that are made without a path.
        seed: selects what is held out, or made.

    Raises:
        InputError: from `load`, if a file is not sound or its labels cannot be learned.
    """

    path: str | None = None
    valid_path: str | None = None
    test_path: str | None = None
    valid_share: HeldOutShare = 0.1
    test_share: Annotated[float, Interval(gt=0, le=0.9)] = 0.1
    folds: Folds | None = None
    fold: CountOrZero = 0
    keep_together: Annotated[int, Interval(ge=2, le=1000)] | None = None
    text_column: Name | None = None
    labels_column: Name | None = None
    label_column: Name | Count | None = None
    unit: Literal["auto", "words", "characters", "pieces"] = "auto"
    max_tokens: Annotated[int, Interval(ge=3, le=10**7)] = 50_000
    min_count: Count = 2
    lower: bool = False
    num_made: Annotated[int, Interval(ge=20, le=10**6)] = 1000
    seed: Seed = 0

    output = "token_class"

    def load(self) -> Data:
        """Read the sequences, and encode them."""
        parts, unit, told = self._parts()
        classes = classes_of(parts)
        said = [*told, *notes(parts)]
        divided = {
            name: [tokens_of(one.tokens, unit, self.lower) for one in part]
            for name, part in parts.items()
        }
        symbols = self._symbols([tokens for tokens, _ in divided["train"]])
        if unit in ("words", "letters"):
            for name in ("valid", "test"):
                said += unknown_note(name, self._read(parts[name]), set(symbols), unit)
        spec = TaskSpec(
            vocabulary=Vocabulary(symbols),
            num_outputs=len(classes),
            output=Output.TOKEN_CLASS,
            output_names=classes,
            words=WordEncoding("tail", "right", unit, self.lower),
        )
        ids = {label: number for number, label in enumerate(classes)}
        train, valid, test = (
            _sequences(divided[name], [one.labels for one in parts[name]], spec.vocabulary, ids)
            for name in ("train", "valid", "test")
        )
        return Data(spec, train, valid, test, notes=tuple(said))

    def _parts(self) -> tuple[Splits, Unit, list[str]]:
        """Sequences by split, what their tokens are, and a note on it."""
        told: list[str] = []
        shares = {"test": self.test_share, "valid": self.valid_share}
        if self.path is None:
            sequences, unit = [*made_sentences(self.num_made, self.seed)], self._word_unit()
        else:
            sequences, unit, told = self._read_files(self.path)
        for name, path in (("test", self.test_path), ("valid", self.valid_path)):
            if path is not None:
                del shares[name]
        refuse_no_classes([one for one in sequences if one.split in (None, "train")] or sequences)
        fold = Fold.of(self)
        parts = split(sequences, shares, self.seed, self.keep_together, fold)
        if fold is not None:
            told = [*told, fold.note(len(parts["test"]), len(sequences), "sequences")]
        for name in ("train", "test"):
            if not parts[name]:
                raise InputError(
                    f"{self.path}: no sequence is for {name} by the column split; give one, or"
                    f" dataset.{name}_path"
                )
        refuse_no_classes(parts["train"])
        return parts, unit, told

    def _read_files(self, path: str) -> tuple[list[Tagged], Unit, list[str]]:
        given = {"train": path, "valid": self.valid_path, "test": self.test_path}
        paths = {
            name: found(f"dataset.{'path' if name == 'train' else f'{name}_path'}", one)
            for name, one in given.items()
            if one is not None
        }
        has_files = len(paths) > 1
        if self.text_column is None:
            sequences = [
                one._replace(split=name) if has_files else one
                for name, file in paths.items()
                for one in read_tagged(file, self.label_column)
            ]
            return sequences, self._word_unit(), []
        columns = Columns(self.text_column, self.labels_column)
        rows = {name: read_rows(file, columns) for name, file in paths.items()}
        everything = [row for of_file in rows.values() for row in of_file]
        letters_or_words = unit_of(everything) if self.unit == "auto" else None
        unit: Unit = letters_or_words or ("letters" if self.unit == "characters" else self.unit)  # type: ignore[assignment]
        told = []
        if letters_or_words is not None:
            told = [f"a label is of {_ONE[unit]} (dataset.unit: {_KEYS[unit]})"]
        if has_files and any(row.split is not None for row in everything):
            told.append("the column split is not read, since splits have files of their own")
        sequences = [
            tagged(row._replace(split=name) if has_files else row, unit != "letters")
            for name, of_file in rows.items()
            for row in of_file
        ]
        return sequences, unit, told

    def _word_unit(self) -> Unit:
        return "words" if self.unit == "auto" else self.unit

    def _read(self, part: Sequence[Tagged]) -> list[Tagged]:
        """The sequences with words as they are looked up."""
        if not self.lower:
            return list(part)
        return [one._replace(tokens=[token.lower() for token in one.tokens]) for one in part]

    def _symbols(self, sequences: Sequence[Sequence[str]]) -> tuple[str, ...]:
        """`<unk>`, then the most frequent tokens, those of equal frequency by the alphabet."""
        counts = Counter(token for tokens in sequences for token in tokens)
        counts.pop(UNKNOWN, None)
        frequent = [token for token, count in counts.items() if count >= self.min_count]
        if not frequent:
            raise InputError(
                f"dataset.min_count is {self.min_count}, but no token stands in training as often;"
                f" the most frequent one does {max(counts.values(), default=0)} times"
            )
        frequent.sort(key=lambda token: (-counts[token], token))
        return (UNKNOWN, *frequent[: self.max_tokens - 2])


_ONE = {"words": "a word", "letters": "a letter"}
_KEYS = {"words": "words", "letters": "characters"}


def _sequences(
    divided: Sequence[tuple[list[str], list[int]]],
    labels: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    numbers: dict[str, int],
) -> Sequences:
    """Rows of token ids padded on the right, and a target at each token that carries a label."""
    length = max((len(tokens) for tokens, _ in divided), default=1)
    _refuse_too_much(len(divided), length)
    tokens = torch.zeros((len(divided), length), dtype=torch.int32)
    targets = torch.full((len(divided), length), IGNORE, dtype=torch.int32)
    unknown = vocabulary.ids[UNKNOWN]
    for row, ((texts, places), tags) in enumerate(zip(divided, labels, strict=True)):
        ids = [vocabulary.ids.get(text, unknown) for text in texts]
        tokens[row, : len(ids)] = torch.tensor(ids, dtype=torch.int32)
        targets[row, places] = torch.tensor([numbers[tag] for tag in tags], dtype=torch.int32)
    keys = row_keys(texts for texts, _ in divided)  # whatever the vocabulary knows
    return Sequences(tokens, targets, keys=keys)


def _refuse_too_much(count: int, length: int) -> None:
    needed, there = 8 * count * length, psutil.virtual_memory().total
    if needed > there // 2:
        raise InputError(
            f"{count:,} sequences padded to the longest, {length:,} tokens, need"
            f" {needed / 2**30:,.1f} GiB, but half of this machine's memory is"
            f" {there / 2**31:,.1f} GiB; cut the long ones"
        )
