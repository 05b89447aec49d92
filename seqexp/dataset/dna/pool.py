"""Sequences of files larger than memory, by their numbers: splits, duplicates, leaks.

All that is done with records in memory is done here with numbers of records.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt8, UInt64

from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.dataset.dna.answers import Answers
from seqexp.dataset.dna.columns import Columns
from seqexp.dataset.dna.folds import WORDS, FoldBy, chromosome_of, fold_note, no_group
from seqexp.dataset.dna.named_splits import Named
from seqexp.dataset.dna.row_work import hashes_of
from seqexp.dataset.dna.splits import SPLITS, removed_notes, repeat_notes
from seqexp.dataset.folds import Fold, fold_stream, whole_groups
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
    """Records of several files with their answers: their numbers count through all of them.

    Args:
        files: columns of each file.
        alphabet: of the letters.
        answers: of all records.
        families: a number of each record, which those share that have to be in one split, not below
            0; None: only equal sequences have to.
        place_of: a record in words; empty where there are none.
    """

    def __init__(
        self,
        files: Sequence[Columns],
        alphabet: Alphabet,
        answers: Answers,
        families: Int32[np.ndarray, " records"] | None = None,
        place_of: Callable[[int], str] | None = None,
    ) -> None:
        self.files, self.alphabet, self.answers = files, alphabet, answers
        self.families, self._place_of = families, place_of
        self._gathered = 0
        self.starts = np.cumsum([0, *map(len, files)])

    @property
    def labels(self) -> Int32[np.ndarray, " records"]:
        """Number of the class of each; `NO_CLASS` where labels or numbers are asked for."""
        return self.answers.labels

    @cached_property
    def groups(self) -> Int32[np.ndarray, " records"]:
        """A number of each record, which those of equal sequences share."""
        return _groups([columns.forms for columns in self.files])

    def where(self, row: int) -> str:
        """A record in words."""
        place = "" if self._place_of is None else self._place_of(row)
        return place or repr(self.name(row))

    def names(self) -> Iterator[str]:
        """Of all records."""
        return itertools.chain.from_iterable(columns.names for columns in self.files)

    def sequences(self) -> Iterator[str]:
        """Of all records; letters that were read are dropped."""
        for start in range(0, len(self), PART):
            rows = np.arange(start, min(start + PART, len(self)), dtype=np.int32)
            text, begin = self.joined(rows).decode(), 0
            for length in self.lengths(rows).tolist():
                yield text[begin : begin + length]
                begin += length

    def __len__(self) -> int:
        return int(self.starts[-1])

    def forget(self) -> None:
        """Drop what only splits need, and letters that were read from files."""
        vars(self).pop("groups", None)
        self.families = self._place_of = None
        self.answers = Answers(self.answers.question, np.zeros(0, dtype=np.int32))
        self._drop()

    def _drop(self) -> None:
        """Take letters out of this process; they are in their files."""
        self._gathered = 0
        for columns in self.files:
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
            [np.diff(columns.ends).astype(np.int32) for columns in self.files]
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
        for number, columns in enumerate(self.files):
            is_here = (rows >= self.starts[number]) & (rows < self.starts[number + 1])
            if is_here.any():
                yield is_here, columns, rows[is_here] - self.starts[number]

    def _at(self, row: int) -> tuple[Columns, int]:
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.files[number], int(row - self.starts[number])


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


def split(pool: Pool, how: Naming, named: Named | None = None) -> dict[str, Rows]:
    """The records of each split, in the order that they have in memory.

    Args:
        pool: of the records.
        how: they are split.
        named: splits of all records, as a table says them.

    Raises:
        InputError: if a pattern is found in no name, or a table says another split.
    """
    parts = {name: np.zeros(0, dtype=np.int32) for name in SPLITS}
    is_test, is_valid = (
        np.zeros(len(pool), dtype=bool) if pattern is None else _found(pool, pattern, key)
        for key, pattern in (("test_names", how.test_names), ("valid_names", how.valid_names))
    )
    is_valid &= ~is_test
    if named is not None:
        by_table = ~(is_test | is_valid)
        named.refuse_others(by_table, pool.name)
        is_test |= by_table & (named.codes == named.code("test"))
        is_valid |= by_table & (named.codes == named.code("valid"))
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
    for columns in pool.files:
        names = iter(columns.names)
        while some := list(itertools.islice(names, PART)):
            found += found_in(pattern, some, f"dataset.{key}")
    return np.array(found, dtype=bool)


def drawn(pool: Pool, rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rest, and a share of each class: as `splits.drawn`, whose order it has."""
    if pool.families is not None:
        return _drawn_by_family(pool, rows, pool.families[rows], share, seed)
    rest, chosen = [rows[:0]], [rows[:0]]
    for label in np.unique(pool.labels[rows])[::-1]:
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
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[ordered] = np.arange(len(numbers))
    of_rows = ranks[places]
    fits = _fitting(of_rows, pool.labels[rows], share)
    order = np.argsort(of_rows, kind="stable")
    is_chosen = fits[of_rows[order]]
    return rows[order][~is_chosen], rows[order][is_chosen]


def _fitting(
    ranks: Int64[np.ndarray, " rows"], labels: Int32[np.ndarray, " rows"], share: float
) -> Bool[np.ndarray, " families"]:
    """Of each family, in their order, whether it is within the share of all its classes."""
    kinds, classes = np.unique(labels, return_inverse=True)
    wanted = [share * total for total in np.bincount(classes).tolist()]
    pairs, counts = np.unique(ranks * len(kinds) + classes, return_counts=True)
    families, of_class = np.divmod(pairs, len(kinds))
    ends = np.append(np.flatnonzero(np.diff(families)) + 1, len(families))
    fits = np.zeros(len(ends), dtype=bool)
    taken = [0] * len(kinds)
    start = 0
    for family, end in enumerate(ends.tolist()):
        some = [*zip(of_class[start:end].tolist(), counts[start:end].tolist(), strict=True)]
        fits[family] = all(taken[one] + count / 2 <= wanted[one] for one, count in some)
        if fits[family]:
            for one, count in some:
                taken[one] += count
        start = end
    return fits


# --- folds --------------------------------------------------------------------------------------


def by_fold(
    pool: Pool, fold: Fold, by: FoldBy, valid_share: float, named: Named | None
) -> tuple[dict[str, Rows], str]:
    """As `folds.by_fold`."""
    if named is not None:
        given = np.flatnonzero(named.codes != named.code("all"))
        if len(given):
            row = int(given[0])
            fold.refuse_given(named.words[int(named.codes[row])], pool.where(row))
    if by == "class":
        groups, hashes = _groups_of_folds(pool, fold)
        is_test = fold.tested_numbers(groups, pool.labels, hashes, WORDS[by])
        train, test = _numbers(~is_test), _numbers(is_test)
        train, valid = drawn(pool, train, valid_share, stream_seed(fold.seed, "valid"))
    else:
        if by == "group":
            raise no_group(pool.where(0))
        known: dict[str, str] = {}  # one text for all records of a chromosome
        names = [known.setdefault(one, one) for one in map(chromosome_of, pool.names())]
        is_test = np.array(fold.tested(names, WORDS[by], pool.labels.tolist()), dtype=bool)
        rest, test = _numbers(~is_test), _numbers(is_test)
        left = [names[row] for row in rest.tolist()]
        chosen = whole_groups(left, valid_share, stream_seed(fold.seed, "valid"))
        is_valid = np.fromiter((name in chosen for name in left), dtype=bool, count=len(left))
        train, valid = rest[~is_valid], rest[is_valid]
    parts = {"train": train, "valid": valid, "test": test}
    return parts, fold_note(fold, by, len(test), len(pool))


def _groups_of_folds(
    pool: Pool, fold: Fold
) -> tuple[Int64[np.ndarray, " records"], UInt64[np.ndarray, " groups"]]:
    """A number of each record, of those that are in one fold; and the hash of each number.

    A family has the group of its first sequence by letters, as `folds` has it.
    """
    firsts: np.ndarray = np.arange(len(pool), dtype=np.int32)
    if pool.families is not None:
        sizes = np.bincount(pool.families)
        first_of: dict[int, tuple[str, int]] = {}
        for row in np.flatnonzero(sizes[pool.families] > 1).tolist():
            sequence = pool.sequence(row)
            one = (either_strand(sequence) if pool.alphabet.has_strands else sequence, row)
            family = int(pool.families[row])
            first_of[family] = min(one, first_of.get(family, one))
        of_family = np.full(len(sizes), -1, dtype=np.int32)
        for family, (_, row) in first_of.items():
            of_family[family] = row
        found = of_family[pool.families]
        firsts = np.where(found < 0, firsts, found)
    _, rows, groups = np.unique(pool.groups[firsts], return_index=True, return_inverse=True)
    return groups, _hashes(pool, firsts[rows], fold_stream(fold.seed))


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
    codes = pool.answers.codes
    first = np.zeros(num_groups, dtype=np.int32)
    first[pool.groups[::-1]] = codes[::-1]
    clashing = np.unique(pool.groups[codes != first[pool.groups]])
    counts = len(pool), len(pool) - num_groups, len(clashing)
    return repeat_notes(*counts, pool.alphabet.has_strands, pool.answers.question.is_binary)


def letter_notes(pool: Pool) -> list[str]:
    """As of records in memory."""
    counts = np.sum([columns.counts for columns in pool.files], axis=0)
    total, notes = int(counts.sum()), []
    unknown = int(counts[ord(pool.alphabet.open)]) if pool.alphabet.open else 0
    if unknown:
        notes.append(f"{unknown:,} of {total:,} letters are unknown ({pool.alphabet.open})")
    if pool.alphabet.name == "protein" and sum(counts[ord(base)] for base in "ACGTX") == total:
        notes.append("all letters are A, C, G, T or unknown: this looks like DNA, not protein")
    return notes
