"""Arrays of an .npz file: read without anything in it being run, written one by one. No torch."""

import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from seqexp.errors import InputError
from seqexp.formats.records import column


def read_arrays(
    path: Path,
    needed: Collection[str],
    optional: Collection[str],
    max_bytes: int,
    unread: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """The arrays of these names; `optional` ones where they are there; but none of `unread`.

    Raises:
        InputError: naming the file and the array, if it is no .npz file, is damaged, too large,
            lacks an array, has one of no known name, or one of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > max_bytes:
            raise InputError(f"{path}: has {size:,} bytes unpacked; at most {max_bytes:,} are read")
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            for name in needed:
                column(
                    name,
                    names,
                    str(path),
                    "; arrays are named as in numpy.savez(FILE, x=..., y=...)",
                )
            other = [name for name in names if name not in {*needed, *optional}]
            if other:
                raise InputError(
                    f"{path}: has an array {other[0]!r:.60}; known are"
                    f" {', '.join([*needed, *optional])}"
                )
            return {name: _array(file, name, path) for name in names if name not in unread}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file of numpy.savez") from error


def stream_rows(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype, Iterator[np.ndarray]]:
    """Shape and type of an array, and its rows one at a time; one whose columns lie together whole.

    Raises:
        InputError: naming the file and the array, if it is damaged or has Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            shape, is_by_columns, dtype = _header(file)
        whole = None
        if is_by_columns or dtype.hasobject or not shape:  # refuses objects in words
            with np.load(path, allow_pickle=False) as arrays:
                whole = _array(arrays, name, path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: array {name} cannot be read ({error})") from error
    rows = _rows(path, name, shape[1:], dtype, shape[0]) if whole is None else iter(whole)
    return shape, dtype, rows


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns lie together, and type, as an .npy file says."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    return np.lib.format.read_array_header_2_0(file)


def _rows(
    path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, count: int
) -> Iterator[np.ndarray]:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            _header(file)
            for _ in range(count):
                content = file.read(size)
                if len(content) < size:
                    raise EOFError("it is cut off")
                yield np.frombuffer(content, dtype).reshape(shape)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: array {name} cannot be read ({error})") from error


def _array(file: "np.lib.npyio.NpzFile", name: str, path: Path) -> np.ndarray:
    try:
        array: np.ndarray = file[name]
    except (ValueError, MemoryError) as error:
        objects = "; sequences that differ in length are padded, with an array lengths"
        what = f"holds Python objects{objects}" if "allow_pickle" in str(error) else str(error)
        raise InputError(f"{path}: array {name} {what:.200}") from error
    return array


@contextmanager
def writing_arrays(file: BinaryIO) -> Iterator[Callable[[str, np.ndarray], None]]:
    """A function that adds an array by its name to what `numpy.load` opens.

    None of them is held, so that there may be very many.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, array: np.ndarray) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as opened:
                np.lib.format.write_array(opened, array, allow_pickle=False)

        yield add


@contextmanager
def writing_rows(
    file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds the next row of the only array of a file, `arr_0`.

    So `numpy.savez(FILE, array)` names it, and so TF-MoDISco reads it. No row is held.
    """
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as opened,
    ):
        np.lib.format.write_array_header_1_0(opened, header)

        def add(row: np.ndarray) -> None:
            assert row.shape == shape[1:]
            opened.write(np.ascontiguousarray(row, dtype).tobytes())

        yield add
