"""FASTA in blocks of whole records, and the letters, names and digests of a block.

Worker processes import it: neither torch nor anything else that takes long to load.
"""

import hashlib
import io
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int32

from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.errors import InputError
from seqexp.formats.dna import all_sound, read_as, turned
from seqexp.formats.fasta import FASTA, read_fasta

SIZE = 2**23
"""Bytes of a block; a worker needs some 10 times as much memory."""

_LOOKED_AT = 2**16
"""Bytes that are looked through for the next record, at a time."""

FORM_BYTES = 16
NAME_BYTES = 8


class Block(NamedTuple):
    """Some records of a file. `source` is what messages name: the file, or the packed one."""

    file: Path
    start: int
    stop: int
    source: Path


class Encoded(NamedTuple):
    """Records of a block.

    Args:
        letters: of all records end to end, as the alphabet reads them.
        lengths: letters of each.
        headers: of each, in UTF-8, end to end.
        header_lengths: bytes of each.
        forms: digest of each sequence, the same on both strands.
        names: digest of each name.
    """

    letters: bytes
    lengths: Int32[np.ndarray, " records"]
    headers: bytes
    header_lengths: Int32[np.ndarray, " records"]
    forms: bytes
    names: bytes


def cut(file: Path, source: Path, size: int = SIZE) -> list[Block]:
    """Blocks of a file, in order; none of an empty one.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            end = os.fstat(opened.fileno()).st_size
            borders, place = [0], size
            while place < end:
                place = _next_record(opened, max(place, borders[-1] + 1), end)
                borders.append(place)
                place += size
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    ends = sorted({*borders, end})
    return [Block(file, start, stop, source) for start, stop in itertools.pairwise(ends)]


def _next_record(opened: BinaryIO, place: int, end: int) -> int:
    """The next place at which a line begins with `>`; the end if there is none."""
    while place < end:
        opened.seek(place - 1)
        found = opened.read(_LOOKED_AT).find(b"\n>")
        if found >= 0:
            return place + found
        place += _LOOKED_AT - 1
    return end


def encode(block: Block, alphabet: Alphabet) -> Encoded:
    """The records of a block.

    Raises:
        InputError: if one is not sound. Lines are counted from the begin of the block.
    """
    try:
        with block.file.open("rb") as opened:
            opened.seek(block.start)
            content = opened.read(block.stop - block.start)
    except OSError as error:
        raise InputError(f"{block.source}: cannot be read ({error.strerror})") from error
    records = _plain(content, alphabet) or _any(content, alphabet, block.source)
    return encoded(*records, alphabet.has_strands)


def encoded(headers: Sequence[str], sequences: Sequence[bytes], has_strands: bool) -> Encoded:
    """Records as columns, by their headers and their letters as they are read."""
    texts = [header.encode() for header in headers]
    return Encoded(
        b"".join(sequences),
        np.fromiter(map(len, sequences), dtype=np.int32, count=len(sequences)),
        b"".join(texts),
        np.fromiter(map(len, texts), dtype=np.int32, count=len(texts)),
        _digests(map(_either if has_strands else bytes, sequences), FORM_BYTES),
        _digests((first_word(header).encode() for header in headers), NAME_BYTES),
    )


def first_word(header: str) -> str:
    """The name of a record: its header up to the first blank."""
    return header.split(maxsplit=1)[0]


def _either(sequence: bytes) -> bytes:
    """As `formats.dna.either_strand`."""
    return min(sequence, turned(sequence))


def _digests(values: Iterable[bytes], size: int) -> bytes:
    blake2b = hashlib.blake2b
    return b"".join([blake2b(one, digest_size=size).digest() for one in values])


def _plain(content: bytes, alphabet: Alphabet) -> tuple[Sequence[str], Sequence[bytes]] | None:
    """Headers and letters of records of DNA without anything odd; None if there is something."""
    content = content.replace(b"\r\n", b"\n") if b"\r" in content else content
    if not alphabet.has_strands or content[:1] != b">" or b"\r" in content or b"\n;" in content:
        return None
    headers, sequences = [], []
    for record in content[1:].split(b"\n>"):
        header, _, letters = record.partition(b"\n")
        headers.append(header)
        sequences.append(letters.replace(b"\n", b"") if b"\n" in letters else letters)
    try:
        named = [header.decode().strip() for header in headers]
    except UnicodeDecodeError:
        return None
    if not all(named) or not all_sound(sequences):
        return None
    return named, [*map(read_as, sequences)]


def _any(content: bytes, alphabet: Alphabet, source: Path) -> tuple[Sequence[str], Sequence[bytes]]:
    """As `_plain`, of any records, one by one.

    Raises:
        InputError: if one is not sound.
    """
    headers, sequences = [], []
    for entry in read_fasta(io.BytesIO(content), name=str(source)):
        if not entry.header:
            raise InputError(
                f"{source}, line {entry.line}: record {entry.number} has no name; {FASTA}"
            )
        headers.append(entry.header)
        sequences.append(alphabet.read(entry.letters, entry.name, source).encode("latin-1"))
    return headers, sequences
