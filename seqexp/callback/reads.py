"""Decodes what erroneous reads are copies of, beside what one would do without a network."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from seqexp.build import Parts, begin, load
from seqexp.callback.base import Callback, Observed, closing, tell
from seqexp.callback.checkpoint import Checkpoints
from seqexp.callback.console import Console
from seqexp.callback.kernels import Kernels
from seqexp.callback.progress import shown
from seqexp.checkpoint.folder import TWIN, RunFolder
from seqexp.checkpoint.provenance import origin_of
from seqexp.checkpoint.result import Result
from seqexp.data import Cluster
from seqexp.dataset.reads.views import END, START
from seqexp.decode.base import ByNetwork, ReadsByNetwork, ReadsWithoutNetwork
from seqexp.decode.beam import Ending, beam_search
from seqexp.decode.certainty import certainties
from seqexp.decode.consensus.join import best_join
from seqexp.decode.consensus.rank import Ranked, rank
from seqexp.decode.consensus.table import Decoded, channel_of, consensus, decoded_by, scored
from seqexp.decode.window import slide
from seqexp.inference import from_run
from seqexp.spec import Model, Output
from seqexp.tracking.none import NoTracker
from seqexp.trainer.loop import fit
from seqexp.utils.phases import INTERPRETING, phase
from seqexp.utils.signals import Stop

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

MAX_FIGURES = 5
"""Clusters of which an alignment is drawn."""


class Reads(Callback):
    """Reads sequences out of a trained model; does nothing for data that are no reads.

    One network learns one sequence: of several clusters only the methods without a network tell.

    Args:
        decoder: how reads are decoded; None decodes nothing.
        run: whose model is read, of clusters of reads.
        backwards: whether the model was trained on reads written backwards.
        train_twin: trains the same model in the other direction, for `decode.both_directions`.
    """

    doing = ("decoding reads", INTERPRETING)

    def __init__(
        self,
        decoder: object,
        run: Observed,
        backwards: bool,
        train_twin: Callable[[], Model],
    ) -> None:
        by_errors = run.data.spec.output is Output.READ_ERRORS  # which decodes by itself
        is_used = bool(run.data.clusters) and not by_errors
        own = decoder if isinstance(decoder, ReadsByNetwork | ReadsWithoutNetwork) else None
        self.settings = own if is_used else None
        self.how = own.reads() if isinstance(own, ReadsByNetwork) else ByNetwork()
        self.run = run
        self.tracker, self.training, self.data = run.tracker, run.training, run.data
        self.backwards, self.train_twin = backwards, train_twin
        self.figures: dict[str, Figure] = {}

    def at_end(self, result: Result) -> None:
        """Decode by all methods; keep a table of them, the sequences and pictures.

        The metrics are those of the method that `decode` asks for.
        """
        if self.settings is None:
            return
        clusters = self.data.clusters
        self.channel = channel_of(clusters)
        found = {decoded.method: decoded for decoded in self._by_network()}
        for decoded in consensus(clusters, self.channel, self._length()):
            found[decoded.method] = decoded
        own = self.settings
        if isinstance(own, ReadsWithoutNetwork) and own.method not in found:
            found[own.method] = decoded_by(own.method, clusters, self._all_by(own))
        self._keep_table(found.values())
        wanted = found.get(self._wanted())
        if wanted is None:
            return
        self._keep_figures(wanted)
        if wanted.score is not None:
            self.run.log(wanted.score.metrics(), 0)

    # --- methods ------------------------------------------------------------------------------

    def _all_by(
        self, decoder: ReadsWithoutNetwork
    ) -> Callable[[Sequence[Sequence[str]]], list[str]]:
        return lambda clusters: [decoder.consensus(reads, self.channel) for reads in clusters]

    def _by_network(self) -> Iterator[Decoded]:
        """What the network writes, by several methods; nothing where there are several clusters."""
        clusters = self.data.clusters
        if len(clusters) > 1:
            log.info(f"one network learns one sequence, and there are {len(clusters)} clusters")
            return
        if self.data.spec.output is Output.NEXT_TOKEN:
            models = [(self.training.model, self.backwards)]
            if self.how.both_directions:
                with phase("training the same model on reads written the other way round"):
                    models.append((self.train_twin(), not self.backwards))
            methods = self._by_reads(clusters[0], models)
        else:
            methods = self._by_windows(clusters[0])
        began = time.process_time()
        for method, sequence in methods:
            yield scored(method, [sequence], clusters, time.process_time() - began)
            began = time.process_time()

    def _by_reads(
        self, cluster: Cluster, models: Sequence[tuple[Model, bool]]
    ) -> Iterator[tuple[str, str]]:
        """Greedy, the beam's best, and the likeliest of all candidates and their joins.

        Each without and, where it is known, with the length. Of each model, whether it writes
        backwards.
        """
        known = self._length()
        for length in (None,) if known is None else (None, known):
            suffix = "" if length is None else f", length {length}"
            yield "greedy" + suffix, self._candidates(*models[0], cluster, 1, length)[0]
            width = self.how.width
            if width is None:
                continue
            beams = [self._candidates(*m, cluster, width, length) for m in models]
            yield "beam" + suffix, beams[0][0]
            candidates = [candidate for beam in beams for candidate in beam]
            if len(beams) > 1:
                yield "beam from the other end" + suffix, beams[1][0]
            ranked = best_join(candidates, partial(self._ranked, cluster, length))
            yield "ranked" + suffix, ranked[0].candidate

    def _ranked(
        self, cluster: Cluster, length: int | None, candidates: Sequence[str]
    ) -> list[Ranked]:
        """The candidates of a length, or all where none has it, the likeliest first."""
        fitting = [one for one in candidates if length is None or len(one) == length]
        return rank(fitting or candidates, cluster.reads, self.channel)

    def _candidates(
        self, model: Model, backwards: bool, cluster: Cluster, width: int, length: int | None
    ) -> list[str]:
        """What a beam search from the start symbol finds, best first, from left to right."""
        vocabulary = self.data.spec.vocabulary
        start, end = vocabulary.encode([START, END])
        ending = Ending(end, length, 2 * max(map(len, cluster.reads)), self.how.length_power)
        device = self.training.device
        found = beam_search(model, [start], width, ending, device, forbidden=[start])
        texts = ["".join(vocabulary.decode(candidate.tokens)) for candidate in found]
        return [text[::-1] for text in texts] if backwards else texts

    def _by_windows(self, cluster: Cluster) -> Iterator[tuple[str, str]]:
        """From a window of start symbols; and from the first letters of the truth, which go too."""
        vocabulary, size = self.data.spec.vocabulary, self.data.spec.length or 1
        start, end = vocabulary.encode([START, END])
        most = max(map(len, cluster.reads))

        def write(window: Sequence[int]) -> str:
            ids = slide(self.training.model, window, end, most, self.training.device)
            return "".join(vocabulary.decode(ids)).replace(START, "")

        yield "greedy", write([start] * size)
        if cluster.truth is not None and len(cluster.truth) > size:
            primer = cluster.truth[:size]
            yield "primed with the truth", primer + write(vocabulary.encode(primer))

    def _given_length(self) -> int | None:
        """The length of the sequences, where `decode` says it."""
        own = self.settings
        return own.length if isinstance(own, ReadsWithoutNetwork) else self.how.length

    def _length(self) -> int | None:
        """That, or what all true sequences have: for methods that are told it."""
        truths = [cluster.truth for cluster in self.data.clusters if cluster.truth is not None]
        lengths = {len(truth) for truth in truths}
        return self._given_length() or (lengths.pop() if len(lengths) == 1 else None)

    def _wanted(self) -> str:
        """The method whose scores are the run's metrics."""
        if isinstance(self.settings, ReadsWithoutNetwork):
            return self.settings.method
        is_by_reads = self.data.spec.output is Output.NEXT_TOKEN  # the other view: greedily only
        name = self.how.method if is_by_reads else "greedy"
        length = self._given_length()
        return name if length is None else f"{name}, length {length}"

    # --- what is kept -------------------------------------------------------------------------

    def _keep_table(self, found: Collection[Decoded]) -> None:
        """Every method's sequences, and how near they are to the truth where that is known."""
        clusters, rows = self.data.clusters, [decoded.row() for decoded in found]
        lines = []
        for index, cluster in enumerate(clusters):
            if cluster.truth is not None:
                lines += [f">cluster_{index} truth", cluster.truth]
            for decoded in found:
                lines += [f">cluster_{index} {decoded.method}", decoded.sequences[index]]
        self.tracker.text("\n".join(lines) + "\n", "reads/decoded.fasta")
        self.tracker.table(rows, "reads/methods.json")
        log.info(f"\n  {'method':<32} exact  edit distance  ms a cluster")
        for row in rows:
            exact, distance = (_shown(row.get(key)) for key in ("exact", "edit_distance"))
            log.info(
                f"  {row['method']:<32} {exact:>5}  {distance:>13}  {row['milliseconds']:12.1f}"
            )
        if any(decoded.method.startswith(("greedy", "primed")) for decoded in found):
            log.info(
                "  greedy, beam and ranked memorise this one sequence; experiment=denoise learns"
                " how reads err, for clusters that it has never seen"
            )
        if all(cluster.truth is None for cluster in clusters):
            log.info("  the true sequences are not known: nothing to compare with")

    def _keep_figures(self, wanted: Decoded) -> None:
        """Reads, decode and truth below each other; what kinds of errors there were and are."""
        if not self.tracker.keeps:
            return
        from seqexp.interpret.reads.figures import alignment_figure, profile_figure

        pairs = list(zip(self.data.clusters, wanted.sequences, strict=True))
        for index, (cluster, decoded) in enumerate(pairs[:MAX_FIGURES]):
            title = f"cluster {index}: {len(cluster.reads)} reads, decoded by {wanted.method}"
            sure = self._certainties(decoded)
            figure = alignment_figure(cluster.reads, decoded, cluster.truth, sure, title)
            self.tracker.figure(figure, f"reads/alignment_{index}.png")
            self.figures[f"reads, decoded sequence and truth, {index + 1}"] = figure
        known = [(cluster.reads, decoded, cluster.truth) for cluster, decoded in pairs]
        before = [(read, truth) for reads, _, truth in known if truth for read in reads]
        after = [(decoded, truth) for _, decoded, truth in known if truth]
        if after:
            figure = profile_figure(before, after, f"errors before and after: {wanted.method}")
            self.tracker.figure(figure, "reads/errors.png")
            self.figures["errors of reads, and after decoding"] = figure

    def _certainties(self, decoded: str) -> list[float] | None:
        """Of each letter, by the network; None where it did not write the whole sequence."""
        is_by_network = len(self.data.clusters) == 1 and not isinstance(
            self.settings, ReadsWithoutNetwork
        )
        if not is_by_network or self.data.spec.output is not Output.NEXT_TOKEN:
            return None
        vocabulary = self.data.spec.vocabulary
        ids = vocabulary.encode(decoded[::-1] if self.backwards else decoded)
        start = vocabulary.encode([START])
        found = certainties(self.training.model, start, ids, self.training.device)
        return found[::-1] if self.backwards else found


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "-"


def train_twin(parts: Parts, device: torch.device, folder: RunFolder, stop: Stop) -> Model:
    """Train the same model on reads that are written the other way round, or go on with it.

    Args:
        parts: of the run whose twin it is.
        device: to train on.
        folder: of that run.
        stop: whether it is to stop.
    """
    twin = parts.other_way_round()
    data = load(twin)
    own, origin = folder.within(TWIN), origin_of(twin.config, data)
    state = own.checkpoint(origin)
    earlier = from_run.read(twin.config) if state is None else None
    training, _ = begin(twin, data, device, is_new=state is None, weights=earlier)
    run = Observed(NoTracker(), training, data)
    looking = [Console(twin.settings, data.spec.output), Kernels(run), shown(training, data)]
    checkpoints = Checkpoints(own, origin, run, looking, stop)
    if state is not None:
        checkpoints.resume(state)
    callbacks = [*looking, checkpoints]
    with stop.listening(), closing(callbacks):
        looking[-1].before()  # of the others, the run itself has said it
        for report in fit(training, data.to(device)):
            tell(callbacks, report)
    return training.model
