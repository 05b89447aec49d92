"""Looking at data without changing anything: no downloads, no caches."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from seqexp.errors import InputError

_looking = ContextVar("looking", default=False)


class NotHereError(InputError):
    """Data that would be downloaded."""


@contextmanager
def only_looking() -> Iterator[None]:
    """Within, datasets write nothing and download nothing.

    Raises:
        NotHereError: if one needs a download.
    """
    token = _looking.set(True)
    try:
        yield
    finally:
        _looking.reset(token)


def is_looking() -> bool:
    """Whether nothing may be written."""
    return _looking.get()


def refuse_download(path: Path) -> None:
    """Say that a file is not here, where it may not be downloaded.

    Raises:
        NotHereError: naming it.
    """
    if is_looking():
        raise NotHereError(f"{path}: is not here, and would be downloaded")
