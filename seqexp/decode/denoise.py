"""Decodes clusters of reads by a learned error model: the candidate that makes the reads likeliest.

Candidates come from a pair hidden Markov model of three rates, whose exact gains of single edits
are cheap; the learned model, which knows more and costs more, chooses among them. The winner's own
neighbours are then candidates too, until none wins.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Interval, Len

from seqexp.decode.consensus.edits import (
    DELETE,
    INSERT,
    PER_BASE,
    SUBSTITUTE,
    Edit,
    Gains,
    apply,
    gains,
)
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.reliability import certainties, same_letters
from seqexp.decode.consensus.typical import typical
from seqexp.decode.polish import polish_all
from seqexp.ranges import Count

Candidates = Annotated[int, Interval(ge=1, le=1000)]
Rounds = Annotated[int, Interval(ge=1, le=100)]
NumReads = Annotated[list[Count], Len(1, 20)]

Judge = Callable[[Sequence[Sequence[str]]], Sequence[Sequence[float]]]
"""Log-likelihood of all reads of each cluster given each of some candidates of it, nats."""

Score = Callable[[Sequence[Sequence[str]]], Judge]
"""The judge of some clusters, by their reads."""

EXPANSIONS, AGAIN = 10, 5
"""Candidates that are expanded at first, and around each winner."""

MARGIN = 12
"""Cells on either side of the alignments by which candidates are found."""

APART = 3
"""Bases between the two edits of a pair that keeps the length; nearer ones are one edit."""


@dataclass(frozen=True)
class Denoise:
    """Decode clusters of reads by the learned error model.

    Args:
        num_reads: decode the first so many reads of each test cluster, each number by itself.
        length: letters of the sequence, where that is known; None finds it too.
        candidates: sequences that the learned model chooses from at first.
        rounds: times at most that the winner's neighbours are tried.
    """

    num_reads: NumReads = field(default_factory=lambda: [3, 5, 10])
    length: Count | None = None
    candidates: Candidates = 20
    rounds: Rounds = 4


class DecodedCluster(NamedTuple):
    """A sequence, and the probability of each of its letters.

    `log_likelihood` is that of all reads, nats, by the learned model.
    """

    sequence: str
    log_likelihood: float
    certainty: tuple[float, ...]


def denoise(
    clusters: Sequence[Sequence[str]], channel: Channel, score: Score, settings: Denoise
) -> list[DecodedCluster]:
    """What each cluster's reads are copies of.

    Args:
        clusters: reads of each.
        channel: rates by which candidates are found.
        score: the learned model's.
        settings: how far to search.
    """
    kept = [typical(reads) for reads in clusters]
    drafts = [max(reads, key=lambda read: (-_middle(reads, read), read)) for reads in kept]
    channels = [channel] * len(kept)
    starts = polish_all(drafts, kept, channels, settings.length)
    pools = [_Pool(reads, settings, start) for reads, start in zip(kept, starts, strict=True)]
    judge = score(kept)
    _expand(pools, channel, EXPANSIONS)
    _judge(pools, pools, judge)
    going = pools
    for _ in range(settings.rounds):
        before = [pool.winner() for pool in going]
        _expand(going, channel, AGAIN, around_winner=True)
        _judge(pools, going, judge)
        going = [pool for pool, old in zip(going, before, strict=True) if pool.winner() != old]
        if not going:
            break
    return [pool.decoded() for pool in pools]


def _middle(reads: Sequence[str], read: str) -> int:
    """How far a read's length is from the middle one."""
    lengths = sorted(map(len, reads))
    return abs(len(read) - lengths[len(lengths) // 2])


def _expand(
    pools: Sequence["_Pool"], channel: Channel, times: int, around_winner: bool = False
) -> None:
    """Add the neighbours of the best candidates that have none yet, of all pools together."""
    for index in range(times):
        chosen = [(pool, pool.next(around_winner and not index)) for pool in pools]
        asked = [(pool, draft) for pool, draft in chosen if draft is not None]
        if not asked:
            return
        drafts, reads = [draft for _, draft in asked], [pool.reads for pool, _ in asked]
        found = gains(drafts, reads, [channel] * len(asked), MARGIN)
        for (pool, _), one in zip(asked, found, strict=True):
            pool.take(one)


def _judge(pools: Sequence["_Pool"], going: Sequence["_Pool"], judge: Judge) -> None:
    """Have the learned model score the best new candidates of those that are going on."""
    wanted = [pool.new() if pool in going else [] for pool in pools]
    for pool, names, values in zip(pools, wanted, judge(wanted), strict=True):
        pool.hear(names, values)


class _Pool:
    """Candidates of one cluster: what the rates say of each, and what the learned model says."""

    def __init__(self, reads: Sequence[str], settings: Denoise, start: Gains) -> None:
        self.reads, self.settings = reads, settings
        self.guessed = {start.draft: start.score}
        self.judged: dict[str, float] = {}
        self.expanded: dict[str, Gains] = {}

    def next(self, winner: bool) -> str | None:
        """The best candidate whose neighbours are not known; or the winner, if they are not."""
        if winner and self.judged and self.winner() not in self.expanded:
            return self.winner()
        open_ones = [one for one in self.guessed if one not in self.expanded]
        return max(open_ones, key=self.guessed.__getitem__, default=None)

    def take(self, found: Gains) -> None:
        """Neighbours, by the exact gain of an edit, or the sum of two that keep the length."""
        self.expanded[found.draft] = found
        self.guessed[found.draft] = found.score
        width = self.settings.candidates
        best = heapq.nlargest(width, self.guessed.values())
        least = best[-1] - found.score if len(best) == width else -math.inf  # others are not asked
        edits: list[tuple[list[Edit], float]]
        if self.settings.length is None:
            edits = [([edit], gain) for edit, gain in _best(found, width)]
        else:
            edits = [([edit], gain) for edit, gain in _best(found, width, SUBSTITUTE)]
            added, removed = _best(found, 6, INSERT), _best(found, 6, DELETE)
            for (one, gain), (other, more) in itertools.product(added, removed):
                if gain + more > least and abs(one.place - other.place) >= APART:
                    edits.append(([one, other], gain + more))
        better = [edit for edit in edits if edit[1] > least]
        for changes, gain in sorted(better, key=lambda edit: -edit[1])[:width]:
            draft = apply(found.draft, changes)
            if draft and draft not in self.guessed:
                self.guessed[draft] = found.score + gain

    def new(self) -> list[str]:
        """The best candidates that the learned model has not seen."""
        best = sorted(self.guessed, key=lambda one: -self.guessed[one])
        return [one for one in best[: self.settings.candidates] if one not in self.judged]

    def hear(self, candidates: Sequence[str], values: Sequence[float]) -> None:
        """Keep what the learned model says of them."""
        for one, value in zip(candidates, values, strict=True):
            self.judged[one] = float(value) + PER_BASE * len(one)

    def winner(self) -> str:
        """The candidate that makes the reads likeliest."""
        return max(self.judged, key=self.judged.__getitem__)

    def decoded(self) -> DecodedCluster:
        """The winner, and how certain its letters are against all candidates and single edits."""
        best = self.winner()
        is_same = np.zeros((len(self.judged), len(best)), dtype=bool)
        for row, one in zip(is_same, self.judged, strict=True):
            row[same_letters(best, one)] = True
        known = self.expanded.get(best)
        certainty = certainties(
            best,
            np.array(list(self.judged.values())),
            is_same,
            None if known is None else known.table.numpy(),
            self.settings.length is not None,
        )
        return DecodedCluster(best, self.judged[best] - PER_BASE * len(best), tuple(certainty))


def _best(found: Gains, count: int, kind: int | None = None) -> list[tuple[Edit, float]]:
    """The edits that gain most, of all kinds or of one."""
    table, first = found.table, 0
    if kind is not None:
        first = kind
        table = table[:, kind : kind + (1 if kind == DELETE else 4)]
    values, places = table.flatten().topk(min(count, table.numel()))
    width = table.shape[1]
    return [
        (Edit(place // width, first + place % width), value)
        for place, value in zip(places.tolist(), values.tolist(), strict=True)
        if value > -math.inf
    ]
