"""Keeps small the parts of a state that grow with the epochs: checkpoints are written often.

Metrics by epoch become one table of float64, which keeps every bit. Images become files of their
own beside the checkpoints, each written once and known by its SHA-256.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from seqexp.errors import InputError
from seqexp.utils.files import inside, write_whole

log = logging.getLogger("seqexp")

IMAGES = "images"
"""Folder of the images, beside the checkpoints; and the key that lists them."""

MAX_IMAGE = 2**26
"""Bytes of an image."""

HISTORY, FRAMES = ("parts", "story", "history"), ("parts", "show", "frames")
"""Where in a state they are."""


def pack(state: Any, folder: Path) -> Any:
    """The state with its long parts packed; images are written below `folder`.

    Raises:
        OSError: if an image cannot be written.
    """
    packed = _replaced(state, HISTORY, _table)
    return _replaced(packed, FRAMES, lambda frames: _written(frames, folder))


def unpack(state: Any, folder: Path) -> Any:
    """The state that `pack` was given; an image that is lost is left out, and said to be.

    Raises:
        InputError: if the table is none.
    """
    unpacked = _replaced(state, HISTORY, _history)
    return _replaced(unpacked, FRAMES, lambda frames: _read(frames, folder))


def _replaced(state: Any, path: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    """A state with one of its values changed; as it is where it has none there."""
    if not path:
        return change(state)
    if not isinstance(state, Mapping) or path[0] not in state:
        return state
    return {**state, path[0]: _replaced(state[path[0]], path[1:], change)}


def _table(history: Any) -> Any:
    """Metrics by epoch as one row of numbers, and the names that each epoch has of them."""
    if not history or not isinstance(history, Mapping):
        return history
    rows = [tuple(metrics) for metrics in history.values()]
    values = [value for metrics in history.values() for value in metrics.values()]
    if any(type(value) is not float for value in values):
        return history  # whole numbers would come back as others
    layouts = list(dict.fromkeys(rows))
    return {
        "epochs": list(history),
        "layouts": [list(names) for names in layouts],
        "rows": [layouts.index(names) for names in rows],
        "values": torch.tensor(values, dtype=torch.float64),
    }


def _history(table: Any) -> Any:
    if not isinstance(table, Mapping) or "epochs" not in table:
        return table  # of an earlier version, or empty
    found: list[Any] = [table.get(key) for key in ("epochs", "layouts", "rows", "values")]
    epochs, layouts, rows, values = found
    is_sound = (
        isinstance(epochs, list)
        and all(type(epoch) is int for epoch in epochs)
        and len({*epochs}) == len(epochs)
        and isinstance(layouts, list)
        and all(isinstance(names, list) and all(map(_is_text, names)) for names in layouts)
        and isinstance(rows, list)
        and len(rows) == len(epochs)
        and all(type(row) is int and 0 <= row < len(layouts) for row in rows)
        and isinstance(values, torch.Tensor)
        and values.dtype is torch.float64
        and tuple(values.shape) == (sum(len(layouts[row]) for row in rows),)
    )
    if not is_sound:
        raise InputError("its history of metrics is damaged")
    numbers = iter(values.tolist())
    return {
        epoch: {name: next(numbers) for name in layouts[row]}
        for epoch, row in zip(epochs, rows, strict=True)
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _written(frames: Any, folder: Path) -> Any:
    if not frames:
        return frames
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    listed = []
    for epoch, image in frames.items():
        content = image.numpy().tobytes()
        name = hashlib.sha256(content).hexdigest()
        file = inside(folder, f"{IMAGES}/{name}.png")
        if not file.is_file() or file.stat().st_size != len(content):
            write_whole(file, content)
        listed.append([epoch, name])
    return {IMAGES: listed}


def _read(frames: Any, folder: Path) -> Any:
    if not isinstance(frames, Mapping) or IMAGES not in frames:
        return frames  # of an earlier version, or empty
    found = {}
    for row in frames[IMAGES]:
        if not (isinstance(row, list) and len(row) == 2 and type(row[0]) is int):
            raise InputError("its list of images is damaged")
        content = _image(folder, str(row[1]))
        if content is None:
            log.warning(f"the image of epoch {row[0]} is lost; the series goes on without it")
        else:
            found[row[0]] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return found


def _image(folder: Path, name: str) -> bytes | None:
    """An image by its SHA-256, if it is there as it was written."""
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        return None
    file = inside(folder, f"{IMAGES}/{name}.png")
    if not file.is_file() or file.stat().st_size > MAX_IMAGE:
        return None
    content = file.read_bytes()
    is_sound = bool(content) and hashlib.sha256(content).hexdigest() == name
    return content if is_sound else None
