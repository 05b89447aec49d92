"""Sequences that are kept in one split: of one place of a genome, or of shared letters."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int32, Integer, UInt64

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import Windows
from seqexp.dataset.mapped import no_room
from seqexp.formats.dna import LETTERS

MAX_PERIOD = 6
"""Letters that a word may repeat so that it does not count, as `ACACACAC`."""

_BLOCK = 2**18
"""Letters that are hashed together."""

_WORDS = 2**19
"""Words that are compared together; more are in parts, in temporary files."""

_MIX = np.uint64(0x9E3779B97F4A7C15)

_EXACT = 31
"""Letters of a word up to which its number is its letters; longer ones are hashed."""

_ODD = 0x9E3779B97F4A7C15

_UNKNOWN = 255
_CODES = np.full(256, _UNKNOWN, dtype=np.uint8)
_CODES[np.frombuffer(LETTERS.encode(), dtype=np.uint8)] = np.arange(4)


def with_families(records: Sequence[Record], letters: int | None) -> list[Record]:
    """Records with the number of their family: those that have to be in one split.

    Records are of one family if their windows of a genome overlap, if they share `letters` letters
    in a row, on either strand, or if others connect them.

    Args:
        records: all of them.
        letters: None: overlaps alone count.
    """
    edges = [_overlaps(records)]
    if letters is not None:
        edges.append(shared_words([record.sequence for record in records], letters))
    pairs = np.concatenate(edges)
    if not len(pairs):
        return list(records)
    numbers = connected(pairs, len(records)).tolist()
    return [replace(r, family=number) for r, number in zip(records, numbers, strict=True)]


def families_of(
    overlapping: Int[np.ndarray, " records"] | None, sequences: Iterable[str], letters: int
) -> Int32[np.ndarray, " records"] | None:
    """Number of the family of each record, as `with_families` has it; None if none has another.

    Args:
        overlapping: of each record the number of the first that overlaps it; None: none do.
        sequences: of all records.
        letters: that those of a family share.
    """
    counted = _Counted(sequences)
    pairs = shared_words(counted, letters)
    numbers: np.ndarray = np.arange(counted.count)
    if overlapping is not None:
        others = np.flatnonzero(overlapping != numbers)
        pairs = np.concatenate([pairs, np.stack([overlapping[others], others], axis=1)])
    return connected(pairs, counted.count).astype(np.int32) if len(pairs) else None


class _Counted:
    """Sequences, and how many there were."""

    def __init__(self, sequences: Iterable[str]) -> None:
        self.sequences, self.count = sequences, 0

    def __iter__(self) -> Iterator[str]:
        for sequence in self.sequences:
            self.count += 1
            yield sequence


def connected(pairs: Int[np.ndarray, "pairs 2"], count: int) -> Int[np.ndarray, " count"]:
    """Number of the family of each of `count` things, of which pairs belong together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    there = np.ones(len(pairs), dtype=bool)
    graph = coo_array((there, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    found: np.ndarray = np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)
    return found


def _overlaps(records: Sequence[Record]) -> Int[np.ndarray, "pairs 2"]:
    """Records whose windows overlap, or that others connect: the first of them with each."""
    windows, numbers = Windows(), []
    for number, record in enumerate(records):
        if record.window is not None:
            windows.append(record.window)
            numbers.append(number)
    firsts = windows.families()
    others = np.flatnonzero(firsts != np.arange(len(firsts)))
    pairs: np.ndarray = np.array(numbers, dtype=np.int64)[
        np.stack([firsts[others], others], axis=1)
    ]
    return pairs


def shared_words(sequences: Iterable[str], letters: int) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of sequences that share a word of so many letters, on either strand.

    Not all pairs: as many as connect all that share it. Words with unknown letters, and those that
    are one short repeat, do not count. Time is linear in the letters of all, and so is the size of
    temporary files, of 12 bytes a letter.

    Raises:
        InputError: if there is no room for these.
    """
    with _Parts() as parts:
        for start, block in _blocks(sequences):
            codes, numbers = _joined(block)
            found = _words(codes, letters)
            is_word = _is_whole(codes, letters) & ~_is_repeat(codes, letters)
            parts.add(found[is_word], numbers[: len(found)][is_word].astype(np.int32) + start)
        pairs = [_sharing(*part) for part in parts]
    return np.unique(np.concatenate(pairs).astype(np.int64), axis=0)


def _sharing(
    words: UInt64[np.ndarray, " words"], owners: Int32[np.ndarray, " words"]
) -> Int32[np.ndarray, "pairs 2"]:
    """Owners of equal words."""
    order = np.argsort(words, kind="stable")
    words, owners = words[order], owners[order]
    is_shared = (words[1:] == words[:-1]) & (owners[1:] != owners[:-1])
    return np.stack([owners[:-1][is_shared], owners[1:][is_shared]], axis=1)


_Words = tuple[UInt64[np.ndarray, " words"], Int32[np.ndarray, " words"]]
"""Words and their owners."""


class _Parts:
    """Words with their owners, in parts by a hash of the word.

    They are in memory until there are more than `_WORDS`; then in a temporary file a part.
    """

    num_parts = 64

    def __init__(self) -> None:
        self._blocks: list[_Words] = []
        self._count = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def add(self, words: UInt64[np.ndarray, " words"], owners: Int32[np.ndarray, " words"]) -> None:
        """Add words."""
        self._blocks.append((words, owners))
        self._count += len(words)
        if self._count > _WORDS:
            self._write()

    def __iter__(self) -> Iterator[_Words]:
        if self._folder is None:
            yield self._taken()
            return
        self._write()
        for number in range(self.num_parts):
            with self._file(number).open("rb") as file:
                content = np.frombuffer(file.read(), dtype=[("word", "<u8"), ("owner", "<i4")])
            yield np.ascontiguousarray(content["word"]), np.ascontiguousarray(content["owner"])

    def _taken(self) -> _Words:
        words, owners = zip(*self._blocks, strict=True)
        self._blocks, self._count = [], 0
        return np.concatenate(words), np.concatenate(owners)

    def _write(self) -> None:
        if not self._blocks:
            return
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="seqexp-")
        words, owners = self._taken()
        parts = ((words * _MIX) >> np.uint64(58)).astype(np.uint8)
        order = np.argsort(parts, kind="stable")
        ends = np.searchsorted(parts[order], np.arange(self.num_parts + 1))
        rows = np.empty(len(words), dtype=[("word", "<u8"), ("owner", "<i4")])
        rows["word"], rows["owner"] = words[order], owners[order]
        try:
            for number in range(self.num_parts):
                with self._file(number).open("ab") as file:
                    file.write(rows[ends[number] : ends[number + 1]].tobytes())
        except OSError as error:
            raise no_room(error) from error

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / str(number)


def _blocks(sequences: Iterable[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Sequences of some letters in all, each time with the number of the first."""
    start = count = 0
    block: list[str] = []
    for number, sequence in enumerate(sequences):
        block.append(sequence)
        count += len(sequence)
        if count >= _BLOCK:
            yield start, block
            start, count, block = number + 1, 0, []
    if block or not start:
        yield start, block


def _joined(
    sequences: Sequence[str],
) -> tuple[Integer[np.ndarray, " letters"], Integer[np.ndarray, " letters"]]:
    """Codes of all letters, an unknown one after each sequence; and the sequence of each."""
    text = "".join(f"{sequence}N" for sequence in sequences)
    codes = _CODES[np.frombuffer(text.encode("ascii", errors="replace"), dtype=np.uint8)]
    lengths = [len(sequence) + 1 for sequence in sequences]
    return codes, np.repeat(np.arange(len(sequences)), lengths)


def _words(codes: Integer[np.ndarray, " letters"], size: int) -> UInt64[np.ndarray, " words"]:
    """Number of the word that begins at each letter, the same on both strands."""
    known = np.where(codes == _UNKNOWN, 0, codes)
    forward = _numbers(known, size)
    backward = _numbers(3 - known[::-1], size)[::-1]
    either: np.ndarray = np.minimum(forward, backward)
    return either


def _numbers(codes: Integer[np.ndarray, " letters"], size: int) -> UInt64[np.ndarray, " words"]:
    """Of each word its letters as digits, modulo 2**64: by doubling, in log2(size) steps."""
    base = 4 if size <= _EXACT else _ODD
    whole = max(len(codes) - size + 1, 0)
    found, done = np.zeros(len(codes), dtype=np.uint64), 0
    power, width = codes.astype(np.uint64), 1  # numbers of words of `width` letters
    if base != 4:  # of few digits, mixed so that no sum of theirs is another's
        power = (power + np.uint64(1)) * np.uint64(0xD6E8FEB86659FD93)
    rest = size
    while rest:
        if rest & 1:
            scale = np.uint64(pow(base, width, 2**64))
            shifted = np.zeros_like(power)
            shifted[: len(power) - done] = power[done:]
            found, done = found * scale + shifted, done + width
        rest >>= 1
        if rest:
            scale = np.uint64(pow(base, width, 2**64))
            later = np.zeros_like(power)
            later[: len(power) - width] = power[width:]
            power, width = power * scale + later, 2 * width
    numbers: np.ndarray = found[:whole]
    return numbers


def _is_whole(codes: Integer[np.ndarray, " letters"], size: int) -> Bool[np.ndarray, " words"]:
    """Whether all letters of a word are known."""
    return _none_in(codes == _UNKNOWN, size)


def _is_repeat(codes: Integer[np.ndarray, " letters"], size: int) -> Bool[np.ndarray, " words"]:
    """Whether a word is one repeat of up to `MAX_PERIOD` letters."""
    found = np.zeros(max(len(codes) - size + 1, 0), dtype=bool)
    for period in range(1, min(MAX_PERIOD, size // 2) + 1):
        found |= _none_in(codes[period:] != codes[:-period], size - period)
    return found


def _none_in(marks: Bool[np.ndarray, " letters"], size: int) -> Bool[np.ndarray, " parts"]:
    """Whether a part of `size` letters has no mark, by its beginning."""
    counts = np.concatenate([[0], np.cumsum(marks)])
    none: np.ndarray = counts[size:] == counts[: max(len(counts) - size, 0)]
    return none
