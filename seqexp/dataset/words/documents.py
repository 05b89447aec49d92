"""Labelled texts of a person's own: a table, JSON lines, or a folder with a folder a class.

Nothing here needs torch, so that the config check can look at a file as well.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqexp.dataset.asked import MARKS
from seqexp.dataset.words.labels import Document, Labels
from seqexp.errors import InputError
from seqexp.formats.folders import files_in, folders_in
from seqexp.formats.records import (
    JSON_LINES,
    column,
    read_json_lines,
    read_table,
    text_value,
    whole,
)
from seqexp.formats.records import SEPARATORS as SEPARATORS
from seqexp.formats.text import ending, read_lines

MAX_UNPACKED = 2**31
"""Bytes of a packed file, unpacked; a file that is not packed may be larger."""

BETWEEN = "\x1f"
"""Between values of columns in one label: the unit separator of ASCII, which no table holds."""

MAX_FIELD = 2**31 - 1

ADVICE = "; name it by dataset.text_column and dataset.label_column or dataset.targets"


class Columns(NamedTuple):
    """Which columns of a table, or keys of a JSON line, hold text and label.

    Args:
        text: column of the text.
        label: of the class.
        asked: columns whose values are kept as they stand, instead of the label; None keeps it.
            Empty where nothing but the text is of use.
    """

    text: str
    label: str
    asked: tuple[str, ...] | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """The text, then all others."""
        return (self.text, *((self.label,) if self.asked is None else self.asked))


def read_documents(path: Path, columns: Columns) -> list[Document]:
    """All texts of a .csv, .tsv, .jsonl or .ndjson file, or a folder of classes.

    Endings may be in capitals, and files may be packed by gzip, whatever their name; hidden files
    and folders are omitted. Tables and JSON lines are read as `formats.records` has it.

    Raises:
        InputError: naming the file, and the line where there is one: if it is missing, no UTF-8
            text, or malformed; lacks a column; has an empty text; lacks labels; or holds nothing.
    """
    return list(documents_of(path, columns))


def documents_of(path: Path, columns: Columns) -> Iterator[Document]:
    """As `read_documents`, one at a time; labels that are missing are refused at the end."""
    labels = Labels(path, columns.label)
    document = None
    for document in _documents(path, columns, labels):
        yield document
    labels.refuse()
    if document is None:
        raise InputError(f"{path}: holds no texts")


def check_documents(path: Path, columns: Columns) -> None:
    """Look at the first text only.

    Raises:
        InputError: if this cannot be a file of texts.
    """
    if next(_documents(path, columns, Labels(path, columns.label)), None) is None:
        raise InputError(f"{path}: holds no texts")


def _documents(path: Path, columns: Columns, labels: Labels) -> Iterator[Document]:
    if path.is_dir():
        if columns.asked:
            raise InputError(
                f"{path}: is a folder, which tells a class of each text and nothing else; give a"
                f" table with the columns {', '.join(columns.needed):.200}"
            )
        return _of_folder(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if ending(path) in SEPARATORS:
        return _of_table(path, columns, labels)
    if ending(path) in JSON_LINES:
        return _of_json_lines(path, columns, labels)
    if ending(path) == ".txt" and columns.asked == ():
        return _of_lines(path)
    known = ", ".join([*SEPARATORS, *JSON_LINES])
    raise InputError(f"{path}: give a {known} file (also .gz), or a folder with a folder a class")


def _of_folder(path: Path) -> Iterator[Document]:
    classes = folders_in(path)
    if not classes:
        raise InputError(f"{path}: has no folders; give one a class, with .txt files in them")
    for folder in classes:
        files = files_in(folder, (".txt",))
        if not files:
            raise InputError(f"{folder}: has no .txt files, so class {folder.name} has no texts")
        for file in files:
            text = "\n".join(read_lines(file, _limit(file)))
            yield Document(_checked(text, str(file)), folder.name.strip(), str(file))


def _of_lines(path: Path) -> Iterator[Document]:
    """A text a line; blank ones are omitted."""
    for number, line in enumerate(read_lines(path, _limit(path)), start=1):
        if line.strip():
            yield Document(line, "", f"{path}, line {number}")


def _of_table(path: Path, columns: Columns, labels: Labels) -> Iterator[Document]:
    rows = read_table(path, _limit(path))
    header = next(rows, None)
    if header is None:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    text, *others = (column(name, header.fields, str(path), ADVICE) for name in columns.needed)
    for line, fields in rows:
        place = f"{path}, line {line}"
        values = [fields[number] for number in others]
        yield Document(_checked(fields[text], place), _label(values, columns, labels, place), place)


def _of_json_lines(path: Path, columns: Columns, labels: Labels) -> Iterator[Document]:
    for line, values in read_json_lines(path, _limit(path)):
        place = f"{path}, line {line}"
        for name in columns.needed:
            if name not in values:
                column(name, list(values), place, ADVICE)
        text = text_value(values, columns.text, place)
        others = [values[name] for name in columns.needed[1:]]
        label = _label(others, columns, labels, place)
        yield Document(_checked(text, place), whole(label, columns.label, place), place)


def _label(values: Sequence[Any], columns: Columns, labels: Labels, place: str) -> str:
    """The class, or all values that are asked for, in one label."""
    if columns.asked is None:
        return labels.read(values[0], place)
    return joined(values, columns.asked, place)


def joined(values: Sequence[Any], names: Sequence[str], place: str) -> str:
    """Values of a table or of JSON, in one label.

    Raises:
        InputError: if one can be neither a label nor a number.
    """
    found = []
    for value, name in zip(values, names, strict=True):
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            value = _listed(value, name, place)
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        if not isinstance(value, str | int | float | None) or BETWEEN in text:
            raise InputError(
                f"{place}: {name} is {text[:40]}, which is no label; give a string, a number, true"
                " or false"
            )
        found.append(text.strip())
    return BETWEEN.join(found)


def _listed(values: Sequence[str], name: str, place: str) -> str:
    """Names of labels of a JSON list, as a column of a table has them."""
    odd = next((one for one in values if any(mark in one for mark in MARKS)), None)
    if odd is not None:
        raise InputError(
            f"{place}: {name} names {odd[:40]!r}; in a list of labels, a name has none of"
            f" {' '.join(MARKS)}"
        )
    return MARKS[0].join(values) or MARKS[0]


def _limit(path: Path) -> int:
    return max(MAX_UNPACKED, path.stat().st_size)


def _checked(text: str, place: str) -> str:
    if not text.strip():
        raise InputError(f"{place}: the text is empty; remove it")
    return text
