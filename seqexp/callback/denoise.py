"""Decodes test clusters by the learned error model, beside what one would do without it."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Cluster
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.table import Decoded, channel_of, consensus, scored
from seqexp.decode.denoise import Denoise, denoise
from seqexp.spec import Output

log = logging.getLogger("seqexp")

TOGETHER = 50
"""Clusters that are decoded in one batch."""


class Denoised(Callback):
    """Decodes the first reads of each test cluster, for each number of `decode.num_reads`.

    Does nothing for other models, and where `decode` is something else.

    Args:
        decoder: how to decode.
        run: whose model knows how reads err.
    """

    def __init__(self, decoder: object, run: Observed) -> None:
        fits = isinstance(decoder, Denoise) and run.data.spec.output is Output.READ_ERRORS
        self.settings = decoder if fits else None
        self.run, self.tracker = run, run.tracker

    def at_end(self, result: Result) -> None:
        """Decode by all methods; log the metrics of the learned model, and a table of all."""
        settings = self.settings
        if not isinstance(settings, Denoise):
            return
        model: Any = self.run.training.model
        model.eval()
        rows: list[dict[str, Any]] = []
        for count in settings.num_reads:
            clusters = first_reads(self.run.data.clusters, count)
            if not clusters:
                log.info(f"no test cluster has {count} reads")
                continue
            channel = channel_of(clusters)  # by no more reads than are decoded
            found = list(consensus(clusters, channel, settings.length))
            found.append(_denoised(clusters, channel, model, settings))
            rows += [{"num_reads": count, "clusters": len(clusters), **one.row()} for one in found]
            self._log(count, found[-1])
        self.tracker.table(rows, "reads/methods.json")
        say(rows)

    def _log(self, count: int, decoded: Decoded) -> None:
        if decoded.score is None:
            return
        metrics = decoded.score.metrics()
        self.run.log({f"{name}_n{count}": value for name, value in metrics.items()}, 0)


def first_reads(clusters: Sequence[Cluster], count: int) -> list[Cluster]:
    """The first reads of each cluster that has so many."""
    return [
        Cluster(cluster.reads[:count], cluster.truth)
        for cluster in clusters
        if len(cluster.reads) >= count
    ]


def _denoised(
    clusters: Sequence[Cluster], channel: Channel, model: Any, settings: Denoise
) -> Decoded:
    began = time.process_time()
    sequences: list[str] = []
    for start in range(0, len(clusters), TOGETHER):
        reads = [cluster.reads for cluster in clusters[start : start + TOGETHER]]
        found = denoise(reads, channel, model.scores, settings)
        sequences += [one.sequence for one in found]
    name = "denoise" if settings.length is None else f"denoise, length {settings.length}"
    return scored(name, sequences, clusters, time.process_time() - began)


def say(rows: Sequence[dict[str, Any]]) -> None:
    """The table, a line a method."""
    log.info(f"\n  {'reads':>5}  {'method':<24} {'exact':>15}  edit distance  ms a cluster")
    for row in rows:
        exact, error = row.get("exact"), row.get("exact_standard_error")
        value = "-" if exact is None else f"{exact:.3f}"
        value += "" if error is None else f" ± {error:.3f}"
        distance = row.get("edit_distance")
        told = "-" if distance is None else f"{distance:.3f}"
        log.info(
            f"  {row['num_reads']:>5}  {row['method']:<24} {value:>15}  {told:>13}"
            f"  {row['milliseconds']:12.1f}"
        )
