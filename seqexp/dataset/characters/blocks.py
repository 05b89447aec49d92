"""Text files in blocks of bytes, and the characters of a block as token ids.

Worker processes import it: neither torch nor anything else that takes long to load.
"""

import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Integer

from seqexp.errors import InputError
from seqexp.formats.text import MARK

SIZE = 2**24
"""Bytes of a block; a worker needs some 10 times as much memory."""

PIECE = 2**16
"""Characters that are looked up at a time: they stay in the CPU's cache."""

NUM_CODES = 0x110000
"""Code points of Unicode."""


class Block(NamedTuple):
    """Some bytes of a file, of which none is part of a character or line break beyond.

    `source` is what messages name: the file, or the packed one that it was unpacked from.
    """

    file: Path
    start: int
    stop: int
    source: Path


class Scan(NamedTuple):
    """What a block holds: each character once, sorted; and the number of all."""

    symbols: str
    length: int


def cut(file: Path, size: int = SIZE, source: Path | None = None) -> list[Block]:
    """Blocks of a file, in order, after a byte order mark; none of an empty one.

    `source` is as of `Block`; None is the file itself.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            end = os.fstat(opened.fileno()).st_size
            start = len(MARK) if opened.read(len(MARK)) == MARK else 0
            places = range(start + size, end, size)
            borders = {start, end, *(_border(opened, place) for place in places)}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    return [Block(file, *ends, source or file) for ends in itertools.pairwise(sorted(borders))]


def _border(opened: BinaryIO, place: int) -> int:
    """The next place at which no character of UTF-8 is cut, and no line break of two characters."""
    opened.seek(place - 1)
    near = opened.read(5)
    shift = 1
    while shift < min(4, len(near)) and near[shift] & 0xC0 == 0x80:  # the inside of a character
        shift += 1
    shift += near[shift - 1 : shift + 1] == b"\r\n"
    return place - 1 + shift


def scan(block: Block) -> Scan:
    """The characters of a block.

    Raises:
        InputError: if it is no UTF-8 text.
    """
    codes = _codes(_content(block))
    seen = np.zeros(NUM_CODES, dtype=bool)
    for piece in _pieces(len(codes)):
        seen[codes[piece]] = True
    return Scan("".join(map(chr, np.flatnonzero(seen))), len(codes))


def encode(block: Block, symbols: str) -> Integer[np.ndarray, " characters"]:
    """The token id of each character: its place among the symbols, which are sorted, from 1.

    Raises:
        InputError: if it is no UTF-8 text.
    """
    content = _content(block)
    return ids_of(content, symbols)


def ids_of(content: bytes | str, symbols: str) -> Integer[np.ndarray, " characters"]:
    """As `encode`, of ASCII as bytes or of a text."""
    dtype = narrowest(len(symbols))
    table = np.zeros(NUM_CODES, dtype=dtype)
    table[_codes(symbols)] = np.arange(1, len(symbols) + 1)
    if isinstance(content, bytes) and dtype == np.uint8:
        return np.frombuffer(content.translate(table[:256].tobytes()), dtype=dtype)
    codes = _codes(content)
    ids = np.empty(len(codes), dtype=dtype)
    for piece in _pieces(len(codes)):
        ids[piece] = table[codes[piece]]
    return ids


def write(block: Block, symbols: str, file: Path, place: int) -> int:
    """Write a block's ids into a file from a byte on, so that they last; returns their checksum.

    Raises:
        InputError: if the block is no UTF-8 text.
        OSError: if it cannot be written.
    """
    ids = encode(block, symbols)
    rest = ids.data.cast("B")
    checksum = zlib.crc32(rest)
    descriptor = os.open(file, os.O_WRONLY)
    try:
        while rest:
            written = os.pwrite(descriptor, rest, place)
            rest, place = rest[written:], place + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return checksum


def narrowest(num_symbols: int) -> np.dtype[np.integer]:
    """The smallest type that PyTorch computes with and that holds all ids, from 0."""
    types = (np.uint8, np.int16, np.int32)
    return next(np.dtype(type_) for type_ in types if num_symbols <= np.iinfo(type_).max)


def _content(block: Block) -> bytes | str:
    """ASCII as bytes, which are faster, else a text; line breaks are as Python reads them."""
    try:
        with block.file.open("rb") as opened:
            opened.seek(block.start)
            raw = opened.read(block.stop - block.start)
        if raw.isascii():
            return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{block.source}: is not UTF-8 text (byte {block.start + error.start}); convert it, or"
            " give another file"
        ) from error
    except OSError as error:
        raise InputError(f"{block.source}: cannot be read ({error.strerror})") from error
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _codes(content: bytes | str) -> Integer[np.ndarray, " characters"]:
    if isinstance(content, bytes):
        return np.frombuffer(content, dtype=np.uint8)
    return np.frombuffer(content.encode("utf-32-le"), dtype="<u4")


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, start + PIECE) for start in range(0, count, PIECE))
