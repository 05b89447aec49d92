"""Text as a stream of characters, for predicting the next one."""

import itertools
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Interval, Len

from seqexp.data import Data, Sequences
from seqexp.dataset.characters.encoding import Characters, of_files, of_text
from seqexp.dataset.own_files import missing
from seqexp.dataset.tensors import as_tensor
from seqexp.errors import InputError
from seqexp.formats.folders import files_in
from seqexp.formats.text import open_unpacked
from seqexp.ranges import Count, HeldOutShare, Seed
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec, Vocabulary

GRAMMAR: tuple[tuple[str, ...], ...] = (
    ("the ", "a ", "every ", "no "),
    ("", "small ", "old ", "quiet ", "hungry "),
    ("cat ", "dog ", "bird ", "child ", "river ", "teacher "),
    ("sees ", "follows ", "remembers ", "hears ", "finds "),
    ("the ", "a ", "every ", "no "),
    ("", "small ", "old ", "quiet ", "hungry "),
    ("cat", "dog", "bird", "child", "river", "teacher"),
    (".\n", " in the morning.\n", " at night.\n", " again.\n"),
)
"""Sentences of the built-in text: one choice of each, all with the same chance."""


def grammar_bits_per_character() -> float:
    """Entropy rate of the built-in text: no model can predict it with fewer bits, on average.

    The choices of a sentence can be read off it, so its entropy is the sum of theirs; over many
    sentences, bits a character go to bits a sentence over characters a sentence.
    """
    bits = sum(math.log2(len(choices)) for choices in GRAMMAR)
    length = sum(sum(map(len, choices)) / len(choices) for choices in GRAMMAR)
    return bits / length


LOOKED_AT = 2**16
"""Bytes of a file that tell whether it holds records of sequences."""

RECORDS = {
    "FASTA": re.compile(r"\s*>[^\r\n]*[\r\n]+[A-Za-z*-]{8,}[\r\n]"),
    "FASTQ": re.compile(r"\s*@[^\r\n]*[\r\n]+[A-Za-z]+[\r\n]+\+"),
}


@dataclass(frozen=True)
class Chars:
    """One text, cut by position into training, validation and test.

    A stream is a row of the batch: it is read from its first character to its last, with the
    state carried on. The training part is read in parallel streams; validation and test are each
    read once, from start to end, so their loss does not depend on `batch_size`. The vocabulary is
    every character of the whole text, sorted.

    Args:
        path: a text file, or a folder whose .txt files are read in the order of their names; also
            packed by gzip.
        text: the text itself; with neither, sentences of a small grammar are made from the seed.
        num_chars: length of the made text.
        batch_size: parallel streams of training. Fewer where the text is too short for so many.
        valid_share: last part of the text but one, for validation; 0 has none.
        test_share: last part of the text, for the test; 0 tests on the training text.
        cache: where the token ids of a long text are kept and mapped into memory from; None keeps
            them in memory.
        seed: selects the sentences that are made.

    Raises:
        InputError: from `load`, on a file that is missing, empty or no UTF-8 text, and on a text
            that is too short for its parts.
    """

    path: str | None = None
    text: Annotated[str, Len(2)] | None = None
    num_chars: Annotated[int, Interval(ge=100, le=10**8)] = 20_000
    batch_size: Count = 32
    valid_share: HeldOutShare = 0.05
    test_share: HeldOutShare = 0.05
    cache: str | None = None
    seed: Seed = 0

    output = "next_token"
    is_stream = True
    does_without = {
        "folds": "it is one text, cut by position: its end is the test; for many texts give"
        " dataset=text dataset.task=next_token"
    }

    def load(self) -> Data:
        """Read or make the text."""
        text = self._read()
        count, symbols = len(text.ids), tuple(text.symbols)
        num_test = int(count * self.test_share)
        num_valid = int(count * self.valid_share)
        num_train = count - num_valid - num_test
        if num_train < 2:
            raise InputError(
                f"dataset.valid_share is {self.valid_share} and dataset.test_share is"
                f" {self.test_share}, which leaves {num_train} of {count} characters for"
                " training; give smaller shares, or a longer text"
            )
        if self.test_share and num_test < 2:
            raise InputError(
                f"dataset.test_share is {self.test_share}, which leaves {num_test} of {count}"
                " characters for the test, and at least 2 are needed; give a larger share, a longer"
                " text, or dataset.test_share=0.0 to test on the training text"
            )
        notes = [] if self.path is None else list(_notes(Path(self.path)))
        if self.valid_share and num_valid < 2:
            notes.append(
                f"dataset.valid_share is {self.valid_share}, which leaves {num_valid} of {count}"
                " characters for validation: too few, so nothing is validated"
            )
        train, valid, test = torch.split(as_tensor(text.ids), [num_train, num_valid, num_test])
        spec = TaskSpec(
            vocabulary=Vocabulary(symbols),
            num_outputs=len(symbols) + 1,  # token ids, of which padding is never the target
            output=Output.NEXT_TOKEN,
            output_names=("padding", *symbols),
        )
        return Data(
            spec,
            train=_streams(train, self.batch_size),
            valid=_streams(valid, 1),
            test=_streams(test if num_test else train, 1),
            notes=tuple(notes),
        )

    def _read(self) -> Characters:
        if self.path is not None and self.text is not None:
            raise InputError(
                f"dataset.path is {self.path} and dataset.text is given too; give one of them"
            )
        if self.text is not None:
            return of_text(self.text)
        if self.path is not None:
            cache = None if self.cache is None else Path(self.cache)
            return _text_of(Path(self.path), cache)
        sentences = _sentences(self.seed)
        whole: list[str] = []
        while sum(map(len, whole)) < self.num_chars:
            whole += itertools.islice(sentences, 1000)
        return of_text("".join(whole)[: self.num_chars])


def _streams(ids: torch.Tensor, most: int) -> Sequences:
    """At most so many rows of consecutive characters, and for each character the one after it."""
    count = max(1, min(most, (len(ids) - 1) // 2))
    length = (len(ids) - 1) // count
    if length < 1:
        empty = ids[:0].view(0, 1)
        return Sequences(empty, empty, is_stream=True)
    tokens = ids[: count * length].view(count, length)
    targets = ids[1 : count * length + 1].view(count, length)
    return Sequences(tokens, targets, is_stream=True)


def _sentences(seed: int) -> Iterator[str]:
    # Python promises the same numbers from random() for a seed in every release
    generator = random.Random(stream_seed(seed, "sentences"))
    while True:
        yield "".join(choices[int(generator.random() * len(choices))] for choices in GRAMMAR)


def _text_of(path: Path, cache: Path | None) -> Characters:
    if not path.exists():
        raise InputError(missing("dataset.path", path))
    files = _files(path)
    if not files:
        raise InputError(f"dataset.path is {path}, a folder without .txt files")
    text = of_files(files, cache)
    if len(text.ids) < 2:
        raise InputError(f"{path}: holds {len(text.ids)} characters; at least 2 are needed")
    return text


def _files(path: Path) -> list[Path]:
    return files_in(path, (".txt",)) if path.is_dir() else [path]


def _notes(path: Path) -> Iterator[str]:
    """What a text should not be: sequences with their names."""
    for file in _files(path):
        with open_unpacked(file) as content:
            start = content.read(LOOKED_AT).decode("utf-8-sig", errors="ignore")
        kind = next((kind for kind, found in RECORDS.items() if found.match(start)), None)
        if kind is not None:
            yield (
                f"{file}: looks like {kind}; names and line breaks are learned as text, too. For"
                " classes of DNA give dataset=fasta, for reads dataset=noisy-reads; or give the"
                " letters alone"
            )
            return
