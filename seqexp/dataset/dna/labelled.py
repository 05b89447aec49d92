"""Labelled DNA from FASTA files and tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqexp.errors import InputError
from seqexp.formats.dna import dna
from seqexp.formats.fasta import FASTA, read_fasta
from seqexp.formats.records import column, read_table

MAX_BYTES = 2**31
"""Of a file of sequences, unpacked."""

LABELS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
"""What is read as negative and positive, in either case: as pandas and R write it."""


@dataclass(frozen=True)
class Record:
    """A named sequence of A, C, G, T and N; label and split are None where they are not said."""

    name: str
    sequence: str
    label: int | None = None
    split: str | None = None


def records_of_fasta(path: Path, is_looked_up: bool = False) -> tuple[list[Record], list[str]]:
    """All sequences of a FASTA file, and notes on their names.

    A name ends at the first blank of its header; where that makes two the same, the whole headers
    are the names.

    Args:
        path: the file.
        is_looked_up: whether a table has values by name, so that no two may be the same; else
            twins get a number.

    Raises:
        InputError: if the file is missing, damaged, empty, of another format, or holds protein; if
            a record has no name.
    """
    headers: list[str] = []
    sequences: list[str] = []
    for entry in read_fasta(path, MAX_BYTES):
        if not entry.header:
            raise InputError(
                f"{path}, line {entry.line}: record {entry.number} has no name; {FASTA}"
            )
        headers.append(entry.header)
        sequences.append(dna(entry.letters, entry.name, path))
    if not headers:
        raise InputError(f"{path}: is empty; {FASTA}")
    names, notes = [header.split(maxsplit=1)[0] for header in headers], []
    twin = _twin(names)
    if twin is not None:
        whole = [" ".join(header.split()) for header in headers]
        if _twin(whole) is None:
            notes = [f"names are whole headers: up to the first blank several are {twin!r:.40}"]
            names = whole
        elif is_looked_up:
            raise InputError(
                f"{path}: {_count_twins(names)} names stand more than once, as {twin!r} (a name"
                " ends at the first blank of its header); a table has values by name, so name each"
                " once"
            )
        else:
            names, notes = _numbered(names)
    return [Record(*pair) for pair in zip(names, sequences, strict=True)], notes


def records_of_table(path: Path, is_looked_up: bool = False) -> tuple[list[Record], list[str]]:
    """Sequences of a table with the columns label and sequence, perhaps id and split; and notes.

    Args:
        path: the file.
        is_looked_up: as of `records_of_fasta`.

    Raises:
        InputError: as `read_table`; if a column is missing, or an id stands twice where another
            table has values by id.
    """
    needed = ("id", "label", "sequence") if is_looked_up else ("label", "sequence")
    optional = ("split",) if is_looked_up else ("id", "split")
    records: list[Record] = []
    for line, values in _rows(path, needed, optional):
        name = values.get("id") or f"line {line}"
        records.append(
            Record(
                name,
                dna("".join(values["sequence"].split()), name, path),
                label_of(values["label"], name, path),
                values.get("split"),
            )
        )
    names = [record.name for record in records]
    twin = _twin(names)
    if twin is None:
        return records, []
    if is_looked_up:
        raise InputError(
            f"{path}: {_count_twins(names)} names stand more than once, as {twin!r}; a table has"
            " values by name, so name each record once"
        )
    names, notes = _numbered(names)
    return [replace(r, name=name) for r, name in zip(records, names, strict=True)], notes


def label_of(text: str, name: str, path: Path) -> int:
    """0 or 1."""
    label = LABELS.get(text.strip().lower())
    if label is None:
        raise InputError(
            f"{path}: {name} has the label {text[:40]!r}; give 0 (negative) or 1 (positive); 0.0"
            " and false, 1.0 and true are read too"
        )
    return label


def values_by_name(
    path: Path, wanted: str, records: Iterable[Record], source: Path
) -> Mapping[str, str]:
    """A column of a table by id.

    Raises:
        InputError: if the table lacks a record's id, or has two values for it.
    """
    found: dict[str, str] = {}
    for line, values in _rows(path, ("id", wanted)):
        value = found.setdefault(values["id"], values[wanted])
        if value != values[wanted]:
            raise InputError(
                f"{path}, line {line}: {values['id']!r} has the {wanted} {values[wanted]!r}, but"
                f" {value!r} before"
            )
    absent = [record.name for record in records if record.name not in found]
    if absent:
        raise InputError(f"{path}: has no {wanted} for {len(absent)} of {source}, as {absent[0]!r}")
    return found


def _rows(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each row, of the columns that are asked for, without blanks around."""
    more = f" and perhaps {', '.join(optional)}" if optional else ""
    expected = (
        f"expected is a table with the columns {', '.join(needed)}{more} (.tsv or .csv, .gz too)"
    )
    rows = read_table(path, MAX_BYTES)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path}: is empty; {expected}")
    header = first.fields
    if any(name not in header for name in needed):
        has = f"{', '.join(header):.200}"
        raise InputError(f"{path}: has the columns {has}; {expected}")
    asked = [*needed, *(name for name in optional if name in header)]
    places = {name: column(name, header, str(path)) for name in asked}
    number = None
    for number, fields in rows:
        yield number, {name: fields[place].strip() for name, place in places.items()}
    if number is None:
        raise InputError(f"{path}: has no rows; {expected}")


def _twin(names: Sequence[str]) -> str | None:
    """The first name that stands more than once."""
    if len(set(names)) == len(names):
        return None
    counts = Counter(names)
    return next(name for name in names if counts[name] > 1)


def _count_twins(names: Sequence[str]) -> int:
    return sum(count > 1 for count in Counter(names).values())


def _numbered(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of which no two are the same, and a note."""
    seen: Counter[str] = Counter()
    taken = set(names)
    found: list[str] = []
    for name in names:
        seen[name] += 1
        new = name
        while seen[name] > 1 and new in taken:
            new = f"{name} ({seen[name]})"
            seen[name] += new in taken
        taken.add(new)
        found.append(new)
    count = _count_twins(names)
    return found, [f"{count} names stand more than once, as {_twin(names)!r:.40}: numbered"]
