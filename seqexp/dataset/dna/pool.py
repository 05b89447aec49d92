"""Sequences of files larger than memory, by their numbers: splits, duplicates, leaks.

All that is done with records in memory is done here with numbers of records.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int8, Int32, Int64, UInt8, UInt64

from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.dataset.dna.columns import Columns
from seqexp.dataset.dna.row_work import hashes_of
from seqexp.dataset.dna.splits import SPLITS
from seqexp.dataset.mapped import MANY
from seqexp.errors import InputError
from seqexp.formats.dna import either_strand
from seqexp.formats.expressions import found_in
from seqexp.seeding import stream_seed
from seqexp.utils.workers import cores, each

PART = 2**15
"""Records that are hashed, shuffled or named together."""

Rows = Int32[np.ndarray, " _"]


class Pool:
    """Records of several files with a class each: their numbers count through all of them.

    Args:
        files: columns and class of each file.
        alphabet: of the letters.
    """

    def __init__(self, files: Sequence[tuple[Columns, int]], alphabet: Alphabet) -> None:
        self.files, self.alphabet = files, alphabet
        self.starts = np.cumsum([0, *(len(columns) for columns, _ in files)])
        self.labels: Int8[np.ndarray, " records"] = np.repeat(
            np.array([label for _, label in files], dtype=np.int8), np.diff(self.starts)
        )

    @cached_property
    def groups(self) -> Int32[np.ndarray, " records"]:
        """A number of each record, which those of equal sequences share."""
        return _groups([columns.forms for columns, _ in self.files])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def forget(self) -> None:
        """Drop what only splits need."""
        vars(self).pop("groups", None)

    def sequence(self, row: int) -> str:
        """The letters of a record."""
        columns, place = self._at(row)
        return columns.sequence(place)

    def name(self, row: int) -> str:
        """The name of a record."""
        columns, place = self._at(row)
        return columns.names[place]

    def every_length(self) -> Int32[np.ndarray, " records"]:
        """Letters of all records."""
        found: np.ndarray = np.concatenate(
            [np.diff(columns.ends).astype(np.int32) for columns, _ in self.files]
        )
        return found

    def lengths(self, rows: Rows) -> Int32[np.ndarray, " rows"]:
        """Letters of some records."""
        found = np.zeros(len(rows), dtype=np.int32)
        for is_here, columns, places in self._by_file(rows):
            found[is_here] = columns.ends[places + 1] - columns.ends[places]
        return found

    def letters(self, rows: Rows, width: int, pad_left: bool) -> UInt8[np.ndarray, "rows width"]:
        """Letters of some records, 0 where they are padded."""
        found = np.zeros((len(rows), width), dtype=np.uint8)
        columns = np.arange(width)
        for is_here, of_file, places in self._by_file(rows):
            begin, end = of_file.ends[places], of_file.ends[places + 1]
            first = end - width if pad_left else begin
            index = first[:, None] + columns  # (rows, width)
            is_letter = (index >= begin[:, None]) & (index < end[:, None])
            np.clip(index, 0, len(of_file.letters) - 1, out=index)
            found[is_here] = np.where(is_letter, of_file.letters[index], 0)
        return found

    def _by_file(
        self, rows: Rows
    ) -> Iterator[tuple[Bool[np.ndarray, " rows"], Columns, Int64[np.ndarray, " places"]]]:
        """Which of the rows are of a file, and their places there."""
        for number, (columns, _) in enumerate(self.files):
            is_here = (rows >= self.starts[number]) & (rows < self.starts[number + 1])
            if is_here.any():
                yield is_here, columns, rows[is_here] - self.starts[number]

    def _at(self, row: int) -> tuple[Columns, int]:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.files[number][0], int(row - self.starts[number])


def _groups(forms: Sequence[UInt64[np.ndarray, "_ 2"]]) -> Int32[np.ndarray, " records"]:
    """A number of each record, which those of equal digests share."""
    first = np.concatenate([one[:, 0] for one in forms])
    order = np.argsort(first, kind="stable")
    differs = _differs(first, order)
    second = np.concatenate([one[:, 1] for one in forms])
    is_new = differs | _differs(second, order)
    if (is_new & ~differs).any():  # two digests that begin alike
        order = np.lexsort((second, first))
        is_new = _differs(first, order) | _differs(second, order)
    del first, second
    groups = np.empty(len(order), dtype=np.int32)
    groups[order] = np.cumsum(is_new, dtype=np.int32) - 1
    return groups


def _differs(
    values: UInt64[np.ndarray, " records"], order: Int64[np.ndarray, " records"]
) -> Bool[np.ndarray, " records"]:
    """Whether a value differs from the one before, in an order; the first does."""
    found = np.ones(len(order), dtype=bool)
    for start in range(1, len(order), MANY):
        here = values[order[start - 1 : start + MANY]]
        found[start : start + MANY] = here[1:] != here[:-1]
    return found


# --- splits -------------------------------------------------------------------------------------


class Naming(NamedTuple):
    """How records are split: patterns on names, or shares by the seed."""

    valid_names: str | None
    test_names: str | None
    valid_share: float
    test_share: float
    seed: int


def split(pool: Pool, how: Naming) -> dict[str, Rows]:
    """The records of each split, in the order that they have in memory.

    Raises:
        InputError: if a pattern is found in no name.
    """
    parts = {name: np.zeros(0, dtype=np.int32) for name in SPLITS}
    is_test, is_valid = (
        np.zeros(len(pool), dtype=bool) if pattern is None else _found(pool, pattern, key)
        for key, pattern in (("test_names", how.test_names), ("valid_names", how.valid_names))
    )
    is_valid &= ~is_test
    parts["test"], parts["valid"] = (_numbers(of) for of in (is_test, is_valid))
    parts["train"] = _numbers(~(is_test | is_valid))
    for name, pattern in (("test", how.test_names), ("valid", how.valid_names)):
        if pattern is not None and not len(parts[name]):
            raise InputError(
                f"dataset.{name}_names is {pattern!r}, which is found in none of {len(pool)}"
                f" names, as {pool.name(0)!r}"
            )
    for name, share in (("test", how.test_share), ("valid", how.valid_share)):
        if not len(parts[name]):
            seed = stream_seed(how.seed, name)
            parts["train"], parts[name] = drawn(pool, parts["train"], share, seed)
    return parts


def _numbers(chosen: Bool[np.ndarray, " records"]) -> Rows:
    return np.flatnonzero(chosen).astype(np.int32)


def _found(pool: Pool, pattern: str, key: str) -> Bool[np.ndarray, " records"]:
    """Whether a pattern is found in the name of each record."""
    found: list[bool] = []
    for columns, _ in pool.files:
        names = iter(columns.names)
        while some := list(itertools.islice(names, 8 * PART)):
            found += found_in(pattern, some, f"dataset.{key}")
    return np.array(found, dtype=bool)


def drawn(pool: Pool, rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rest, and a share of each class: as `splits.drawn`, whose order it has."""
    rest, chosen = [rows[:0]], [rows[:0]]
    for label in (1, 0):
        of_class = rows[pool.labels[rows] == label]
        ordered = _by_hash(pool, of_class, seed)
        cut = round(share * len(ordered))
        chosen.append(ordered[:cut])
        rest.append(ordered[cut:])
    return np.concatenate(rest), np.concatenate(chosen)


def _by_hash(pool: Pool, rows: Rows, seed: int) -> Rows:
    """Records by the hash of their sequence, then by name."""
    hashes = np.empty(len(rows), dtype=np.uint64)
    calls = (some(pool, rows[at : at + PART]) for at in range(0, len(rows), PART))
    workers = min(cores(), 1 + len(rows) // (8 * PART))
    has_strands = pool.alphabet.has_strands
    for number, found in each(hashes_of, ((*call, seed, has_strands) for call in calls), workers):
        hashes[number * PART : number * PART + len(found)] = found
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    del hashes
    found_rows: Rows = rows[order]
    for first in same[np.concatenate([[True], np.diff(same) > 1])[: len(same)]].tolist():
        stop = first + 1
        while stop < len(ordered) and ordered[stop] == ordered[first]:
            stop += 1
        alike = found_rows[first:stop].tolist()
        alike.sort(key=lambda row: (_hash(pool, row, seed), pool.name(row)))
        found_rows[first:stop] = alike
    return found_rows


def _hash(pool: Pool, row: int, seed: int) -> bytes:
    sequence = pool.sequence(row)
    form = either_strand(sequence) if pool.alphabet.has_strands else sequence
    return hashlib.sha256(repr((seed, form)).encode()).digest()


def some(pool: Pool, rows: Rows) -> tuple[bytes, Int32[np.ndarray, " rows"]]:
    """Letters of some records end to end, and the length of each."""
    lengths = pool.lengths(rows)
    width = int(lengths.max(initial=1))
    letters = pool.letters(rows, width, pad_left=False)
    return letters[letters > 0].tobytes(), lengths


def without_leaks(pool: Pool, parts: dict[str, Rows]) -> tuple[dict[str, Rows], list[str]]:
    """As `splits.without_leaks`."""
    is_seen = np.zeros(int(pool.groups.max()) + 1, dtype=bool)
    left, notes = {}, []
    for name in reversed(SPLITS):
        groups = pool.groups[parts[name]]
        left[name] = parts[name][~is_seen[groups]]
        is_seen[groups] = True
        count = len(parts[name]) - len(left[name])
        if count:
            held_out = "valid and test" if name == "train" else "test"
            notes.append(f"{count} sequences removed from {name}: they stand in {held_out} too")
    return left, notes


def duplicate_notes(pool: Pool) -> list[str]:
    """As `splits.duplicate_notes`."""
    num_groups = int(pool.groups.max()) + 1
    has = [np.zeros(num_groups, dtype=bool) for _ in range(2)]
    for label in range(2):
        has[label][pool.groups[pool.labels == label]] = True
    repeats, clashes, notes = len(pool) - num_groups, int((has[0] & has[1]).sum()), []
    if repeats:
        strand = ", on either strand" if pool.alphabet.has_strands else ""
        notes.append(f"{repeats} of {len(pool)} sequences repeat another{strand}")
    if clashes:
        notes.append(f"{clashes} sequences are labelled both positive and negative")
    return notes


def letter_notes(pool: Pool) -> list[str]:
    """As of records in memory."""
    counts = np.sum([columns.counts for columns, _ in pool.files], axis=0)
    total, notes = int(counts.sum()), []
    unknown = int(counts[ord(pool.alphabet.open)]) if pool.alphabet.open else 0
    if unknown:
        notes.append(f"{unknown:,} of {total:,} letters are unknown ({pool.alphabet.open})")
    if pool.alphabet.name == "protein" and sum(counts[ord(base)] for base in "ACGTX") == total:
        notes.append("all letters are A, C, G, T or unknown: this looks like DNA, not protein")
    return notes
