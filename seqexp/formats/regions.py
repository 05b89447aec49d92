"""Places on a genome that a person types or that a BED file has, in the order of the genome."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.intervals import read_intervals

_TYPED = re.compile(r"(.+?)(?::(\d+)-(\d+))?")
_EXPECTED = "give places as chr1:1-100000 or chr1, with commas between, or a BED file"


class Region(NamedTuple):
    """Letters `start` (from 0) to before `end` of a contig of the genome."""

    contig: str
    start: int
    end: int


def regions_of(text: str | None, genome: Genome) -> list[Region]:
    """Regions without overlaps, sorted as the genome is.

    Args:
        text: places as `chr1:1-100000` (from 1, both ends included) or `chr1`, with commas between;
            or the name of a BED file; None is the whole genome.
        genome: where they are.

    Raises:
        InputError: naming the place or the line, if the genome has none such.
    """
    if text is None:
        found = [Region(name, 0, size) for name, size in genome.contigs.items() if size]
    elif Path(text).is_file():
        found = list(_of_file(Path(text), genome))
        if not found:
            raise InputError(f"regions is {text}, which has no interval; {_EXPECTED}")
    else:
        found = [_typed(piece.strip(), text, genome) for piece in text.split(",")]
    order = {name: number for number, name in enumerate(genome.contigs)}
    joined: list[Region] = []
    for region in sorted(found, key=lambda one: (order[one.contig], one.start, one.end)):
        before = joined[-1] if joined else None
        if before is not None and before.contig == region.contig and region.start <= before.end:
            joined[-1] = before._replace(end=max(before.end, region.end))
        else:
            joined.append(region)
    return joined


def _of_file(file: Path, genome: Genome) -> Iterator[Region]:
    for interval in read_intervals(file):
        where = f"{file}, line {interval.line}"
        yield _inside(interval.contig, interval.start, interval.end, where, genome)


def _typed(piece: str, text: str, genome: Genome) -> Region:
    where = f"regions is {text[:80]!r}"
    parts = _TYPED.fullmatch(piece)
    if parts is None:
        raise InputError(f"{where}: {_EXPECTED}")
    contig, first, last = parts.groups()
    if not genome.has(contig):
        hint = ""
        if "/" in text or text.lower().endswith((".bed", ".gz")):
            hint = "; there is no such file"
        elif re.fullmatch(r"\d{3}(-\d+)?", piece):
            hint = "; write numbers without commas"
        raise InputError(f"{where}: the genome has no contig {contig[:80]!r}{hint}; {_EXPECTED}")
    if first is None:
        return Region(genome.name_of(contig), 0, genome.contigs[genome.name_of(contig)])
    if not 1 <= int(first) <= int(last):
        raise InputError(f"{where}: {piece} is no place; the first letter is 1, and ends are read")
    return _inside(contig, int(first) - 1, int(last), f"{where}: {piece}", genome)


def _inside(contig: str, start: int, end: int, where: str, genome: Genome) -> Region:
    try:
        name = genome.name_of(contig)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    size = genome.contigs[name]
    if end > size:
        raise InputError(f"{where}: ends at {end:,}, off the end of {name}, which has {size:,}")
    return Region(name, start, end)
