"""Decodes test clusters by the learned error model, beside what one would do without it; and says
what the model has learned of the reads.
"""

import copy
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Cluster, Sequences
from seqexp.decode.consensus.baselines import yardsticks
from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood_of_pairs
from seqexp.decode.consensus.reliability import Bin, calibration_error, reliability
from seqexp.decode.consensus.table import Decoded, channel_of, consensus, scored
from seqexp.decode.denoise import DecodedCluster, Denoise, denoise
from seqexp.formats.dna import LETTERS
from seqexp.model.read_errors import turned
from seqexp.model.read_scores import Scores, ids
from seqexp.seeding import UniformSource, stream_seed
from seqexp.spec import Output
from seqexp.utils.phases import DRAWING, INTERPRETING, phase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seqexp.interpret.reads.learned import Told

log = logging.getLogger("seqexp")

TOGETHER = 50
"""Clusters that are decoded in one batch."""

READS, READS_TOGETHER = 1000, 100
"""Test reads whose errors are compared with those that the model writes; so many in one batch."""

INSTALL = "pip install 'seqexp[reads]'"


class Denoised(Callback):
    """Decodes the first reads of each test cluster, for each number of `decode.num_reads`.

    Does nothing for other models, and where `decode` is something else.

    Args:
        decoder: how to decode.
        run: whose model knows how reads err.
        channel: what the reads are simulated by; None where that is not known.
    """

    doing = ("decoding clusters of reads", INTERPRETING)

    def __init__(self, decoder: object, run: Observed, channel: Channel | None) -> None:
        fits = isinstance(decoder, Denoise) and run.data.spec.output is Output.READ_ERRORS
        self.settings = decoder if fits else None
        self.run, self.tracker, self.channel = run, run.tracker, channel
        self.figures: dict[str, Figure] = {}
        self.rows: list[dict[str, Any]] = []
        is_kind = run.data.spec.output is Output.READ_ERRORS
        self.is_other = is_kind and decoder is not None and self.settings is None

    def before(self) -> None:
        """Say that nothing is decoded, where `decode` is for other data."""
        if self.is_other:
            log.info("  clusters are not decoded: decode=denoise does that, by the learned errors")

    @torch.no_grad()
    def at_end(self, result: Result) -> None:
        """Decode by all methods; log the metrics of the learned model, and a table of all."""
        settings = self.settings
        if not isinstance(settings, Denoise):
            return
        # decoding is a search by many small sums: on the CPU whatever the model was trained on
        trained: Any = self.run.training.model
        model = copy.deepcopy(trained).cpu().eval()
        rows = self.rows = []
        bins: dict[int, list[Bin]] = {}
        for count in settings.num_reads:
            clusters = first_reads(self.run.data.clusters, count)
            if not clusters:
                log.info(f"no test cluster has {count} reads")
                continue
            channel = channel_of(clusters)  # by no more reads than are decoded
            what = f"{len(clusters):,} clusters of {count} reads"
            with phase(f"decoding {what} by methods without a network"):
                found = list(consensus(clusters, channel, settings.length))
                found += self._by_known_rates(clusters, settings.length)
            with phase(f"decoding {what} by the learned errors"):
                sequences, decoded = _denoised(clusters, channel, model, settings)
            rows += _rows(count, clusters, [*found, decoded])
            known = [
                (one.sequence, one.certainty, cluster.truth)
                for one, cluster in zip(sequences, clusters, strict=True)
                if cluster.truth is not None
            ]
            bins[count] = reliability(known) if known else []
            self._log(count, decoded, bins[count])
        self.tracker.table(rows, "reads/methods.json")
        say(rows)
        with phase("drawing how reads err", DRAWING):
            self._keep_reliability(bins)
            self._keep_learned(model)
            self._keep_true_channel()

    def _by_known_rates(self, clusters: Sequence[Cluster], length: int | None) -> list[Decoded]:
        """The polish that is told what the reads are simulated by, which is hard to beat."""
        if self.channel is None:
            return []
        found = [one for one in consensus(clusters, self.channel, length) if "polish" in one.method]
        return [one.named(one.method.replace("polish", "polish, rates known")) for one in found]

    def _log(self, count: int, decoded: Decoded, bins: Sequence[Bin]) -> None:
        if decoded.score is None:
            return
        metrics = {**decoded.score.metrics(), "reads/ece": calibration_error(bins)}
        self.run.log({f"{name}_n{count}": value for name, value in metrics.items()}, 0)

    def _keep_reliability(self, by_number: dict[int, list[Bin]]) -> None:
        """How often letters that are so and so certain are right, as a table and a figure."""
        known = {count: bins for count, bins in by_number.items() if bins}
        if not known:
            return
        rows = [{"num_reads": n, **one._asdict()} for n, bins in known.items() for one in bins]
        self.tracker.table(rows, "reads/reliability.json")
        if self.tracker.keeps:
            from seqexp.interpret.reads.learned_figure import reliability_figure

            self._keep_figure("reliability", reliability_figure(known))

    def _keep_learned(self, model: Any) -> None:
        """How the test's reads err, and reads that the model writes of the same sequences."""
        test = self.run.data.test
        if not self.tracker.keeps or not len(test):
            return
        from seqexp.interpret.reads.learned import learned
        from seqexp.interpret.reads.learned_figure import learned_figure

        reads, written = compared(model, test)
        found = learned(reads, written)
        self.tracker.table(found.table(), "reads/learned.json")
        self._keep_figure("learned", learned_figure(found))

    def _keep_figure(self, name: str, figure: "Figure") -> None:
        self.tracker.figure(figure, f"reads/{name}.png")
        self.figures[name] = figure

    def _keep_true_channel(self) -> None:
        """Nats a test read by what the reads are simulated by: no model can be expected below."""
        test = self.run.data.test
        if self.channel is None or not len(test):
            return
        assert test.context is not None
        sequences, reads = texts(test.tokens), texts(test.context)
        nats = -float(log_likelihood_of_pairs(sequences, reads, self.channel).mean())
        self.run.log({"baseline/channel_loss_nats": nats}, 0)
        log.info(f"  the channel that the reads are simulated by: {nats:.3f} nats a test read")


def texts(ids: torch.Tensor) -> list[str]:
    """Letters of ids 1 to 4, without the padding."""
    signs = " " + "".join(LETTERS)
    return ["".join(signs[one] for one in row if one) for row in ids.tolist()]


def compared(model: Any, test: Sequences) -> tuple[list["Told"], list["Told"]]:
    """Reads of the test, spread over it, and as many that the model writes of their sequences.

    Each on the strand, and with the quality, that the model finds most probable for it.
    """
    from seqexp.interpret.reads.learned import Chances, written

    step = max(1, len(test) // READS)
    rows = torch.arange(0, len(test), step)[:READS]
    assert test.context is not None
    context = test.context if test.context_rows is None else test.context[test.context_rows]
    uniform = UniformSource(stream_seed(0, "reads that the model writes"))
    shares = model.log_shares().softmax(0).repeat(model.strands)
    found: tuple[list[Told], list[Told]] = ([], [])
    for start in range(0, len(rows), READS_TOGETHER):
        chosen = rows[start : start + READS_TOGETHER]
        tokens, reads = test.tokens[chosen].long(), context[chosen].long()
        edges = shares.cumsum(0) / shares.sum()
        cause = torch.searchsorted(edges, torch.from_numpy(uniform(len(chosen)))).clamp(
            max=len(shares) - 1
        )
        is_turned, quality = cause >= model.qualities, cause % model.qualities
        sequences = torch.where(is_turned[:, None], turned(tokens), tokens)
        rates = model.rates(sequences)
        row = torch.arange(len(chosen)) * model.qualities + quality
        names = ("emission", "insertion", "deletion", "stay")
        arrays = {name: getattr(rates, name)[row].numpy() for name in names}
        size = (sequences > 0).sum(dim=1).numpy()
        made = written(Chances(base=(sequences - 1).numpy(), num_bases=size, **arrays), uniform)
        made_ids = ids(made)
        back = torch.where(is_turned[:, None], turned(made_ids), made_ids)
        for own, target in zip((reads, back), found, strict=True):
            target += _told(model, tokens, own)
    return found


def _told(model: Any, tokens: torch.Tensor, reads: torch.Tensor) -> list["Told"]:
    from seqexp.interpret.reads.learned import Told

    by_cause = model.by_cause(tokens, reads, torch.arange(len(tokens)))
    cause = by_cause.flatten(1).argmax(dim=1)
    is_turned, quality = cause >= model.qualities, cause % model.qualities
    forms = [texts(torch.where(is_turned[:, None], turned(one), one)) for one in (tokens, reads)]
    latent = zip(*forms, is_turned.int().tolist(), quality.tolist(), strict=True)
    return [Told(*one) for one in latent if one[1]]


def first_reads(clusters: Sequence[Cluster], count: int) -> list[Cluster]:
    """The first reads of each cluster that has so many."""
    return [
        Cluster(cluster.reads[:count], cluster.truth)
        for cluster in clusters
        if len(cluster.reads) >= count
    ]


def _denoised(
    clusters: Sequence[Cluster], channel: Channel, model: Any, settings: Denoise
) -> tuple[list[DecodedCluster], Decoded]:
    began = time.process_time()
    found: list[DecodedCluster] = []
    for start in range(0, len(clusters), TOGETHER):
        reads = [cluster.reads for cluster in clusters[start : start + TOGETHER]]
        found += denoise(reads, channel, partial(Scores, model), settings)
    name = "denoise" if settings.length is None else f"denoise, length {settings.length}"
    seconds = time.process_time() - began
    return found, scored(name, [one.sequence for one in found], clusters, seconds)


def _rows(
    count: int, clusters: Sequence[Cluster], found: Sequence[Decoded]
) -> list[dict[str, Any]]:
    """A line a method; those that are not installed have one without numbers."""
    rows = [one.row() for one in found]
    missing = [dict.fromkeys(rows[0]) | {"method": name} for name in yardsticks()[1]]
    together = [
        *({**row, "note": "not installed: " + INSTALL} for row in missing),
        *({**row, "note": ""} for row in rows),
    ]
    return [{"num_reads": count, "clusters": len(clusters), **row} for row in together]


def sentences(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How many clusters are decoded exactly, a sentence for each number of reads."""
    said = []
    for count in dict.fromkeys(row["num_reads"] for row in rows):
        known = [one for one in rows if one["num_reads"] == count and one["exact"] is not None]
        own = next((one for one in known if one["method"].startswith("denoise")), None)
        others = [one for one in known if one is not own and "rates known" not in one["method"]]
        if own is None:
            continue
        sentence = (
            f"Of {own['clusters']:,} clusters of {count} reads, a share of"
            f" {_with_error(own, 'exact', 1, 3)} (standard error) is decoded without an error"
        )
        if others:
            best = max(others, key=lambda one: float(one["exact"]))
            sentence += (
                f"; by {best['method']}, the best method without a network,"
                f" {_with_error(best, 'exact', 1, 3)}"
            )
        said.append(sentence + ".")
    return said


def table_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table as a page shows it."""
    return [
        {
            "reads": row["num_reads"],
            "method": row["method"],
            "exact": _with_error(row, "exact", 1, 3),
            "errors in 100 letters": _with_error(row, "normalized_edit_distance", 100, 3),
            "CPU ms a cluster": row["note"] or f"{row['milliseconds']:.1f}",
        }
        for row in rows
    ]


def say(rows: Sequence[dict[str, Any]]) -> None:
    """The table, a line a method."""
    width = max((len(row["method"]) for row in rows), default=0)
    heads = f"  {'reads':>5}  {'method':<{width}} {'exact':>13}  {'errors in 100 letters':>21}"
    log.info(f"\n{heads}  CPU ms a cluster")
    for row in rows:
        cells = [
            _with_error(row, "exact", 1, 3),
            _with_error(row, "normalized_edit_distance", 100, 3),
        ]
        milliseconds = row["milliseconds"]
        told = f"{milliseconds:16.1f}" if milliseconds is not None else row["note"]
        log.info(
            f"  {row['num_reads']:>5}  {row['method']:<{width}} {cells[0]:>13}  {cells[1]:>21}"
            f"  {told}"
        )


def _with_error(row: dict[str, Any], name: str, times: float, digits: int) -> str:
    value, error = row.get(name), row.get(f"{name}_standard_error")
    if value is None:
        return "-"
    text = f"{times * value:.{digits}f}"
    return text if error is None else f"{text} ± {times * error:.{digits}f}"
