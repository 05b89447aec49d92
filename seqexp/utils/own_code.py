"""Errors of a user's own classes and functions, as one message that names them."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqexp.errors import InputError, RunError
from seqexp.utils.files import full_disk

_PACKAGE = Path(__file__).resolve().parent.parent

MOST = 300
"""Characters of an error that a message has."""


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Turn an error of a user's own code into one message.

    Args:
        what: the code, and what it was asked for.

    Raises:
        InputError: with the error, and the line of the user's code.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and full_disk(error) is not None:
            raise
        said = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0][:MOST]
        raise InputError(f"{what} raises {said}{_line(error)}") from error


def _line(error: Exception) -> str:
    """Where an error was raised: the last line of the user's code, else of a library that it calls;
    none of seqexp and PyTorch.
    """
    frames = traceback.extract_tb(error.__traceback__)
    others = [
        frame.filename
        for frame in frames
        if "/torch/" not in frame.filename and not Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    own = [file for file in others if not _is_of_library(file)] or others
    last = next((frame for frame in reversed(frames) if own and frame.filename == own[-1]), None)
    return f" ({last.filename}, line {last.lineno})" if last is not None else ""


def _is_of_library(file: str) -> bool:
    """Whether a file is of an installed package or of Python itself."""
    standard = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    is_installed = bool({"site-packages", "dist-packages"} & {*Path(file).parts})
    return is_installed or file.startswith(("<frozen", *(f"{folder}/" for folder in standard)))
