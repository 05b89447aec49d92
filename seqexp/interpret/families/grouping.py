"""Which filters read the same motif: by their matrices, and by where their sites lie.

A group begins as one filter, or as one pattern of the attributions. The two groups that agree best
become one, whose matrix is counted again from all its sites, until no two agree. Two groups agree
if their matrices do, or if most sites of one lie on sites of the other, always at the same
distance.

Source: as RSAT's matrix-clustering (Castro-Mondragon et al. 2017) merges matrices and TF-MoDISco
(Shrikumar et al. 2018) merges clusters of sites: from the most similar pair on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from seqexp.interpret.families.sites import Sites, counts, joined, without_weaker
from seqexp.interpret.filters.matrix import information, significant_part

MIN_CORRELATION = 0.8
"""Of the places that two matrices share, weighted by what these tell."""

MIN_SHARED = 0.7
"""Part of what the smaller matrix tells that lies on shared places."""

MIN_TOLD = 2.5
"""What shared places tell at least, in places of one certain letter."""

MIN_TOGETHER = 0.5
"""Share of the sites of the smaller group that lie on sites of the other, at one distance."""

MIN_SITES = 10
"""Of sites that lie together, to say so."""

FLANK = 3
"""Places beside the filters' windows that are counted too."""

Kind = Literal["filter", "pattern"]


@dataclass(frozen=True)
class Member:
    """A filter of a group, or a pattern: its place 0 is the group's place `first`.

    With `reverse`, its window of `width` places runs backwards from there.
    """

    number: int
    first: int
    reverse: bool
    width: int
    kind: Kind = "filter"


@dataclass(frozen=True, eq=False)
class Group:
    """Filters that read one motif, and patterns that show it.

    Places are those of the first member's window: place 0 is its first letter. `pfm` counts the
    symbols of all sites at the places from `start` on, of which `part` tells something.
    """

    members: tuple[Member, ...]
    sites: Sites
    start: int
    pfm: Float[np.ndarray, "places symbols"]
    part: slice

    def numbers(self, kind: Kind) -> list[int]:
        """Of its filters, or of its patterns."""
        return sorted(member.number for member in self.members if member.kind == kind)

    @property
    def ppm(self) -> Float[np.ndarray, "_ symbols"]:
        """Probabilities at the places that tell something."""
        counted = self.pfm[self.part]
        totals = counted.sum(axis=1, keepdims=True)
        even = np.full_like(counted, 1 / self.pfm.shape[1])
        probabilities: np.ndarray = np.divide(counted, totals, out=even, where=totals > 0)
        return probabilities

    @property
    def first(self) -> int:
        """The first place that tells something."""
        return self.start + int(self.part.start)

    @property
    def last(self) -> int:
        """The place after the last that tells something."""
        return self.start + int(self.part.stop)


@dataclass(frozen=True)
class Alignment:
    """How well two groups agree, and the place of the one that is place 0 of the other."""

    score: float
    first: int
    reverse: bool


@dataclass(frozen=True, eq=False)
class Counting:
    """How sites are counted.

    Args:
        tokens: all sequences.
        num_symbols: of the vocabulary.
        complements: the id of each id on the other strand; None where there is one strand.
        trim_bits: a motif ends at the outermost places that tell at least so much.
    """

    tokens: UInt8[np.ndarray, "sequences time"]
    num_symbols: int
    complements: Int[np.ndarray, " ids"] | None
    trim_bits: float

    @property
    def turn(self) -> list[int] | None:
        """Of each symbol, the number of its complement; None where there is one strand."""
        return None if self.complements is None else [int(i) - 1 for i in self.complements[1:]]

    def group(self, members: Sequence[Member], sites: Sites) -> Group:
        """The group of these members, counted from its sites; the weaker of two is left out."""
        ends = [(m.first - m.width + 1, m.first + 1) for m in members if m.reverse]
        ends += [(m.first, m.first + m.width) for m in members if not m.reverse]
        start = min(low for low, _ in ends) - FLANK
        stop = max(high for _, high in ends) + FLANK
        pfm, part = self._counted(sites, start, stop)
        if part.stop > part.start:
            sites = without_weaker(sites, start + part.start, start + part.stop)
            pfm, part = self._counted(sites, start, stop)
        return Group(tuple(members), sites, start, pfm, part)

    def _counted(
        self, sites: Sites, start: int, stop: int
    ) -> tuple[Float[np.ndarray, "places symbols"], slice]:
        pfm = counts(sites, self.tokens, start, stop, self.num_symbols, self.complements)
        totals = pfm.sum(axis=1, keepdims=True)
        even = np.full_like(pfm, 1 / self.num_symbols)
        ppm = np.divide(pfm, totals, out=even, where=totals > 0)
        return pfm, significant_part(ppm, self.trim_bits)

    def merged(self, one: Group, other: Group, how: Alignment) -> Group:
        """Both as one, in the places of the first."""
        members = [_moved(member, how) for member in other.members]
        sites = joined([one.sites, other.sites.placed(how.first, how.reverse)])
        return self.group((*one.members, *members), sites)

    def turned(self, group: Group) -> Group:
        """The same motif, as the other strand reads it."""
        how = Alignment(1.0, group.first + group.last - 1, reverse=True)
        members = [_moved(member, how) for member in group.members]
        return self.group(members, group.sites.placed(how.first, how.reverse))


def _moved(member: Member, how: Alignment) -> Member:
    if how.reverse:
        return replace(member, first=how.first - member.first, reverse=not member.reverse)
    return replace(member, first=how.first + member.first)


def grouped(groups: Sequence[Group], counting: Counting) -> list[Group]:
    """Merge the two groups that agree best, until no two do."""
    found: list[Group | None] = list(groups)
    agreement = {
        (i, j): how
        for i in range(len(found))
        for j in range(i + 1, len(found))
        if (how := aligned(groups[i], groups[j], counting)) is not None
    }
    while agreement:
        i, j = max(agreement, key=lambda pair: agreement[pair].score)
        one, other = found[i], found[j]
        assert one is not None and other is not None
        found[i], found[j] = counting.merged(one, other, agreement[i, j]), None
        agreement = {pair: how for pair, how in agreement.items() if not {i, j} & {*pair}}
        agreement |= _agreeing(found, i, counting)
    return [group for group in found if group is not None]


def _agreeing(
    groups: Sequence[Group | None], new: int, counting: Counting
) -> dict[tuple[int, int], Alignment]:
    """How a new group agrees with each of the others."""
    found = {}
    for index, other in enumerate(groups):
        if other is None or index == new:
            continue
        pair = (min(index, new), max(index, new))
        one, two = groups[pair[0]], groups[pair[1]]
        assert one is not None and two is not None
        how = aligned(one, two, counting)
        if how is not None:
            found[pair] = how
    return found


def aligned(one: Group, other: Group, counting: Counting) -> Alignment | None:
    """How two groups lie on each other; None if they do not agree.

    The distance of their sites is preferred to the best place of their matrices.
    """
    if one.first == one.last or other.first == other.last:
        return None
    by_sites = _by_sites(one, other)
    by_matrix = by_matrices(one.ppm, other.ppm, counting.turn)
    if by_sites is not None:
        score = max(by_sites.score, by_matrix.score if by_matrix is not None else 0.0)
        return replace(by_sites, score=score)
    if by_matrix is None:
        return None
    return in_places(by_matrix, one, other)


def in_places(found: Alignment, one: Group, other: Group) -> Alignment:
    """An alignment of the matrices of two groups, in the places of the groups."""
    if found.reverse:  # place i of the one lies on place `first - i` of the other
        return replace(found, first=found.first + one.first + other.first)
    return replace(found, first=found.first + one.first - other.first)


def by_matrices(
    one: Float[np.ndarray, "places symbols"],
    other: Float[np.ndarray, "columns symbols"],
    turn: Sequence[int] | None,
    min_correlation: float = MIN_CORRELATION,
) -> Alignment | None:
    """The best place of a matrix on another; None where none is good enough.

    The correlation is the cosine of shared places, each less its mean: places that tell more weigh
    more.

    Args:
        one: probabilities.
        other: the same of another motif.
        turn: of each symbol, the number of its complement; None where there is one strand.
        min_correlation: that is good enough.
    """
    best: Alignment | None = None
    a = one - one.mean(axis=1, keepdims=True)
    for reverse in (False, True) if turn is not None else (False,):
        b = other - other.mean(axis=1, keepdims=True)
        if reverse:
            b = b[::-1][:, turn]
        smaller = min((a * a).sum(), (b * b).sum())
        for offset in range(1 - len(b), len(a)):
            low, high = max(0, offset), min(len(a), offset + len(b))
            shared_a, shared_b = a[low:high], b[low - offset : high - offset]
            told = (shared_a**2).sum(), (shared_b**2).sum()
            # a certain letter of four, less its mean, has a norm of 0.75
            is_enough = min(told) >= max(0.75 * MIN_TOLD, MIN_SHARED * smaller)
            correlation = (shared_a * shared_b).sum() / np.sqrt(told[0] * told[1] or 1.0)
            if is_enough and correlation > max(min_correlation, best.score if best else 0.0):
                first = offset + len(b) - 1 if reverse else offset
                best = Alignment(float(correlation), first, reverse)
    return best


def _by_sites(one: Group, other: Group) -> Alignment | None:
    """The distance at which most sites of the smaller group lie on sites of the other."""
    fewest = min(len(one.sites), len(other.sites))
    if fewest < MIN_SITES:
        return None
    reach = max(one.last - one.first, other.last - other.first)
    left, right = _near(one.sites, other.sites, reach + max(abs(one.first), abs(other.first)) + 1)
    away = (other.sites.anchors[right] - one.sites.anchors[left]) * one.sites.directions[left]
    is_turned = one.sites.directions[left] != other.sites.directions[right]
    best: Alignment | None = None
    for reverse in (False, True):
        places, times = np.unique(away[is_turned == reverse], return_counts=True)
        for place in np.argsort(-times)[:1]:
            share, first = float(times[place] / fewest), int(places[place])
            overlap = _overlap(one, other, first, reverse)
            is_most = best is None or share > best.score
            if share >= MIN_TOGETHER and overlap and is_most and times[place] >= MIN_SITES:
                best = Alignment(share, first, reverse)
    return best


def _overlap(one: Group, other: Group, first: int, reverse: bool) -> bool:
    """Whether half of the narrower motif lies on the other one."""
    begin, end = first + other.first, first + other.last
    if reverse:
        begin, end = first - other.last + 1, first - other.first + 1
    shared = min(one.last, end) - max(one.first, begin)
    return 2 * shared >= min(one.last - one.first, end - begin)


def _near(
    one: Sites, other: Sites, reach: int
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Pairs of sites of one sequence whose anchors are at most so far apart."""
    stride = int(max(one.anchors.max(), other.anchors.max())) + 4 * reach + 1
    keys = one.rows.astype(np.int64) * stride + one.anchors
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    wanted = other.rows.astype(np.int64) * stride + other.anchors
    begins = np.searchsorted(keys, wanted - reach)
    ends = np.searchsorted(keys, wanted + reach, side="right")
    sizes = ends - begins
    right = np.repeat(np.arange(len(other)), sizes)
    within = np.arange(len(right)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[np.repeat(begins, sizes) + within], right


def told(group: Group) -> float:
    """Bits that a motif tells."""
    return float(information(group.ppm).sum())
