"""The items that a run sends to a store; each is a line of JSON in the journal."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqexp.errors import InputError

MODEL = "model"
"""Path of a run's model among its artifacts."""

Name = tuple[str, str, int]
"""Kind, key and step: by these a point or an image that comes again is recognised."""


@dataclass(frozen=True)
class Points:
    """A point on each of some curves; `time` in milliseconds since 1970."""

    values: Mapping[str, float]
    step: int
    time: int


@dataclass(frozen=True)
class Tags:
    """Something more of the run, by key."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Inputs:
    """The data that the run used."""

    name: str
    digest: str
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class Files:
    """Artifacts, in a folder beside the journal whose tree is that of the run's artifacts."""

    folder: str
    image: tuple[str, int] | None = None  # key and step, of an image of a series
    table: str | None = None  # its path, of a table
    model: str | None = None  # its path, of a model as MLflow saves it


@dataclass(frozen=True)
class End:
    """The run is over, for now; `time` in milliseconds since 1970."""

    status: str
    time: int


@dataclass(frozen=True)
class Mark:
    """A checkpoint is written here; `again` was told before, and comes again after it."""

    again: Sequence[tuple[str, str, int, int]] = field(default=())  # name, how often


Item = Points | Tags | Inputs | Files | End | Mark

_KINDS = {kind.__name__: kind for kind in (Points, Tags, Inputs, Files, End, Mark)}


def to_line(item: Item) -> bytes:
    """One line, with its end; numbers come back as they were, to the bit."""
    return json.dumps({"kind": type(item).__name__, **vars(item)}).encode() + b"\n"


def from_line(line: bytes) -> Item:
    """The item of a line.

    Raises:
        ValueError: if the line is no JSON; it was torn.
        InputError: if it is JSON, but no item: another wrote it.
    """
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise _no_item(line) from error
    if not isinstance(fields, dict):
        raise _no_item(line)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _no_item(line)
    known = _FIELDS[kind]
    required = {key for key, (is_needed, _) in known.items() if is_needed}
    if not required <= set(fields) <= set(known):
        raise _no_item(line)
    if not all(known[key][1](value) for key, value in fields.items()):
        raise _no_item(line)
    item: Item = _KINDS[kind](**fields)
    return item


def _no_item(line: bytes) -> InputError:
    return InputError(f"holds what no run of seqexp tells: {line[:100]!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    """Whether a database has room for it."""
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**1023)


def _each(value: Any, is_good: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(is_good(item) for item in value.values())


def _is_folder(value: Any) -> bool:
    """Whether it is as a journal numbers them: any other might be another's folder."""
    return _is_text(value) and re.fullmatch(r"[0-9]{12}", value) is not None


def _is_image(value: Any) -> bool:
    if value is None:
        return True
    return (
        isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and _is_whole(value[1])
    )


def _is_again(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list)
        and len(row) == 4
        and all(map(_is_text, row[:2]))
        and all(map(_is_whole, row[2:]))
        for row in value
    )


_FIELDS: dict[str, dict[str, tuple[bool, Callable[[Any], bool]]]] = {
    "Points": {
        "values": (True, lambda value: _each(value, _is_number)),
        "step": (True, _is_whole),
        "time": (True, _is_whole),
    },
    "Tags": {"values": (True, lambda value: _each(value, _is_text))},
    "Inputs": {
        "name": (True, _is_text),
        "digest": (True, _is_text),
        "profile": (True, lambda value: isinstance(value, dict)),
    },
    "Files": {
        "folder": (True, _is_folder),
        "image": (False, _is_image),
        "table": (False, lambda value: value is None or _is_text(value)),
        "model": (False, lambda value: value in (None, MODEL)),
    },
    "End": {
        "status": (True, lambda value: value in ("FINISHED", "FAILED", "KILLED")),
        "time": (True, _is_whole),
    },
    "Mark": {"again": (False, _is_again)},
}
"""Fields of each kind: whether it has to be there, and whether a value is one."""


def names(item: Item) -> Iterator[Name]:
    """The names of points and images that a resumed run must not record twice."""
    if isinstance(item, Points):
        for key in item.values:
            yield "point", key, item.step
    elif isinstance(item, Files) and item.image is not None:
        key, step = item.image
        yield "image", key, step
