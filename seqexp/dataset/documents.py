"""Labelled texts of a person's own: a table, JSON lines, or a folder with a folder a class.

Nothing here needs torch, so that the config check can look at a file as well.
"""

import csv
import difflib
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from seqexp.errors import InputError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")

MAX_FIELD = 2**31 - 1
"""Characters of one field of a table; Python's own limit is 131,072, shorter than a long text."""


class Document(NamedTuple):
    """One text with its class; `place` is where it stands, for messages."""

    text: str
    label: str
    place: str


class Columns(NamedTuple):
    """Which columns of a table, or keys of a JSON line, hold text and label."""

    text: str
    label: str


def read_documents(path: Path, columns: Columns) -> list[Document]:
    """All texts of a .csv, .tsv, .jsonl or .ndjson file (also .gz), or a folder of classes.

    A .csv file is read as RFC 4180 has it, quotes around fields with commas or line breaks. In a
    .tsv file quotes mean nothing, and no field has a tab or line break.

    Raises:
        InputError: naming the file, and the line where there is one: if it is missing, no UTF-8
            text, or malformed; lacks a column; has an empty text or label; or holds nothing.
    """
    documents = list(_documents(path, columns))
    if not documents:
        raise InputError(f"{path}: holds no texts")
    return documents


def check_documents(path: Path, columns: Columns) -> None:
    """Look at the first text only.

    Raises:
        InputError: if this cannot be a file of texts.
    """
    if next(_documents(path, columns), None) is None:
        raise InputError(f"{path}: holds no texts")


def _documents(path: Path, columns: Columns) -> Iterator[Document]:
    if path.is_dir():
        return _of_folder(path)
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if suffix in SEPARATORS:
        return _of_table(path, SEPARATORS[suffix], columns)
    if suffix in JSON_LINES:
        return _of_json_lines(path, columns)
    known = ", ".join([*SEPARATORS, *JSON_LINES])
    raise InputError(f"{path}: give a {known} file (also .gz), or a folder with a folder a class")


# --- folders ----------------------------------------------------------------------------------


def _of_folder(path: Path) -> Iterator[Document]:
    classes = sorted(item for item in path.iterdir() if item.is_dir())
    if not classes:
        raise InputError(f"{path}: has no folders; give one a class, with .txt files in them")
    for folder in classes:
        files = sorted(folder.glob("*.txt"))
        if not files:
            raise InputError(f"{folder}: has no .txt files, so class {folder.name} has no texts")
        for file in files:
            text = "".join(line for _, line in _lines(file))
            yield _checked(text, folder.name, str(file))


# --- files ------------------------------------------------------------------------------------


def _of_table(path: Path, separator: str, columns: Columns) -> Iterator[Document]:
    lines = (line for _, line in _lines(path))
    reader = csv.reader(
        lines,
        delimiter=separator,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
        strict=True,  # a quote that is never closed would swallow the rest of the file
    )
    with _long_fields():
        rows = _rows(reader, path)
        header = next(rows, None)
        if header is None:
            raise InputError(f"{path}: is empty; its first line must name the columns")
        text, label = (_column(name, header, str(path)) for name in columns)
        for row in rows:
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise InputError(
                    f"{place}: has {len(row)} fields, but the first line names {len(header)}"
                    " columns; a field that holds a comma needs quotes around it"
                )
            yield _checked(row[text], row[label], place)


def _rows(reader: Any, path: Path) -> Iterator[list[str]]:
    """Rows that are not blank."""
    try:
        yield from filter(None, reader)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: is malformed ({error})") from error


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _of_json_lines(path: Path, columns: Columns) -> Iterator[Document]:
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{place}: is no JSON ({error})") from error
        if not isinstance(record, dict):
            raise InputError(f"{place}: is no JSON object, as {{{columns.text!r}: ...}}")
        keys = list(record)
        text, label = (record[keys[_column(name, keys, place)]] for name in columns)
        if not isinstance(text, str):
            raise InputError(f"{place}: {columns.text} is {text!r:.40}, which is no text")
        if not isinstance(label, str | int | float):
            raise InputError(f"{place}: {columns.label} is {label!r:.40}, which is no label")
        yield _checked(text, label if isinstance(label, str) else json.dumps(label), place)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, unpacked if the file is gzipped, without a byte order mark."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number}: is not UTF-8 text; convert the file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _column(name: str, names: Sequence[str], place: str) -> int:
    """Where the column stands."""
    if names.count(name) > 1:
        raise InputError(f"{place}: has {names.count(name)} columns {name!r}; rename one")
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    shown = ", ".join(names[:20])
    raise InputError(
        f"{place}: has no column {name!r}{hint} (there are {shown}); name it by"
        " dataset.text_column and dataset.label_column"
    )


def _checked(text: str, label: str, place: str) -> Document:
    if not text.strip():
        raise InputError(f"{place}: the text is empty; remove it")
    if not label.strip():
        raise InputError(f"{place}: the label is empty; give one, or remove the text")
    return Document(text, label.strip(), place)
