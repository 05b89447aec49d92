"""Named records of a file or of standard input, one at a time, however many there are."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seqexp.dataset.documents import MAX_FIELD, SEPARATORS
from seqexp.errors import InputError

Format = Literal["auto", "fasta", "fastq", "csv", "tsv", "jsonl", "lines"]

SUFFIXES: dict[str, Format] = {
    ".fasta": "fasta",
    ".fa": "fasta",
    ".fna": "fasta",
    ".fastq": "fastq",
    ".fq": "fastq",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "lines",
}

STDIN = "-"

NAMES = ("id", "name")
"""Columns that name a row; without them it is its number."""


class Record(NamedTuple):
    """A text with its name."""

    name: str
    text: str


def records(source: str, layout: Format, columns: Sequence[str], is_dna: bool) -> Iterator[Record]:
    """All records of a file, gzipped or not, or of standard input (`-`).

    Args:
        source: path of the file.
        layout: its format; `auto` follows from the name, and for DNA from the first character.
        columns: of a table, the one that is taken is the first of these that is there.
        is_dna: whether `>` and `@` begin FASTA and FASTQ, or may begin a text.

    Raises:
        InputError: naming the file and the line, if it cannot be read or is malformed.
    """
    with _opened(source) as (lines, first):
        found = _layout(source, first, is_dna) if layout == "auto" else layout
        place = "standard input" if source == STDIN else source
        if found == "fasta":
            yield from _fasta(lines, place)
        elif found == "fastq":
            yield from _fastq(lines, place)
        elif found == "jsonl":
            yield from _json_lines(lines, place, columns)
        elif found == "lines":
            numbered = enumerate((line.strip("\r\n") for line in lines), start=1)
            yield from (Record(str(number), line) for number, line in numbered if line.strip())
        else:
            yield from _table(lines, place, SEPARATORS[f".{found}"], columns)


def _layout(source: str, first: bytes, is_dna: bool) -> Format:
    path = Path(source)
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix in SUFFIXES and not (suffix == ".txt" and is_dna):
        return SUFFIXES[suffix]
    by_start: dict[bytes, Format] = {b">": "fasta", b"@": "fastq"}
    return by_start.get(first, "lines") if is_dna else "lines"


@contextmanager
def _opened(source: str) -> Iterator[tuple[Iterator[str], bytes]]:
    """Lines of text, and the first character; errors name the source and the line."""
    number = 0

    def numbered(file: Iterable[bytes]) -> Iterator[str]:
        nonlocal number
        for number, line in enumerate(file, start=1):
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")

    try:
        with sys.stdin.buffer if source == STDIN else Path(source).open("rb") as raw:
            file = _unpacked(raw)
            yield numbered(file), file.peek(1)[:1]
    except UnicodeDecodeError as error:
        raise InputError(f"input is {source}, and line {number} is no UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, BrokenPipeError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"input is {source}, which cannot be read ({reason})") from error


def _unpacked(raw: Any) -> Any:
    """Its first bytes say whether a file is gzipped, not its name."""
    if raw.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    return raw


def _fasta(lines: Iterable[str], place: str) -> Iterator[Record]:
    name: str | None = None
    letters: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith(">"):
            if name is not None:
                yield Record(name, "".join(letters))
            name, letters = (line[1:].split() or [""])[0], []
            if not name:
                raise InputError(f"{place}, line {number}: the record has no name")
        elif name is not None:
            letters.append("".join(line.split()))
        elif line.strip():
            raise InputError(f"{place}: begins with {line[:40].strip()!r}; FASTA begins with '>'")
    if name is not None:
        yield Record(name, "".join(letters))


def _fastq(lines: Iterator[str], place: str) -> Iterator[Record]:
    """Four lines a record: name, letters, '+', qualities."""
    number = 0
    for header in lines:
        number += 4
        if not header.strip():
            number -= 3
            continue
        letters, plus, qualities = (next(lines, "").strip() for _ in range(3))
        is_whole = header.startswith("@") and plus.startswith("+")
        if not is_whole or len(letters) != len(qualities):
            raise InputError(
                f"{place}, line {number - 3}: is no record of FASTQ: '@' and a name, letters, '+',"
                f" and as many qualities as letters; it begins with {header[:40].strip()!r}"
            )
        yield Record((header[1:].split() or [str(number // 4)])[0], letters)


def _table(
    lines: Iterable[str], place: str, separator: str, columns: Sequence[str]
) -> Iterator[Record]:
    """As `dataset=text` reads tables: in a .tsv file, quotes mean nothing."""
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(
        lines,
        delimiter=separator,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        header = next(reader, None)
        if header is None:
            return
        text, name = _columns(header, columns, place)
        for count, row in enumerate(filter(None, reader), start=1):
            if len(row) != len(header):
                raise InputError(
                    f"{place}, line {reader.line_num}: has {len(row)} fields, but the first line"
                    f" names {len(header)} columns"
                )
            yield Record(row[name] if name is not None else str(count), row[text])
    except csv.Error as error:
        raise InputError(f"{place}, line {reader.line_num}: is malformed ({error})") from error


def _json_lines(lines: Iterable[str], place: str, columns: Sequence[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{place}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: is no JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f'{where}: is no JSON object, as {{"text": ...}}')
        keys = list(row)
        text, name = _columns(keys, columns, where)
        yield Record(
            str(row[keys[name]]) if name is not None else str(number), str(row[keys[text]])
        )


def _columns(header: Sequence[str], wanted: Sequence[str], place: str) -> tuple[int, int | None]:
    """Where the text and the name of a row stand; the only column is the text."""
    name = next((header.index(one) for one in NAMES if one in header), None)
    for column in wanted:
        if column in header:
            text = header.index(column)
            return text, name if name != text else None
    if len(header) == 1 and len(wanted) > 1:
        return 0, None
    raise InputError(
        f"{place}: has no column {' or '.join(wanted)}; give column=NAME; there are"
        f" {', '.join(header)[:200]}"
    )
