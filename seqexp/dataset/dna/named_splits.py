"""The split of each of many records, by name, from a table: numbers in memory, no texts."""

import hashlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32

from seqexp.dataset.dna.labelled import rows_of_table
from seqexp.dataset.dna.splits import SPLITS
from seqexp.errors import InputError

COLUMN = "split"


@dataclass(frozen=True, eq=False)
class Named:
    """Splits of all records.

    Args:
        codes: of each, a number of `words`.
        words: as tables have them.
    """

    codes: Int32[np.ndarray, " records"]
    words: list[str]

    def code(self, word: str) -> int:
        """The number of a word."""
        return self.words.index(word)

    def refuse_others(
        self, looked_at: Bool[np.ndarray, " records"], name_of: Callable[[int], str]
    ) -> None:
        """Refuse a word that names no split.

        Raises:
            InputError: naming the first record.
        """
        wrong = np.flatnonzero(looked_at & (self.codes > len(SPLITS)))
        if len(wrong):
            row = int(wrong[0])
            raise other_split(name_of(row), self.words[int(self.codes[row])])


def other_split(name: str, word: str) -> InputError:
    """What is said of a word that names no split."""
    return InputError(f"{name!r} has the split {word!r}; give train, valid, test or all")


def named_splits(path: Path, names: Iterable[str]) -> Named:
    """The split of each record, by name: as `labelled.values_by_name` has it.

    Raises:
        InputError: if the table lacks a record's id, or has two values for it.
    """
    words = ["all", *SPLITS]
    numbers = {word: number for number, word in enumerate(words)}
    keys, codes, lines = array("Q"), array("i"), array("q")
    for line, values in rows_of_table(path, ("id", COLUMN)):
        code = numbers.setdefault(values[COLUMN], len(numbers))
        if code == len(words):
            words.append(values[COLUMN])
        keys.append(_key(values["id"]))
        codes.append(code)
        lines.append(line)
    known, of_known = np.asarray(keys), np.asarray(codes)
    order = np.argsort(known, kind="stable")
    known, of_known = known[order], of_known[order]
    begins = np.concatenate([[True], known[1:] != known[:-1]])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(known)), 0))
    differs = np.flatnonzero(of_known != of_known[first])
    if len(differs):
        at = differs[np.asarray(lines)[order][differs].argmin()]
        _refuse_two(path, lines[order[at]], words[of_known[first[at]]])
    found, absent, example = array("i"), 0, ""
    for name in names:
        place = int(np.searchsorted(known, np.uint64(_key(name))))
        if place < len(known) and known[place] == _key(name):
            found.append(int(of_known[place]))
        else:
            absent, example = absent + 1, example or repr(name)
    if absent:
        raise InputError(f"{path}: has no {COLUMN} for {absent} of {path}, as {example}")
    return Named(np.asarray(found).astype(np.int32), words)


def _refuse_two(path: Path, line: int, before: str) -> None:
    for number, values in rows_of_table(path, ("id", COLUMN)):
        if number == line:
            raise InputError(
                f"{path}, line {line}: {values['id']!r} has the {COLUMN} {values[COLUMN]!r}, but"
                f" {before!r} before"
            )


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
