"""Sequences of a FASTA file as columns in files that are mapped: letters, headers, digests."""

import hashlib
import json
import logging
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped, UInt8, UInt64

from seqexp.dataset.cache import UNSOUND, checked_index, file_digest, key_of
from seqexp.dataset.characters.encoding import unpacked
from seqexp.dataset.dna.alphabets import Alphabet
from seqexp.dataset.dna.fasta_blocks import (
    NAME_BYTES,
    Block,
    Encoded,
    cut,
    encode,
    encoded,
    first_word,
)
from seqexp.dataset.mapped import Growing, LazyTexts, Strings, growing, kept, mapped
from seqexp.errors import InputError
from seqexp.formats.fasta import FASTA, read_fasta
from seqexp.utils.files import write_whole
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores, each

log = logging.getLogger("seqexp")

ARRAYS: dict[str, tuple[Any, int]] = {
    "letters": (np.uint8, 1),
    "ends": (np.int64, 1),
    "headers": (np.uint8, 1),
    "header_ends": (np.int64, 1),
    "forms": (np.uint64, 2),
    "names": (np.uint64, 1),
    "twins": (np.int32, 1),
}
"""Type and axes of each array."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Records of a file, in its order.

    Args:
        letters: of all, end to end, in ASCII, as the alphabet reads them.
        ends: begin of the first record, then the end of each.
        headers: of each, whole.
        forms: digest of each sequence, of 16 bytes, the same on both strands.
        twins: number in the name of each record; 0 has none. Empty: none has one.
        are_whole: whether names are whole headers.
        counts: of each letter, by its code.
        notes: on names.
    """

    letters: UInt8[np.ndarray, " letters"]
    ends: Int64[np.ndarray, " records_and_one"]
    headers: Strings
    forms: UInt64[np.ndarray, "records 2"]
    twins: Int32[np.ndarray, " numbered"]
    are_whole: bool
    counts: Sequence[int]
    notes: Sequence[str]

    def __len__(self) -> int:
        return len(self.headers)

    @property
    def names(self) -> "Names":
        """Of all records."""
        return Names(self.headers, self.twins, self.are_whole)

    def sequence(self, row: int) -> str:
        """The letters of a record."""
        return self.letters[self.ends[row] : self.ends[row + 1]].tobytes().decode()


@dataclass(frozen=True, eq=False)
class Names(LazyTexts):
    """Names of records, from their headers."""

    headers: Strings
    twins: Int32[np.ndarray, " numbered"]
    are_whole: bool

    def __len__(self) -> int:
        return len(self.headers)

    def _text(self, index: int) -> str:
        return self._name(index, self.headers[index])

    def __iter__(self) -> Iterator[str]:
        return (self._name(index, header) for index, header in enumerate(self.headers))

    def _name(self, index: int, header: str) -> str:
        name = " ".join(header.split()) if self.are_whole else first_word(header)
        number = int(self.twins[index]) if len(self.twins) else 0
        return f"{name} ({number})" if number else name


def columns_of(path: Path, alphabet: Alphabet, cache: Path | None) -> Columns:
    """The records of a file: from the cache, or encoded by all cores.

    Raises:
        InputError: as `labelled.records_of_fasta`; if there is no room for the files.
    """

    def make(entry: Path) -> Columns:
        _write(entry, path, alphabet)
        return _made(entry)

    key = key_of("fasta 1", file_digest(path), repr(alphabet.symbols), alphabet.name)
    return kept(cache, f"fasta-{key[:32]}", _read, make)


def written(pieces: Iterable[tuple[Sequence[str], Sequence[str]]], alphabet: Alphabet) -> Columns:
    """Records that are made piece by piece, in files that go when the process ends.

    Args:
        pieces: names, all different, and letters as the alphabet reads them; one piece at least.
        alphabet: of the letters.

    Raises:
        InputError: if there is no room for the files.
    """

    def encodes() -> Iterator[Encoded]:
        for names, sequences in pieces:
            yield encoded(names, [one.encode() for one in sequences], alphabet.has_strands)

    def make(entry: Path) -> Columns:
        _write_all(entry, encodes())
        return _made(entry)

    return kept(None, "made", _read, make)


def _made(entry: Path) -> Columns:
    found = _read(entry)
    if found is None:
        raise OSError(0, "it does not keep what is written")
    return found


def _write(entry: Path, path: Path, alphabet: Alphabet) -> None:
    """Encode all blocks of a file, and write them in order."""
    began = time.monotonic()
    with unpacked([path]) as (file,):
        blocks = cut(file, path)
        size = sum(block.stop - block.start for block in blocks)
        workers = min(cores(), max(1, len(blocks) // 2))
        log.info(f"{path}: encoding {size:,} bytes, {workers} at a time")
        with Work(max(1, size), "B", "encoding") as work:

            def encodes() -> Iterator[Encoded]:
                is_empty = True
                for index, found in _in_order(blocks, alphabet, workers, path):
                    is_empty = is_empty and not len(found.lengths)
                    yield found
                    work.advance(blocks[index].stop - blocks[index].start)
                if is_empty:
                    raise InputError(f"{path}: is empty; {FASTA}")

            num_records = _write_all(entry, encodes())
    log.info(f"{path}: {num_records:,} sequences, in {time.monotonic() - began:.1f} s")


def _write_all(entry: Path, pieces: Iterable[Encoded]) -> int:
    """Write an entry; returns how many records it has."""
    entry.with_suffix(".json").unlink(missing_ok=True)
    counts = np.zeros(256, dtype=np.int64)
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(growing(_file(entry, name), dtype, 2 if axes == 2 else None))
            for name, (dtype, axes) in ARRAYS.items()
            if name != "twins"
        }
        for name in ("ends", "header_ends"):
            columns[name].add(np.zeros(1, dtype=np.int64))
        for found in pieces:
            _append(columns, found)
            counts += np.bincount(np.frombuffer(found.letters, np.uint8), minlength=256)
        num_records = columns["names"].count
    checksums = {name: column.checksum for name, column in columns.items()}
    texts, ends, names = (
        np.load(_file(entry, name), mmap_mode="r") for name in ("headers", "header_ends", "names")
    )
    named = _named(Strings(texts, ends), names)
    with growing(_file(entry, "twins"), np.int32) as twins:
        twins.add(named.twins)
    checksums["twins"] = twins.checksum
    facts = {"counts": counts.tolist(), "are_whole": named.are_whole, "notes": list(named.notes)}
    content = json.dumps(facts)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    write_whole(entry.with_suffix(".json"), json.dumps(whole).encode())
    return num_records


def _in_order(
    blocks: Sequence[Block], alphabet: Alphabet, workers: int, path: Path
) -> Iterator[tuple[int, Encoded]]:
    """All blocks with their numbers.

    Raises:
        InputError: of the first record that is not sound, with its line.
    """
    early: dict[int, Encoded] = {}
    turn = 0
    try:
        for index, found in each(encode, ((block, alphabet) for block in blocks), workers):
            early[index] = found
            while turn in early:
                yield turn, early.pop(turn)
                turn += 1
    except InputError:
        _refuse(path, alphabet)
        raise


def _refuse(path: Path, alphabet: Alphabet) -> None:
    """Read a file from its begin, to name the line of the first fault."""
    for entry in read_fasta(path):
        if not entry.header:
            raise InputError(
                f"{path}, line {entry.line}: record {entry.number} has no name; {FASTA}"
            )
        alphabet.read(entry.letters, entry.name, path)


def _append(columns: dict[str, Growing], found: Encoded) -> None:
    for name, content, lengths in (
        ("letters", found.letters, found.lengths),
        ("headers", found.headers, found.header_lengths),
    ):
        before = columns[name].count
        columns[name].add(np.frombuffer(content, dtype=np.uint8))
        ends = "ends" if name == "letters" else "header_ends"
        columns[ends].add(np.cumsum(lengths, dtype=np.int64) + before)
    columns["forms"].add(np.frombuffer(found.forms, dtype="<u8").reshape(-1, 2))
    columns["names"].add(np.frombuffer(found.names, dtype="<u8"))


def _read(entry: Path) -> Columns | None:
    """An entry, mapped; None if there is none, or it is damaged."""
    try:
        index, checksums = checked_index(entry)
        arrays = {
            name: mapped(_file(entry, name), dtype, axes, checksums[name])
            for name, (dtype, axes) in ARRAYS.items()
        }
        headers = Strings(arrays["headers"], arrays["header_ends"])
        count, letters = len(headers), arrays["letters"]
        if len(arrays["ends"]) != count + 1 or arrays["ends"][-1] != len(letters):
            raise ValueError("the ends are not those of the letters")
        if len(arrays["forms"]) != count or len(arrays["twins"]) not in (0, count):
            raise ValueError("the columns have not the same length")
        more = index["are_whole"], index["counts"], index["notes"]
        return Columns(letters, arrays["ends"], headers, arrays["forms"], arrays["twins"], *more)
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _file(entry: Path, name: str) -> Path:
    return entry.with_name(f"{entry.name}-{name}.npy")


# --- names --------------------------------------------------------------------------------------


def repeated(
    values: Shaped[np.ndarray, " values"],
) -> tuple[Shaped[np.ndarray, " different"], Int64[np.ndarray, " different"]]:
    """Values that stand more than once, sorted; and how often each stands."""
    ordered = np.sort(values)
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(first, len(ordered)))
    return ordered[first[counts > 1]], counts[counts > 1]


@dataclass(frozen=True)
class _Named:
    twins: Int32[np.ndarray, " numbered"]
    are_whole: bool = False
    notes: Sequence[str] = ()


def _named(headers: Strings, digests: UInt64[np.ndarray, " records"]) -> _Named:
    """How records are named, as `labelled.records_of_fasta` has it."""
    none = np.zeros(0, dtype=np.int32)
    twins, _ = repeated(digests)
    if not len(twins):
        return _Named(none)
    is_twin = np.isin(digests, twins)
    first = first_word(headers[int(is_twin.argmax())])
    whole = (_digest(" ".join(header.split())) for header in headers)
    if not len(repeated(np.fromiter(whole, dtype=np.uint64, count=len(headers)))[0]):
        note = f"names are whole headers: up to the first blank several are {first!r:.40}"
        return _Named(none, True, (note,))
    note = f"{len(twins)} names stand more than once, as {first!r:.40}: numbered"
    return _Named(_numbers(headers, digests, is_twin), False, (note,))


def _numbers(
    headers: Strings,
    digests: UInt64[np.ndarray, " records"],
    is_twin: Bool[np.ndarray, " records"],
) -> Int32[np.ndarray, " records"]:
    """Numbers that make names different: `labelled.records_of_fasta` adds the same."""
    known, added, seen = np.sort(digests), set[int](), Counter[str]()
    found = np.zeros(len(headers), dtype=np.int32)

    def is_taken(name: str) -> bool:
        digest = _digest(name)
        place = int(np.searchsorted(known, np.uint64(digest)))
        return digest in added or (place < len(known) and int(known[place]) == digest)

    for row in np.flatnonzero(is_twin).tolist():
        name, number = first_word(headers[row]), 0
        seen[name] += 1
        while seen[name] > 1 and (not number or is_taken(f"{name} ({number})")):
            number = seen[name]
            seen[name] += is_taken(f"{name} ({number})")
        if number:
            added.add(_digest(f"{name} ({number})"))
            found[row] = number
    return found


def _digest(name: str) -> int:
    """As `fasta_blocks` writes it."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=NAME_BYTES).digest(), "little")
