"""Negatives from the genome: windows of the lengths, GC and unknown letters of the positives."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import Regions, Window, Windows
from seqexp.formats.genome import Genome
from seqexp.seeding import UniformSource, stream_seed

PIECE = 2**15
"""Letters of a contig that are read together."""

PASSES = 4
"""Times that all pieces are looked through, each time at other places."""

_TOLERANCES = (0, 0, 1, 3)
"""Hundredths of GC that a negative may differ, in the passes over all contigs."""

_UNLIMITED = 2
"""Pass from which a piece may give any number of negatives."""

_SPREAD = 3
"""Hundredths by which the GC of a window differs from that of its beginning, as a rule."""

_MAX_TRIED = 8
"""Lengths that are tried for one window and one GC."""

_BINS = 101


@dataclass(eq=False)
class Wanted:
    """Windows, and how many of their letters are G or C, and not known."""

    windows: Windows
    gc: "array[int]" = field(default_factory=lambda: array("i"))
    unknown: "array[int]" = field(default_factory=lambda: array("i"))

    @classmethod
    def of(cls, genome: Genome, records: Iterable[Record]) -> "Wanted":
        """Those of records that have a window, each once."""
        found = cls(Windows(genome.contigs))
        seen: set[Window] = set()
        for record in records:
            if record.window is not None and record.window not in seen:
                seen.add(record.window)
                found.add(record.window, record.sequence)
        return found

    def __len__(self) -> int:
        return len(self.gc)

    def add(self, window: Window, letters: str) -> None:
        """Add a window by its letters."""
        gc, known = _counts(letters)
        self.windows.append(window)
        self.gc.append(gc)
        self.unknown.append(len(letters) - known)

    def length(self, number: int) -> int:
        """Letters of a window."""
        return self.windows.ends[number] - self.windows.starts[number]

    def histogram(self, bins: int = 50) -> Int[np.ndarray, " bins"]:
        """Windows by their share of G and C among letters that are known."""
        lengths = np.asarray(self.windows.ends) - np.asarray(self.windows.starts)
        shares = np.asarray(self.gc) / np.maximum(lengths - np.asarray(self.unknown), 1)
        return np.histogram(shares, bins=bins, range=(0.0, 1.0))[0]


@dataclass
class _Needs:
    """Numbers of positives that have no negative yet, by hundredths of GC."""

    by_gc: "list[array[int]]" = field(default_factory=lambda: [array("i") for _ in range(_BINS)])

    def __len__(self) -> int:
        return sum(map(len, self.by_gc))

    def open_bins(self, tolerance: int) -> np.ndarray:
        """Which hundredths of GC some positive needs."""
        is_open = np.array([bool(numbers) for numbers in self.by_gc])
        for shift in range(1, tolerance + 1):
            is_open[shift:] |= [bool(numbers) for numbers in self.by_gc[:-shift]]
            is_open[:-shift] |= [bool(numbers) for numbers in self.by_gc[shift:]]
        return is_open


def gc_matched(
    genome: Genome, positives: Wanted, avoid: Regions, seed: int
) -> tuple[Windows, list[str]]:
    """A negative of each positive, in the order of the genome; and notes.

    A negative has the length of its positive and, in hundredths, its share of G and C and its share
    of unknown letters. It is drawn from the same contig; from another one, or with a GC that
    differs by up to three hundredths, only where the contig has no more. No two overlap.

    Args:
        genome: it.
        positives: windows, each once.
        avoid: regions that no negative may overlap, of which the positives are part.
        seed: selects what is drawn.
    """
    by_contig: dict[str, _Needs] = {}
    for number, window in enumerate(positives.windows):
        needs = by_contig.setdefault(window.contig, _Needs())
        known = window.end - window.start - positives.unknown[number]
        needs.by_gc[_hundredths(positives.gc[number], known)].append(number)
    drawing = _Drawing(genome, positives, avoid, seed)
    for contig, needs in by_contig.items():
        for number in range(PASSES):
            drawing.look_through([contig], needs, number, 0)
    rest = _Needs()
    for needs in by_contig.values():
        for number, numbers in enumerate(needs.by_gc):
            rest.by_gc[number] += numbers
    for number, tolerance in enumerate(_TOLERANCES, start=PASSES):
        drawing.look_through([*by_contig], rest, number, tolerance)
    found = Windows(genome.contigs)
    for row in drawing.found.windows.along().tolist():
        found.append(drawing.found.windows[row])
    return found, _notes(positives, drawing.found)


class _Drawing:
    """Draws negatives, none over another."""

    def __init__(self, genome: Genome, positives: Wanted, avoid: Regions, seed: int) -> None:
        self.genome, self.positives, self.avoid, self.seed = genome, positives, avoid, seed
        lengths = {window.end - window.start for window in positives.windows}
        self.longest = max(lengths)
        # else the GC of the longest window only tells which shorter ones may fit
        self.spread = 0 if len(lengths) == 1 else _SPREAD
        self.found = Wanted(Windows(genome.contigs))
        self.taken: dict[str, tuple[array[int], array[int]]] = {}

    def look_through(
        self, contigs: Sequence[str], needs: _Needs, number: int, tolerance: int
    ) -> None:
        """Draw from all pieces of some contigs, in an order of the seed, until nothing is needed.

        Each piece gives a few in the first passes, so that negatives come from everywhere.
        """
        if not len(needs):
            return
        uniform = UniformSource(stream_seed(self.seed, "gc-matched", number, *contigs))
        pieces = [
            (contig, start)
            for contig in contigs
            for start in range(0, self.genome.contigs[contig], PIECE)
        ]
        most = PIECE if number >= _UNLIMITED else 1 + 2 * len(needs) * 4**number // len(pieces)
        for at in np.argsort(uniform(len(pieces)), kind="stable").tolist():
            offset, order_seed = uniform(2).tolist()
            contig, start = pieces[at]
            count = most
            for candidate in self._candidates(contig, start, offset, order_seed, needs, tolerance):
                count -= self._take(contig, candidate, needs, tolerance)
                if not count:
                    break
            if not len(needs):
                return

    def _candidates(
        self,
        contig: str,
        start: int,
        offset: float,
        order_seed: float,
        needs: _Needs,
        tolerance: int,
    ) -> Iterator[int]:
        """Starts of windows of a piece whose GC may be one that is needed, in random order."""
        end = min(start + PIECE + self.longest, self.genome.contigs[contig])
        starts = np.arange(start + int(offset * self.longest), end - self.longest + 1, self.longest)
        starts = starts[~self.avoid.overlap_many(contig, starts, self.longest)]
        if not len(starts):
            return
        self._piece = (start, self.genome.letters(contig, start, end))
        codes = np.frombuffer(self._piece[1].encode("ascii", errors="replace"), dtype=np.uint8)
        is_gc = (codes == ord("G")) | (codes == ord("C"))
        is_known = is_gc | (codes == ord("A")) | (codes == ord("T")) | (codes == ord("U"))
        gc, known = (np.concatenate([[0], np.cumsum(values)]) for values in (is_gc, is_known))
        first = starts - start
        counts = known[first + self.longest] - known[first]
        shares = 100 * (gc[first + self.longest] - gc[first]) // np.maximum(counts, 1)
        is_open = needs.open_bins(tolerance + self.spread)
        fitting = starts[(counts > 0) & is_open[shares]]
        order = UniformSource(int(order_seed * 2**53))(len(fitting))
        for at in np.argsort(order, kind="stable").tolist():
            yield int(fitting[at])

    def _take(self, contig: str, start: int, needs: _Needs, tolerance: int) -> bool:
        """Make a negative of a window if some positive needs it."""
        begin, letters = self._piece
        piece = letters[start - begin : start - begin + self.longest]
        for number in _nearest_bins(_hundredths(*_counts(piece)), tolerance + self.spread):
            is_tried: set[tuple[int, int]] = set()
            numbers = needs.by_gc[number]
            for index in range(len(numbers) - 1, -1, -1):
                positive = numbers[index]
                length = self.positives.length(positive)
                form = length, _rounded_up(self.positives.unknown[positive], length)
                if form in is_tried:
                    continue
                if len(is_tried) == _MAX_TRIED:
                    break
                is_tried.add(form)
                cut = piece[:length]
                gc, known = _counts(cut)
                fits = abs(_hundredths(gc, known) - number) <= tolerance
                fits = fits and _rounded_up(len(cut) - known, len(cut)) == form[1]
                if fits and self._is_free(contig, start, start + length):
                    self._add(contig, start, cut, numbers.pop(index))
                    return True
        return False

    def _is_free(self, contig: str, start: int, end: int) -> bool:
        starts, ends = self.taken.setdefault(contig, (array("q"), array("q")))
        at = bisect_left(starts, start)
        return not (at and ends[at - 1] > start) and not (at < len(starts) and starts[at] < end)

    def _add(self, contig: str, start: int, letters: str, positive: int) -> None:
        strand = self.positives.windows[positive].strand
        window = Window(contig, start, start + len(letters), strand)
        starts, ends = self.taken[contig]
        at = bisect_left(starts, start)
        starts.insert(at, start)
        ends.insert(at, window.end)
        self.found.add(window, letters)


def _nearest_bins(number: int, reach: int) -> Iterator[int]:
    yield number
    for shift in range(1, reach + 1):
        for other in (number - shift, number + shift):
            if 0 <= other < _BINS:
                yield other


def _counts(letters: str) -> tuple[int, int]:
    """Letters that are G or C, and those that are known."""
    gc = letters.count("G") + letters.count("C")
    return gc, gc + letters.count("A") + letters.count("T") + letters.count("U")


def _hundredths(gc: int, known: int) -> int:
    """Hundredths of G and C among the letters that are known, rounded down."""
    return 100 * gc // known if known else 0


def _rounded_up(unknown: int, length: int) -> int:
    """Hundredths of letters that are not known, rounded up: 0 is none."""
    return -(-100 * unknown // length) if length else 0


def _notes(positives: Wanted, negatives: Wanted) -> list[str]:
    notes = []
    if len(negatives) < len(positives):
        lacking = len(positives) - len(negatives)
        notes.append(
            f"{lacking:,} of {len(positives):,} positives have no negative: the genome has no more"
            " windows of their length, GC and unknown letters that are free"
        )
    if len(negatives):
        ours, theirs = (one.histogram() / len(one) for one in (positives, negatives))
        notes.append(
            f"{len(negatives):,} negatives are drawn from the genome; histograms of GC differ by"
            f" {np.abs(ours - theirs).sum():.3f} (sum over bins of .02)"
        )
    return notes
