"""Sequences of tokens with a label each: a token and its label a line, a blank line between.

Quotation marks are plain characters. Columns are parted by a tab if the first line has one, else
by blanks; then a token holds none.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqexp.errors import InputError
from seqexp.formats.text import read_lines

log = logging.getLogger("seqexp")

MAX_TOKENS = 10**7
"""Of a sequence."""

_TOKENS = frozenset(
    ("token", "tokens", "word", "words", "form", "text", "letter", "letters", "residue")
)
_LABELS = frozenset(("label", "labels", "tag", "tags", "class", "pos", "upos", "ner"))
"""What headers call the columns, in lower case."""


class Labelled(NamedTuple):
    """Tokens with a label each; `line` is that of the first one, `name` their name in the file."""

    line: int
    tokens: tuple[str, ...]
    labels: tuple[str, ...]
    name: str = ""


def is_header(token: str, label: str) -> bool:
    """Whether a first line names the columns."""
    return token.strip().lower() in _TOKENS and label.strip().lower() in _LABELS


def read_labelled(
    path: Path, max_bytes: int | None = None, advice: str = "", label_column: int | None = None
) -> Iterator[Labelled]:
    """The sequences of a file, gzipped or not. A first line that names the columns is no token.

    Args:
        path: the file.
        max_bytes: as of `read_lines`.
        advice: ends the message on a line with more than two columns.
        label_column: number of the column of labels, from 2, of any number of columns; None is the
            second of two.

    Raises:
        InputError: as `read_lines`; naming the line, if it has not two columns, one of them is
            empty, or a sequence is longer than `MAX_TOKENS`.
    """
    separator: str | None = None
    is_first = True
    start, tokens, labels = 0, list[str](), list[str]()
    for number, line in enumerate(read_lines(path, max_bytes), start=1):
        if not line.strip():
            if tokens:
                yield Labelled(start, tuple(tokens), tuple(labels))
            tokens, labels = [], []
            continue
        if is_first:
            separator = "\t" if "\t" in line else None
        token, label = _columns(line, separator, f"{path}, line {number}", advice, label_column)
        if is_first and is_header(token, label):
            is_first = False
            log.info(f"{path}, line {number}: {token} and {label} name the columns")
            continue
        is_first = False
        start = start if tokens else number
        tokens.append(token)
        labels.append(label)
        if len(tokens) > MAX_TOKENS:
            raise InputError(
                f"{path}, line {number}: a sequence has more than {MAX_TOKENS:,} tokens; put a"
                " blank line between sequences"
            )
    if tokens:
        yield Labelled(start, tuple(tokens), tuple(labels))


def _columns(
    line: str, separator: str | None, place: str, advice: str, label_column: int | None
) -> tuple[str, str]:
    fields = line.split(separator)
    if label_column is not None:
        fields = [field.strip() for field in fields]
        if len(fields) < label_column or not fields[0] or not fields[label_column - 1]:
            raise InputError(
                f"{place}: has {len(fields)} columns, {line.strip()!r:.60}; a token in the first"
                f" and a label in column {label_column} (dataset.label_column) are read"
            )
        return fields[0], fields[label_column - 1]
    if separator is not None:
        fields = [field.strip() for field in fields]
        while len(fields) > 2 and not fields[-1]:  # tabs at the end
            del fields[-1]
    if len(fields) == 2 and all(fields):
        return fields[0], fields[1]
    what = "a tab" if separator is not None else "a blank"
    if len(fields) == 2:
        missing = "token" if not fields[0] else "label"
        raise InputError(
            f"{place}: {line.strip()!r:.60} has no {missing}; give both, {what} between"
        )
    if len(fields) == 1:
        other = "; here a tab parts the columns, as in the first line" if " " in line else ""
        raise InputError(
            f"{place}: {line.strip()!r:.60} has no label; give a token, {what} and its label"
            f"{other if separator is not None else ''}"
        )
    raise InputError(
        f"{place}: has {len(fields)} columns, {line.strip()!r:.60}; give two, a token and its"
        f" label, with a blank line between sequences{advice}"
    )
