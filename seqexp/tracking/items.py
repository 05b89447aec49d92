"""What a run tells a store, item by item; each is a line of JSON in the journal."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
        ValueError: if the line is no item; it was torn.
    """
    fields = json.loads(line)
    try:
        item: Item = _KINDS[fields.pop("kind")](**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no item: {line[:80]!r}") from error
    return item


def names(item: Item) -> Iterator[Name]:
    """What a resumed run, which tells some things again, must not have recorded twice."""
    if isinstance(item, Points):
        for key in item.values:
            yield "point", key, item.step
    elif isinstance(item, Files) and item.image is not None:
        key, step = item.image
        yield "image", key, step
