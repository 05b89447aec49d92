"""Hashes and shuffles of sequences, some at a time.

Worker processes import it: neither torch nor anything else that takes long to load.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt64

from seqexp.dataset.dna.shuffle import dinucleotide_shuffle
from seqexp.formats.dna import either_strand
from seqexp.seeding import stream_seed
from seqexp.utils.files import write_whole


def hashes_of(
    letters: bytes, lengths: Int32[np.ndarray, " rows"], seed: int, has_strands: bool
) -> UInt64[np.ndarray, " rows"]:
    """The begin of the hash by which `splits.drawn` orders each sequence."""
    text, start, found = letters.decode(), 0, []
    form: Callable[[str], str] = either_strand if has_strands else str
    sha256 = hashlib.sha256
    for length in lengths.tolist():
        sequence = form(text[start : start + length])
        start += length
        found.append(sha256(repr((seed, sequence)).encode()).digest()[:8])
    return np.frombuffer(b"".join(found), dtype=">u8").astype(np.uint64)


def shuffle_into(
    file: Path, letters: bytes, lengths: Int32[np.ndarray, " rows"], seed: int
) -> bool:
    """Shuffle some sequences into a file: the letters of those that have another order."""
    text, start, made, is_other = letters.decode(), 0, [], []
    for length in lengths.tolist():
        sequence = text[start : start + length]
        start += length
        shuffled = dinucleotide_shuffle(sequence, stream_seed(seed, "shuffle", sequence))
        is_other.append(shuffled != sequence)
        if is_other[-1]:
            made.append(shuffled)
    content = io.BytesIO()
    joined = np.frombuffer("".join(made).encode(), dtype=np.uint8)
    np.savez(content, letters=joined, is_other=np.array(is_other, dtype=bool))
    write_whole(file, content.getvalue())
    return True
