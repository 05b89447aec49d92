"""Sequences that are kept in one split: of one place of a genome, or of shared letters."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int, Integer, UInt64

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import Windows
from seqexp.formats.dna import LETTERS

MAX_PERIOD = 6
"""Letters that a word may repeat so that it does not count, as `ACACACAC`."""

_BLOCK = 2**21
"""Letters that are hashed together."""

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


def shared_words(sequences: Sequence[str], letters: int) -> Int[np.ndarray, "pairs 2"]:
    """Pairs of sequences that share a word of so many letters, on either strand.

    Not all pairs: as many as connect all that share it. Words with unknown letters, and those that
    are one short repeat, do not count. Time and memory are linear in the letters of all.
    """
    words, owners = [], []
    for start, block in _blocks(sequences):
        codes, numbers = _joined(block)
        found = _words(codes, letters)
        is_word = _is_whole(codes, letters) & ~_is_repeat(codes, letters)
        words.append(found[is_word])
        owners.append((numbers[: len(found)][is_word] + start).astype(np.int32))
    all_words, all_owners = np.concatenate(words), np.concatenate(owners)
    order = np.argsort(all_words, kind="stable")
    all_words, all_owners = all_words[order], all_owners[order]
    is_shared = (all_words[1:] == all_words[:-1]) & (all_owners[1:] != all_owners[:-1])
    pairs = np.stack([all_owners[:-1][is_shared], all_owners[1:][is_shared]], axis=1)
    return np.unique(pairs.astype(np.int64), axis=0)


def _blocks(sequences: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Sequences of some letters in all, each time with the number of the first."""
    start = count = 0
    for number, sequence in enumerate(sequences):
        count += len(sequence)
        if count >= _BLOCK:
            yield start, sequences[start : number + 1]
            start, count = number + 1, 0
    if start < len(sequences) or not sequences:
        yield start, sequences[start:]


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
