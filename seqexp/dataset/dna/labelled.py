"""Sequences from FASTA files and tables, with what is asked of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from seqexp.dataset.dna.regions import Window
from seqexp.errors import InputError
from seqexp.formats.dna import dna
from seqexp.formats.fasta import FASTA, read_fasta
from seqexp.formats.records import column, read_table
from seqexp.utils.nearest import nearest

MAX_BYTES = 2**31
"""Of a file of sequences, unpacked."""

Read = Callable[[str, str, Path | str], str]
"""Letters, the record's name and its place to the letters that are kept."""


@dataclass(frozen=True, slots=True)
class Record:
    """A named sequence, and what is asked of it.

    Args:
        name: of the record.
        sequence: its letters, as the alphabet reads them.
        label: number of its class; None where labels or numbers are asked for.
        split: as a table says it; None where none does.
        asked: values of the columns that are asked for, as they stand.
        place: where they stand.
        values: labels or numbers that are asked for; empty where a class is.
        group: as a table says it; those of a group stay together in a fold.
        window: of a genome, which the sequence is.
        family: number of those that have to be in one split; None: only equal sequences have to.
    """

    name: str
    sequence: str
    label: int | None = None
    split: str | None = None
    asked: tuple[str, ...] = ()
    place: str = ""
    values: tuple[float | int, ...] = ()
    group: str | None = None
    window: Window | None = None
    family: int | None = None

    @property
    def answer(self) -> str:
        """What is asked of it, for comparison."""
        return repr((self.label, self.values))


def records_of_fasta(
    path: Path, is_looked_up: bool = False, read: Read = dna
) -> tuple[list[Record], list[str]]:
    """All sequences of a FASTA file, and notes on their names.

    A name ends at the first blank of its header; where that makes two the same, the whole headers
    are the names.

    Args:
        path: the file.
        is_looked_up: whether a table has values by name, so that no two may be the same; else
            twins get a number.
        read: reads the letters of a record.

    Raises:
        InputError: if the file is missing, damaged, empty, of another format, or holds other
            letters; if a record has no name.
    """
    headers: list[str] = []
    sequences: list[str] = []
    for entry in read_fasta(path, MAX_BYTES):
        if not entry.header:
            raise InputError(
                f"{path}, line {entry.line}: record {entry.number} has no name; {FASTA}"
            )
        headers.append(entry.header)
        sequences.append(read(entry.letters, entry.name, path))
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


def records_of_table(
    path: Path,
    is_looked_up: bool = False,
    asked: Sequence[str] = ("label",),
    sequence_column: str = "sequence",
    read: Read = dna,
) -> tuple[list[Record], list[str]]:
    """Sequences of a table, what is asked of them, perhaps id, split and group; and notes.

    Args:
        path: the file.
        is_looked_up: as of `records_of_fasta`.
        asked: columns that are asked for.
        sequence_column: column of the letters.
        read: reads the letters of a record.

    Raises:
        InputError: as `read_table`; if a column is missing, or an id stands twice where another
            table has values by id.
    """
    needed = [*(("id",) if is_looked_up else ()), *asked, sequence_column]
    optional = ("split", "group") if is_looked_up else ("id", "split", "group")
    records: list[Record] = []
    for line, values in rows_of_table(
        path, needed, [name for name in optional if name not in needed]
    ):
        name = values.get("id") or f"line {line}"
        letters = "".join(values[sequence_column].split())
        records.append(
            Record(
                name,
                read(letters, name, path),
                split=values.get("split"),
                asked=tuple(values[column] for column in asked),
                place=f"{path}, line {line}",
                group=values.get("group"),
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


def asked_by_name(
    path: Path, asked: Sequence[str], records: Sequence[Record], source: Path
) -> list[Record]:
    """Records with what a table asks for by id.

    Raises:
        InputError: as `values_by_name`.
    """
    columns = [values_by_name(path, name, records, source) for name in asked]
    lines = lines_by_name(path)
    return [
        replace(
            record,
            asked=tuple(column[record.name] for column in columns),
            place=f"{path}, line {lines[record.name]}",
        )
        for record in records
    ]


def lines_by_name(path: Path) -> Mapping[str, int]:
    """The first line of each id of a table."""
    found: dict[str, int] = {}
    for line, values in rows_of_table(path, ("id",)):
        found.setdefault(values["id"], line)
    return found


def values_by_name(
    path: Path, wanted: str, records: Iterable[Record], source: Path
) -> Mapping[str, str]:
    """A column of a table by id.

    Raises:
        InputError: if the table lacks a record's id, or has two values for it.
    """
    found: dict[str, str] = {}
    for line, values in rows_of_table(path, ("id", wanted)):
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


def rows_of_table(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each row, of the columns that are asked for, without blanks around.

    Raises:
        InputError: as `read_table`; if a column is missing.
    """
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
        raise InputError(f"{path}: has the columns {has}; {expected}{_advice(needed, header)}")
    asked = [*needed, *(name for name in optional if name in header)]
    places = {name: column(name, header, str(path)) for name in asked}
    number = None
    for number, fields in rows:
        yield number, {name: fields[place].strip() for name, place in places.items()}
    if number is None:
        raise InputError(f"{path}: has no rows; {expected}")


def _advice(needed: Sequence[str], header: Sequence[str]) -> str:
    """Which keys name columns that are called otherwise."""
    absent = [name for name in needed if name not in header]
    ways = []
    if needed[-1] in absent:
        ways.append("dataset.sequence_column")
    if any(name != "id" for name in absent if name != needed[-1]):
        ways.append("dataset.targets")
    near = nearest(absent[0], header, close=0.5)
    hint = f"; did you mean {near!r} for {absent[0]!r}?" if near is not None else ""
    return f"{hint}; name others by {' and '.join(ways)}" if ways else hint


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
