"""Arrays of an .npz file: read without anything in it being run, written one by one. No torch."""

import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqexp.errors import InputError
from seqexp.formats.records import column


def read_arrays(
    path: Path, needed: Collection[str], optional: Collection[str], max_bytes: int
) -> dict[str, np.ndarray]:
    """The arrays of these names; `optional` ones where they are there.

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
            return {name: _array(file, name, path) for name in names}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file of numpy.savez") from error


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
