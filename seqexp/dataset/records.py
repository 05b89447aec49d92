"""DNA sequences with their names, from FASTA files and from tables.

Imports no torch. Letters are read by one rule: `A C G T` in either case; `U` is `T`; the other
IUPAC codes (`N R Y S W K M B D H V`), which leave the letter open, become `N`. All else is refused.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp.errors import InputError
from seqexp.formats.text import read_text

MAX_BYTES = 2**31
"""Of a file of sequences, unpacked."""

IUPAC = "ACGTUNRYSWKMBDHV"

_READ_AS = str.maketrans(IUPAC + IUPAC.lower(), ("ACGTT" + "N" * 11) * 2)
_TURN = str.maketrans("ACGT", "TGCA")
_FASTA = "expected is FASTA: '>' and a name, then lines of DNA (.gz too)"


@dataclass(frozen=True)
class Record:
    """A named sequence of A, C, G, T and N; label and split are None where they are not said."""

    name: str
    sequence: str
    label: int | None = None
    split: str | None = None


def reverse_complement(sequence: str) -> str:
    """The other strand, read from its start."""
    return sequence.translate(_TURN)[::-1]


def either_strand(sequence: str) -> str:
    """The same for a sequence and its reverse complement: the first of the two by alphabet."""
    return min(sequence, reverse_complement(sequence))


def read_fasta(path: Path) -> list[Record]:
    """All sequences of a FASTA file, by the rule of this module.

    Raises:
        InputError: if the file is missing, damaged, empty, of another format, holds protein, or
            two records of one name.
    """
    text = read_text(path, MAX_BYTES, _FASTA).lstrip()
    if not text.startswith(">"):
        first = text.splitlines()[0][:40]
        raise InputError(f"{path}: begins with {first!r}; {_FASTA}")
    records: list[Record] = []
    for entry in text[1:].split("\n>"):
        header, _, lines = entry.partition("\n")
        name = (header.split() or [""])[0]
        if not name:
            raise InputError(f"{path}: record {len(records) + 1} has no name; {_FASTA}")
        records.append(Record(name, dna("".join(lines.split()), name, path)))
    _refuse_twins([record.name for record in records], path)
    return records


def read_table(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table with a header, by column; columns are parted by tabs, or else by commas.

    Raises:
        InputError: if a column is missing, a row is not whole, or two rows have one id.
    """
    expected = f"expected is a table with the columns {', '.join(needed)} (.tsv or .csv, .gz too)"
    lines = read_text(path, MAX_BYTES, expected).splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    columns = list(rows[0]) if rows else lines[0].split()
    absent = [column for column in needed if column not in columns]
    if absent or not rows:
        has = f"has the columns {', '.join(map(str, columns))[:200]}" if absent else "has no rows"
        raise InputError(f"{path}: {has}; {expected}")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"{path}: line {number} has not {len(columns)} columns; {expected}")
    _refuse_twins([row["id"] for row in rows], path)
    return rows


def records_of_table(path: Path) -> list[Record]:
    """Sequences of a table with the columns id, label, sequence, and perhaps split."""
    return [
        Record(
            row["id"],
            dna(row["sequence"].strip(), row["id"], path),
            label_of(row["label"], row["id"], path),
            row.get("split"),
        )
        for row in read_table(path, ("id", "label", "sequence"))
    ]


def label_of(text: str, name: str, path: Path) -> int:
    """0 or 1."""
    if text.strip() not in ("0", "1"):
        raise InputError(
            f"{path}: {name} has the label {text!r}; give 0 (negative) or 1 (positive)"
        )
    return int(text)


def values_by_name(
    path: Path, column: str, records: Iterable[Record], source: Path
) -> Mapping[str, str]:
    """A column of a table by id.

    Raises:
        InputError: if the table lacks a record's id.
    """
    found = {row["id"]: row[column] for row in read_table(path, ("id", column))}
    absent = [record.name for record in records if record.name not in found]
    if absent:
        raise InputError(f"{path}: has no {column} for {len(absent)} of {source}, as {absent[0]!r}")
    return found


def dna(letters: str, name: str, path: Path | str) -> str:
    """Letters as this module reads them.

    Raises:
        InputError: naming the record and what is wrong with it.
    """
    if not letters:
        raise InputError(f"{path}: {name} has no sequence; {_FASTA}")
    read = letters.translate(_READ_AS)
    wrong = set(read) - set("ACGTN")
    if wrong:
        letter = next(letter for letter in letters if letter.translate(_READ_AS) in wrong)
        place = letters.index(letter) + 1
        hint = "; this looks like protein" if letter.upper() in "EFILPQXZJO*" else ""
        raise InputError(
            f"{path}: {name} has {letter!r} at position {place}{hint}; letters are {IUPAC}, in"
            " either case"
        )
    # most amino acids are IUPAC codes of nucleotides too
    open_letters = sum(
        count for letter, count in Counter(letters.upper()).items() if letter in "RYSWKMBDHV"
    )
    if 2 * open_letters > len(letters):
        raise InputError(
            f"{path}: {name} has {open_letters} of {len(letters)} letters that leave the"
            " nucleotide open (R, Y, S, W, K, M, B, D, H, V); this looks like protein"
        )
    return read


def _refuse_twins(names: Sequence[str], path: Path) -> None:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        raise InputError(
            f"{path}: {len(twins)} names stand more than once, as {twins[0]!r}; name each record"
            " once"
        )
