"""Tagged sequences of a person's own: columns, CoNLL-U, JSON lines, and tables of texts.

Imports no torch: the config check looks at files too.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.records import SEPARATORS, column, read_table
from seqexp.formats.text import ending
from seqexp.formats.token_lists import (
    form_of_file,
    label_name,
    read_conllu,
    read_token_lists,
)
from seqexp.formats.two_columns import read_labelled

log = logging.getLogger("seqexp")

MAX_UNPACKED = 2**31
"""Bytes of a packed file, unpacked; a file that is not packed may be larger."""

SPLITS = {"train": "train", "valid": "valid", "test": "test"} | dict.fromkeys(
    ("val", "dev", "validation"), "valid"
)
"""What a column `split` may say, and what is meant."""

SPLIT = "split"

TABLE = (
    "; of a table, name two columns by dataset.text_column and dataset.labels_column, of more"
    " columns that of the labels by dataset.label_column=NUMBER"
)


class Tagged(NamedTuple):
    """Tokens with a label each, where they stand, and the split that the file gives them."""

    tokens: Sequence[str]
    labels: Sequence[str]
    place: str
    split: str | None = None


class Columns(NamedTuple):
    """Names of the columns of a table; both None where a file has tokens with a label each.

    `label` is the column or key of the labels in such a file; None is the usual one.
    """

    text: str | None
    labels: str | None
    label: str | int | None = None


class Row(NamedTuple):
    """Text and labels of a row of a table, as they stand there."""

    text: str
    labels: str
    place: str
    split: str | None


def read_tagged(path: Path, label: str | int | None = None) -> list[Tagged]:
    """The sequences of a file with a token and its label a line, of CoNLL-U, or of JSON lines.

    Raises:
        InputError: naming the file, and the line where there is one.
    """
    found = list(_tagged(path, label))
    if not found:
        raise InputError(
            f"{path}: holds no sequence; give a token, a tab and its label a line, CoNLL-U, or JSON"
            ' lines as {"tokens": [...], "labels": [...]}'
        )
    return found


def _tagged(path: Path, label: str | int | None) -> Iterator[Tagged]:
    form = form_of_file(path)
    if form == "conllu":
        for one in read_conllu(path, label_name(label, str(path)), _limit(path)):
            yield Tagged(one.tokens, one.labels, f"{path}, line {one.line}")
    elif form == "jsonl":
        key = "labels" if label is None else str(label)
        for one, values in read_token_lists(path, key, _limit(path)):
            place = f"{path}, line {one.line}"
            given = values.get(SPLIT)
            yield Tagged(
                one.tokens, one.labels, place, None if given is None else _split(given, place)
            )
    else:
        for one in read_labelled(path, _limit(path), TABLE, _number(label, path)):
            yield Tagged(one.tokens, one.labels, f"{path}, line {one.line}")


def _number(label: str | int | None, path: Path) -> int | None:
    """The number of the column of labels, where columns have no names."""
    if label is None:
        return None
    text = str(label)
    if not (text.isascii() and text.isdigit() and 2 <= int(text) <= 10**6):
        raise InputError(
            f"{path}: dataset.label_column is {label}, but its columns have no names; give a number"
            " from 2, the first being the token"
        )
    return int(text)


def _split(given: object, place: str) -> str:
    if not isinstance(given, str) or given.strip() not in SPLITS:
        allowed = ", ".join(SPLITS)
        raise InputError(f"{place}: {SPLIT} is {given!r:.40}; give one of {allowed}")
    return SPLITS[given.strip()]


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
        next(_tagged(path, columns.label), None)
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
        known = None if split is None else _split(fields[split], place)
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
