"""Arrays and texts in files that are mapped into memory: they may be larger than it.

Worker processes import it: neither torch nor anything else that takes long to load.
"""

import logging
import mmap
import os
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, overload

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from seqexp.dataset.cache import found_or_made
from seqexp.errors import InputError
from seqexp.utils.files import appearing, full_disk

log = logging.getLogger("seqexp")

T = TypeVar("T")

LARGE = 2**27
"""Bytes of arrays above which they are written to a file and mapped."""

READ = 2**22
"""Bytes of a mapped array that are looked at before they are dropped."""

MANY = 2**18
"""Values that are gathered, or looked at, together."""


def kept(
    folder: Path | None, name: str, read: Callable[[Path], T | None], make: Callable[[Path], T]
) -> T:
    """The content of an entry of a cache; made in a temporary folder if the cache takes none.

    The files of a temporary folder lose their names once they are mapped. The system frees them
    when the process ends.

    Args:
        folder: the cache; None is a temporary folder.
        name: of the entry; files add their endings.
        read: maps an entry; None if there is none, or it is damaged.
        make: writes an entry and maps it.

    Raises:
        InputError: if there is no room in a temporary folder either.
    """

    def build() -> T:
        try:
            with tempfile.TemporaryDirectory(prefix="seqexp-", ignore_cleanup_errors=True) as place:
                return make(Path(place) / name)
        except OSError as error:
            raise no_room(error) from error

    return build() if folder is None else found_or_made(folder / name, read, make, build)


def no_room(error: OSError) -> InputError:
    """What is said where a temporary file cannot be written."""
    reason = full_disk(error) or f"{error.filename}: cannot be written ({error.strerror})"
    return InputError(
        f"{reason}. Data of this size are kept in files; give a folder with room by"
        " paths.outputs, or by TMPDIR"
    )


def size_of(paths: Iterable[Path]) -> int:
    """Bytes of files, or of the files in folders; packed ones count as three times as many.

    A link counts as what it leads to; one that leads nowhere, as an editor leaves, as nothing.
    """
    files = [file for path in paths for file in (_files_below(path) if path.is_dir() else [path])]
    sizes = (
        file.stat().st_size * (3 if file.suffix == ".gz" else 1) for file in files if file.is_file()
    )
    return sum(sizes)


def _files_below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in names)


class Growing:
    """An .npy file that grows by rows.

    Args:
        file: opened for writing, empty.
        dtype: of the values.
        columns: values of a row; None is an array of one axis.
    """

    def __init__(self, file: BinaryIO, dtype: Any, columns: int | None = None) -> None:
        self.file, self.dtype, self.columns = file, np.dtype(dtype), columns
        self.count = self.checksum = 0
        self._head()

    def add(self, values: Shaped[np.ndarray, "rows ..."]) -> None:
        """Append rows."""
        content = np.ascontiguousarray(values, dtype=self.dtype)
        self.count += len(content)
        if content.size:
            self.checksum = zlib.crc32(content.data, self.checksum)
            self.file.write(content.data.cast("B"))

    def close(self) -> None:
        """Write the number of rows into the head, which has room for any."""
        self.file.seek(0)
        self._head()
        self.file.seek(0, 2)

    def _head(self) -> None:
        shape = (self.count,) if self.columns is None else (self.count, self.columns)
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, described)


@contextmanager
def growing(file: Path, dtype: Any, columns: int | None = None) -> Iterator[Growing]:
    """An .npy file that appears when it is whole.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    with appearing(file) as opened:
        grows = Growing(opened, dtype, columns)
        try:
            yield grows
            grows.close()
        except OSError as error:
            error.filename = error.filename or str(file)
            raise


def mapped(file: Path, dtype: Any, axes: int, checksum: int) -> Shaped[np.ndarray, "..."]:
    """An .npy file, mapped. It cannot be written to: else it would count as private memory.

    Raises:
        ValueError: if it is of another kind, or not as it was written.
    """
    values: np.ndarray = np.load(file, mmap_mode="r")
    if values.dtype != np.dtype(dtype) or values.ndim != axes:
        raise ValueError(f"{file.name} is {values.dtype} of the shape {values.shape}")
    if checksum_of(values) != checksum:
        raise ValueError(f"{file.name} has another checksum")
    return values


def dropped(values: Shaped[np.ndarray, "..."]) -> None:
    """Take the pages of a mapped array out of this process; they are read again where needed."""
    mapping = getattr(values, "_mmap", None)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def checksum_of(values: Shaped[np.ndarray, "..."]) -> int:
    """CRC-32 of the bytes of an array, of which no more than some are in memory if it is mapped."""
    content, found = np.ravel(values).view(np.uint8), 0
    for start in range(0, len(content), READ):
        found = zlib.crc32(content[start : start + READ].data, found)
        dropped(values)
    return found


def spans(offsets: Int64[np.ndarray, " items_and_one"], size: int = MANY) -> Iterator[slice]:
    """Consecutive items of about `size` values together; a longer item is alone."""
    start, count = 0, len(offsets) - 1
    while start < count:
        stop = int(np.searchsorted(offsets, offsets[start] + size, side="right")) - 1
        stop = min(max(stop, start + 1), count)
        yield slice(start, stop)
        start = stop


class LazyTexts(Sequence[str]):
    """Texts that are made when they are asked for; `_text` makes one."""

    def _text(self, index: int) -> str:
        """The text of this number, which is there."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        return self._text(place)


@dataclass(frozen=True, eq=False)
class Strings(LazyTexts):
    """Texts end to end: text i is `content[offsets[i]:offsets[i + 1]]`, in UTF-8."""

    content: UInt8[np.ndarray, " bytes"]
    offsets: Int64[np.ndarray, " texts_and_one"]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def _text(self, index: int) -> str:
        start, stop = self.offsets[index : index + 2].tolist()
        return self.content[start:stop].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for span in spans(self.offsets):
            borders = self.offsets[span.start : span.stop + 1]
            content = self.content[borders[0] : borders[-1]].tobytes()
            places = (borders - borders[0]).tolist()
            ends = zip(places, places[1:], strict=False)
            if content.isascii():
                text = content.decode()
                yield from (text[start:stop] for start, stop in ends)
            else:
                yield from (content[start:stop].decode() for start, stop in ends)


def joined(texts: Iterable[str]) -> Strings:
    """Texts end to end in memory, without some 60 bytes of each."""
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return Strings(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)


class GrowingTexts(LazyTexts):
    """Texts end to end in memory, to which others are added."""

    def __init__(self) -> None:
        self._content, self._offsets = bytearray(), array("q", [0])

    def append(self, text: str) -> None:
        """Add a text."""
        self._content += text.encode()
        self._offsets.append(len(self._content))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def _text(self, index: int) -> str:
        return self._content[self._offsets[index] : self._offsets[index + 1]].decode()


@dataclass
class StringsWriter:
    """Appends texts to the two files of a `Strings`."""

    content: Growing
    offsets: Growing
    _end: int = 0
    _begun: bool = field(default=False)

    def add(self, texts: Sequence[str]) -> None:
        """Append texts."""
        if not self._begun:
            self._begun = True
            self.offsets.add(np.zeros(1, dtype=np.int64))
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64) + self._end
        self.content.add(np.frombuffer(b"".join(encoded), dtype=np.uint8))
        self.offsets.add(ends)
        self._end = int(ends[-1]) if len(ends) else self._end
