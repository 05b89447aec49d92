"""A folder's lock: held by the process that works in it, and free again when that has ended.

The lock's file may be another's link: it is never followed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seqexp.errors import InputError
from seqexp.utils.files import LOCK, inside


@contextmanager
def locked(folder: Path, refusal: str, seconds: float = 0) -> Iterator[None]:
    """Keep a folder for this process alone.

    Args:
        folder: its path; it has to be there.
        refusal: what a process is told that asks while another works in it.
        seconds: to wait for the other before.

    Raises:
        InputError: if another process has it, or the lock's file is a link.
    """
    lock = FileLock(inside(folder, LOCK))
    try:
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise InputError(f"{folder}: {refusal}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether no process works in a folder; while this lasts, none can begin to."""
    if not (folder / LOCK).is_file():
        yield True
        return
    if (folder / LOCK).is_symlink():  # taking it would cut off what it leads to
        yield False
        return
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):  # or it is another user's
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process works in a folder; none does where the lock's file is a link."""
    if (folder / LOCK).is_symlink():
        return False
    with unused(folder) as is_unused:
        return not is_unused


def wait_for(folder: Path) -> None:
    """Wait until no process works in a folder."""
    with FileLock(inside(folder, LOCK)):
        pass
