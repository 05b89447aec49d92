"""Text files of word vectors, as GloVe, word2vec and fastText write them.

A line is a word and its values, separated by blanks or tabs. A first line of two whole numbers, how
many words there are and how many values each has, is a header. A word may hold blanks.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from seqexp.errors import InputError
from seqexp.formats.text import read_lines

MAX_BYTES = 2**36
"""Of a file, unpacked; the largest that are offered have a tenth of that."""

MAX_LINE = 2**20
"""Characters of a line, for tens of thousands of values."""

MIN_SIZE = 2
"""Values a word; with one, a header could not be told from a word."""

_LOOKED_AT = 100
"""Lines that tell the number of values."""

_EXPECTED = (
    "is no file of word vectors: a line is a word and its values, at least two, always as many"
    " (a binary file of word2vec or fastText has to be saved as text first)"
)


class Vectors(NamedTuple):
    """Vectors of some words; `num_repeated` counts lines of words that had one already."""

    words: list[str]
    values: Float[np.ndarray, "words size"]
    num_repeated: int


def vector_size(path: Path) -> int:
    """Values a word, from the first lines.

    Raises:
        InputError: if it cannot be read, or is no file of word vectors.
    """
    size, _ = _begun(path)
    return size


def read_vectors(path: Path, wanted: Collection[str]) -> Vectors:
    """The vectors of the wanted words that a file has; of a word that is there twice, the first.

    Raises:
        InputError: if it cannot be read, is no such file, has fewer or more values in a line than
            in others, or values of a wanted word that are no finite numbers.
    """
    size, lines = _begun(path)
    found: dict[str, Float[np.ndarray, " size"]] = {}
    wanted, num_repeated = set(wanted), 0
    for number, line in lines:
        if line.count(" ") < size:
            fields = len(line.split())
            if fields:
                raise _ragged(path, number, fields - 1, size)
            continue
        # most lines are of words that nobody asked for: their values are not read
        if line.partition(" ")[0] not in wanted:
            continue
        word, *values = line.split(" ")
        if len(values) > size and _numbers(values[:-size]) == len(values) - size:
            raise _ragged(path, number, len(values), size)
        if len(values) > size:  # a word with blanks that begins like a wanted one
            continue
        if word in found:
            num_repeated += 1
        else:
            found[word] = _values(path, number, word, values)
    matrix = np.stack([*found.values()]) if found else np.zeros((0, size), dtype=np.float32)
    return Vectors(list(found), matrix, num_repeated)


def _begun(path: Path) -> tuple[int, Iterator[tuple[int, str]]]:
    """Values a word, and the numbered lines after a header, fields one blank apart."""
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise InputError(f"{path}: {what}")
    lines = enumerate(map(_clean, read_lines(path, MAX_BYTES, MAX_LINE, errors="replace")), start=1)
    first = [line for line in itertools.islice(lines, _LOOKED_AT) if line[1]]
    header = _header(first)
    if header is not None:
        first = first[1:]
    # a word with blanks may end in numbers: what most lines have
    sizes = Counter(min(_numbers(f), len(f) - 1) for f in (line.split(" ") for _, line in first))
    size = sizes.most_common(1)[0][0] if sizes else 0
    if size < MIN_SIZE:
        raise InputError(f"{path}: {_EXPECTED}")
    if header is not None and header != size:
        raise InputError(
            f"{path}: the first line says that words have {header} values, but they have {size};"
            f" {_EXPECTED}"
        )
    return size, itertools.chain(first, lines)


def _clean(line: str) -> str:
    """Fields one blank apart. No other white space divides them: some words hold it."""
    line = line.replace("\t", " ").strip(" ")
    return " ".join(filter(None, line.split(" "))) if "  " in line else line


def _header(lines: list[tuple[int, str]]) -> int | None:
    fields = lines[0][1].split(" ") if lines else []
    is_one = len(fields) == 2 and all(field.isascii() and field.isdigit() for field in fields)
    return int(fields[1]) if is_one else None


def _numbers(fields: list[str]) -> int:
    """How many fields at the end are numbers."""
    return sum(1 for _ in itertools.takewhile(_is_number, reversed(fields)))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return "_" not in field  # which Python allows between digits


def _values(path: Path, number: int, word: str, fields: list[str]) -> Float[np.ndarray, " size"]:
    wrong = next((field for field in fields if not _is_number(field)), None)
    with np.errstate(over="ignore"):
        values = np.array([float(f) for f in fields] if wrong is None else [], dtype=np.float32)
    if wrong is None and not np.isfinite(values).all():
        wrong = fields[int(np.argmin(np.isfinite(values)))]
    if wrong is not None:
        raise InputError(
            f"{path}, line {number}: {word!r} has the value {wrong[:40]!r}; give finite numbers"
            " (inf, nan and words are none)"
        )
    return values


def _ragged(path: Path, number: int, count: int, size: int) -> InputError:
    return InputError(
        f"{path}, line {number}: has {count} values, but most words have {size}; {_EXPECTED}"
    )
