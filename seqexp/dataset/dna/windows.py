"""Windows of a genome, from intervals: where each begins, which are left out, and their letters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import MAX_BYTES, Regions, Window
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS, dna, reverse_complement
from seqexp.formats.genome import Genome
from seqexp.formats.intervals import Interval, column_of, read_intervals

Centre = Literal["summit", "middle"]

_BLOCK = 4096
"""Rows whose letters are read together, in the order of the genome."""


class Skipped(NamedTuple):
    """A row that is left out."""

    file: str
    line: int
    place: str
    reason: str


class _Row(NamedTuple):
    interval: Interval
    window: Window


@dataclass
class Reader:
    """Reads intervals as records of a genome's letters, and keeps what is left out.

    Args:
        genome: it.
        width: letters of each window; None takes intervals as they are.
        centre: of a window of a `width`; None is the summit where a row has one, else the middle.
        blacklist: regions that no window may overlap.
        max_unknown: share of letters that are not known (N) above which a window is left out.
        min_length: letters below which a window is left out.
        skipped: rows that were left out; `read` adds to them.
    """

    genome: Genome
    width: int | None = None
    centre: Centre | None = None
    blacklist: Regions = field(default_factory=Regions)
    max_unknown: float = 0.1
    min_length: int = 1
    skipped: list[Skipped] = field(default_factory=list)

    def read(self, path: Path, key: str, columns: Sequence[str] = ()) -> list[Record]:
        """Records of a file in its order, with `columns` as they stand.

        Raises:
            InputError: as `read_intervals`; if a column is missing, no row can be used, or most
                are not on the genome.
        """
        found: list[Record] = []
        before, self._rows, self._foreign = len(self.skipped), 0, 0
        rows = self._placed(path)
        while block := list(islice(rows, _BLOCK)):
            letters: dict[int, str] = {}
            for number in sorted(range(len(block)), key=lambda at: block[at].window):
                letters[number] = self._letters(block[number].window)
            for number, row in enumerate(block):
                record = self._record(path, row, letters.pop(number), columns)
                if record is not None:
                    found.append(record)
        self.skipped[before:] = sorted(self.skipped[before:], key=lambda row: row.line)
        self._refuse_all_skipped(path, key, self.skipped[before:], len(found))
        return found

    def notes(self) -> list[str]:
        """How many rows were left out, by the first words of their reasons."""
        if not self.skipped:
            return []
        first = self.skipped[0]
        return [
            f"{len(self.skipped):,} rows of intervals are left out, with reasons in {SKIPPED}; the"
            f" first is {Path(first.file).name}, line {first.line}: {first.reason}"
        ]

    def table(self) -> str:
        """All rows that were left out, as a table."""
        rows = ["\t".join(("file", "line", "interval", "reason"))]
        rows += ["\t".join(map(str, row)) for row in self.skipped]
        return "\n".join(rows) + "\n"

    # --- one row ------------------------------------------------------------------------------

    def _placed(self, path: Path) -> Iterator[_Row]:
        """Rows with their windows, without those that have none."""
        seen: dict[Window, int] = {}
        for interval in read_intervals(path, MAX_BYTES):
            self._rows += 1
            if not self.genome.has(interval.contig):
                self._foreign += 1
                self._skip(path, interval, f"{interval.contig[:60]!r} is no contig of the genome")
                continue
            contig = self.genome.name_of(interval.contig)
            size = self.genome.contigs[contig]
            if interval.end > size:
                self._foreign += 1
                self._skip(path, interval, f"ends after {contig}, which has {size:,} letters")
                continue
            if self.width is not None and self.centre == "summit" and interval.summit is None:
                self._skip(path, interval, "has no summit, but dataset.centre is summit")
                continue
            window = self._window(interval, contig)
            reason = self._fault(window, size)
            if reason is None and window in seen:
                reason = f"is the same window as line {seen[window]}: {window.name}"
            if reason is not None:
                self._skip(path, interval, reason)
                continue
            seen[window] = interval.line
            yield _Row(interval, window)

    def _window(self, interval: Interval, contig: str) -> Window:
        if self.width is None:
            return Window(contig, interval.start, interval.end, interval.strand)
        centre = (interval.start + interval.end) // 2
        if self.centre != "middle" and interval.summit is not None:
            centre = interval.summit
        start = centre - self.width // 2
        return Window(contig, start, start + self.width, interval.strand)

    def _fault(self, window: Window, size: int) -> str | None:
        length = window.end - window.start
        if length < self.min_length:
            return f"has {length} letters; dataset.min_length is {self.min_length}"
        if window.start < 0 or window.end > size:
            return (
                f"its window, {window.start} to {window.end}, leaves {window.contig}, which has"
                f" {size:,} letters"
            )
        if self.blacklist.overlaps(window.contig, window.start, window.end):
            return "overlaps dataset.blacklist"
        return None

    def _letters(self, window: Window) -> str:
        return self.genome.letters(window.contig, window.start, window.end)

    def _record(self, path: Path, row: _Row, letters: str, columns: Sequence[str]) -> Record | None:
        window, place = row.window, f"{path}, line {row.interval.line}"
        unknown = len(letters) - sum(map(letters.count, LETTERS + "U"))
        if unknown > self.max_unknown * len(letters) or unknown == len(letters):
            share = f"{unknown} of {len(letters)} letters are not known"
            self._skip(path, row.interval, f"{share}; dataset.max_unknown is {self.max_unknown:g}")
            return None
        read = dna(letters, window.name, place)
        if window.strand == "-":
            read = reverse_complement(read)
        asked = tuple(column_of(row.interval, column, place) for column in columns)
        place = place if asked else str(path)  # one text for all, where no message names the line
        return Record(window.name, read, asked=asked, place=place, window=window)

    def _skip(self, path: Path, interval: Interval, reason: str) -> None:
        place = f"{interval.contig}:{interval.start}-{interval.end}"
        self.skipped.append(Skipped(str(path), interval.line, place, reason))

    def _refuse_all_skipped(
        self, path: Path, key: str, skipped: Sequence[Skipped], found: int
    ) -> None:
        if not self._rows:
            raise InputError(f"{key}: {path} has no intervals")
        if 2 * self._foreign > self._rows:
            names = [*self.genome.contigs]
            shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            raise InputError(
                f"{key}: {self._foreign:,} of {self._rows:,} rows of {path} are not on"
                f" {self.genome.path}, as line {skipped[0].line}: {skipped[0].reason}; are both of"
                f" the same assembly? (its contigs are {shown})"
            )
        if not found:
            raise InputError(
                f"{key}: none of {self._rows:,} rows of {path} can be used, as line"
                f" {skipped[0].line}: {skipped[0].reason}"
            )


SKIPPED = "skipped_intervals.tsv"
"""File of a run with the rows that were left out."""
