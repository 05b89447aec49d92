"""Regions of a genome, and what overlaps them. Imports no torch."""

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
from jaxtyping import Bool, Int, Int32, Int64

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.intervals import STRANDS, read_intervals

MAX_BYTES = 2**33
"""Of a file of intervals, unpacked."""


class Window(NamedTuple):
    """A part of a contig: from `start`, counted from 0, to before `end`."""

    contig: str
    start: int
    end: int
    strand: str = "."

    @property
    def name(self) -> str:
        """As bedtools writes it: `chr1:100-300(+)`."""
        return f"{self.contig}:{self.start}-{self.end}({self.strand})"


class Windows(Sequence[Window]):
    """Windows as columns: 21 bytes each.

    Args:
        contigs: names, which may be more than those of the windows.
    """

    def __init__(self, contigs: Iterable[str] = ()) -> None:
        self.contigs = {name: number for number, name in enumerate(contigs)}
        self._names = [*self.contigs]
        self.numbers: array[int] = array("i")
        self.starts: array[int] = array("q")
        self.ends: array[int] = array("q")
        self.strands: array[int] = array("b")

    def append(self, window: Window) -> None:
        """Add a window; of a new contig its name too."""
        number = self.contigs.setdefault(window.contig, len(self.contigs))
        if number == len(self._names):
            self._names.append(window.contig)
        self.numbers.append(number)
        self.starts.append(window.start)
        self.ends.append(window.end)
        self.strands.append(STRANDS.index(window.strand))

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> list[Window]: ...
    def __getitem__(self, index: int | slice) -> Window | list[Window]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        contig, strand = self._names[self.numbers[index]], STRANDS[self.strands[index]]
        return Window(contig, self.starts[index], self.ends[index], strand)

    def extend(self, others: "Windows") -> None:
        """Add the windows of others, whose contigs are the same."""
        self.numbers.extend(others.numbers)
        self.starts.extend(others.starts)
        self.ends.extend(others.ends)
        self.strands.extend(others.strands)

    def known(self, others: "Windows") -> Bool[np.ndarray, " windows"]:
        """Of each window of others, whose contigs are the same, whether it is one of these."""
        both = Windows(self.contigs)
        both.extend(self)
        both.extend(others)
        is_known: np.ndarray = both.firsts()[len(self) :] < len(self)
        return is_known

    def along(self, first: int = 0, stop: int | None = None) -> Int[np.ndarray, " windows"]:
        """Numbers of the windows from `first` to before `stop`, in the order of the genome."""
        part = slice(first, stop)
        keys = (self.strands[part], self.ends[part], self.starts[part], self.numbers[part])
        order: np.ndarray = np.lexsort([np.asarray(key) for key in keys]) + first
        return order

    def firsts(self) -> Int[np.ndarray, " windows"]:
        """Of each window the number of the first one that is equal."""
        order = self.along()
        places = np.arange(len(order))
        columns = (self.numbers, self.starts, self.ends, self.strands)
        equal = [np.diff(np.asarray(values)[order]) == 0 for values in columns]
        places[1:][np.all(equal, axis=0)] = 0
        found = np.empty(len(order), dtype=np.int64)
        found[order] = order[np.maximum.accumulate(places)]
        return found

    def families(self) -> Int32[np.ndarray, " windows"]:
        """Of each window the number of the first one of its family: those that overlap, or that
        others connect.
        """
        order = self.along()
        numbers, starts, ends = (
            np.asarray(v)[order] for v in (self.numbers, self.starts, self.ends)
        )
        offsets = numbers.astype(np.int64) * (int(ends.max(initial=0)) + 1)
        furthest = np.maximum.accumulate(ends + offsets)
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = starts[1:] + offsets[1:] >= furthest[:-1]
        owners = np.empty(len(order), dtype=np.int64)
        owners[order] = np.cumsum(is_new) - 1
        _, first, place = np.unique(owners, return_index=True, return_inverse=True)
        return first[place].astype(np.int32)


class Regions:
    """Parts of contigs, joined where they overlap or touch."""

    def __init__(self, places: Iterable[tuple[str, int, int]] = ()) -> None:
        by_contig: dict[str, tuple[array[int], array[int]]] = {}
        for contig, start, end in places:
            starts, ends = by_contig.setdefault(contig, (array("q"), array("q")))
            starts.append(start)
            ends.append(end)
        self._parts = {contig: _joined(*parts) for contig, parts in by_contig.items()}

    @classmethod
    def joining(cls, *several: "Regions") -> "Regions":
        """The parts of all of them."""
        found = cls()
        for contig in {contig: None for one in several for contig in one._parts}:
            parts = [one._parts[contig] for one in several if contig in one._parts]
            starts, ends = (np.concatenate(values) for values in zip(*parts, strict=True))
            found._parts[contig] = _joined(starts, ends)
        return found

    def overlaps(self, contig: str, start: int, end: int) -> bool:
        """Whether a part of a contig shares a letter with any of them."""
        if contig not in self._parts:
            return False
        starts, ends = self._parts[contig]
        next_one = int(np.searchsorted(ends, start, side="right"))
        return next_one < len(starts) and int(starts[next_one]) < end

    def overlap_many(
        self, contig: str, starts: Int[np.ndarray, " parts"], length: int
    ) -> Bool[np.ndarray, " parts"]:
        """The same for parts of one length."""
        if contig not in self._parts:
            return np.zeros(len(starts), dtype=bool)
        firsts, ends = self._parts[contig]
        next_one = np.searchsorted(ends, starts, side="right")
        is_there = next_one < len(firsts)
        return is_there & (firsts[np.minimum(next_one, len(firsts) - 1)] < starts + length)


def read_regions(path: Path, genome: Genome, key: str) -> Regions:
    """Regions of a BED file that are on the genome.

    Raises:
        InputError: as `read_intervals`; if none is on the genome.
    """
    found, first = [], None
    for row in read_intervals(path, MAX_BYTES):
        first = first or row
        if genome.has(row.contig):
            found.append((genome.name_of(row.contig), row.start, row.end))
    if not found:
        what = "has no intervals" if first is None else f"has no contig of {genome.path}"
        shown = "" if first is None else f", as {first.contig[:60]!r} in line {first.line}"
        raise InputError(f"{key} is {path}, which {what}{shown}")
    return Regions(found)


def _joined(
    starts: Sequence[int] | Int64[np.ndarray, " parts"],
    ends: Sequence[int] | Int64[np.ndarray, " parts"],
) -> tuple[Int64[np.ndarray, " joined"], Int64[np.ndarray, " joined"]]:
    """Starts and ends of disjoint parts, in order."""
    # the numbers of an array("q") are of a C type that is as long, but another
    firsts, lasts = np.asarray(starts).view(np.int64), np.asarray(ends).view(np.int64)
    order = np.argsort(firsts, kind="stable")
    firsts, furthest = firsts[order], np.maximum.accumulate(lasts[order])
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = firsts[1:] > furthest[:-1]
    is_last = np.append(is_new[1:], [True])
    return firsts[is_new], furthest[is_last]
