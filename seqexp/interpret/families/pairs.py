"""How two motifs stand together: in the same sequences more than by chance, and how far apart."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8

from seqexp.interpret.families.sites import Sites

MAX_DISTANCE = 100
"""Letters between two motifs that are looked at."""

NUM_SHIFTS = 20
"""Other sequences whose second motif is put beside the first one of each: what chance gives."""

SMOOTH = 5
"""Letters to either side over which the number by chance is averaged."""

ARRANGEMENTS = ("1> 2>", "1> <2", "2> 1>", "<2 1>")
"""Order and strands of two motifs, read on the strand of the first one."""

Spans = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]
"""Of sites, of which either family has its own number."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two families in the sequences of one output.

    `p_value` of `both` is Fisher's exact test, two-sided. `counts` are pairs of sites by
    arrangement and letters between them, `by_chance` the same where the second motif is that of
    another sequence. `spacing_p` is the smallest of Poisson's p-values of one distance, corrected
    for all of them by Bonferroni; `distance` and `arrangement` are where it is.
    """

    one: int
    other: int
    num_sequences: int
    with_one: int
    with_other: int
    both: int
    p_value: float
    counts: Int[np.ndarray, "arrangements distances"]
    by_chance: Float[np.ndarray, "arrangements distances"]
    distance: int
    arrangement: str
    spacing_p: float

    @property
    def expected(self) -> float:
        """Sequences with both, were they independent."""
        return self.with_one * self.with_other / max(1, self.num_sequences)

    @property
    def log2_ratio(self) -> float:
        """Of the number with both and what is expected; half a sequence is added to both."""
        return float(np.log2((self.both + 0.5) / (self.expected + 0.5)))

    def row(self) -> dict[str, str | int | float]:
        """A row of a table."""
        return {
            "families": f"{self.one}, {self.other}",
            "sequences": self.num_sequences,
            "with both": self.both,
            "expected": round(self.expected, 1),
            "log2 ratio": round(self.log2_ratio, 2),
            "p-value": f"{self.p_value:.1e}",
            "most frequent spacing": f"{self.arrangement}, {self.distance} between"
            if self.counts.any()
            else "",
            "pairs so": self._most(),
            "by chance": round(self._chance(), 1),
            "spacing p-value": f"{self.spacing_p:.1e}",
        }

    def _most(self) -> int:
        return int(self.counts[ARRANGEMENTS.index(self.arrangement), self.distance])

    def _chance(self) -> float:
        return float(self.by_chance[ARRANGEMENTS.index(self.arrangement), self.distance])


def pairs_of(
    indices: tuple[int, int],
    sites: tuple[Sites, Sites],
    spans: tuple[Spans, Spans],
    rows: Int[np.ndarray, " chosen"],
    tokens: UInt8[np.ndarray, "sequences time"],
) -> Pair:
    """Count two families in the chosen sequences.

    Args:
        indices: of the families.
        sites: of each.
        spans: first letter of each of these sites, and the letter after its last.
        rows: sequences that are looked at.
        tokens: of all sequences. A stretch that stands in several, as in overlapping peaks, counts
            once where distances are counted.
    """
    has = [np.isin(rows, own.rows) for own in sites]
    with_one, with_other = (int(own.sum()) for own in has)
    both = int((has[0] & has[1]).sum())
    counts, by_chance = _spacing(sites, spans, rows[has[0] & has[1]], tokens)
    p_values = _poisson(counts, by_chance)
    place = np.unravel_index(int(p_values.argmin()), p_values.shape)
    return Pair(
        *indices,
        len(rows),
        with_one,
        with_other,
        both,
        exact_test(both, with_one, with_other, len(rows)),
        counts,
        by_chance,
        int(place[1]),
        ARRANGEMENTS[int(place[0])],
        float(min(1.0, p_values.min() * p_values.size)),
    )


def exact_test(both: int, with_one: int, with_other: int, count: int) -> float:
    """Chance of as many with both, or of another number that is as improbable or more.

    Source: Fisher (1922), two-sided; as scipy's `fisher_exact`, whose import takes half a second.
    """

    def log_ways(total: int, chosen: Int[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        rest = total - chosen
        divided = _log_factorials(chosen) + _log_factorials(rest)
        ways: np.ndarray = _log_factorials(rest + chosen) - divided
        return ways

    values = np.arange(max(0, with_one + with_other - count), min(with_one, with_other) + 1)
    logs = log_ways(with_one, values) + log_ways(count - with_one, with_other - values)
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    # rounding does not tell apart what is equally probable
    own = shares[both - values[0]] * (1 + 1e-9)
    return float(min(1.0, shares[shares <= own].sum()))


def _spacing(
    sites: tuple[Sites, Sites],
    spans: tuple[Spans, Spans],
    rows: Int[np.ndarray, " both"],
    tokens: UInt8[np.ndarray, "sequences time"],
) -> tuple[Int[np.ndarray, "four distances"], Float[np.ndarray, "four distances"]]:
    """Pairs in one sequence, and per sequence that the second motif is taken from elsewhere."""
    shape = (len(ARRANGEMENTS), MAX_DISTANCE + 1)
    if not len(rows):
        return np.zeros(shape, dtype=np.int64), np.zeros(shape)
    ranks = []
    for own in sites:
        rank = np.searchsorted(rows, own.rows).clip(max=len(rows) - 1)
        ranks.append(np.where(rows[rank] == own.rows, rank, -1))
    counted = _counted(sites, spans, ranks[0], ranks[1], len(rows), tokens)
    shifts = range(1, min(NUM_SHIFTS, len(rows) - 1) + 1)
    total = np.zeros(shape)
    for shift in shifts:
        moved = np.where(ranks[1] < 0, -1, (ranks[1] + shift) % len(rows))
        total += _counted(sites, spans, ranks[0], moved, len(rows))
    return counted, _smoothed(total / max(1, len(shifts)))


def _counted(
    sites: tuple[Sites, Sites],
    spans: tuple[Spans, Spans],
    rank: Int[np.ndarray, " sites"],
    other_rank: Int[np.ndarray, " others"],
    count: int,
    tokens: UInt8[np.ndarray, "sequences time"] | None = None,
) -> Int[np.ndarray, "four distances"]:
    """All pairs of sites of one rank, by arrangement and letters between them.

    With the tokens of the sequences, stretches of the same letters count once.
    """
    by_rank = np.argsort(other_rank, kind="stable")
    begins = np.searchsorted(other_rank[by_rank], np.arange(count))
    sizes = np.searchsorted(other_rank[by_rank], np.arange(count), side="right") - begins
    left = np.flatnonzero(rank >= 0)
    own = sizes[rank[left]]
    within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    right = by_rank[np.repeat(begins[rank[left]], own) + within]
    left = np.repeat(left, own)
    after = spans[1][0][right] - spans[0][1][left]
    before = spans[0][0][left] - spans[1][1][right]
    distance = np.maximum(after, before)  # of two that overlap, below 0
    forward = sites[0].directions[left] == 1
    is_after = np.where(forward, after >= 0, before >= 0)
    is_turned = sites[0].directions[left] != sites[1].directions[right]
    kind = np.where(is_after, 0, 2) + is_turned
    near = (distance >= 0) & (distance <= MAX_DISTANCE)
    if tokens is not None:
        begins = np.minimum(spans[0][0][left], spans[1][0][right])
        ends = np.maximum(spans[0][1][left], spans[1][1][right])
        near[near] = _first_of_each(tokens, sites[0].rows[left[near]], begins[near], ends[near])
    found = np.zeros((len(ARRANGEMENTS), MAX_DISTANCE + 1), dtype=np.int64)
    np.add.at(found, (kind[near], distance[near]), 1)
    return found


def _first_of_each(
    tokens: UInt8[np.ndarray, "sequences time"],
    rows: Int[np.ndarray, " pairs"],
    begins: Int[np.ndarray, " pairs"],
    ends: Int[np.ndarray, " pairs"],
) -> Bool[np.ndarray, " pairs"]:
    """Whether a stretch of letters has not been before."""
    seen: set[bytes] = set()
    is_new = np.zeros(len(rows), dtype=bool)
    for place, (row, begin, end) in enumerate(zip(rows, begins, ends, strict=True)):
        letters = tokens[row, begin:end].tobytes()
        is_new[place] = letters not in seen
        seen.add(letters)
    return is_new


def _smoothed(values: Float[np.ndarray, "four distances"]) -> Float[np.ndarray, "four distances"]:
    """Averages over neighbouring distances."""
    window = np.ones(2 * SMOOTH + 1)
    weights = np.convolve(np.ones(values.shape[1]), window, mode="same")
    rows = [np.convolve(row, window, mode="same") / weights for row in values]
    return np.stack(rows)


def _poisson(
    counts: Int[np.ndarray, "four distances"], by_chance: Float[np.ndarray, "four distances"]
) -> Float[np.ndarray, "four distances"]:
    """Chance of at least so many pairs; what was never seen by chance counts a little."""
    least = 1 / (NUM_SHIFTS * (2 * SMOOTH + 1))
    # as scipy's `pdtrc`, whose import takes a sixth of a second
    at_least = torch.from_numpy(np.maximum(counts, 1).astype(float))
    beyond = torch.special.gammainc(at_least, torch.from_numpy(np.maximum(by_chance, least)))
    values: np.ndarray = np.where(counts > 0, beyond.numpy(), 1.0)
    return values


def _log_factorials(values: Int[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
    logs: np.ndarray = torch.lgamma(torch.from_numpy(values + 1.0)).numpy()
    return logs
