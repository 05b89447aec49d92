"""Variants, one at a time: VCF, or a table with columns contig, position, ref, alt and id.

A variant that no sequence can be made of, as a symbolic allele, is given with the reason.

Source: The Variant Call Format, version 4.5 (2024).
"""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from seqexp.errors import InputError
from seqexp.formats.records import STDIN, opened, read_table
from seqexp.formats.text import read_lines

COLUMNS = {
    "contig": ("contig", "chrom", "chr", "chromosome", "seqname"),
    "position": ("position", "pos"),
    "ref": ("ref", "reference", "ref_allele", "reference_allele"),
    "alt": ("alt", "alternative", "alternate", "alt_allele", "alternate_allele"),
    "id": ("id", "rsid", "variant", "name"),
}
"""Names that a table may give to its columns, in any case; `id` may be missing."""

MAX_ALLELE = 2**20
"""Letters of an allele that are read."""

_LETTERS = re.compile(r"[ACGT]+")
_BCF = b"BCF"
_EXPECTED = "expected is VCF, or a table with columns contig, position, ref, alt and perhaps id"


class Variant(NamedTuple):
    """One alternative of a row.

    Args:
        line: of the file.
        contig: as the file names it.
        position: of the first letter of `ref`, from 1.
        id: as the file has it; `.` where there is none.
        ref: letters of the reference in upper case; as it stands, if there is a `reason`.
        alt: letters of the alternative; as it stands, if there is a `reason`.
        reason: why no sequence can be made of it, as `breakend: ALT is G[2:5[`; None where one can.
    """

    line: int
    contig: str
    position: int
    id: str
    ref: str
    alt: str
    reason: str | None = None


def read_variants(source: str) -> Iterator[Variant]:
    """The variants of a file, gzipped or not; a row with several alternatives gives each.

    Args:
        source: path of the file, or `-` for standard input.

    Raises:
        InputError: if it is neither VCF nor such a table; naming the line, if a row lacks columns
            or its position is no number.
    """
    place = "standard input" if source == STDIN else source
    with opened(source, place) as file:
        start: bytes = file.peek(64)[:4096]  # type: ignore[attr-defined]
        if start.startswith(_BCF):
            raise InputError(f"{place}: is BCF, the binary form; write VCF: bcftools view {place}")
        if not start.strip():
            raise InputError(f"{place}: is empty; {_EXPECTED}")
        first = start.decode("utf-8-sig", errors="replace").lstrip().upper()
        is_vcf = first.startswith(("##", "#CHROM\tPOS\tID")) or _is_named_vcf(source)
        yield from _vcf(file, place) if is_vcf else _table(file, place)


def _is_named_vcf(source: str) -> bool:
    return source.lower().endswith((".vcf", ".vcf.gz", ".vcf.bgz"))


def _vcf(file: BinaryIO, place: str) -> Iterator[Variant]:
    for number, line in enumerate(read_lines(file, name=place), start=1):
        if line[:1] == "#" or not line.strip():
            continue
        fields = line.split("\t", 5)[:5]
        if len(fields) < 5:
            hint = "" if "\t" in line else "; VCF parts columns by tabs"
            raise InputError(
                f"{place}, line {number}: is {line!r:.60}, with {len(fields)} of the first five"
                f" columns CHROM, POS, ID, REF, ALT{hint}"
            )
        contig, position, name, ref, alt = (field.strip() for field in fields)
        where = f"{place}, line {number}"
        yield from _alternatives(where, number, contig, position, name, ref, alt)


def _table(file: BinaryIO, place: str) -> Iterator[Variant]:
    rows = read_table(file, name=place)
    header = next(rows, None)
    assert header is not None  # the file is not empty
    names = [field.lstrip("#").strip().lower() for field in header.fields]
    found = _columns(names, f"{place}, line {header.line}")
    for row in rows:
        contig, position, ref, alt = (
            row.fields[found[key]].strip() for key in ("contig", "position", "ref", "alt")
        )
        name = row.fields[found["id"]].strip() if "id" in found else "."
        where = f"{place}, line {row.line}"
        yield from _alternatives(where, row.line, contig, position, name or ".", ref, alt)


def _columns(names: Sequence[str], place: str) -> dict[str, int]:
    """Places of the columns.

    Raises:
        InputError: if one is missing or stands twice.
    """
    found: dict[str, int] = {}
    for key, usual in COLUMNS.items():
        there = [index for index, name in enumerate(names) if name in usual]
        if len(there) > 1:
            shown = " and ".join(names[index] for index in there)
            raise InputError(f"{place}: has the columns {shown}, which say the same; remove one")
        if not there and key != "id":
            raise InputError(
                f"{place}: has no column {key} (there are {', '.join(names[:20])}); {_EXPECTED}"
            )
        found |= {key: there[0]} if there else {}
    return found


def _alternatives(
    place: str, line: int, contig: str, position: str, name: str, ref: str, alt: str
) -> Iterator[Variant]:
    if not (position.isascii() and position.isdigit() and len(position) < 16):
        raise InputError(f"{place}: the position is {position!r:.40}; give a number from 1")
    if not contig:
        raise InputError(f"{place}: names no contig")
    at = int(position)
    fault = _fault("REF", ref)
    if fault is None and at == 0:
        fault = "off the end: position 0 is before the first letter"
    for one in alt.split(","):
        given = one.strip()
        reason = fault or _fault("ALT", given)
        if reason is None and given.upper() == ref.upper():
            reason = "nothing differs: ALT is REF"
        if reason is None:
            yield Variant(line, contig, at, name, ref.upper(), given.upper())
        else:
            yield Variant(line, contig, at, name, ref, given, reason)


def _fault(which: str, given: str) -> str | None:
    """Why an allele is no sequence of letters; None where it is one."""
    upper, said = given.upper(), f"{which} is {given:.40}"
    if _LETTERS.fullmatch(upper):
        is_long = len(upper) > MAX_ALLELE
        return f"too long: {which} has more than {MAX_ALLELE:,} letters" if is_long else None
    if given in ("", "."):
        what = "no alternative" if which == "ALT" else "no reference"
        return f"{what}: {which} is {given or 'empty'}"
    if given == "*":
        return f"overlapping deletion: {said}, which another row describes"
    if given.startswith("<"):
        return f"symbolic allele: {said}"
    if "[" in given or "]" in given or given[0] == "." or given[-1] == ".":
        return f"breakend: {said}"
    if given == "-":
        return f"other letters: {said}; give both alleles with the letter before them, as VCF does"
    return f"other letters: {said}; A, C, G and T are read"
