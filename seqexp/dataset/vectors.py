"""Text files of word vectors, as far as torch is not needed: a word and its values a line."""

import gzip
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from seqexp.errors import InputError


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked if it is gzipped.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def vector_size(path: Path) -> int:
    """Values a word, from the first line that is no header of two numbers.

    Raises:
        InputError: if this is no file of word vectors.
    """
    with _opened(path) as file:
        for line, _ in zip(file, range(2), strict=False):
            values = line.rstrip().split(b" ")[1:]
            try:
                numbers = [float(value) for value in values]
            except ValueError:
                break
            if len(numbers) > 2:  # a header has one value after its first
                return len(numbers)
    raise InputError(f"{path}: is no file of word vectors; a line is a word and its values")


def keep_lines(path: Path, kept: Path, words: Collection[str]) -> int:
    """Copy the lines of these words; returns how many there were.

    Raises:
        InputError: if the file cannot be read.
    """
    wanted = {word.encode() for word in words}
    count = 0
    with _opened(path) as file, kept.open("wb") as copy:
        for line in file:
            if line.partition(b" ")[0] in wanted and line.count(b" ") > 1:
                copy.write(line.rstrip() + b"\n")
                count += 1
    return count
