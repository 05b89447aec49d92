"""Tagged sequences of a person's own: two-column files, and tables with a column of labels.

Imports no torch: the config check looks at files too.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.records import SEPARATORS, column, read_table
from seqexp.formats.text import ending
from seqexp.formats.two_columns import read_labelled

log = logging.getLogger("seqexp")

MAX_UNPACKED = 2**31
"""Bytes of a packed file, unpacked; a file that is not packed may be larger."""

SPLITS = {"train": "train", "valid": "valid", "test": "test"} | dict.fromkeys(
    ("val", "dev", "validation"), "valid"
)
"""What a column `split` may say, and what is meant."""

SPLIT = "split"

TABLE = "; of a table, name two columns by dataset.text_column and dataset.labels_column"


class Tagged(NamedTuple):
    """Tokens with a label each, where they stand, and the split that the file gives them."""

    tokens: Sequence[str]
    labels: Sequence[str]
    place: str
    split: str | None = None


class Columns(NamedTuple):
    """Names of the columns of a table; both None where a file has a token and a label a line."""

    text: str | None
    labels: str | None


class Row(NamedTuple):
    """Text and labels of a row of a table, as they stand there."""

    text: str
    labels: str
    place: str
    split: str | None


def read_tagged(path: Path) -> list[Tagged]:
    """The sequences of a file with a token and its label a line.

    Raises:
        InputError: naming the file, and the line where there is one.
    """
    found = [
        Tagged(one.tokens, one.labels, f"{path}, line {one.line}")
        for one in read_labelled(path, _limit(path), TABLE)
    ]
    if not found:
        raise InputError(f"{path}: holds no sequence; give a token, a tab and its label a line")
    return found


def read_rows(path: Path, columns: Columns) -> list[Row]:
    """Rows of a table with texts and their labels.

    Raises:
        InputError: naming the file, and the line where there is one: if it is no table, lacks a
            column, has a row with an empty text or no labels, or has no rows.
    """
    found = list(_rows(path, columns))
    if not found:
        raise InputError(f"{path}: holds no rows")
    return found


def check_file(path: Path, columns: Columns) -> None:
    """Look at the first sequence only.

    Raises:
        InputError: if this cannot be a file of tagged sequences.
    """
    if columns.text is None:
        next(read_labelled(path, _limit(path), TABLE), None)
    else:
        next(_rows(path, columns), None)


def _rows(path: Path, columns: Columns) -> Iterator[Row]:
    if ending(path) not in SEPARATORS:
        raise InputError(f"{path}: give a table, {' or '.join(SEPARATORS)} (also .gz)")
    rows = read_table(path, _limit(path))
    header = next(rows, None)
    if header is None:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    advice = "; name it by dataset.text_column and dataset.labels_column"
    names = (str(columns.text), str(columns.labels))
    text, labels = (column(name, header.fields, str(path), advice) for name in names)
    split = column(SPLIT, header.fields, str(path)) if SPLIT in header.fields else None
    for line, fields in rows:
        place = f"{path}, line {line}"
        for name, index in (("text", text), ("labels", labels)):
            if not fields[index].strip():
                raise InputError(f"{place}: {header.fields[index]} is empty; give {name}")
        given = None if split is None else fields[split].strip()
        if given is not None and given not in SPLITS:
            allowed = ", ".join(SPLITS)
            raise InputError(f"{place}: {SPLIT} is {given!r:.40}; give one of {allowed}")
        known = None if given is None else SPLITS[given]
        yield Row(fields[text].strip(), fields[labels].strip(), place, known)


def unit_of(rows: Sequence[Row]) -> Literal["words", "letters"]:
    """Words where labels have blanks between them in any row; else each letter has a label."""
    return "words" if any(len(row.labels.split()) > 1 for row in rows) else "letters"


def tagged(row: Row, is_words: bool) -> Tagged:
    """A row with a label a token.

    Raises:
        InputError: if there are more labels than tokens, or fewer.
    """
    if is_words:
        tokens, labels = row.text.split(), row.labels.split()
    else:
        tokens, labels = list(row.text), list(row.labels)
    if len(tokens) == len(labels):
        return Tagged(tokens, labels, row.place, row.split)
    what = "words" if is_words else "letters"
    other = "characters, a letter a label" if is_words else "words, parted by blanks"
    raise InputError(
        f"{row.place}: {len(tokens):,} {what} ({row.text[:20]!r}...) have {len(labels):,} labels"
        f" ({row.labels[:20]!r}...); give a label each, or dataset.unit for {other}"
    )


def _limit(path: Path) -> int:
    try:
        return max(MAX_UNPACKED, path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
