"""Places on a genome, from BED and narrowPeak files, one at a time. Imports no torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.text import ending, read_lines
from seqexp.utils.nearest import nearest

EXPECTED = "expected is BED or narrowPeak: contig, start (from 0), end and more, parted by tabs"

STRANDS = ("+", "-", ".")

NARROW_PEAK = ".narrowpeak"

COLUMNS = {"name": 3, "score": 4, "signalValue": 6, "pValue": 7, "qValue": 8}
"""Columns that may be asked for, by the names of ENCODE; the place of each, from 0."""

_NOT_DATA = ("#", "browser", "track")
_PEAK_COLUMNS = 10
MAX_END = 2**40


class Interval(NamedTuple):
    """A place on a genome.

    Args:
        line: of the file, from 1.
        contig: its name, as the file has it.
        start: first letter, from 0.
        end: the letter after the last.
        strand: `+`, `-`, or `.` where none is given.
        summit: letter of the highest signal, from 0 along the contig; None where none is given.
        fields: all columns of the row as they stand.
    """

    line: int
    contig: str
    start: int
    end: int
    strand: str
    summit: int | None
    fields: tuple[str, ...]


def read_intervals(
    source: Path | BinaryIO, max_bytes: int | None = None, name: str | None = None
) -> Iterator[Interval]:
    """Rows of a BED or narrowPeak file in their order, gzipped or not.

    Lines that are blank, comments (`#`), or of a browser (`browser`, `track`) are passed over.
    Three columns are enough. Columns are parted by tabs, or by blanks where a line has no tab. A
    file is narrowPeak if it is named so, or if its first row has ten columns and the last is a
    place within, or -1.

    Args:
        source: a path, or an open stream.
        max_bytes: unpacked bytes after which reading is refused; None has no limit.
        name: of the source in messages; None is its path.

    Raises:
        InputError: as `read_lines`; naming the line, if it has too few columns, no whole numbers,
            an end that is not after the start, another strand, or a summit outside.
    """
    name = str(source) if name is None else name
    has_summits: bool | None = True if ending(Path(name)) == NARROW_PEAK else None
    for line, text in enumerate(read_lines(source, max_bytes, name=name), start=1):
        words = text.split(maxsplit=1)
        if not words or text.startswith("#") or words[0] in _NOT_DATA:
            continue
        fields = text.split("\t") if "\t" in text else text.split()
        fields = [field.strip() for field in fields]
        place = f"{name}, line {line}"
        if len(fields) < 3:
            raise InputError(
                f"{place}: is {text.strip()[:60]!r}, of {len(fields)} columns; {EXPECTED}"
            )
        start, end = _whole(fields[1], "start", place), _whole(fields[2], "end", place)
        if not fields[0]:
            raise InputError(f"{place}: has no name of a contig; {EXPECTED}")
        if start >= end:
            raise InputError(
                f"{place}: start is {start} and end is {end}; give a start before the end (the"
                " first letter is 0, and the end is not part of it)"
            )
        if has_summits is None:
            has_summits = _looks_like_peaks(fields, end - start)
        summit = _summit(fields, start, end, place) if has_summits else None
        yield Interval(line, fields[0], start, end, _strand(fields, place), summit, tuple(fields))


def value_of(interval: Interval, column: str) -> str | None:
    """The value of a column of `COLUMNS`; None if the row has not so many.

    Raises:
        InputError: naming the columns that may be asked for.
    """
    number = COLUMNS.get(column)
    if number is None:
        raise InputError(unknown_column(column))
    return interval.fields[number] if number < len(interval.fields) else None


def refuse_narrow(column: str, width: int, place: str) -> None:
    """Refuse a row of so many columns that lacks one of `COLUMNS`.

    Raises:
        InputError: naming the place.
    """
    if COLUMNS[column] >= width:
        raise InputError(
            f"{place}: has {width} columns, but {column} is column {COLUMNS[column] + 1}"
        )


def unknown_column(column: str) -> str:
    """Message on a column that intervals do not have."""
    near = nearest(column, COLUMNS, close=0.5)
    hint = f"; did you mean {near}?" if near is not None else ""
    return f"{column!r:.60} is no column of intervals{hint}; there are {', '.join(COLUMNS)}"


def _whole(text: str, what: str, place: str) -> int:
    if text.isascii() and text.isdigit() and int(text) < MAX_END:
        return int(text)
    hint = ""
    if text.lower() in ("start", "end", "stop", "chromstart", "chromend"):
        hint = "; this is a header: put # before it"
    raise InputError(f"{place}: {what} is {text[:40]!r}, no whole number from 0{hint}; {EXPECTED}")


def _strand(fields: list[str], place: str) -> str:
    if len(fields) < 6 or not fields[5]:
        return "."
    if fields[5] not in STRANDS:
        raise InputError(f"{place}: strand (column 6) is {fields[5][:20]!r}; give +, - or .")
    return fields[5]


def _looks_like_peaks(fields: list[str], letters: int) -> bool:
    if len(fields) != _PEAK_COLUMNS:
        return False
    text = fields[-1]
    return text == "-1" or (text.isascii() and text.isdigit() and int(text) < letters)


def _summit(fields: list[str], start: int, end: int, place: str) -> int | None:
    """The place of column 10 (`peak`), counted from the start; -1 is none.

    Source: the format ENCODE narrowPeak (BED6+4).
    """
    if len(fields) < _PEAK_COLUMNS:
        raise InputError(
            f"{place}: has {len(fields)} columns, but narrowPeak has {_PEAK_COLUMNS}, of which the"
            " last is the summit; name the file .bed, or give all of them"
        )
    text = fields[_PEAK_COLUMNS - 1]
    if text == "-1":
        return None
    offset = _whole(text, "peak (column 10)", place)
    if offset >= end - start:
        raise InputError(
            f"{place}: peak (column 10) is {offset}, but the interval has {end - start} letters;"
            " it counts from the start"
        )
    return start + offset
