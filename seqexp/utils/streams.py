"""Standard streams as a command finds them: closed, broken, or unable to write what is said."""

import functools
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TextIO

from seqexp.utils.names import visible

BROKEN_PIPE = 141
"""Exit status of a command whose reader has gone, as a shell gives it."""

P = ParamSpec("P")


def fitting(text: str, stream: TextIO) -> str:
    """The text as a stream can write it: what it cannot, and control characters, as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def show(text: str = "") -> None:
    """Print a text, with control characters as escapes."""
    print(visible(text))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it, through something that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Seen:
    """A terminal to which a table is written: control characters in its cells are escapes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """As of the stream."""
        return self.stream.write(visible(text))


def at_any_terminal(command: Callable[P, Any]) -> Callable[P, Any]:
    """Have a command cope with the streams that it gets.

    What they cannot encode is written as escapes. Where one is closed, nothing is written. A reader
    that goes away before the end, as `head` does, ends the command with status 141.
    """

    @functools.wraps(command)
    def coping(*args: P.args, **kwargs: P.kwargs) -> Any:
        _open_streams()
        try:
            result = command(*args, **kwargs)
        except SystemExit:
            _flush()
            raise
        except OSError as error:
            if not _takes_nothing(sys.stdout):
                raise
            _end(error)
        _flush()
        return result

    return coping


def _open_streams() -> None:
    """Open those that are closed, and let none fail for what it cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # else the next file that is opened would get the number, and what a library prints
            if not _is_open(number):
                os.open(os.devnull, os.O_RDWR)
            mode = "w" if number else "r"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _flush() -> None:
    """Flush the stream; if it cannot be written, end the command."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _end(error)


def _takes_nothing(stream: TextIO) -> bool:
    """Whether a stream cannot be written to: its reader is gone, or the disk is full."""
    try:
        os.write(stream.fileno(), b"\n")
    except io.UnsupportedOperation:  # no file, as where a test reads it
        return False
    except OSError:
        return True
    return False


def _end(error: OSError) -> NoReturn:
    silence(sys.stdout)
    if isinstance(error, BrokenPipeError):
        raise SystemExit(BROKEN_PIPE) from None
    print(f"seqexp: standard output: cannot be written ({error.strerror})", file=sys.stderr)
    raise SystemExit(1) from None


def silence(stream: TextIO) -> None:
    """Have all that is still to be written there go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
