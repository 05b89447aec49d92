"""Tables of text: as Markdown, as names with their values, and as wide as there is room for."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence

LEAST = 18
"""Characters that a cell of a fitted table may take."""

_PIECE = re.compile(r"[^,;/_=]+[,;/_=]?|[,;/_=]")
"""Of a word that is longer than a line."""


def columns() -> int | None:
    """Columns of the terminal, or what `COLUMNS` says; None of a file or a pipe, whose lines may be
    of any length: other programs read them.
    """
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown whose columns are also aligned on a terminal.

    Cells are written as they are: whoever has names of others escapes them before.
    """
    lines = [header, ["---"] * len(header), *rows]
    return _aligned(lines, [max(map(len, column)) for column in zip(*lines, strict=True)])


def _aligned(lines: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def fitted(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None) -> str:
    """The same table, in lines of at most so many characters; None: of any length.

    Of a wider one, the widest cells are written in several lines; where that is not enough, the
    last columns follow below, in tables of their own with the first column before them.
    """
    body = [list(row) for row in rows]
    if width is None:
        return markdown(header, body)
    natural = [max(3, *map(len, column)) for column in zip(header, *body, strict=True)]
    widths = _narrowed(natural, width)
    if widths == natural:
        return markdown(header, body)
    if widths is not None:
        top, *below = (_lines(row, widths) for row in (header, *body))
        rule = ["---"] * len(header)
        return _aligned([*top, rule, *(line for lines in below for line in lines)], widths)
    count = _number_that_fits(natural, width)
    first, rest = list(range(count)), [0, *range(count, len(header))]
    return "\n\n".join(
        fitted([header[i] for i in which], [[row[i] for i in which] for row in body], width)
        for which in (first, rest)
    )


def _narrowed(natural: Sequence[int], width: int) -> list[int] | None:
    """Widths of columns that fit: the widest ones give; None where they cannot."""
    room = width - 3 * len(natural) - 1
    if sum(natural) <= room:
        return list(natural)
    least = [min(size, LEAST) for size in natural]
    if sum(least) > room and len(natural) > 2:
        return None
    most = max(natural)
    while most > LEAST and sum(min(size, most) for size in natural) > room:
        most -= 1
    return [min(size, most) for size in natural]


def _number_that_fits(natural: Sequence[int], width: int) -> int:
    """Columns, two at least, that fit when each is as narrow as it may be."""
    count = 2
    while _narrowed(natural[: count + 1], width) is not None and count + 1 < len(natural):
        count += 1
    return count


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The lines of a row whose cells take several."""
    cells = [wrapped(cell, size) for cell, size in zip(row, widths, strict=True)]
    height = max(map(len, cells))
    return [[cell[i] if i < len(cell) else "" for cell in cells] for i in range(height)]


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many characters, which end between words; of a longer word
    after a sign, such as the comma of a list.
    """
    if len(text) <= width:
        return [text]
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        for piece in [word] if len(word.rstrip()) <= width else _PIECE.findall(word):
            if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
            while len(lines[-1].rstrip()) > width:
                lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def pairs(rows: Iterable[tuple[str, str]], width: int = 0, most: int | None = None) -> str:
    """A line a name with its value, all values below each other.

    `width` is the least that names take. Of at most `most` characters a line, longer values go on
    in the next one; commands and addresses stay whole, as they are to be copied.
    """
    found = list(rows)
    width = max([width, *(len(name) for name, _ in found)])
    indent = "\n" + " " * (width + 4)
    room = None if most is None else max(LEAST, most - width - 4)
    lines = []
    for name, value in found:
        is_whole = room is None or "://" in value or " -m " in value
        shown = value if is_whole else indent.join(wrapped(value, room or 0))
        lines.append(f"  {name:{width}}  {shown}")
    return "\n".join(lines)


def filled(text: str, width: int, indent: str = "  ") -> str:
    """A sentence in lines of at most so many characters, the further ones set in."""
    first, *rest = wrapped(text, width)
    if not rest:
        return first
    others = wrapped(text[len(first) :].lstrip(), max(LEAST, width - len(indent)))
    return "\n".join([first, *(indent + line for line in others)])
