"""Texts as numbers of words. Worker processes import it: nothing that takes long to load."""

import io
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8, UInt64

from seqexp.utils.files import write_whole

Unit = Literal["words", "characters"]
"""What a text is made of; blanks are characters too."""

_MARKS = tuple((mark, f" {mark} ") for mark in ".,()!?")


def tokenize(text: str) -> list[str]:
    """Lower-case words and punctuation marks; `<br />` counts as a space.

    Quotation marks, colons and semicolons are dropped. The tokens are those of torchtext's
    `basic_english`, in a quarter of the time.
    """
    text = text.lower().replace('"', "").replace("<br />", " ").replace("'", " ' ")
    for mark, apart in _MARKS:
        text = text.replace(mark, apart)
    return text.replace(";", " ").replace(":", " ").split()


class Numbered(NamedTuple):
    """Words of some texts, end to end, numbered in the order in which they are first seen."""

    words: list[str]
    ids: Int[np.ndarray, " all_words"]
    lengths: list[int]


def number(texts: Sequence[str], unit: Unit = "words") -> Numbered:
    """Tokenise some texts."""
    if unit == "words" and sum(map(len, texts)) > _FEW:
        found = number_all(texts)
        if found is not None:
            return found
    return number_one_by_one(texts, unit)


def number_one_by_one(texts: Sequence[str], unit: Unit = "words") -> Numbered:
    """As `number`, in twice the time and more: one text after the other."""
    pieces: Callable[[str], Sequence[str]] = tokenize if unit == "words" else str
    known: defaultdict[str, int] = defaultdict(count().__next__)
    number_of = known.__getitem__
    ids, lengths = array("i"), []
    for text in texts:
        words = pieces(text)
        ids.extend(map(number_of, words))
        lengths.append(len(words))
    return Numbered(list(known), np.array(ids, dtype=np.int32), lengths)


# --- all texts at once --------------------------------------------------------------------------

_FEW = 2**18
"""Characters up to which texts are tokenised one by one."""

_END = 0
"""Byte between texts; a text that has it is read one by one."""

_LOWER = bytes.maketrans(bytes(range(65, 91)), bytes(range(97, 123)))

_BLANK, _LETTER, _MARK = 0, 1, 2
_KINDS = np.full(256, _LETTER, dtype=np.uint8)
_KINDS[[_END, *b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f;:"]] = _BLANK
_KINDS[[*b".,()!?'"]] = _MARK

_HALF = 8
"""Bytes of a word in one number; a word of up to two halves is two numbers."""

_MASKS = np.array([2 ** (8 * size) - 1 for size in range(_HALF + 1)], dtype=np.uint64)


def number_all(texts: Sequence[str]) -> Numbered | None:
    """All texts as one array of bytes, words as numbers of their bytes; None if that cannot be."""
    content = "\0".join([text if text.isascii() else _plain(text) for text in texts]).encode()
    if not texts or content.count(_END) != len(texts) - 1:
        return None
    content = content.translate(_LOWER, b'"').replace(b"<br />", b" ")
    codes = np.frombuffer(content + bytes(2 * _HALF + 1), dtype=np.uint8)
    kinds = _KINDS[codes]
    is_letter, is_mark = kinds == _LETTER, kinds == _MARK
    begins = is_mark | is_letter
    begins[1:] &= is_mark[1:] | ~is_letter[:-1]
    starts = np.flatnonzero(begins)
    ends = is_mark | is_letter
    ends[:-1] &= is_mark[:-1] | ~is_letter[1:]
    stops = np.flatnonzero(ends) + 1
    borders = np.flatnonzero(codes[: len(content)] == _END)
    places = np.searchsorted(starts, borders)
    lengths = np.diff(np.concatenate([[0], places, [len(starts)]]))
    found = _grouped(*_halves(content, codes, starts, stops))
    if found is None:
        return None
    firsts, ids = found
    pairs = zip(starts[firsts].tolist(), stops[firsts].tolist(), strict=True)
    return Numbered([content[a:b].decode() for a, b in pairs], ids, lengths.tolist())


def _plain(text: str) -> str:
    """A text in lower case, all of its blanks line ends: of Unicode's too."""
    return "\n".join(text.lower().replace('"', "").replace("<br />", " ").split())


def _halves(
    content: bytes,
    codes: UInt8[np.ndarray, " bytes"],
    starts: Int[np.ndarray, " words"],
    stops: Int[np.ndarray, " words"],
) -> tuple[UInt64[np.ndarray, " words"], UInt64[np.ndarray, " words"]]:
    """Two numbers of each word, the same for the same words only."""
    sizes = stops - starts
    # the number that begins at each byte
    numbers = np.ndarray((len(codes) - _HALF + 1,), np.uint64, codes.tobytes(), 0, (1,))
    first = numbers[starts] & _MASKS[np.minimum(sizes, _HALF)]
    second = numbers[starts + _HALF] & _MASKS[np.clip(sizes - _HALF, 0, _HALF)]
    long: dict[bytes, int] = {}
    for word in np.flatnonzero(sizes > 2 * _HALF).tolist():
        letters = content[starts[word] : stops[word]]
        first[word], second[word] = long.setdefault(letters, len(long)), _MASKS[_HALF]
    return first, second


def _grouped(
    first: UInt64[np.ndarray, " words"], second: UInt64[np.ndarray, " words"]
) -> tuple[Int[np.ndarray, " different"], Int[np.ndarray, " words"]] | None:
    """The first place of each different word, and the number of each word in their order.

    None where two words have the same hash.
    """
    from pandas import factorize  # type: ignore[import-untyped]  # half a second

    hashes = first * np.uint64(0x9E3779B97F4A7C15) ^ (second * np.uint64(0xC2B2AE3D27D4EB4F))
    hashes ^= hashes >> np.uint64(29)
    codes, _ = factorize(hashes)  # in the order in which they are first seen
    is_first = np.ones(len(codes), dtype=bool)
    is_first[1:] = np.diff(np.maximum.accumulate(codes)) > 0
    firsts = np.flatnonzero(is_first)
    for halves in (first, second):
        if not np.array_equal(halves[firsts][codes], halves):
            return None
    return firsts, codes.astype(np.int32)


def number_into(file: Path, texts: Sequence[str], unit: Unit) -> list[int]:
    """Tokenise some texts into a file; returns how many texts and words it has, and the first
    text without a word, or -1.
    """
    found = number(texts, unit)
    content = io.BytesIO()
    words = ("\n" if unit == "words" else "").join(found.words).encode()
    np.savez(
        content,
        ids=found.ids,
        lengths=np.array(found.lengths, dtype=np.int64),
        words=np.frombuffer(words, dtype=np.uint8),
    )
    write_whole(file, content.getvalue())
    empty = found.lengths.index(0) if 0 in found.lengths else -1
    return [len(found.lengths), len(found.ids), empty]


def read_numbered(file: Path, unit: Unit) -> Numbered:
    """Read a file of `number_into`.

    Raises:
        ValueError: if it is damaged.
    """
    with np.load(file) as found:
        text = found["words"].tobytes().decode()
        words = text.split("\n") if unit == "words" else list(text)
        return Numbered(words, found["ids"], found["lengths"].tolist())
