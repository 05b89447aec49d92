"""One table of what each method makes of the same clusters of reads."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from seqexp.data import Cluster
from seqexp.decode.consensus.baselines import Consensus, medoid, yardsticks
from seqexp.decode.consensus.error_rates import estimate_shared_channel
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.score import ReadScore, score
from seqexp.decode.consensus.typical import typical
from seqexp.decode.polish import polish_all

_FOR_RATES = 100
"""Clusters that are enough to estimate error rates from."""

_FIRST_GUESS = Channel.of_rates(0.02, 0.02, 0.02, tail=0.02)
"""Of a channel, for a first polish."""

_TOGETHER = 50
"""Clusters that are polished in one batch."""


log = logging.getLogger("seqexp")


@dataclass(frozen=True)
class Decoded:
    """What a method wrote for each cluster, at what CPU time.

    `score` is over the clusters whose true sequence is known; None where there are none.
    """

    method: str
    sequences: tuple[str, ...]
    score: ReadScore | None
    milliseconds: float  # for each cluster

    def named(self, method: str) -> "Decoded":
        """The same under another name."""
        return replace(self, method=method)

    def row(self) -> dict[str, str | float | None]:
        """One line of the table."""
        if self.score is None:
            return {"method": self.method, "milliseconds": self.milliseconds}
        return self.score.row(self.method, self.milliseconds)


def consensus(
    clusters: Sequence[Cluster], channel: Channel, length: int | None = None
) -> Iterator[Decoded]:
    """The yardsticks that are installed, and the polish without and with the length, if known."""
    methods, _ = yardsticks()
    for name, method in methods.items():
        yield decoded_by(name, clusters, partial(_one_by_one, method))
    yield decoded_by("polish", clusters, partial(polish_medoids, channel=channel))
    if length is not None:
        polish = partial(polish_medoids, channel=channel, length=length)
        yield decoded_by(f"polish, length {length}", clusters, polish)


def decoded_by(
    method: str,
    clusters: Sequence[Cluster],
    decode: Callable[[Sequence[Sequence[str]]], list[str]],
) -> Decoded:
    """Decode all clusters by a function of their reads, and score what it writes."""
    began = time.process_time()
    sequences = decode([cluster.reads for cluster in clusters])
    return scored(method, sequences, clusters, time.process_time() - began)


def scored(
    method: str, sequences: Sequence[str], clusters: Sequence[Cluster], seconds: float
) -> Decoded:
    """What a method wrote for each cluster, in so many seconds for all."""
    known = [
        (sequence, cluster.truth)
        for sequence, cluster in zip(sequences, clusters, strict=True)
        if cluster.truth is not None
    ]
    found = score(*zip(*known, strict=True)) if known else None
    return Decoded(method, tuple(sequences), found, seconds / len(clusters) * 1000)


def channel_of(clusters: Sequence[Cluster], by_letter: bool = False) -> Channel:
    """The channel's rates, from the reads and a first polish of them; no truth is looked at.

    Says how many reads of all clusters the rates and the polish leave out.
    """
    total = sum(len(cluster.reads) for cluster in clusters)
    foreign = total - sum(len(typical(cluster.reads)) for cluster in clusters)
    if foreign:
        log.warning(
            f"  {foreign:,} of {total:,} reads have a length foreign to their cluster: error rates"
            " and polish leave them out"
        )
    reads = [cluster.reads for cluster in clusters[:_FOR_RATES]]
    drafts = polish_medoids(reads, _FIRST_GUESS)
    return estimate_shared_channel(reads, drafts, by_letter=by_letter)


def polished(clusters: Sequence[Sequence[str]]) -> list[str]:
    """Each cluster's medoid, polished by rates that are estimated from the reads themselves."""
    channel = channel_of([Cluster(tuple(reads)) for reads in clusters])
    return polish_medoids(clusters, channel)


def _one_by_one(method: Consensus, clusters: Sequence[Sequence[str]]) -> list[str]:
    return [method(reads) for reads in clusters]


def polish_medoids(
    clusters: Sequence[Sequence[str]], channel: Channel, length: int | None = None
) -> list[str]:
    """Each cluster's medoid, polished."""
    found: list[str] = []
    for start in range(0, len(clusters), _TOGETHER):
        part = clusters[start : start + _TOGETHER]
        drafts = [medoid(reads) for reads in part]
        results = polish_all(drafts, part, [channel] * len(part), length)
        found += [result.draft for result in results]
    return found
