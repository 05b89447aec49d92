"""Regions of a genome, and what overlaps them. Imports no torch."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.intervals import read_intervals

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


class Regions:
    """Parts of contigs, joined where they overlap."""

    def __init__(self, places: Iterable[tuple[str, int, int]] = ()) -> None:
        by_contig: dict[str, list[tuple[int, int]]] = {}
        for contig, start, end in places:
            by_contig.setdefault(contig, []).append((start, end))
        self._parts = {contig: _joined(parts) for contig, parts in by_contig.items()}

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Contig, start and end of each."""
        for contig, (starts, ends) in self._parts.items():
            yield from zip([contig] * len(starts), starts, ends, strict=True)

    def overlaps(self, contig: str, start: int, end: int) -> bool:
        """Whether a part of a contig shares a letter with any of them."""
        if contig not in self._parts:
            return False
        starts, ends = self._parts[contig]
        next_one = bisect_right(ends, start)
        return next_one < len(starts) and starts[next_one] < end

    def overlap_many(
        self, contig: str, starts: Int[np.ndarray, " parts"], length: int
    ) -> Bool[np.ndarray, " parts"]:
        """The same for parts of one length."""
        if contig not in self._parts:
            return np.zeros(len(starts), dtype=bool)
        firsts, ends = (np.asarray(values) for values in self._parts[contig])
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


def _joined(parts: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Starts and ends of disjoint parts, in order."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(parts):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends
