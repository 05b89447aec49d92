"""A text as token ids, one a character; a long one in a file that is mapped into memory.

The file is made once, block by block and by all cores, and goes on where it was cut off.
"""

import io
import itertools
import json
import logging
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from seqexp.dataset.cache import (
    UNSOUND,
    checked_index,
    file_digest,
    found_or_made,
    key_of,
)
from seqexp.dataset.characters import blocks
from seqexp.dataset.characters.blocks import Block, Scan
from seqexp.dataset.characters.progress import Done
from seqexp.errors import InputError
from seqexp.formats.text import is_gzipped, open_unpacked
from seqexp.utils.files import appearing, write_whole
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores

log = logging.getLogger("seqexp")

VERSION = "characters 2"
"""Counts up when the same text gets other ids."""


MAX_UNPACKED = 2**31
"""Bytes of a packed file, unpacked; a longer text can be given unpacked."""


@dataclass(frozen=True, eq=False)
class Characters:
    """A text: symbol i, of the sorted ones, has the id i + 1."""

    symbols: str
    ids: Integer[np.ndarray, " characters"]


def of_text(text: str) -> Characters:
    """The characters of a text in memory.

    Raises:
        InputError: if it has half of a surrogate pair, which is no character.
    """
    half = next((place for place, c in enumerate(text) if "\ud800" <= c <= "\udfff"), None)
    if half is not None:
        raise InputError(
            f"the text has half of a surrogate pair, {text[half]!a}, at character {half + 1:,};"
            " remove it"
        )
    symbols = "".join(sorted(set(text)))
    return Characters(symbols, blocks.ids_of(text, symbols))


def of_files(
    files: Sequence[Path], cache: Path | None, workers: int | None = None, size: int = blocks.SIZE
) -> Characters:
    """The characters of files, one after the other.

    Args:
        files: UTF-8 text.
        cache: folder for the ids of a text of more than one block; None keeps them in memory.
        workers: processes that encode; None is one a core.
        size: of a block, bytes.

    Raises:
        InputError: if a file cannot be read, or is no UTF-8 text.
    """
    entry = None
    if cache is not None:
        entry = cache / f"characters-{key_of(VERSION, *map(file_digest, files))[:32]}"
        found = read(entry) if any(map(is_gzipped, files)) else None
        if found is not None:  # nothing has to be unpacked
            return found
    with unpacked(files) as plain:
        cuts = [
            block
            for file, source in zip(plain, files, strict=True)
            for block in blocks.cut(file, size, source)
        ]
        if entry is None or len(cuts) < 2:
            return _in_memory(cuts)
        make = partial(_make, cuts=cuts, workers=min(workers or cores(), len(cuts)))
        return found_or_made(entry, read, make, partial(_in_memory, cuts))


@contextmanager
def unpacked(files: Sequence[Path]) -> Iterator[list[Path]]:
    """The files, those that are gzipped unpacked for the time being.

    Raises:
        InputError: if one cannot be read, is too large unpacked, or is packed in another way.
    """
    with tempfile.TemporaryDirectory(prefix="seqexp-") as folder:
        plain = []
        for number, file in enumerate(files):
            packed = is_gzipped(file)
            with open_unpacked(file, MAX_UNPACKED if packed else None) as content:
                if packed:
                    with Path(folder, str(number)).open("wb") as copy:
                        shutil.copyfileobj(content, copy, blocks.SIZE)
            plain.append(Path(folder, str(number)) if packed else file)
        yield plain


def _in_memory(cuts: Sequence[Block]) -> Characters:
    scans = [blocks.scan(block) for block in cuts]
    symbols, borders = _together(scans)
    ids = np.empty(borders[-1], dtype=blocks.narrowest(len(symbols)))
    for block, (start, stop) in zip(cuts, itertools.pairwise(borders), strict=True):
        ids[start:stop] = blocks.encode(block, symbols)
    return Characters(symbols, ids)


def _together(scans: Sequence[Scan]) -> tuple[str, list[int]]:
    """All symbols, and the number of characters before each block and in all."""
    symbols = "".join(sorted(set().union(*(scan.symbols for scan in scans))))
    return symbols, [0, *itertools.accumulate(scan.length for scan in scans)]


# --- the file -----------------------------------------------------------------------------------


def _make(entry: Path, cuts: Sequence[Block], workers: int) -> Characters:
    """Encode what is missing of an entry.

    Raises:
        InputError: as `of_files`.
        OSError: if it cannot be written.
    """
    plan = [[block.source.name, block.start, block.stop] for block in cuts]
    lengths = [block.stop - block.start for block in cuts]
    began, journal, ids = time.monotonic(), entry.with_suffix(".done"), _ids_file(entry)
    entry.with_suffix(".json").unlink(missing_ok=True)
    if not journal.is_file():
        ids.unlink(missing_ok=True)  # others may have mapped it
    with Done(journal, plan) as done, Work(2 * sum(lengths), "B", "encoding") as work:
        known = sum(lengths[index] for _, index in done.found) / (2 * sum(lengths))
        going_on = f", of which {known:.0%} are done" if known else ""
        log.info(
            f"{cuts[0].source}: encoding {sum(lengths):,} bytes{going_on}, {workers} at a time"
        )

        def after(index: int) -> None:
            work.advance(lengths[index])

        scans = [(block,) for block in cuts]
        found = done.all("scan", blocks.scan, scans, workers, after, partial(_is_scan, lengths))
        symbols, borders = _together([Scan(*scan) for scan in found])
        dtype = blocks.narrowest(len(symbols))
        head = _head(dtype, borders[-1])
        if _allocate(ids, head, borders[-1] * dtype.itemsize):
            done.forget("write")
        places = [len(head) + start * dtype.itemsize for start in borders[:-1]]
        calls = [(block, symbols, ids, place) for block, place in zip(cuts, places, strict=True)]
        checksums = done.all("write", blocks.write, calls, workers, after, _is_checksum)
    index = {"symbols": symbols, "borders": borders, "checksums": checksums}
    content = json.dumps(index)
    whole = {"index": content, "checksum": zlib.crc32(content.encode())}
    write_whole(entry.with_suffix(".json"), json.dumps(whole).encode())
    journal.unlink()
    log.info(
        f"{cuts[0].source}: {borders[-1]:,} characters, {len(symbols):,} different, in"
        f" {time.monotonic() - began:.1f} s"
    )
    made = read(entry)
    if made is None:
        raise OSError(0, "it does not keep what is written")
    return made


def _is_scan(lengths: Sequence[int], index: int, value: Any) -> bool:
    """Whether what a journal has is what a scan of a block of so many bytes can be."""
    match value:
        case [str(symbols), int(length)] if 0 <= length <= lengths[index]:
            return list(symbols) == sorted(set(symbols))
    return False


def _is_checksum(index: int, value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 2**32


def _head(dtype: np.dtype[Any], count: int) -> bytes:
    """What a .npy file of so many values opens with."""
    file = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def _allocate(file: Path, head: bytes, num_bytes: int) -> bool:
    """Make a file with room after its head, unless it is there; returns whether it is new."""
    if file.is_file() and file.stat().st_size == len(head) + num_bytes:
        with file.open("rb") as opened:
            if opened.read(len(head)) == head:
                return False
    with appearing(file) as opened:
        opened.write(head)
        opened.truncate(len(head) + num_bytes)
    return True


def read(entry: Path) -> Characters | None:
    """An entry, its ids mapped into memory; None where there is none or it is damaged."""
    try:
        index, _ = checked_index(entry)
        symbols, borders, checksums = (index[key] for key in ("symbols", "borders", "checksums"))
        # not to be written to: what could be would count as memory that may be needed
        ids = np.load(_ids_file(entry), mmap_mode="r")
        if not isinstance(symbols, str) or list(symbols) != sorted(set(symbols)):
            raise ValueError("the symbols are not sorted")
        if ids.dtype != blocks.narrowest(len(symbols)) or ids.ndim != 1 or len(ids) != borders[-1]:
            raise ValueError(f"there are {len(ids):,} ids of {ids.dtype}")
        if borders[0] != 0:
            raise ValueError(f"ids begin at {borders[0]}")
        for (start, stop), checksum in zip(itertools.pairwise(borders), checksums, strict=True):
            _refuse_unsound(ids, start, stop, checksum, len(symbols))
        return Characters(symbols, ids)
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _refuse_unsound(
    ids: Integer[np.ndarray, " characters"], start: int, stop: int, checksum: int, num_symbols: int
) -> None:
    """Check a block: its bytes, and that each id is of a symbol.

    Raises:
        ValueError: naming it.
    """
    where = f"ids {start:,} to {stop:,}"
    if start > stop or zlib.crc32(ids[start:stop].data) != checksum:
        raise ValueError(f"{where} have another checksum")
    if start < stop and (ids[start:stop].min() < 1 or ids[start:stop].max() > num_symbols):
        raise ValueError(f"{where} are not from 1 to {num_symbols:,}")


def _ids_file(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}-ids.npy")
