"""Joins blocks of numbered texts into the arrays of an entry: one number a word for all of them.

Worker processes import it: neither torch nor anything else that takes long to load.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from seqexp.dataset.mapped import StringsWriter, growing
from seqexp.dataset.words.numbering import Unit, read_numbered

_MANY = 2**16
"""Words that are written together."""


def join(
    entry: Path, files: Mapping[str, Sequence[Path]], unit: Unit
) -> tuple[int, dict[str, int]]:
    """Write ids, offsets and words; returns the number of different words, and checksums.

    Args:
        entry: files add their endings.
        files: of the blocks of each split, in order.
        unit: what counts as a word.

    Raises:
        OSError: if a file cannot be written.
        ValueError: if a block is damaged; or another error of its format.
    """
    known: dict[str, int] = {}
    checksums: dict[str, int] = {}
    for split, blocks in files.items():
        with (
            growing(array_file(entry, split, "ids"), np.int32) as ids,
            growing(array_file(entry, split, "offsets"), np.int64) as offsets,
        ):
            offsets.add(np.zeros(1, dtype=np.int64))
            for block in blocks:
                part = read_numbered(block, unit)
                numbers = [known.setdefault(word, len(known)) for word in part.words]
                end = ids.count
                ids.add(np.array(numbers, dtype=np.int32)[part.ids])
                offsets.add(np.cumsum(part.lengths, dtype=np.int64) + end)
        checksums |= {f"{split}.ids": ids.checksum, f"{split}.offsets": offsets.checksum}
    with (
        growing(array_file(entry, "words", "letters"), np.uint8) as letters,
        growing(array_file(entry, "words", "offsets"), np.int64) as offsets,
    ):
        words, everything = StringsWriter(letters, offsets), iter(known)
        while some := list(islice(everything, _MANY)):
            words.add(some)
    checksums |= {"words.letters": letters.checksum, "words.offsets": offsets.checksum}
    return len(known), checksums


def array_file(entry: Path, split: str, name: str) -> Path:
    """The file of an array."""
    return entry.with_name(f"{entry.name}-{split}-{name}.npy")
