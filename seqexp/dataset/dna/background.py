"""Negatives from the genome: windows of the lengths, GC and unknown letters of the positives."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.regions import Regions, Window
from seqexp.formats.dna import dna, reverse_complement
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


@dataclass
class _Needs:
    """Positives that have no negative yet, by hundredths of GC."""

    by_gc: list[list[Record]] = field(default_factory=lambda: [[] for _ in range(_BINS)])

    def __len__(self) -> int:
        return sum(map(len, self.by_gc))

    def open_bins(self, tolerance: int) -> np.ndarray:
        """Which hundredths of GC some positive needs."""
        is_open = np.array([bool(records) for records in self.by_gc])
        for shift in range(1, tolerance + 1):
            is_open[shift:] |= [bool(records) for records in self.by_gc[:-shift]]
            is_open[:-shift] |= [bool(records) for records in self.by_gc[shift:]]
        return is_open


def gc_matched(
    genome: Genome, positives: Sequence[Record], avoid: Regions, seed: int
) -> tuple[list[Record], list[str]]:
    """A negative of each positive, in the order of the genome; and notes.

    A negative has the length of its positive and, in hundredths, its share of G and C and its share
    of unknown letters. It is drawn from the same contig; from another one, or with a GC that
    differs by up to three hundredths, only where the contig has no more. No two overlap.

    Args:
        genome: it.
        positives: with their windows.
        avoid: regions that no negative may overlap, of which the positives are part.
        seed: selects what is drawn.
    """
    by_contig: dict[str, _Needs] = {}
    for record in positives:
        assert record.window is not None
        needs = by_contig.setdefault(record.window.contig, _Needs())
        needs.by_gc[_gc(record.sequence)].append(record)
    lengths = {len(record.sequence) for record in positives}
    drawing = _Drawing(genome, avoid, max(lengths), len(lengths) == 1, seed)
    for contig, needs in by_contig.items():
        for number in range(PASSES):
            drawing.look_through([contig], needs, number, 0)
    rest = _Needs()
    for needs in by_contig.values():
        for number, records in enumerate(needs.by_gc):
            rest.by_gc[number] += records
    for number, tolerance in enumerate(_TOLERANCES, start=PASSES):
        drawing.look_through([*by_contig], rest, number, tolerance)
    order = {contig: number for number, contig in enumerate(genome.contigs)}
    drawing.found.sort(key=lambda pair: (order[pair[0].contig], pair[0]))
    found = [record for _, record in drawing.found]
    return found, _notes(positives, found)


class _Drawing:
    """Draws negatives, none over another."""

    def __init__(
        self, genome: Genome, avoid: Regions, longest: int, is_one_length: bool, seed: int
    ) -> None:
        self.genome, self.avoid, self.longest, self.seed = genome, avoid, longest, seed
        # else the GC of the longest window only tells which shorter ones may fit
        self.spread = 0 if is_one_length else _SPREAD
        self.found: list[tuple[Window, Record]] = []
        self.taken: dict[str, list[tuple[int, int]]] = {}

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
        for number in _nearest_bins(_gc(piece), tolerance + self.spread):
            is_tried: set[tuple[int, int]] = set()
            records = needs.by_gc[number]
            for index in range(len(records) - 1, -1, -1):
                positive = records[index]
                form = len(positive.sequence), _unknown(positive.sequence)
                if form in is_tried:
                    continue
                if len(is_tried) == _MAX_TRIED:
                    break
                is_tried.add(form)
                cut = piece[: form[0]]
                fits = abs(_gc(cut) - number) <= tolerance and _unknown(cut) == form[1]
                if fits and self._is_free(contig, start, start + form[0]):
                    self._add(contig, start, cut, records.pop(index))
                    return True
        return False

    def _is_free(self, contig: str, start: int, end: int) -> bool:
        taken = self.taken.setdefault(contig, [])
        at = bisect_left(taken, (start, end))
        return not (at and taken[at - 1][1] > start) and not (
            at < len(taken) and taken[at][0] < end
        )

    def _add(self, contig: str, start: int, letters: str, positive: Record) -> None:
        assert positive.window is not None
        window = Window(contig, start, start + len(letters), positive.window.strand)
        insort(self.taken.setdefault(contig, []), (window.start, window.end))
        read = dna(letters, window.name, self.genome.path)
        if window.strand == "-":
            read = reverse_complement(read)
        place = str(self.genome.path)  # one text for all
        self.found.append((window, Record(window.name, read, place=place, window=window)))


def _nearest_bins(number: int, reach: int) -> Iterator[int]:
    yield number
    for shift in range(1, reach + 1):
        for other in (number - shift, number + shift):
            if 0 <= other < _BINS:
                yield other


def _gc(letters: str) -> int:
    """Hundredths of G and C among the letters that are known, rounded down."""
    gc = letters.count("G") + letters.count("C")
    known = gc + letters.count("A") + letters.count("T") + letters.count("U")
    return 100 * gc // known if known else 0


def _unknown(letters: str) -> int:
    """Hundredths of letters that are not known, rounded up: 0 is none."""
    unknown = len(letters) - sum(map(letters.count, "ACGTU"))
    return -(-100 * unknown // len(letters)) if letters else 0


def gc_histogram(records: Sequence[Record], bins: int = 50) -> Int[np.ndarray, " bins"]:
    """Sequences by their share of G and C among letters that are known."""
    counts = [
        (one.sequence.count("G") + one.sequence.count("C"), one.sequence.count("N"))
        for one in records
    ]
    shares = [
        gc / max(len(one.sequence) - unknown, 1)
        for one, (gc, unknown) in zip(records, counts, strict=True)
    ]
    return np.histogram(shares, bins=bins, range=(0.0, 1.0))[0]


def _notes(positives: Sequence[Record], negatives: Sequence[Record]) -> list[str]:
    notes = []
    if len(negatives) < len(positives):
        lacking = len(positives) - len(negatives)
        notes.append(
            f"{lacking:,} of {len(positives):,} positives have no negative: the genome has no more"
            " windows of their length, GC and unknown letters that are free"
        )
    if negatives:
        ours, theirs = (gc_histogram(records) / len(records) for records in (positives, negatives))
        notes.append(
            f"{len(negatives):,} negatives are drawn from the genome; histograms of GC differ by"
            f" {np.abs(ours - theirs).sum():.3f} (sum over bins of .02)"
        )
    return notes
