"""Errors of a user's own classes and functions, as one message that names them."""

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
    """Where an error was raised: the last line that is neither of seqexp nor of PyTorch."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if "/torch/" not in frame.filename and not Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
