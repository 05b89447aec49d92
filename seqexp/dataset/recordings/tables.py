"""Recordings from tables: one for all, or a folder or an archive with a table each.

Imports no torch: the config check looks at files too.
"""

import io
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from seqexp.dataset.mapped import LazyTexts
from seqexp.dataset.recordings.recording import LARGEST, Recording, is_number, number
from seqexp.errors import InputError
from seqexp.formats.archives import in_any_order, is_archive, read_members
from seqexp.formats.folders import files_in
from seqexp.formats.records import SEPARATORS, Row, column, read_table
from seqexp.formats.text import ending

MAX_UNPACKED = 2**32
"""Bytes of a packed file or an archive, unpacked; a file that is not packed may be larger."""

MAX_TABLE = 2**30
"""Bytes of a table in an archive."""

SPLIT = "split"

_NO_TABLES = f"has no {' or '.join(SEPARATORS)} files (also .gz); give one a sequence"

_RISES = 10
"""Steps upwards, at least, of a column that is taken for a time stamp."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what.

    Args:
        labels: of labels, or of numbers to be predicted.
        features: of features; None: all that are nothing else.
        ignored: of no use.
        group: whose value says which frames are one sequence; None: those of a file.
    """

    labels: tuple[str, ...]
    features: tuple[str, ...] | None
    ignored: tuple[str, ...]
    group: str | None


def columns_of(keys: Mapping[str, Any]) -> Columns:
    """Which columns of a table hold what, by the keys of `dataset=frames`."""
    labels, features = keys["label_column"], keys["feature_columns"]
    return Columns(
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
        features=None if features is None else tuple(features),
        ignored=tuple(keys["ignore_columns"] or ()),
        group=keys["group_column"],
    )


class _Places(NamedTuple):
    """Where the columns of a table stand; `names` are those of the features."""

    names: tuple[str, ...]
    features: tuple[int, ...]
    labels: tuple[int, ...]
    group: int | None
    split: int | None


class _Lines(LazyTexts):
    """Where each of many frames stands, made when it is asked for."""

    def __init__(self, name: str, lines: "array[int]") -> None:
        self.name, self.lines = name, lines

    def __len__(self) -> int:
        return len(self.lines)

    def _text(self, index: int) -> str:
        return f"{self.name}, line {self.lines[index]}"


class _Table(NamedTuple):
    """A table that is not read yet; `group` is the name of its file."""

    group: str
    name: str
    source: Path | BinaryIO
    suffix: str


def read_tables(path: Path, columns: Columns) -> tuple[list[Recording], tuple[str, ...]]:
    """All recordings, in the order of the names of their files, and the names of the features.

    Raises:
        InputError: naming the file, and the line and column where there is one.
    """
    by_file: dict[str, list[Recording]] = {}
    names: tuple[str, ...] | None = None
    for table in _tables(path):
        names, by_file[table.group] = _read(table, columns, names)
    files = sorted(by_file)  # an archive has them in any order
    short = dict(zip(files, _groups(files), strict=True))
    found = [
        one if columns.group is not None else replace(one, group=short[file])
        for file in files
        for one in by_file[file]
    ]
    if not found or names is None:
        raise InputError(f"{path}: holds no frames")
    if columns.features is None:
        _refuse_rising(found, names, path)
    return found, names


def stream_tables(path: Path, columns: Columns) -> Iterator[Recording]:
    """As `read_tables` of features that are named, without holding more than one file's.

    Of a table whose rows of a sequence follow each other, one sequence is held.

    Raises:
        As `read_tables`, when the recording is asked for.
    """
    assert columns.features is not None, "else columns that only rise are asked about first"
    with _openers(path) as tables:
        files = sorted(tables)
        for file, short in zip(files, _groups(files), strict=True):
            for one in _streamed(tables[file], columns):
                yield one if columns.group is not None else replace(one, group=short)


@contextmanager
def _openers(path: Path) -> Iterator[dict[str, Callable[[], _Table]]]:
    """What opens each table from its beginning, by the name of its file."""
    if not is_archive(path):
        found = {table.group: table for table in _tables(path)}
        yield {name: partial(lambda table: table, table) for name, table in found.items()}
        return
    with in_any_order(path, tuple(SEPARATORS), MAX_TABLE, MAX_UNPACKED) as members:
        if not members:
            raise InputError(f"{path}: {_NO_TABLES}")
        yield {name: partial(_member, path, name, read) for name, read in members.items()}


def _member(path: Path, name: str, read: Callable[[], bytes]) -> _Table:
    return _Table(name, f"{path}: {name}", io.BytesIO(read()), ending(Path(name)))


def _streamed(opened: Callable[[], _Table], columns: Columns) -> Iterator[Recording]:
    if columns.group is None or not _are_together(opened(), columns):
        yield from _read(opened(), columns, columns.features)[1]
        return
    table = opened()
    places, rows = _header(table, columns, columns.features)
    for _, own in groupby(rows, key=lambda row: row.fields[places.group or 0].strip()):
        yield from _recordings(table.name, table.group, columns.group, places, own)


def _are_together(table: _Table, columns: Columns) -> bool:
    """Whether the rows of each sequence follow each other."""
    places, rows = _header(table, columns, columns.features)
    seen: set[str] = set()
    for group, _ in groupby(row.fields[places.group or 0].strip() for row in rows):
        if group in seen:
            return False
        seen.add(group)
    return bool(seen)


def check_tables(path: Path, columns: Columns) -> None:
    """Look at the names of the columns of the first table only.

    Raises:
        InputError: if this cannot be a file of frames.
    """
    table = next(_tables(path), None)
    if table is not None:
        _header(table, columns, None)


def _tables(path: Path) -> Iterator[_Table]:
    if path.is_dir():
        files = files_in(path, tuple(SEPARATORS))
        if not files:
            raise InputError(f"{path}: {_NO_TABLES}")
        for file in files:
            yield _Table(file.name, str(file), file, ending(file))
    elif is_archive(path):
        member = None
        for member in read_members(path, tuple(SEPARATORS), MAX_TABLE, MAX_UNPACKED):
            content, suffix = io.BytesIO(member.content), ending(Path(member.name))
            yield _Table(member.name, f"{path}: {member.name}", content, suffix)
        if member is None:
            raise InputError(f"{path}: {_NO_TABLES}")
    elif ending(path) in SEPARATORS:
        yield _Table(path.name, str(path), path, ending(path))
    else:
        raise InputError(
            f"{path}: give a table, {' or '.join(SEPARATORS)} (also .gz), a folder or .tar.gz of"
            " tables, or .npz"
        )


def _groups(names: Sequence[str]) -> list[str]:
    """Names of files without folders and endings; with them where two would be the same."""
    short = [PurePosixPath(name).name.split(".")[0] or name for name in names]
    counts = Counter(short)
    return [name if counts[one] > 1 else one for one, name in zip(short, names, strict=True)]


def _header(
    table: _Table, columns: Columns, expected: tuple[str, ...] | None
) -> tuple[_Places, Iterator[Row]]:
    """Where the columns stand, and the rows below their names."""
    limit = MAX_UNPACKED
    if isinstance(table.source, Path):
        limit = max(limit, table.source.stat().st_size)
    rows = read_table(table.source, limit, table.name, table.suffix)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{table.name}: is empty; its first line must name the columns")
    header = first.fields
    if header and all(map(is_number, header)):
        raise InputError(
            f"{table.name}, line {first.line}: holds numbers; it must name the columns"
        )

    def place(name: str, key: str) -> int:
        return column(name, header, table.name, f"; name it by dataset.{key}")

    labels = tuple(place(name, "label_column") for name in columns.labels)
    group = None if columns.group is None else place(columns.group, "group_column")
    split = place(SPLIT, "path") if SPLIT in header and SPLIT not in columns.labels else None
    taken = {*columns.labels, *columns.ignored, columns.group, SPLIT}
    names = columns.features
    if names is None:
        names = tuple(name for name in header if name not in taken)
        if expected is not None and set(names) == set(expected):
            names = expected
    if not names:
        raise InputError(f"{table.name}: has no column of features beside {', '.join(header):.200}")
    if expected is not None and names != expected:
        lacking = [*(set(expected) - set(names)), *(set(names) - set(expected))]
        raise InputError(
            f"{table.name}: has {len(names)} features, but the tables before have"
            f" {len(expected)}: {lacking[0]!r:.60} is not in all; give the same columns, or"
            " dataset.feature_columns"
        )
    features = tuple(place(name, "feature_columns") for name in names)
    return _Places(names, features, labels, group, split), rows


def _read(
    table: _Table, columns: Columns, expected: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[Recording]]:
    places, rows = _header(table, columns, expected)
    return places.names, _recordings(table.name, table.group, columns.group, places, rows)


def _recordings(
    name: str, file: str, group_column: str | None, places: _Places, rows: Iterable[Row]
) -> list[Recording]:
    """The recordings of these rows of a table.

    Args:
        name: of the table, for messages.
        file: its name, which is the group where no column says another.
        group_column: the column that does.
        places: where its columns stand.
        rows: below their names.
    """
    advice = "; or put it into dataset.ignore_columns"
    values: dict[str, array[float]] = {}  # of all frames, end to end
    labels: dict[str, list[list[str]]] = {}
    lines: dict[str, array[int]] = {}
    splits: dict[str, str] = {}
    for line, fields in rows:
        where = f"{name}, line {line}"
        group = file if places.group is None else fields[places.group].strip()
        if not group:
            raise InputError(f"{where}: {group_column} is empty; name the sequence")
        cells = [fields[index] for index in places.features]
        frame = _plain_numbers(cells)
        if frame is None:
            frame = [
                number(cell, f"{where}, column {feature!r:.60}", advice)
                for cell, feature in zip(cells, places.names, strict=True)
            ]
        values.setdefault(group, array("d")).extend(frame)
        written = [sys.intern(fields[index].strip()) for index in places.labels]
        labels.setdefault(group, []).append(written)
        lines.setdefault(group, array("q")).append(line)
        if places.split is not None:
            split = fields[places.split].strip()
            if splits.setdefault(group, split) != split:
                raise InputError(
                    f"{where}: split is {split!r:.40}, but {splits[group]!r:.40} before in"
                    f" {group!r:.40}; give one a sequence"
                )
    if not values:
        raise InputError(f"{name}: has no rows below the names of the columns")
    found = []
    for group, numbers in values.items():
        frames = np.frombuffer(numbers).reshape(-1, len(places.features))  # (time, size)
        of_columns = tuple(zip(*labels[group], strict=True))
        where_they_stand = _Lines(name, lines[group])
        found.append(Recording(group, frames, of_columns, where_they_stand, splits.get(group)))
    return found


def _plain_numbers(cells: Sequence[str]) -> list[float] | None:
    """The numbers of cells, quickly; None where any needs a closer look."""
    together = "".join(cells)
    if "_" in together or not together.isascii():
        return None
    try:
        found = [*map(float, cells)]
    except ValueError:
        return None
    return found if min(found) >= -LARGEST and max(found) <= LARGEST else None


def _refuse_rising(recordings: Sequence[Recording], names: tuple[str, ...], path: Path) -> None:
    """Ask about a column that only rises, which is a time stamp or a number of the row.

    Raises:
        InputError: naming the first such column.
    """
    steps = [np.diff(one.values, axis=0) for one in recordings if len(one) > 1]
    if not steps:
        return
    all_steps = np.concatenate(steps)
    rises, falls = (all_steps > 0).sum(axis=0), (all_steps < 0).sum(axis=0)
    rising = (falls == 0) & (rises >= _RISES) & (2 * rises >= len(all_steps))
    for name, is_rising in zip(names, rising, strict=True):
        if is_rising:
            rest = [other for other in names if other != name]
            raise InputError(
                f"{path}: column {name!r:.60} only rises, as a time stamp or a number of the row"
                " does, which says where a frame stands and nothing of it; put it into"
                f" dataset.ignore_columns, or name all features by dataset.feature_columns, as"
                f" [{', '.join([name, *rest][:3])}{', ...' if len(rest) > 2 else ''}]"
            )
