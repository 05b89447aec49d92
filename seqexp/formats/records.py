"""Records of files, one at a time: rows of a table, and objects of JSON lines.

A `.csv` table is read as RFC 4180 has it. In a tab-separated one, quotation marks are those of
pandas and Excel where that makes a row whole, and plain characters elsewhere.
"""

import csv
import json
import logging
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.fasta import FASTA, first_letter, read_fasta, read_fastq
from seqexp.formats.text import MAX_LINE, ending, open_unpacked, read_lines
from seqexp.utils.nearest import nearest

SEPARATORS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")

MAX_COLUMNS = 2**20

log = logging.getLogger("seqexp")


# --- tables -----------------------------------------------------------------------------------


class Row(NamedTuple):
    """The fields of a row, and the line on which it begins."""

    line: int
    fields: list[str]


def read_table(
    source: Path | BinaryIO,
    max_bytes: int | None = None,
    name: str | None = None,
    suffix: str | None = None,
) -> Iterator[Row]:
    """Rows of a table, first the names of its columns, without blanks around them.

    Columns are parted by commas or tabs: by what the name of the file says, if the first line has
    it. Blank lines are omitted. Every row has as many fields as the first.

    Args:
        source: a path, or an open stream.
        max_bytes: unpacked bytes after which reading is refused; None has no limit.
        name: of the source in messages; None is its path.
        suffix: of the format, as `.csv`; None is that of the name.

    Raises:
        InputError: as `read_lines`; naming the line, if a row has more or fewer fields than the
            first, a quotation mark is not closed, or something else parts the columns.
    """
    name = str(source) if name is None else name
    lines = _Lines(read_lines(source, max_bytes, name=name), name)
    usual = SEPARATORS.get(ending(Path(name)) if suffix is None else suffix)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        return
    separator = _separator(header, usual, f"{name}, line {lines.number}")
    if header.count(separator) >= MAX_COLUMNS:
        raise InputError(f"{name}: names more than {MAX_COLUMNS:,} columns")
    rows = _QuotedRows(lines, separator) if separator == "," else _TabRows(lines)
    first = rows.header(header)
    yield Row(first.line, [field.strip() for field in first.fields])
    width, is_second = len(first.fields), True
    blank = f" {separator}\t"
    for line in lines:
        if '"' in line:
            row = rows.row(line, width)
        elif line.count(separator) == width - 1:
            row = Row(lines.number, line.split(separator))
        else:
            row = None
        if not line.strip(blank) and (row is None or not any(map(str.strip, row.fields))):
            continue
        if row is None or len(row.fields) != width:
            count = line.count(separator) + 1 if row is None else len(row.fields)
            number = lines.number if row is None else row.line
            raise InputError(
                f"{name}, line {number}: {_ragged(count, width, separator, is_second)}"
            )
        yield row
        is_second = False


def column(name: str, header: Sequence[str], place: str, advice: str = "") -> int:
    """Index of a column that stands once.

    Args:
        name: of the column.
        header: names of all columns.
        place: begins the message.
        advice: ends the message.

    Raises:
        InputError: if no column has the name, or several have.
    """
    count = header.count(name)
    if count == 1:
        return header.index(name)
    if count:
        raise InputError(f"{place}: has {count} columns {name!r}; rename one")
    near = nearest(name, header, close=0.5)
    hint = f"; did you mean {near!r}?" if near is not None else ""
    more = ", ..." if len(header) > 20 else ""
    shown = f"{', '.join(header[:20]):.400}{more}"
    raise InputError(f"{place}: has no column {name!r}{hint} (there are {shown}){advice}")


def _separator(header: str, usual: str | None, place: str) -> str:
    """What parts the columns.

    Raises:
        InputError: if it is neither a comma nor a tab.
    """
    if re.fullmatch(r'"?sep=.?"?', header.strip(" "), re.IGNORECASE):
        raise InputError(f"{place}: is {header!r}, which Excel writes for itself; remove this line")
    order = (usual, "\t", ",") if usual is not None else ("\t", ",")
    for separator in order:
        if separator in header:
            return separator
    for other, what in ((";", "semicolons"), ("|", "vertical bars")):
        if other in header:
            raise InputError(
                f"{place}: is {header!r:.80}: columns parted by {what}; save the table with commas"
                " or tabs"
            )
    return usual or ","


def _ragged(count: int, width: int, separator: str, is_second: bool) -> str:
    said = f"has {count} fields, but the first line names {width} columns"
    if is_second and count == width + 1:
        return f"{said}; name the first column too (R: row.names=FALSE)"
    if separator == ",":
        return f"{said}; a field that holds a comma needs quotes around it"
    return f"{said}; a field that holds a tab needs quotes around it"


class _Lines(Iterator[str]):
    """Lines with their numbers, which can be given back."""

    def __init__(self, lines: Iterator[str], name: str) -> None:
        self.lines, self.name = lines, name
        self.number = 0
        self.ahead: deque[str] = deque()

    def __next__(self) -> str:
        line = self.ahead.popleft() if self.ahead else next(self.lines)
        self.number += 1
        return line

    def give_back(self, lines: Sequence[str]) -> None:
        """Read these again, in this order."""
        self.ahead.extendleft(reversed(lines))
        self.number -= len(lines)

    def next_full(self) -> str | None:
        """Look at the next line that is not blank; None at the end."""
        passed: list[str] = []
        for line in self:
            passed.append(line)
            if line.strip():
                break
        self.give_back(passed)
        return passed[-1] if passed and passed[-1].strip() else None

    def malformed(self, number: int, reason: object) -> InputError:
        """The error for a line that cannot be read."""
        return InputError(f"{self.name}, line {number}: is malformed ({reason})")


class _QuotedRows:
    """Rows in which a field that begins with a quotation mark is quoted, by RFC 4180."""

    def __init__(self, lines: _Lines, separator: str) -> None:
        self.lines, self.separator = lines, separator
        self.pending: str | None = None
        self.is_continued = self.look_alike = False
        self.reader = csv.reader(self._fed(), delimiter=separator, strict=True)
        self.warned = False

    def header(self, line: str) -> Row:
        return self.row(line, None)

    def row(self, line: str, width: int | None) -> Row:
        """The row that begins with this line, and has more lines where quotes hold them."""
        number, self.width = self.lines.number, width
        self.pending, self.is_continued = line, False
        before = csv.field_size_limit(MAX_LINE)
        try:
            fields = next(self.reader)
        except csv.Error as error:
            reason = str(error)
            if "unexpected end" in reason:
                reason = "a quotation mark opens a field here that is never closed"
            elif "field larger" in reason:
                reason = f"a quoted field is longer than {MAX_LINE:,} characters"
            raise self.lines.malformed(number, reason) from error
        finally:
            csv.field_size_limit(before)
        if self.is_continued and self.lines.number > number + 1:
            self._warn(number)
        return Row(number, fields)

    def _warn(self, number: int) -> None:
        """Say once that the lines of a quoted field could each be a row, if they all could."""
        if self.warned or not self.look_alike:
            return
        self.warned = True
        log.warning(
            f"{self.lines.name}, line {number}: a quoted field goes on to line"
            f" {self.lines.number}, over lines that look like rows; if they are rows, double the"
            " quotation mark"
        )

    def _fed(self) -> Iterator[str]:
        """Lines for the parser: the pending one, and those that a quoted field goes on to."""
        while True:
            if self.pending is not None:
                first, self.pending = self.pending, None
                yield first + "\n"
                continue
            line = next(self.lines, None)
            if line is None:
                return
            if not self.is_continued:
                self.is_continued, self.look_alike = True, self._could_be_row(first)
            self.look_alike = self.look_alike and self._could_be_row(line)
            yield line + "\n"

    def _could_be_row(self, line: str) -> bool:
        return self.width is not None and 1 < self.width == line.count(self.separator) + 1


class _TabRows:
    """Rows parted by tabs, in which quotation marks may mean nothing.

    A field is quoted if that makes the row whole, as wide as the first; then it may hold tabs, line
    breaks, and its own quotation marks doubled.
    """

    def __init__(self, lines: _Lines) -> None:
        self.lines = lines
        self.warned = False

    def header(self, line: str) -> Row:
        return Row(self.lines.number, _Fields().add(line).as_they_stand())

    def row(self, line: str, width: int) -> Row:
        """The row that begins with this line."""
        number = self.lines.number
        if len(line) > MAX_COLUMNS and line.count("\t") > MAX_COLUMNS:
            raise self.lines.malformed(number, f"it has more than {MAX_COLUMNS:,} tabs")
        found = _Fields().add(line)
        if not found.is_open and len(found.fields) == width:
            return Row(number, found.fields)
        if found.is_open and not self._is_row(found, line, width):
            longer = self._continued(found, width)
            if longer is not None:
                return Row(number, longer)
        alone = found.as_they_stand() if found.is_open else found.fields
        if len(alone) == width:
            return Row(number, alone)
        if found.is_open and line.count("\t") + 1 != width:
            reason = "a quotation mark opens a field here that is never closed"
            raise self.lines.malformed(number, reason)
        return Row(number, line.split("\t"))

    def _is_row(self, found: "_Fields", line: str, width: int) -> bool:
        """Whether the line is a row by itself, and the next one is too."""
        if width == 1 or width not in (len(found.as_they_stand()), line.count("\t") + 1):
            return False
        following = self.lines.next_full()
        return following is None or following.count("\t") + 1 == width

    def _continued(self, found: "_Fields", width: int) -> list[str] | None:
        """All fields, if the open one is closed by a later line; else the lines are given back."""
        number, passed, length = self.lines.number, list[str](), 0
        longer = found.copy()
        for line in self.lines:
            passed.append(line)
            length += len(line)
            if length > MAX_LINE:
                reason = f"a quoted field is longer than {MAX_LINE:,} characters"
                raise self.lines.malformed(number, reason)
            if not longer.closes(line):
                break
            if not longer.is_open:
                if len(longer.fields) != width:
                    break
                if width == 1 and not self.warned:
                    self.warned = True
                    log.warning(
                        f"{self.lines.name}, line {number}: a quoted field goes on to line"
                        f" {self.lines.number}; if these are rows, double the quotation mark"
                    )
                return longer.fields
        self.lines.give_back(passed)
        return None


_INSIDE = re.compile(r'[^"]*+(?:""[^"]*+)*+')
"""A quoted field up to its end, or to the end of the line."""


class _Fields:
    """Fields of a row, and the start of one that is open at the end of the line."""

    def __init__(self) -> None:
        self.fields: list[str] = []
        self.opened: list[str] = []  # lines of the open field, the first without its mark
        self.rest: list[str] = []  # fields from the open one on, if its mark means nothing
        self.is_open = False

    def copy(self) -> "_Fields":
        other = _Fields()
        other.fields, other.opened = list(self.fields), list(self.opened)
        other.is_open = self.is_open
        return other

    def add(self, line: str, start: int = 0) -> "_Fields":
        """Read the fields of a line; a mark that cannot be one of quoting is a character."""
        while start <= len(line):
            end = -1
            if line.startswith('"', start):
                end = _end(line, start + 1)
                if end == len(line):
                    self.is_open, self.opened = True, [line[start + 1 :]]
                    self.rest = line[start:].split("\t")
                    return self
            if end >= 0 and line[end + 1 : end + 2] in ("", "\t"):
                self.fields.append(line[start + 1 : end].replace('""', '"'))
                start = end + 2
            else:
                end = line.find("\t", start)
                end = len(line) if end < 0 else end
                self.fields.append(line[start:end])
                start = end + 1
        return self

    def closes(self, line: str) -> bool:
        """Go on with the open field; False if its mark cannot be one of quoting."""
        end = _end(line, 0)
        self.opened.append(line[:end])
        if end == len(line):
            return True
        if line[end + 1 : end + 2] not in ("", "\t"):
            return False
        self.fields.append("\n".join(self.opened).replace('""', '"'))
        self.is_open = False
        self.add(line, end + 2)
        return True

    def as_they_stand(self) -> list[str]:
        """All fields, if nothing follows that could close the open one."""
        return [*self.fields, *self.rest]


def _end(line: str, start: int) -> int:
    """Where the mark stands that ends a quoted field; the end of the line if none does."""
    found = _INSIDE.match(line, start)
    assert found is not None
    return found.end()


# --- JSON lines -------------------------------------------------------------------------------


class JsonRow(NamedTuple):
    """An object, by key, and its line."""

    line: int
    values: dict[str, Any]


def read_json_lines(
    source: Path | BinaryIO, max_bytes: int | None = None, name: str | None = None
) -> Iterator[JsonRow]:
    """Objects of a file that has one on each line; blank lines are omitted.

    Numbers may be `NaN` and `Infinity`, as Python writes them, and text may have half of a
    surrogate pair: `text_value` refuses both.

    Args:
        source: as of `read_table`.
        max_bytes: as of `read_table`.
        name: as of `read_table`.

    Raises:
        InputError: as `read_lines`; naming the line, if it holds no JSON object, one that is too
            deep, or one with a key twice.
    """
    name = str(source) if name is None else name
    twice: list[str] = []  # of the object that was read last, which is the outermost

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        twice[:] = () if len(values) == len(pairs) else _repeated([key for key, _ in pairs])
        return values

    decode = json.JSONDecoder(object_pairs_hook=unique).decode
    for number, line in enumerate(read_lines(source, max_bytes, name=name), start=1):
        if not line or line.isspace():
            continue
        place = f"{name}, line {number}"
        try:
            values = decode(line)
        except RecursionError:
            raise InputError(f"{place}: is nested too deeply") from None
        except ValueError as error:
            raise InputError(f"{place}: {_no_json(line, error)}") from error
        if not isinstance(values, dict):
            what = "an array; give one object a line" if isinstance(values, list) else "not one"
            raise InputError(f'{place}: is no JSON object, as {{"text": ...}}, but {what}')
        if twice:
            raise InputError(f"{place}: has the key {twice[0]!r:.60} twice; rename one")
        yield JsonRow(number, values)


def text_value(values: dict[str, Any], key: str, place: str) -> str:
    """The text of a key.

    Raises:
        InputError: if the object has no such key, or its value is no text.
    """
    if key not in values:
        column(key, list(values), place)
    value = values[key]
    if not isinstance(value, str):
        raise InputError(f"{place}: {key} is {shown(value)}, which is no text")
    return whole(value, key, place)


def whole(text: str, key: str, place: str) -> str:
    r"""The same text.

    Raises:
        InputError: if it has half of a surrogate pair, as `\ud83d` alone is, which no UTF-8 has.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise InputError(
            f"{place}: {key} has {half}, half of a surrogate pair, at character {error.start + 1};"
            " remove it"
        ) from error
    return text


def shown(value: object) -> str:
    """A value as JSON writes it, for a message."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _no_json(line: str, error: ValueError) -> str:
    start = line.strip()[:1]
    if not isinstance(error, json.JSONDecodeError):
        return f"holds a number that is too long ({error})"
    if start in ("{", "[") and line.strip()[-1] in "{[,":
        return "is no JSON by itself; give one object a line, without line breaks in it"
    return f"is no JSON ({error})"


def _repeated(keys: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    return [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value]


Format = Literal[
    "auto", "fasta", "fastq", "csv", "tsv", "jsonl", "lines", "tokens", "conllu", "npz"
]
"""`lines` has a text a line, `tokens` a token a line and a blank line between sequences."""

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

MAX_TOKENS = 10**7
"""Of a sequence with a token a line."""

STDIN = "-"

NAMES = ("id", "name")
"""Columns that name a row; without them it is its number."""


class Record(NamedTuple):
    """A text with its name."""

    name: str
    text: str


def layout_of(source: str) -> Format | None:
    """The format that the name of a file says; None if it says none."""
    return SUFFIXES.get(ending(Path(source)))


def token_lines(source: str, stream: BinaryIO | None = None) -> Iterator[tuple[int, list[str]]]:
    """Sequences of a file with a token a line and a blank line between them, each with its line.

    A second column, as of labels, is not read: it is parted by a tab where the first line has one,
    else by blanks. `stream` is of the file, where it was opened before.

    Raises:
        InputError: naming the file and the line, if it cannot be read, or has more columns.
    """
    place = "standard input" if source == STDIN else source
    separator: str | None = None
    start, tokens = 0, list[str]()
    is_first = True
    with opened(source, place) if stream is None else nullcontext(stream) as file:
        for number, line in enumerate(read_lines(file, name=place), start=1):
            if not line.strip():
                if tokens:
                    yield start, tokens
                start, tokens = 0, []
                continue
            if is_first:
                separator, is_first = "\t" if "\t" in line else None, False
            fields = [field.strip() for field in line.split(separator)]
            if len(fields) > 2 or not fields[0]:
                raise InputError(
                    f"{place}, line {number}: {line.strip()!r:.60} has {len(fields)} columns; give"
                    " a token a line (and perhaps its label), or format=lines for a text a line"
                )
            start = start or number
            tokens.append(fields[0])
            if len(tokens) > MAX_TOKENS:
                raise InputError(
                    f"{place}, line {number}: a sequence has more than {MAX_TOKENS:,} tokens; put"
                    " a blank line between sequences"
                )
    if tokens:
        yield start, tokens


def records(
    source: str,
    layout: Format,
    columns: Sequence[str],
    is_dna: bool,
    stream: BinaryIO | None = None,
) -> Iterator[Record]:
    """All records of a file, gzipped or not, or of standard input (`-`).

    Args:
        source: path of the file.
        layout: its format; `auto` follows from the name, and for DNA from the first character.
        columns: of a table, the one that is taken is the first of these that is there.
        is_dna: whether `>` and `@` begin FASTA and FASTQ, or may begin a text.
        stream: of the file, where it was opened before.

    Raises:
        InputError: naming the file and the line, if it cannot be read or is malformed.
    """
    place = "standard input" if source == STDIN else source
    if layout in ("tokens", "conllu", "npz"):
        raise InputError(f"format is {layout}, which the model of this run does not read")
    with opened(source, place) if stream is None else nullcontext(stream) as file:
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
def opened(source: str, place: str) -> Iterator[BinaryIO]:
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
