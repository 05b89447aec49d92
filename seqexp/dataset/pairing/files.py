"""Files of pairs: a table or JSON lines with a source and a target each. Imports no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seqexp.dataset.own_files import found
from seqexp.dataset.pairing.units import Reading
from seqexp.errors import InputError
from seqexp.formats.records import (
    JSON_LINES,
    SEPARATORS,
    column,
    read_json_lines,
    read_table,
    text_value,
)
from seqexp.formats.text import ending

MAX_UNPACKED = 2**31
"""Bytes of a packed file, unpacked; a file that is not packed may be larger."""

ADVICE = "; name it by dataset.source_column and dataset.target_column"

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What a column of splits may say, in either case."""


class Pair(NamedTuple):
    """The symbols of a source and of its target, where it stands, and its split if that is said.

    A target that `is_cut` goes on after its last symbol.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    place: str
    split: str | None = None
    is_cut: bool = False


@dataclass(frozen=True)
class Layout:
    """How a file of pairs is read.

    Args:
        source_column: column, or key of a JSON line.
        target_column: likewise.
        split_column: likewise, where it is there; None looks for none.
        source: how sources become symbols.
        target: how targets do.
    """

    source_column: str
    target_column: str
    split_column: str | None
    source: Reading
    target: Reading


def read_pairs(path: Path, layout: Layout, key: str = "dataset.path") -> list[Pair]:
    """All pairs of a .csv, .tsv, .jsonl or .ndjson file, perhaps gzipped.

    Raises:
        InputError: naming the file, and the line where there is one: if it is missing, no UTF-8
            text or malformed, lacks a column, has a pair with an empty side, or holds nothing.
    """
    pairs = list(_pairs(path, layout, key))
    if not pairs:
        raise InputError(f"{path}: holds no pairs")
    return pairs


def check_pairs(path: Path, layout: Layout, key: str) -> None:
    """Look at the first pair only.

    Raises:
        InputError: if this cannot be a file of pairs.
    """
    if next(_pairs(path, layout, key), None) is None:
        raise InputError(f"{path}: holds no pairs")


def _pairs(path: Path, layout: Layout, key: str) -> Iterator[Pair]:
    found(key, path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file")
    if ending(path) in JSON_LINES:
        return _of_json_lines(path, layout)
    if ending(path) in (*SEPARATORS, ".txt", ""):
        return _of_table(path, layout)
    known = ", ".join([*SEPARATORS, *JSON_LINES])
    raise InputError(f"{path}: give a {known} file (also .gz)")


def _of_table(path: Path, layout: Layout) -> Iterator[Pair]:
    rows = read_table(path, _limit(path))
    header = next(rows, None)
    if header is None:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    names = (layout.source_column, layout.target_column)
    source, target = (column(name, header.fields, str(path), ADVICE) for name in names)
    split = _split_at(header.fields, layout, str(path))
    for line, fields in rows:
        said = None if split is None else fields[split]
        yield _pair(fields[source], fields[target], said, f"{path}, line {line}", layout)


def _of_json_lines(path: Path, layout: Layout) -> Iterator[Pair]:
    for line, values in read_json_lines(path, _limit(path)):
        place = f"{path}, line {line}"
        for name in (layout.source_column, layout.target_column):
            if name not in values:
                column(name, list(values), place, ADVICE)
        source = text_value(values, layout.source_column, place)
        target = text_value(values, layout.target_column, place)
        there = layout.split_column in values
        said = text_value(values, str(layout.split_column), place) if there else None
        yield _pair(source, target, said, place, layout)


def _split_at(header: Sequence[str], layout: Layout, place: str) -> int | None:
    if layout.split_column is None or layout.split_column not in header:
        return None
    return column(layout.split_column, header, place)


def _pair(source: str, target: str, said: str | None, place: str, layout: Layout) -> Pair:
    split = None
    if said is not None:
        split = SPLITS.get(said.strip().lower())
        if split is None:
            raise InputError(
                f"{place}: {layout.split_column} is {said[:40]!r}; give train, valid or test, or"
                " dataset.split_column=null to draw splits by shares"
            )
    symbols = layout.source.symbols(source), layout.target.symbols(target)
    names = layout.source_column, layout.target_column
    for name, row in zip(names, symbols, strict=True):
        if not row:
            raise InputError(f"{place}: {name} is empty; remove the pair")
    return Pair(*symbols, place, split)


def _limit(path: Path) -> int:
    return max(MAX_UNPACKED, path.stat().st_size)
