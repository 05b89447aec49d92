"""FASTA and FASTQ, one record at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.text import MAX_LINE, read_lines

MAX_LETTERS = MAX_LINE
"""Of a record."""

FASTA = "expected is FASTA: '>' and a name, then lines of letters (.gz too)"
FASTQ = (
    "'@' and a name, letters, '+', and as many qualities as letters, of which letters and"
    " qualities may have several lines"
)


class Entry(NamedTuple):
    """A sequence, what its header says, and the line and number of the record, from 1."""

    line: int
    number: int
    header: str
    letters: str

    @property
    def name(self) -> str:
        """The header up to its first blank; empty if there is none."""
        return (self.header.split(maxsplit=1) or [""])[0]


def read_fasta(
    source: Path | BinaryIO, max_bytes: int | None = None, name: str | None = None
) -> Iterator[Entry]:
    """Records of a FASTA file: a line of `>` and a header, then lines of letters.

    Blanks among the letters and blank lines mean nothing. A record may have no letters.

    Args:
        source: a path, or an open stream.
        max_bytes: unpacked bytes after which reading is refused; None has no limit.
        name: of the source in messages; None is its path.

    Raises:
        InputError: as `read_lines`; if the file begins with something else, has a comment, or a
            record of more than `MAX_LETTERS`.
    """
    name = str(source) if name is None else name
    header: str | None = None
    pieces: list[str] = []
    start = count = length = 0
    for number, line in enumerate(read_lines(source, max_bytes, name=name), start=1):
        if line[:1] == ">" or (header is None and line.lstrip()[:1] == ">"):
            if header is not None:
                yield Entry(start, count, header, _letters(pieces))
            header, pieces, length = line.lstrip()[1:].strip(), [], 0
            start, count = number, count + 1
        elif header is None:
            if line.strip():
                raise InputError(f"{name}: begins with {line.strip()[:40]!r}; {FASTA}")
        else:
            if line[:1] == ";":
                raise InputError(
                    f"{name}, line {number}: is a comment ({line[:40]!r}) in the record"
                    f" {header[:40]!r}; remove such lines"
                )
            pieces.append(line)
            length += len(line)
            if length > MAX_LETTERS:
                raise _too_long(name, start, header)
    if header is not None:
        yield Entry(start, count, header, _letters(pieces))


def read_fastq(
    source: Path | BinaryIO, max_bytes: int | None = None, name: str | None = None
) -> Iterator[Entry]:
    """Records of a FASTQ file, of four lines or wrapped; qualities are checked and dropped.

    Source: Cock et al. (2010), "The Sanger FASTQ file format".

    Args:
        source: as of `read_fasta`.
        max_bytes: as of `read_fasta`.
        name: as of `read_fasta`.

    Raises:
        InputError: as `read_lines`; naming the line of a record that is not whole.
    """
    name = str(source) if name is None else name
    lines = enumerate(read_lines(source, max_bytes, name=name), start=1)
    count = 0
    for start, line in lines:
        if not line.strip():
            continue
        count += 1
        line = line.lstrip() if count == 1 else line
        place = f"{name}, line {start}: is no record of FASTQ"
        if line[:1] != "@":
            raise InputError(f"{place}: it begins with {line[:40].strip()!r}, not '@' ({FASTQ})")
        header = line[1:].strip()
        letters, plus = _sequence(lines, place, header, name, start)
        repeated = (plus[1:].split(maxsplit=1) or [""])[0]
        if repeated and repeated != (header.split(maxsplit=1) or [""])[0]:
            raise InputError(f"{place}: {header[:40]!r} is called {repeated[:40]!r} after '+'")
        _check_qualities(lines, len(letters), f"{place}: {header[:40]!r}")
        yield Entry(start, count, header, letters)


def first_letter(file: BinaryIO) -> str:
    """The first letter of an unpacked stream that is no blank; the stream stays where it is."""
    start: bytes = file.peek(1)  # type: ignore[attr-defined]
    return start[:4096].decode("utf-8-sig", errors="replace").lstrip()[:1]


def _sequence(
    lines: Iterator[tuple[int, str]], place: str, header: str, name: str, start: int
) -> tuple[str, str]:
    """Letters of a record, and the line that ends them."""
    pieces: list[str] = []
    length = 0
    for _, line in lines:
        if line[:1] == "+":
            return _letters(pieces), line
        if line[:1] == "@":
            break
        pieces.append(line)
        length += len(line)
        if length > MAX_LETTERS:
            raise _too_long(name, start, header)
    raise InputError(f"{place}: {header[:40]!r} has no line that begins with '+' ({FASTQ})")


def _check_qualities(lines: Iterator[tuple[int, str]], wanted: int, place: str) -> None:
    """Pass over as many qualities as there are letters."""
    found = 0
    while found < wanted:
        _, line = next(lines, (0, None))
        if line is None:
            raise InputError(f"{place} has {wanted} letters, but {found} qualities: it is cut off")
        found += len(line.strip())
        if len(line.split(maxsplit=1)) > 1:
            raise InputError(f"{place} has a blank among its qualities")
    if found > wanted:
        raise InputError(
            f"{place} has {wanted} letters, but another number of qualities (lines up to {found})"
        )


def _letters(pieces: list[str]) -> str:
    text = pieces[0] if len(pieces) == 1 else "".join(pieces)
    words = text.split(maxsplit=1)
    return text if words == [text] else "".join(text.split())


def _too_long(name: str, line: int, header: str) -> InputError:
    return InputError(
        f"{name}, line {line}: the record {header[:40]!r} has more than {MAX_LETTERS:,} letters"
    )
