"""Decodes clusters of reads of a file by a learned error model: constant memory, all cores."""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqexp.data import Cluster
from seqexp.dataset.reads.files import Rules, stream_clusters
from seqexp.dataset.reads.strands import on_one_strand
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.table import channel_of
from seqexp.decode.denoise import DecodedCluster, Denoise, denoise
from seqexp.errors import InputError
from seqexp.inference.saved_model import SavedModel
from seqexp.model.read_scores import Scores
from seqexp.utils.workers import each

TOGETHER = 25
"""Clusters that a worker decodes at a time."""

FOR_RATES = 100
"""Clusters from which the rates are estimated by which candidates are found."""

BEST_QUALITY = 60
"""Phred score of a letter that is as good as certain."""

Numbered = tuple[int, list[str]]


class Consensus(NamedTuple):
    """What the reads of a cluster are copies of; None where it has no read."""

    number: int  # of the cluster in its file, from 1
    decoded: DecodedCluster | None

    def fastq(self) -> str:
        """A record, whose qualities are the probabilities of its letters."""
        assert self.decoded is not None
        qualities = "".join(map(_quality, self.decoded.certainty))
        return f"@cluster_{self.number}\n{self.decoded.sequence}\n+\n{qualities}\n"

    def fasta(self) -> str:
        """A record."""
        assert self.decoded is not None
        return f">cluster_{self.number}\n{self.decoded.sequence}\n"


def _quality(certainty: float) -> str:
    """The letter of a Phred score. Source: Ewing & Green (1998)."""
    wrong = max(1 - certainty, 10 ** (-BEST_QUALITY / 10))
    return chr(33 + min(BEST_QUALITY, max(0, round(-10 * math.log10(wrong)))))


def decoded(
    saved: SavedModel, source: str, settings: Denoise, has_truth: bool | None, workers: int
) -> Iterator[Consensus]:
    """Each cluster of a file, in their order.

    Args:
        saved: a model of read errors.
        source: path of the file.
        settings: how far to search.
        has_truth: the first sequence of each cluster is the true one, and is not read; None: in
            clusters that blank lines divide.
        workers: processes.

    Raises:
        InputError: naming the file and the place of what is wrong.
    """
    path = Path(source)
    if not path.is_file():
        raise InputError(f"input is {source}: there is no such file; give one of clusters of reads")
    clusters = stream_clusters(path, Rules(has_truth, "skip"))
    first = list(itertools.islice(clusters, FOR_RATES))
    known = [Cluster(tuple(reads)) for _, reads in first if reads]
    if not known:
        raise InputError(f"input is {source}, whose first {FOR_RATES} clusters have no read")
    channel = channel_of(known)
    calls = (
        (saved.model, batch, channel, settings)
        for batch in _batches(itertools.chain(first, clusters))
    )
    waiting: dict[int, list[Consensus]] = {}
    next_one = 0
    if len(first) < FOR_RATES:  # a worker takes seconds to start
        workers = 1
    for index, found in each(_decode, calls, workers):
        waiting[index] = found
        while next_one in waiting:
            yield from waiting.pop(next_one)
            next_one += 1


def _batches(clusters: Iterator[Numbered]) -> Iterator[list[Numbered]]:
    while batch := list(itertools.islice(clusters, TOGETHER)):
        yield batch


def _decode(
    model: Any, clusters: Sequence[Numbered], channel: Channel, settings: Denoise
) -> list[Consensus]:
    torch.set_num_threads(1)
    with_reads, _ = on_one_strand([Cluster(tuple(reads)) for _, reads in clusters if reads])
    given = [cluster.reads for cluster in with_reads]
    found = iter(denoise(given, channel, partial(Scores, model), settings))
    return [Consensus(number, next(found) if reads else None) for number, reads in clusters]
