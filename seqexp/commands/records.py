"""Named records of a file or of standard input, one at a time, however many there are.

They are read as datasets read them, by the readers of `seqexp.formats`.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.fasta import FASTA, first_letter, read_fasta, read_fastq
from seqexp.formats.records import column, read_json_lines, read_table, shown, text_value, whole
from seqexp.formats.text import ending, open_unpacked, read_lines

Format = Literal["auto", "fasta", "fastq", "csv", "tsv", "jsonl", "lines"]

SUFFIXES: dict[str, Format] = {
    ".fasta": "fasta",
    ".fa": "fasta",
    ".fna": "fasta",
    ".fas": "fasta",
    ".fastq": "fastq",
    ".fq": "fastq",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
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
    place = "standard input" if source == STDIN else source
    with _opened(source, place) as file:
        found = _layout(source, file, is_dna) if layout == "auto" else layout
        if found == "fasta":
            yield from _fasta(file, place)
        elif found == "fastq":
            for entry in read_fastq(file, name=place):
                yield Record(entry.name or str(entry.number), entry.letters)
        elif found == "jsonl":
            yield from _json_lines(file, place, columns)
        elif found == "lines":
            numbered = enumerate(read_lines(file, name=place), start=1)
            yield from (Record(str(number), line) for number, line in numbered if line.strip())
        else:
            yield from _table(file, place, f".{found}", columns)


def _layout(source: str, file: BinaryIO, is_dna: bool) -> Format:
    suffix = ending(Path(source))
    if suffix in SUFFIXES and not (suffix == ".txt" and is_dna):
        return SUFFIXES[suffix]
    by_start: dict[str, Format] = {">": "fasta", "@": "fastq"}
    return by_start.get(first_letter(file), "lines") if is_dna else "lines"


@contextmanager
def _opened(source: str, place: str) -> Iterator[BinaryIO]:
    """Unpacked bytes of a file, or of standard input, which stays open."""
    if source == STDIN and sys.stdin is None:
        raise InputError("input is -, but standard input is closed")
    with ExitStack() as stack:
        try:
            given = sys.stdin.buffer if source == STDIN else Path(source)
            file = stack.enter_context(open_unpacked(given, name=place))
        except InputError as error:
            raise InputError(f"input is {source}: {error}") from error
        yield file


def _fasta(file: BinaryIO, place: str) -> Iterator[Record]:
    for entry in read_fasta(file, name=place):
        if not entry.header:
            raise InputError(
                f"{place}, line {entry.line}: record {entry.number} has no name; {FASTA}"
            )
        yield Record(entry.name, entry.letters)


def _table(file: BinaryIO, place: str, suffix: str, columns: Sequence[str]) -> Iterator[Record]:
    rows = read_table(file, name=place, suffix=suffix)
    first = next(rows, None)
    if first is None:
        return
    text, name = _columns(first.fields, columns, place)
    for count, (line, fields) in enumerate(rows, start=1):
        if not fields[text].strip():
            raise InputError(f"{place}, line {line}: {first.fields[text]} is empty; remove the row")
        yield Record(fields[name] if name is not None else str(count), fields[text])


def _json_lines(file: BinaryIO, place: str, columns: Sequence[str]) -> Iterator[Record]:
    for line, values in read_json_lines(file, name=place):
        where = f"{place}, line {line}"
        keys = list(values)
        at, name = _columns(keys, columns, where)
        key = None if name is None else keys[name]
        text = text_value(values, keys[at], where)
        if not text.strip():
            raise InputError(f"{where}: {keys[at]} is empty; remove the line")
        yield Record(str(line) if key is None else _name(values, key, where, line), text)


def _name(values: dict[str, Any], key: str, where: str, line: int) -> str:
    name = values[key]
    if name is None:
        return str(line)
    if isinstance(name, str):
        return whole(name, key, where)
    if not isinstance(name, int | float):
        raise InputError(f"{where}: {key} is {shown(name)}, which is no name")
    return str(name)


def _columns(header: Sequence[str], wanted: Sequence[str], place: str) -> tuple[int, int | None]:
    """Where the text and the name of a row stand; the only column is the text."""
    name = next((column(one, header, place) for one in NAMES if one in header), None)
    for one in wanted:
        if one in header:
            text = column(one, header, place)
            return text, name if name != text else None
    if len(header) == 1 and len(wanted) > 1:
        return 0, None
    raise InputError(
        f"{place}: has no column {' or '.join(wanted)}; give column=NAME; there are"
        f" {', '.join(header):.200}"
    )
