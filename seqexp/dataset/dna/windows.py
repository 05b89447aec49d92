"""Windows of a genome, from intervals: where each begins, which are left out, and their letters."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import MAX_BYTES, Regions, Window, Windows
from seqexp.dataset.mapped import GrowingTexts
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS, dna, reverse_complement
from seqexp.formats.genome import Genome
from seqexp.formats.intervals import Interval, read_intervals, refuse_narrow, value_of

Centre = Literal["summit", "middle"]

_BLOCK = 4096
"""Rows whose letters are read together, in the order of the genome."""


class Skipped(NamedTuple):
    """A row that is left out."""

    file: str
    line: int
    place: str
    reason: str


class _Reason(NamedTuple):
    """Why a row is left out: in a word or two for all such rows, and of this one."""

    kind: str
    text: str


class Piece(NamedTuple):
    """Some windows of a file in its order, without those that are left out.

    Args:
        windows: of the genome.
        letters: of each, on its strand.
        asked: of each, values of the columns that are asked for.
        lines: of each, in the file; 0 where there is none.
        are_new: of each, whether it is none of the windows that are known.
        path: of the file.
    """

    windows: list[Window]
    letters: list[str]
    asked: list[tuple[str, ...]]
    lines: list[int]
    are_new: list[bool]
    path: str

    def records(self) -> Iterator[Record]:
        """The same as records."""
        columns = (self.windows, self.letters, self.asked, self.lines)
        for window, letters, asked, line in zip(*columns, strict=True):
            # one text for all where no message names the line
            place = place_of(self.path, line) if asked else self.path
            yield Record(window.name, letters, asked=asked, place=place, window=window)


def place_of(path: str, line: int) -> str:
    """A row in words."""
    return f"{path}, line {line}"


class _Placed(NamedTuple):
    """Rows of a file that have a window: their places as the file has them, windows, and lines.

    Args:
        asked: the columns that are asked for; empty texts where a row has not so many.
        widths: columns of each row, where some are asked for.
    """

    given: Windows
    windows: Windows
    lines: "array[int]"
    asked: dict[str, GrowingTexts]
    widths: "array[int]"


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
    _centres: Counter[str] = field(default_factory=Counter)
    _kinds: Counter[str] = field(default_factory=Counter)

    def read(self, path: Path, key: str, columns: Sequence[str] = ()) -> list[Record]:
        """Records of a file in its order, with `columns` as they stand.

        Raises:
            InputError: as `pieces`.
        """
        return [one for piece in self.pieces(path, key, columns) for one in piece.records()]

    def pieces(
        self, path: Path, key: str, columns: Sequence[str] = (), known: Windows | None = None
    ) -> Iterator[Piece]:
        """Windows of a file with their letters, some at a time; `skipped` has the others then.

        Args:
            path: the file.
            key: that names it, for messages.
            columns: that are asked for.
            known: windows of other files.

        Raises:
            InputError: as `read_intervals`; if a column is missing, no row can be used, or most
                are not on the genome.
        """
        before, found = len(self.skipped), 0
        placed = self._placed(path, columns)
        is_twin = self._twins(path, placed)
        is_known = np.zeros(len(is_twin), dtype=bool)
        if known is not None and len(known):
            is_known = known.known(placed.windows)
        for first in range(0, len(is_twin), _BLOCK):
            piece = self._piece(path, placed, is_twin, is_known, first)
            found += len(piece.windows)
            yield piece
        self.skipped[before:] = sorted(self.skipped[before:], key=lambda row: row.line)
        self._refuse_all_skipped(path, key, self.skipped[before:], found)

    def letters_of(self, windows: Windows) -> Iterator[Piece]:
        """Windows that are drawn from the genome, with their letters, some at a time."""
        place = str(self.genome.path)
        for first in range(0, len(windows), _BLOCK):
            some = windows[first : first + _BLOCK]
            letters = [self._read(window, self._letters(window), place) for window in some]
            count = len(some)
            yield Piece(some, letters, [()] * count, [0] * count, [True] * count, place)

    def notes(self) -> list[str]:
        """Where windows lie; how many rows were left out, by kind, and the reason of the first."""
        notes = []
        if self.width is not None:
            summits, middles = self._centres["summit"], self._centres["middle"]
            where = "the summits of the intervals" if summits else "the middles of the intervals"
            if summits and middles:
                where += f", of {middles:,} of {summits + middles:,}, which have none, the middles"
            notes.append(f"windows of {self.width:,} letters lie about {where}")
        if self.skipped:
            first = self.skipped[0]
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in self._kinds.most_common())
            notes.append(
                f"{len(self.skipped):,} rows of intervals are left out ({kinds}), with reasons in"
                f" {SKIPPED}; the first is {Path(first.file).name}, line {first.line}:"
                f" {first.reason}"
            )
        return notes

    def table(self) -> str:
        """All rows that were left out, as a table."""
        rows = ["\t".join(("file", "line", "interval", "reason"))]
        rows += ["\t".join(map(str, row)) for row in self.skipped]
        return "\n".join(rows) + "\n"

    # --- one row ------------------------------------------------------------------------------

    def _placed(self, path: Path, columns: Sequence[str]) -> _Placed:
        """Rows that have a window which may be used."""
        windows, asked = Windows(self.genome.contigs), {name: GrowingTexts() for name in columns}
        found = _Placed(Windows(), windows, array("q"), asked, array("i"))
        self._rows = self._foreign = 0
        for interval in read_intervals(path, MAX_BYTES):
            self._rows += 1
            contig, start, end = interval.contig, interval.start, interval.end
            window = self._window_or_reason(interval)
            if isinstance(window, _Reason):
                self._skip(path, interval.line, Window(contig, start, end), window)
                continue
            found.given.append(Window(contig, start, end))
            found.windows.append(window)
            found.lines.append(interval.line)
            for column, values in asked.items():
                values.append(value_of(interval, column) or "")
            if asked:
                found.widths.append(len(interval.fields))
        return found

    def _window_or_reason(self, interval: Interval) -> Window | _Reason:
        """The window of a row, or why it has none."""
        if not self.genome.has(interval.contig):
            self._foreign += 1
            return _Reason("other contigs", f"{interval.contig[:60]!r} is no contig of the genome")
        contig = self.genome.name_of(interval.contig)
        size = self.genome.contigs[contig]
        if interval.end > size:
            self._foreign += 1
            return _Reason("off the end", f"ends after {contig}, which has {size:,} letters")
        if self.width is not None and self.centre == "summit" and interval.summit is None:
            return _Reason("no summit", "has no summit, but dataset.centre is summit")
        window = self._window(interval, contig)
        return self._fault(window, size) or window

    def _twins(self, path: Path, placed: _Placed) -> Bool[np.ndarray, " windows"]:
        """Whether a window was there before; these are left out."""
        firsts = placed.windows.firsts()
        is_twin: np.ndarray = firsts != np.arange(len(firsts))
        for row in np.flatnonzero(is_twin).tolist():
            line, name = placed.lines[firsts[row]], placed.windows[row].name
            reason = _Reason("twice", f"is the same window as line {line}: {name}")
            self._skip(path, placed.lines[row], placed.given[row], reason)
        return is_twin

    def _piece(
        self,
        path: Path,
        placed: _Placed,
        is_twin: Bool[np.ndarray, " windows"],
        is_known: Bool[np.ndarray, " windows"],
        first: int,
    ) -> Piece:
        """A block of windows; letters are read in the order of the genome."""
        stop = min(first + _BLOCK, len(is_twin))
        letters: dict[int, str] = {}
        for row in placed.windows.along(first, stop).tolist():
            if not is_twin[row]:
                letters[row] = self._letters(placed.windows[row])
        found = Piece([], [], [], [], [], str(path))
        for row in range(first, stop):
            if is_twin[row]:
                continue
            window, line, raw = placed.windows[row], placed.lines[row], letters.pop(row)
            reason = self._unknown(raw)
            if reason is not None:
                self._skip(path, line, placed.given[row], reason)
                continue
            place = place_of(str(path), line)
            found.windows.append(window)
            found.letters.append(self._read(window, raw, place))
            for column in placed.asked:
                refuse_narrow(column, placed.widths[row], place)
            found.asked.append(tuple(values[row] for values in placed.asked.values()))
            found.lines.append(line)
            found.are_new.append(not is_known[row])
        return found

    def _window(self, interval: Interval, contig: str) -> Window:
        if self.width is None:
            return Window(contig, interval.start, interval.end, interval.strand)
        centre, kind = (interval.start + interval.end) // 2, "middle"
        if self.centre != "middle" and interval.summit is not None:
            centre, kind = interval.summit, "summit"
        self._centres[kind] += 1
        start = centre - self.width // 2
        return Window(contig, start, start + self.width, interval.strand)

    def _fault(self, window: Window, size: int) -> _Reason | None:
        length = window.end - window.start
        if length < self.min_length:
            least = f"has {length} letters; dataset.min_length is {self.min_length}"
            return _Reason("too short", least)
        if window.start < 0 or window.end > size:
            return _Reason(
                "off the end",
                f"its window, {window.start} to {window.end}, leaves {window.contig}, which has"
                f" {size:,} letters",
            )
        if self.blacklist.overlaps(window.contig, window.start, window.end):
            return _Reason("blacklist", "overlaps dataset.blacklist")
        return None

    def _letters(self, window: Window) -> str:
        return self.genome.letters(window.contig, window.start, window.end)

    def _unknown(self, letters: str) -> _Reason | None:
        """Why a window is left out for its unknown letters; None if it is not."""
        unknown = len(letters) - sum(map(letters.count, LETTERS + "U"))
        if unknown <= self.max_unknown * len(letters) and unknown < len(letters):
            return None
        share = f"{unknown} of {len(letters)} letters are not known"
        text = f"{share}; dataset.max_unknown is {self.max_unknown:g}"
        return _Reason("unknown letters", text)

    @staticmethod
    def _read(window: Window, letters: str, place: str) -> str:
        """Letters of the genome as they are read on the strand of a window."""
        read = dna(letters, window.name, place)
        return reverse_complement(read) if window.strand == "-" else read

    def _skip(self, path: Path, line: int, given: Window, reason: _Reason) -> None:
        place = f"{given.contig}:{given.start}-{given.end}"
        self.skipped.append(Skipped(str(path), line, place, reason.text))
        self._kinds[reason.kind] += 1

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
