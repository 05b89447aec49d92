"""Archives of files (.tar, gzipped or not), read in one pass and never unpacked to disk.

Nothing in an archive, however it is named, can be written anywhere; links are not followed. Only
plain headers and long names are read: further headers could be made to take all memory.
"""

import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.folders import is_litter
from seqexp.formats.text import ending, open_unpacked

MAX_HEADER = 2**20
"""Bytes of what stands beside the members: long names, comments."""

_PIECE = 2**20
"""Bytes that are passed over at a time."""

_NO_CONTENT = (
    *(tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE),
    *(tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE),
)
"""Types of members that no content follows, whatever size they claim."""


class Member(NamedTuple):
    """A file of an archive: its name with folders, and its content."""

    name: str
    content: bytes


def is_archive(path: Path) -> bool:
    """Whether a name is that of an archive: `.tar`, `.tar.gz` or `.tgz`."""
    return ending(path) in (".tar", ".tgz")


def read_members(
    path: Path, endings: Collection[str], max_member: int, max_bytes: int
) -> Iterator[Member]:
    """The files of an archive that have one of these endings, in the order of the archive.

    Files that systems leave (`._a.csv`, `.DS_Store`) are omitted, and so are those in such folders.

    Args:
        path: the archive.
        endings: of names, in either case, packed or not, as `.csv` for `a.CSV.gz` too; empty: all.
        max_member: bytes of a file above which it is refused.
        max_bytes: bytes of the whole unpacked archive above which it is refused.

    Raises:
        InputError: naming the archive, and the file in it; if it is damaged, no archive, too
            large, or holds a file twice.
    """
    seen: set[str] = set()
    with open_unpacked(path, max_bytes) as file:
        try:
            for name, size in _files(file, path):
                pure = PurePosixPath(name)
                is_other = endings and ending(Path(pure)) not in endings
                if is_other or any(is_litter(Path(p)) for p in pure.parts if p != ".."):
                    _skip(file, size)
                    continue
                if size > max_member:
                    raise InputError(
                        f"{path}: {name:.80} has {size:,} bytes; at most {max_member:,} are read"
                    )
                if name in seen:
                    raise InputError(f"{path}: {name:.80} is there twice; remove one")
                seen.add(name)
                content = file.read(size)
                if len(content) < size:
                    raise EOFError(f"{name:.80} is cut off")
                _skip(file, 0, size)
                yield Member(name, content)
            while file.read(_PIECE):  # to the checksum at the end
                pass
        except (tarfile.TarError, EOFError, ValueError) as error:
            raise InputError(f"{path}: is damaged or no .tar archive ({error})") from error


@contextmanager
def in_any_order(
    path: Path, endings: Collection[str], max_member: int, max_bytes: int
) -> Iterator[Mapping[str, Callable[[], bytes]]]:
    """As `read_members`: what reads the content of each file, by its name.

    Contents lie in a temporary file, which has no name; memory holds none of them.

    Raises:
        InputError: as `read_members`, and if there is no room for the temporary file.
    """
    with tempfile.TemporaryFile() as file:

        def reader(begin: int, size: int) -> Callable[[], bytes]:
            def read() -> bytes:
                file.seek(begin)
                return file.read(size)

            return read

        found = {}
        try:
            for member in read_members(path, endings, max_member, max_bytes):
                found[member.name] = reader(file.tell(), len(member.content))
                file.write(member.content)
            file.flush()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be unpacked to {tempfile.gettempdir()} ({error.strerror});"
                " give a folder, or a place with more room by TMPDIR"
            ) from error
        yield found


def _files(file: BinaryIO, path: Path) -> Iterator[tuple[str, int]]:
    """Name and size of each regular file, whose content is to be read or passed over."""
    long_name: str | None = None
    while any(header := file.read(tarfile.BLOCKSIZE)):  # zeros end an archive
        member = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
        size = 0 if member.type in _NO_CONTENT else member.size
        if size < 0:
            raise ValueError(f"{member.name[:80]!r} has {size} bytes")
        if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            name = member.name if long_name is None else long_name
            yield name.removeprefix("./"), size
        elif size > MAX_HEADER:
            raise InputError(
                f"{path}: {member.name[:80]!r} is a header of {size:,} bytes; at most"
                f" {MAX_HEADER:,} are read"
            )
        elif member.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
            content = file.read(size)
            _skip(file, 0, size)
            long_name = _name_in(content, member.type) or long_name
            continue
        else:
            _skip(file, size)
        long_name = None
    if not header:
        raise EOFError("it is empty, or cut off")


def _name_in(content: bytes, kind: bytes) -> str | None:
    """The long name that a header of its own holds; None if it holds something else."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "replace")
    for line in content.split(b"\n"):  # "31 path=folder/name.csv"
        _, _, record = line.partition(b" ")
        if record.startswith(b"path="):
            return record.removeprefix(b"path=").decode("utf-8", "replace")
    return None


def _skip(file: BinaryIO, size: int, done: int = 0) -> None:
    """Pass over so many bytes, and on to the next block after all that were `done`."""
    rest = size + -(size + done) % tarfile.BLOCKSIZE
    while rest > 0:
        count = len(file.read(min(rest, _PIECE)))
        if not count:
            raise EOFError("it is cut off")
        rest -= count
