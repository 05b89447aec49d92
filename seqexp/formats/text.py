"""Text files, gzipped or not, read in one pass and within limits.

The base of every reader in this folder. Time is linear in the input and memory is bounded: a line
that never ends, or a small file that unpacks to gigabytes, is refused; the message names the limit.
Imports no torch: the config check reads files too.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from seqexp.errors import InputError

MAX_LINE = 2**28
"""Characters of a line: a chromosome has as many."""

_BLOCK = 2**18
"""Characters that are decoded, and divided into lines, together."""

_GZIP = b"\x1f\x8b"

MARK = b"\xef\xbb\xbf"
"""A byte order mark in UTF-8."""

_FOREIGN = {
    b"BZh": "is packed by bzip2; unpack it, or pack it with gzip",
    b"\xfd7zXZ\x00": "is packed by xz; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it, or pack it with gzip",
    b"PK\x03\x04": "is a ZIP archive or a spreadsheet; save it as text",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
}
"""How a file begins that is no UTF-8 text, and what to do about it."""


def ending(path: Path) -> str:
    """The ending of a file's name in lower case, without that of gzip: `.csv` of `T.CSV.gz`."""
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix in (".gz", ".bgz") else suffix


def is_gzipped(path: Path) -> bool:
    """Whether the first bytes of a file say so, whatever its name.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_GZIP)) == _GZIP
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


@contextmanager
def open_unpacked(
    source: Path | BinaryIO, max_bytes: int | None = None, name: str | None = None
) -> Iterator[BinaryIO]:
    """The bytes of a file or stream, unpacked if its first bytes say that it is gzipped.

    Args:
        source: a path, or an open stream such as standard input, which stays open; what this
            function gave is given again as it is.
        max_bytes: unpacked bytes after which reading is refused; None has no limit.
        name: of the source in messages; None is its path.

    Raises:
        InputError: naming the source, if it cannot be read, is damaged, larger than `max_bytes`,
            or begins as another packed format or as UTF-16 does.
    """
    name = str(source) if name is None else name
    try:
        with _raw(source) as raw:
            start = raw.peek(8)[:8]
            for magic, what in _FOREIGN.items():
                if start.startswith(magic):
                    raise InputError(f"{name}: {what}")
            if isinstance(getattr(raw, "raw", None), _Limited):
                yield raw  # it comes from this function
                return
            unpacked = gzip.GzipFile(fileobj=raw) if start.startswith(_GZIP) else raw
            # the limit is below the buffer: what is never asked for is never unpacked
            yield io.BufferedReader(_Limited(unpacked, max_bytes, name), _BLOCK)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, BrokenPipeError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be read ({reason})") from error


def read_lines(
    source: Path | BinaryIO,
    max_bytes: int | None = None,
    max_line: int = MAX_LINE,
    name: str | None = None,
    errors: Literal["strict", "replace"] = "strict",
) -> Iterator[str]:
    """Lines of UTF-8 text without their ends (LF, CR LF or CR) and without a byte order mark.

    Args:
        source: as of `open_unpacked`.
        max_bytes: as of `open_unpacked`.
        max_line: characters of a line above which it is refused.
        name: as of `open_unpacked`.
        errors: `replace` reads bytes that are no UTF-8 as U+FFFD.

    Raises:
        InputError: as `open_unpacked`; naming the line, if it is too long or no UTF-8.
    """
    name = str(source) if name is None else name
    number = 0  # lines that are whole
    pieces: list[str] = []  # of the line that is not
    length = 0
    with open_unpacked(source, max_bytes, name) as file:
        for block in _decoded(file, name, errors):
            first, *others = block.split("\n")
            pieces.append(first)
            length += len(first)
            if length > max_line:
                raise _too_long(name, number + 1, max_line)
            if not others:
                continue
            yield "".join(pieces)
            number += 1
            *whole, last = others
            for line in whole:
                if len(line) > max_line:
                    raise _too_long(name, number + 1, max_line)
                yield line
                number += 1
            pieces, length = [last], len(last)
    if length:
        yield "".join(pieces)


def read_text(path: Path, max_bytes: int, expected: str) -> str:
    """Content of a text file, its lines ended by `\\n`.

    Args:
        path: the file; its first bytes say whether it is gzipped, not its name.
        max_bytes: size of the unpacked content above which it is refused.
        expected: ends each message, as `expected is FASTA`.

    Raises:
        InputError: if it cannot be read, is damaged, too large, empty, or not UTF-8.
    """
    try:
        with open_unpacked(path, max_bytes) as file:
            text = "".join(_decoded(file, str(path)))
    except InputError as error:
        raise InputError(f"{error}; {expected}") from error
    if not text.strip():
        raise InputError(f"{path}: is empty; {expected}")
    return text


def _decoded(file: BinaryIO, name: str, errors: str = "strict") -> Iterator[str]:
    """Blocks of UTF-8 text with `\n` as the end of every line, without a byte order mark."""
    utf8 = codecs.getincrementaldecoder("utf-8-sig")(errors)
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    number = 1
    while True:
        content = file.read(_BLOCK)
        try:
            block = decoder.decode(content, final=not content)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode("utf-8", errors="replace")
            number += before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
            byte = error.object[error.start]
            raise InputError(
                f"{name}, line {number}: is not UTF-8 text (byte 0x{byte:02x}); convert the file"
            ) from error
        if block:
            yield block
        if not content:
            return
        number += block.count("\n")


@contextmanager
def _raw(source: Path | BinaryIO) -> Iterator[Any]:
    """A buffered stream that can be looked into; one that was given stays open."""
    if not isinstance(source, Path):
        yield source if hasattr(source, "peek") else io.BufferedReader(source)
        return
    with source.open("rb") as file:
        yield file


def _too_long(name: str, number: int, max_line: int) -> InputError:
    return InputError(f"{name}, line {number}: is longer than {max_line:,} characters")


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than so many bytes."""

    def __init__(self, stream: Any, max_bytes: int | None, name: str) -> None:
        super().__init__()
        self.stream, self.max_bytes, self.name, self.count = stream, max_bytes, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self.stream.readinto(buffer)
        self.count += count
        if self.max_bytes is not None and self.count > self.max_bytes:
            raise InputError(f"{self.name}: has more than {self.max_bytes:,} bytes unpacked")
        return count
