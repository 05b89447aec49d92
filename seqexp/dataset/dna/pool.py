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
from seqexp.dataset.dna.splits import SPLITS, removed_notes
from seqexp.dataset.mapped import MANY, READ, dropped
from seqexp.errors import InputError
from seqexp.formats.dna import either_strand
from seqexp.formats.expressions import found_in
from seqexp.seeding import stream_seed
from seqexp.utils.workers import cores, each

PART = 2**13
"""Records that are hashed, shuffled or named together."""

Rows = Int32[np.ndarray, " _"]


class Pool:
    """Records of several files with a class each: their numbers count through all of them.

    Args:
        files: columns and class of each file.
        alphabet: of the letters.
        families: a number of each record, which those share that have to be in one split, not below
            0; None: only equal sequences have to.
    """

    def __init__(
        self,
        files: Sequence[tuple[Columns, int]],
        alphabet: Alphabet,
        families: Int32[np.ndarray, " records"] | None = None,
    ) -> None:
        self.files, self.alphabet, self.families = files, alphabet, families
        self._gathered = 0
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
        """Drop what only splits need, and letters that were read from files."""
        vars(self).pop("groups", None)
        self.families = None
        self._drop()

    def _drop(self) -> None:
        """Take letters out of this process; they are in their files."""
        self._gathered = 0
        for columns, _ in self.files:
            dropped(columns.letters)

    def _count(self, gathered: int) -> None:
        """Count letters that were read, so that no more than some stay in this process."""
        self._gathered += gathered
        if self._gathered > READ:
            self._drop()

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
        self._count(found.size)
        return found

    def joined(self, rows: Rows) -> bytes:
        """Letters of some records, end to end."""
        found = [b""] * len(rows)
        for is_here, of_file, places in self._by_file(rows):
            begins, ends = of_file.ends[places].tolist(), of_file.ends[places + 1].tolist()
            letters = of_file.letters
            for at, begin, end in zip(np.flatnonzero(is_here).tolist(), begins, ends, strict=True):
                found[at] = letters[begin:end].tobytes()
        content = b"".join(found)
        self._count(len(content))
        return content

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
        while some := list(itertools.islice(names, PART)):
            found += found_in(pattern, some, f"dataset.{key}")
    return np.array(found, dtype=bool)


def drawn(pool: Pool, rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rest, and a share of each class: as `splits.drawn`, whose order it has."""
    if pool.families is not None:
        return _drawn_by_family(pool, rows, pool.families[rows], share, seed)
    rest, chosen = [rows[:0]], [rows[:0]]
    for label in (1, 0):
        of_class = rows[pool.labels[rows] == label]
        ordered = _by_hash(pool, of_class, seed)
        cut = round(share * len(ordered))
        chosen.append(ordered[:cut])
        rest.append(ordered[cut:])
    return np.concatenate(rest), np.concatenate(chosen)


def _drawn_by_family(
    pool: Pool, rows: Rows, families: Int32[np.ndarray, " rows"], share: float, seed: int
) -> tuple[Rows, Rows]:
    """The same of whole families."""
    numbers, places = np.unique(families, return_inverse=True)
    lowest = np.full(len(numbers), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, places, _hashes(pool, rows, seed))
    ordered = np.lexsort((numbers, lowest))
    is_one = pool.labels[rows] == 1
    counts = np.stack(
        [np.bincount(places[is_one == label], minlength=len(numbers)) for label in (0, 1)]
    )
    wanted = [share * int(total) for total in counts.sum(axis=1)]
    taken = [0, 0]
    fits = np.zeros(len(numbers), dtype=bool)
    for family, zeros, ones in zip(ordered.tolist(), *counts[:, ordered].tolist(), strict=True):
        both = ((0, zeros), (1, ones))
        fits[family] = all(taken[i] + n / 2 <= wanted[i] for i, n in both if n)
        if fits[family]:
            taken = [taken[0] + zeros, taken[1] + ones]
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[ordered] = np.arange(len(numbers))
    order = np.argsort(ranks[places], kind="stable")
    is_chosen = fits[places[order]]
    return rows[order][~is_chosen], rows[order][is_chosen]


def _hashes(pool: Pool, rows: Rows, seed: int) -> UInt64[np.ndarray, " rows"]:
    """The begin of the hash of the sequence of each record."""
    hashes = np.empty(len(rows), dtype=np.uint64)
    calls = (some(pool, rows[at : at + PART]) for at in range(0, len(rows), PART))
    workers = min(cores(), 1 + len(rows) // (32 * PART))
    has_strands = pool.alphabet.has_strands
    for number, found in each(hashes_of, ((*call, seed, has_strands) for call in calls), workers):
        hashes[number * PART : number * PART + len(found)] = found
    return hashes


def _by_hash(pool: Pool, rows: Rows, seed: int) -> Rows:
    """Records by the hash of their sequence, then by name."""
    hashes = _hashes(pool, rows, seed)
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
    return pool.joined(rows), pool.lengths(rows)


def without_leaks(pool: Pool, parts: dict[str, Rows]) -> tuple[dict[str, Rows], list[str]]:
    """As `splits.without_leaks`."""
    is_seen = np.zeros(int(pool.groups.max()) + 1, dtype=bool)
    families = pool.families
    has_relative = np.zeros(1 if families is None else int(families.max()) + 1, dtype=bool)
    left, notes = {}, []
    for name in reversed(SPLITS):
        rows = parts[name]
        groups = pool.groups[rows]
        of_family = np.zeros(len(rows), dtype=np.int32) if families is None else families[rows]
        is_new = ~is_seen[groups]
        stays = is_new & ~has_relative[of_family]
        left[name] = rows[stays]
        is_seen[groups] = True
        has_relative[of_family] = families is not None
        notes += removed_notes(name, len(rows) - int(is_new.sum()), int((is_new & ~stays).sum()))
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
