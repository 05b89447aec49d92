"""Files that a command writes: there whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from seqexp.errors import InputError
from seqexp.utils.files import appearing
from seqexp.utils.streams import Seen


@contextmanager
def written(output: str | None) -> Iterator[TextIO | Seen]:
    """A file that is there whole or not at all; standard output without one."""
    if output is None:
        yield Seen(sys.stdout) if sys.stdout.isatty() else sys.stdout
        sys.stdout.flush()
        return
    with (
        made(output) as opened,
        os.fdopen(opened.fileno(), "w", encoding="utf-8", newline="", closefd=False) as file,
    ):
        yield file


@contextmanager
def made(output: str) -> Iterator[BinaryIO]:
    """A file that is there whole or not at all."""
    try:
        with appearing(Path(output)) as opened:
            yield opened
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: str, error: OSError) -> Exception:
    if error.filename is None or output not in str(error.filename):
        return error
    return InputError(f"output is {output}, which cannot be written ({error.strerror})")
