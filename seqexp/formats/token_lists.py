"""Sequences of tokens, perhaps with a label each: CoNLL-U, and JSON lines with lists.

Which form a file has is told by its content. Imports no torch.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from seqexp.errors import InputError
from seqexp.formats.records import column, read_json_lines, shown, whole
from seqexp.formats.text import open_unpacked, read_lines
from seqexp.formats.two_columns import MAX_TOKENS, Labelled

Form = Literal["conllu", "jsonl", "columns"]
"""`columns` is a token a line, with or without further columns."""

CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""Columns of CoNLL-U. Source: universaldependencies.org/format.html."""

LABELS = ("upos", "xpos", "deprel", "lemma", "feats", "misc")
"""Those of which one can be the label."""

TOKENS = "tokens"
"""Key of the list of tokens in JSON lines."""

_NEVER_EMPTY = ("upos", "xpos", "deprel")

_WORD = re.compile(r"[1-9]\d{0,8}")
_OTHER = re.compile(r"\d{1,9}-\d{1,9}|\d{1,9}\.\d{1,9}")
"""IDs of ranges of words, as 1-2, and of empty nodes, as 8.1, which are no words."""

_OBJECT = re.compile(r'\s*\{\s*"[^"\t]*"\s*:')

_START = 2**16
"""Bytes that tell the form."""


def form_of(file: BinaryIO) -> Form:
    """The form of an unpacked file by its first lines, which stay unread."""
    has_comment = False
    for line in _start(file).lstrip("\ufeff").splitlines():
        if not line.strip():
            continue
        if line.startswith("#") and "\t" not in line:
            has_comment = has_comment or "=" in line
            continue
        if _OBJECT.match(line):
            return "jsonl"
        fields = line.split("\t")
        is_id = bool(_WORD.fullmatch(fields[0]) or _OTHER.fullmatch(fields[0]))
        # a damaged first line below comments is one of CoNLL-U too
        is_wide = len(fields) == len(CONLLU) or (has_comment and len(fields) > 2)
        return "conllu" if is_id and is_wide else "columns"
    return "columns"


def form_of_file(path: Path) -> Form:
    """The form of a file, gzipped or not.

    Raises:
        InputError: if it cannot be read.
    """
    with open_unpacked(path) as file:
        return form_of(file)


def has_token_lists(file: BinaryIO) -> bool:
    """Whether the first object of an unpacked file of JSON lines has a list of tokens."""
    return bool(re.search(rf'"{TOKENS}"\s*:\s*\[', _start(file)))


def _start(file: BinaryIO) -> str:
    peek: Any = getattr(file, "peek", None)
    return "" if peek is None else bytes(peek(_START)[:_START]).decode("utf-8", "replace")


# --- CoNLL-U ----------------------------------------------------------------------------------


def label_name(given: str | int | None, place: str) -> str:
    """The column of CoNLL-U that `dataset.label_column` means, by its name or number.

    Raises:
        InputError: if it is none that can be a label.
    """
    if given is None:
        return "upos"
    name = str(given).lower()
    if name.isascii() and name.isdigit() and 1 <= int(name) <= len(CONLLU):
        name = CONLLU[int(name) - 1]
    if name not in LABELS:
        numbers = ", ".join(f"{one} ({CONLLU.index(one) + 1})" for one in LABELS)
        raise InputError(
            f"{place}: dataset.label_column is {given}; of CoNLL-U give one of {numbers}"
        )
    return name


def read_conllu(
    source: Path | BinaryIO, label: str | None, max_bytes: int | None = None, name: str = ""
) -> Iterator[Labelled]:
    """The words of each sentence; comments, ranges of words and empty nodes are omitted.

    Args:
        source: a path, or an open stream.
        label: name of the column of labels; None reads none.
        max_bytes: as of `read_lines`.
        name: of the source, for messages.

    Raises:
        InputError: as `read_lines`; naming the line, if it has not ten columns, its ID is not the
            next one, or its word or label is missing.
    """
    place = name or str(source)
    start, title, tokens, labels = 0, "", list[str](), list[str]()
    for number, line in enumerate(read_lines(source, max_bytes, name=place), start=1):
        if not line.strip():
            if tokens:
                yield Labelled(start, tuple(tokens), tuple(labels), title)
            title, tokens, labels = "", [], []
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            title = value.strip() if key.strip() == "sent_id" else title
        else:
            word = _word(line, label, len(tokens) + 1, f"{place}, line {number}")
            if word is None:
                continue
            start = start if tokens else number
            tokens.append(word[0])
            labels += word[1:]
    if tokens:
        yield Labelled(start, tuple(tokens), tuple(labels), title)


def _word(line: str, label: str | None, expected: int, place: str) -> tuple[str, ...] | None:
    """Word, and its label if one is read; None of a line that is no word."""
    fields = [field.strip() for field in line.split("\t")]
    if len(fields) != len(CONLLU):
        raise InputError(
            f"{place}: has {len(fields)} columns parted by tabs, {line.strip()!r:.60}; CoNLL-U has"
            f" {len(CONLLU)}, and a blank line between sentences"
        )
    index, form = fields[:2]
    if _OTHER.fullmatch(index):
        return None
    if not _WORD.fullmatch(index) or int(index) != expected or expected > MAX_TOKENS:
        raise InputError(
            f"{place}: the ID is {index!r:.40}, and {expected} is the next one; IDs count words"
            " from 1, and a blank line stands between sentences"
        )
    if not form:
        raise InputError(f"{place}: the word (FORM) is empty; give it, or _")
    if label is None:
        return (form,)
    value = fields[CONLLU.index(label)]
    if not value or (value == "_" and label in _NEVER_EMPTY):
        raise InputError(
            f"{place}: {form!r:.40} has no {label.upper()} ({value or 'empty'}); give it, or"
            " another column by dataset.label_column"
        )
    return form, value


# --- JSON lines -------------------------------------------------------------------------------


def read_token_lists(
    source: Path | BinaryIO, label: str | None, max_bytes: int | None = None, name: str = ""
) -> Iterator[tuple[Labelled, dict[str, Any]]]:
    """Tokens and labels of each object of JSON lines, and the object.

    Args:
        source: a path, or an open stream.
        label: key of the list of labels; None reads none.
        max_bytes: as of `read_lines`.
        name: of the source, for messages.

    Raises:
        InputError: naming the line, if tokens or labels are no lists of texts of one length.
    """
    place = name or str(source)
    for line, values in read_json_lines(source, max_bytes, name=place):
        where = f"{place}, line {line}"
        tokens = _texts(values, TOKENS, where)
        labels = () if label is None else _texts(values, label, where)
        if label is not None and len(labels) != len(tokens):
            raise InputError(
                f"{where}: {len(tokens):,} {TOKENS} have {len(labels):,} {label}; give a label each"
            )
        title = next((str(values[key]) for key in ("id", "name") if values.get(key)), "")
        yield Labelled(line, tokens, labels, title), values


def _texts(values: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    if key not in values:
        column(key, list(values), where, "; a list of labels is named by dataset.label_column")
    given = values[key]
    if not isinstance(given, list) or not given:
        raise InputError(f"{where}: {key} is {shown(given)}; give a list of texts, not empty")
    found = []
    for number, item in enumerate(given, start=1):
        text = str(item) if type(item) is int and key != TOKENS else item
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: {key} {number} is {shown(item)}; give a text")
        found.append(whole(text, key, where))
    return tuple(found)
