"""Reads of the other strand: recognised by alignment, and turned."""

from collections.abc import Sequence
from dataclasses import replace

import edlib

from seqexp.data import Cluster
from seqexp.formats.dna import reverse_complement

_NEAR = 0.3
"""Errors a letter up to which a read is surely of the strand that it was compared with."""

_FAR = 0.4
"""Errors a letter above which a read is of neither: unrelated sequences have 0.5."""

_MARGIN = 0.15
"""Errors a letter that turning must save."""

_FEWEST = 6
"""Errors that it must save at least, so that short reads are not turned by chance."""

_SHORTEST = 20
"""Letters of a read that can be said to be unlike another."""

_CANDIDATES = 9
"""Reads, those nearest to the middle length, of which one is what the others are compared with."""


def on_one_strand(clusters: Sequence[Cluster]) -> tuple[tuple[Cluster, ...], list[str]]:
    """All reads of a cluster on one strand, and notes on what was done.

    The strand is that of the true sequence; where none is known, of most reads.
    """
    found = [_on_one_strand(cluster) for cluster in clusters]
    turned = sum(count for _, count, _ in found)
    unlike = sum(count for _, _, count in found)
    total = sum(len(cluster.reads) for cluster in clusters)
    notes = []
    if turned:
        notes.append(f"{turned:,} of {total:,} reads were of the other strand, and are turned")
    if unlike:
        notes.append(
            f"{unlike:,} of {total:,} reads are like neither strand of their cluster: more than"
            f" {_FAR:.0%} of their letters differ"
        )
    return tuple(cluster for cluster, _, _ in found), notes


def like_their_sequence(cluster: Cluster) -> list[str]:
    """The reads that are copies of the true sequence, rather than chopped or alien ones."""
    truth = cluster.truth or ""
    return [
        read
        for read in cluster.reads
        if read and _errors(read, truth) <= _FAR * min(len(read), len(truth))
    ]


def _on_one_strand(cluster: Cluster) -> tuple[Cluster, int, int]:
    """The cluster, how many reads were turned, and how many are like neither strand."""
    reads = cluster.reads
    middle = sorted(reads, key=len)[len(reads) // 2] if cluster.truth is None else cluster.truth
    if all(_errors(read, middle) <= _NEAR * min(len(read), len(middle)) for read in reads):
        return cluster, 0, 0
    other = middle if cluster.truth is not None else _most_like_all(reads)
    turns, unlike = [], 0
    for read in reads:
        length = min(len(read), len(other))
        as_it_is, as_turned = (_errors(form, other) for form in (read, reverse_complement(read)))
        saved = as_it_is - as_turned
        turns.append(as_turned <= _FAR * length and saved >= max(_FEWEST, _MARGIN * length))
        unlike += length >= _SHORTEST and min(as_it_is, as_turned) > _FAR * length
    if cluster.truth is None and 2 * sum(turns) > len(reads):
        turns = [not is_turned for is_turned in turns]
    kept = tuple(
        reverse_complement(read) if is_turned else read
        for read, is_turned in zip(reads, turns, strict=True)
    )
    return replace(cluster, reads=kept), sum(turns), unlike


def _most_like_all(reads: Sequence[str]) -> str:
    """Of some reads of middle length, the one with the fewest errors to the others' strands."""
    by_length = sorted(reads, key=len)
    start = max(0, (len(reads) - _CANDIDATES) // 2)
    candidates = by_length[start : start + _CANDIDATES]
    forms = [(read, reverse_complement(read)) for read in candidates]
    sums = [
        sum(min(_errors(form, candidate) for form in both) for both in forms)
        for candidate in candidates
    ]
    return candidates[sums.index(min(sums))]


def _errors(one: str, other: str) -> float:
    """Edit distance, of a much shorter one to the part of the other that is most like it.

    Half of the letters where it is larger than that of reads.
    """
    short, long = sorted((one, other), key=len)
    limit = int(0.45 * len(short)) + 1
    mode = "HW" if len(short) < 0.8 * len(long) else "NW"
    distance: int = edlib.align(short, long, mode=mode, task="distance", k=limit)["editDistance"]
    return float(distance if distance >= 0 else max(len(short) / 2, limit))
