"""Checkpoints as files: written whole or not at all, known by their checksum, free of code.

A checkpoint is one safetensors file, with the plain values as JSON in its metadata. Its name ends
in the SHA-256 of its content. It is written beside the others under another name, synced and then
renamed, so that a kill or a power cut at any moment leaves the old ones or all.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from seqexp.checkpoint.encode import decode, encode
from seqexp.errors import InputError
from seqexp.utils.files import UNFINISHED, write_whole

KEPT = 2
"""Checkpoints in a folder: where the newest is damaged, the one before it is used."""

SUFFIX, STATE = ".safetensors", "state"


def write(folder: Path, state: Any) -> Path:
    """Keep a state, and drop all but the last `KEPT`; returns its file.

    Raises:
        OSError: if it cannot be written; the checkpoints before it are as they were.
        TypeError: if the state holds something that is neither a tensor nor a plain value.
    """
    tensors, text = encode(state)
    content = save(tensors, {STATE: text})
    folder.mkdir(parents=True, exist_ok=True)
    older = files(folder)
    number = int(older[-1].name.partition("-")[0]) + 1 if older else 1
    file = folder / f"{number:08}-{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    write_whole(file, content)
    drop([*older, file][:-KEPT])
    return file


def files(folder: Path) -> list[Path]:
    """The checkpoints of a folder, the oldest first, sound or not."""
    return sorted(folder.glob(f"[0-9]*-*{SUFFIX}")) if folder.is_dir() else []


def drop(checkpoints: list[Path]) -> None:
    """Remove checkpoints, and what interrupted writing has left beside them."""
    for file in checkpoints:
        file.unlink(missing_ok=True)
        for rest in file.parent.glob(f"*{UNFINISHED}"):
            rest.unlink(missing_ok=True)


def newest(folder: Path) -> tuple[Any, list[str]]:
    """The newest sound state of a folder, None where there is no checkpoint; and what is wrong with
    those after it.

    Raises:
        InputError: if there are checkpoints and all are damaged.
    """
    faults: list[str] = []
    for file in reversed(files(folder)):
        try:
            return read(file), faults
        except InputError as error:
            faults.append(str(error))
    if faults:
        told = "\n  ".join(faults)
        raise InputError(
            f"no checkpoint can be used, and nothing was changed; force=true starts anew\n  {told}"
        )
    return None, []


def read(file: Path) -> Any:
    """The state in a checkpoint; runs no code from the file.

    Raises:
        InputError: if its content is not what it was when it was written.
    """
    if file.exists() and not file.is_file():  # a pipe has no end
        raise InputError(f"{file}: is no plain file")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    expected = file.stem.partition("-")[2]
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise InputError(
            f"{file}: is damaged: the SHA-256 of its {len(content):,} bytes is {found[:12]}...,"
            f" and its name says {expected[:12]}..."
        )
    with contextlib.suppress(*_NOT_OURS):
        size = int.from_bytes(content[:8], "little")
        return decode(load(content), json.loads(content[8 : 8 + size])["__metadata__"][STATE])
    raise InputError(f"{file}: is no checkpoint of seqexp")


_NOT_OURS = (SafetensorError, LookupError, ValueError, TypeError, AttributeError, RecursionError)
"""What reading raises of content that has its checksum, but another form."""
