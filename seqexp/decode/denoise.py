"""Decodes clusters of reads by a learned error model: the candidate that makes the reads likeliest.

Candidates come from a pair hidden Markov model of three rates, whose exact gains of single edits
are cheap; the learned model, which knows more and costs more, chooses among them. The winner's own
neighbours are then candidates too, until none wins. Where reads are few, the learned model also
says which neighbours to try.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

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

Proposals = Annotated[int, Interval(ge=0, le=1000)]


@runtime_checkable
class Judge(Protocol):
    """The learned model, of some clusters."""

    def __call__(self, candidates: Sequence[Sequence[str]], /) -> Sequence[Sequence[float]]:
        """Log-likelihood of all reads of each cluster given each of its candidates, nats."""
        ...

    def gains(self, drafts: Mapping[int, str], /) -> Mapping[int, Gains]:
        """What single edits of a draft of some of the clusters would gain, about."""
        ...


Score = Callable[[Sequence[Sequence[str]]], Judge]
"""The judge of some clusters, by their reads."""

EXPANSIONS, AGAIN = 10, 5
"""Candidates that are expanded at first, and around each winner."""

MARGIN = 12
"""Cells on either side of the alignments by which candidates are found."""

FEW = 4
"""Reads of a cluster for which the learned model proposes neighbours. With five, on validation
clusters of real reads, that found one better sequence in 160, in twice the time."""

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
        proposals: neighbours of the winner that the learned model itself proposes each time, for
            clusters of at most four reads.
    """

    num_reads: NumReads = field(default_factory=lambda: [3, 5, 10])
    length: Count | None = None
    candidates: Candidates = 20
    rounds: Rounds = 4
    proposals: Proposals = 40


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
        _propose(pools, going, judge)
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


def _propose(pools: Sequence["_Pool"], going: Sequence["_Pool"], judge: Judge) -> None:
    """Have the learned model propose neighbours of the winners of clusters of few reads."""
    drafts = {
        index: pool.winner()
        for index, pool in enumerate(pools)
        if pool in going and len(pool.reads) <= FEW and pool.settings.proposals
    }
    for index, found in judge.gains(drafts).items():
        pools[index].propose(found)


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
        self.proposed: list[str] = []

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
        edits = [edit for edit in self._edits(found, width, least) if edit[1] > least]
        for changes, gain in sorted(edits, key=lambda edit: -edit[1])[:width]:
            draft = apply(found.draft, changes)
            if draft and draft not in self.guessed:
                self.guessed[draft] = found.score + gain

    def propose(self, found: Gains) -> None:
        """The best neighbours by the learned model, which it then scores as they are."""
        count = self.settings.proposals
        edits = sorted(self._edits(found, count), key=lambda edit: -edit[1])[:count]
        drafts = (apply(found.draft, changes) for changes, _ in edits)
        self.proposed = [draft for draft in drafts if draft]

    def _edits(
        self, found: Gains, width: int, least: float = -math.inf
    ) -> list[tuple[list[Edit], float]]:
        """Single edits, or pairs that keep the length, and the sum of their gains.

        Of pairs only those that gain more than the least.
        """
        if self.settings.length is None:
            return [([edit], gain) for edit, gain in _best(found, width)]
        edits = [([edit], gain) for edit, gain in _best(found, width, SUBSTITUTE)]
        added, removed = _best(found, 6, INSERT), _best(found, 6, DELETE)
        for (one, gain), (other, more) in itertools.product(added, removed):
            if gain + more > least and abs(one.place - other.place) >= APART:
                edits.append(([one, other], gain + more))
        return edits

    def new(self) -> list[str]:
        """The best candidates that the learned model has not seen, and what it has proposed."""
        best = sorted(self.guessed, key=lambda one: -self.guessed[one])
        wanted = dict.fromkeys([*best[: self.settings.candidates], *self.proposed])
        self.proposed = []
        return [one for one in wanted if one not in self.judged]

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
