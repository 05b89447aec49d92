"""The reviews of the Large Movie Review Dataset, from its archive or its unpacked folder.

An archive is read, never unpacked: nothing in it, however it is named, can be written anywhere.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqexp.dataset.words.labels import Document
from seqexp.errors import InputError

FOLDER = "aclImdb"
SPLITS = ("train", "test")
LABELS = {"neg": "negative", "pos": "positive"}
"""Folder of each class, and its name."""

NUM_REVIEWS = 12_500
"""Reviews of each split and class."""

MAX_REVIEW = 2**20
"""Bytes; the longest real one has 14 thousand."""

MAX_UNPACKED = 2**30
"""Bytes of the whole archive, three times as many as the real one has."""

MAX_HEADER = 2**20
"""Bytes of what stands beside the members: long names, comments."""

WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
"""Types of members that no content follows, whatever size they claim."""

PIECE = 2**20
"""Bytes that are unpacked at a time."""

_MEMBER = re.compile(rf"(?:\./)?{FOLDER}/(train|test)/(neg|pos)/([0-9]+_[0-9]+\.txt)")

Reviews = dict[str, list[Document]]


def reviews_of_archive(path: Path) -> Reviews:
    """All labelled reviews of a .tar.gz, by split, in the order of class and name.

    Raises:
        InputError: if the file is damaged, is no such archive, or lacks some of the reviews.
    """
    try:
        with path.open("rb") as raw, gzip.open(raw) as unpacked:
            file = io.BufferedReader(_Limited(unpacked, path), PIECE)
            return _sorted(_members(file, path), path)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is damaged or no .tar.gz archive ({error}); remove it, or put a sound one"
            " there"
        ) from error


def reviews_of_folder(path: Path) -> Reviews:
    """The same from the unpacked folder.

    Raises:
        InputError: if it lacks some of the reviews, or one cannot be read.
    """
    return _sorted(_files(path), path)


def _members(file: Any, path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """The reviews of an unpacked archive, in one pass.

    Names and types are those of the plain headers. `tarfile` would read further headers too, which
    can be made to take hours or all memory; reviews need none.
    """
    for member in _headers(file):
        size = 0 if member.type in WITHOUT_CONTENT else member.size
        # `REGULAR_TYPES` has sparse files, too, which have further headers
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) and size > MAX_HEADER:
            raise InputError(
                f"{path}: {member.name[:80]!r} is a header of {size:,} bytes; at most"
                f" {MAX_HEADER:,} are read"
            )
        if size < 0:
            raise InputError(f"{path}: {member.name[:80]!r} has {size} bytes")
        found = _MEMBER.fullmatch(member.name)
        # links and devices are not followed, whatever they are called
        if found is None or not member.isreg():
            _skip(file, size)
            continue
        if member.size > MAX_REVIEW:
            raise InputError(
                f"{path}: {member.name} has {member.size:,} bytes; a review has at most"
                f" {MAX_REVIEW:,}"
            )
        split, label, name = found.groups()
        content = file.read(member.size)
        if len(content) < member.size:
            raise EOFError(f"{member.name} is cut off")
        _skip(file, 0, member.size)
        yield split, label, name, content
    while file.read(PIECE):  # to the checksum at the end
        pass


def _headers(file: Any) -> Iterator[tarfile.TarInfo]:
    """Each plain header, as long as what stands between them is read meanwhile."""
    header = file.read(tarfile.BLOCKSIZE)
    if not header:
        raise EOFError("it is empty")
    while any(header):  # zeros end an archive
        yield tarfile.TarInfo.frombuf(header, "utf-8", "replace")
        header = file.read(tarfile.BLOCKSIZE)


def _skip(file: Any, size: int, done: int = 0) -> None:
    """Pass over so many bytes, and on to the next block after all that were `done`."""
    rest = size + -(size + done) % tarfile.BLOCKSIZE
    while rest > 0:
        count = len(file.read(min(rest, PIECE)))
        if not count:
            raise EOFError("it is cut off")
        rest -= count


def _files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    for split in SPLITS:
        for label in LABELS:
            try:
                for file in (path / split / label).glob("*_*.txt"):
                    yield split, label, file.name, file.read_bytes()
            except OSError as error:
                raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _sorted(found: Iterator[tuple[str, str, str, bytes]], path: Path) -> Reviews:
    """In an order that does not depend on the archive's, after a check that all are there."""
    by_place = {}
    for split, label, name, content in found:
        place = f"{path}: {FOLDER}/{split}/{label}/{name}"
        if (split, label, name) in by_place:
            raise InputError(f"{place} is there twice")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{place} is not UTF-8 text (byte {error.start})") from error
        by_place[split, label, name] = Document(text, LABELS[label], place)
    counts = Counter((split, label) for split, label, _ in by_place)
    wrong = [
        f"{counts[split, label]:,} in {split}/{label}"
        for split in SPLITS
        for label in LABELS
        if counts[split, label] != NUM_REVIEWS
    ]
    if wrong:
        raise InputError(
            f"{path}: is not the Large Movie Review Dataset, which has {NUM_REVIEWS:,} reviews in"
            f" each of {FOLDER}/{{train,test}}/{{neg,pos}}; here are {', '.join(wrong)}"
        )
    return {
        split: [by_place[key] for key in sorted(by_place) if key[0] == split] for split in SPLITS
    }


class _Limited(io.RawIOBase):
    """A stream that ends with an error where an archive unpacks to more than it should."""

    def __init__(self, stream: gzip.GzipFile, path: Path) -> None:
        super().__init__()
        self.stream, self.path, self.count = stream, path, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there is room for, at most."""
        count: int = self.stream.readinto(buffer)
        self.count += count
        if self.count > MAX_UNPACKED:
            raise InputError(
                f"{self.path}: unpacks to more than {MAX_UNPACKED:,} bytes, which the Large Movie"
                " Review Dataset does not"
            )
        return count
