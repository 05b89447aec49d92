"""Decodes what erroneous reads are copies of, beside what one would do without a network."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seqexp.config import build
from seqexp.decode.beam import Beam, Ending, beam_search
from seqexp.decode.certainty import certainties
from seqexp.decode.estimate import estimate_channel
from seqexp.decode.join import join
from seqexp.decode.pair_hmm import Channel
from seqexp.decode.polish import Polish, polish
from seqexp.decode.rank import rank
from seqexp.decode.score import score
from seqexp.decode.slide import slide
from seqexp.decode.yardsticks import medoid, yardsticks
from seqexp.spec import Cluster, Data, Model, Output
from seqexp.tracking.none import NoTracker
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.loop import Training

log = logging.getLogger("seqexp")

START, END = "<", ">"

MAX_FIGURES = 5
"""Clusters of which an alignment is drawn."""

FIRST_GUESS = Channel.of_rates(0.03, 0.03, 0.03, tail=0.02)
"""Of a channel, from which its rates are estimated."""

LENGTH_KNOWN = ", length known"
"""Behind the name of a method that was told the length."""


@dataclass
class Decoded:
    """What one method makes of each cluster, and the CPU time it took."""

    method: str
    sequences: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Reading:
    """Reads sequences out of a trained model; does nothing for data that are no reads.

    One network learns one sequence: of several clusters only the methods without a network tell.

    Args:
        node: the config of `decode`; None decodes nothing.
        tracker: where tables and sequences go.
        training: whose model is read.
        data: the clusters of reads.
        backwards: whether the model was trained on reads written backwards.
        train_twin: trains the same model in the other direction, for `decode.both_directions`.
    """

    def __init__(
        self,
        node: Mapping[str, Any] | None,
        tracker: Tracker,
        training: Training,
        data: Data,
        backwards: bool,
        train_twin: Callable[[], Model],
    ) -> None:
        self.settings: Any = build(node) if node is not None and data.clusters else None
        self.tracker, self.training, self.data = tracker, training, data
        self.backwards, self.train_twin = backwards, train_twin

    def at_the_end(self) -> dict[str, float]:
        """Decode by all methods; keep a table of them and the sequences.

        Returns the metrics of the method that `decode` asks for.
        """
        if self.settings is None:
            return {}
        found: dict[str, Decoded] = {}
        for cluster in self.data.clusters:
            for method, sequence, seconds in self._timed(self._all_methods(cluster)):
                decoded = found.setdefault(method, Decoded(method))
                decoded.sequences.append(sequence)
                decoded.seconds += seconds
        self._keep_sequences(found)
        self._keep_figures(found)
        truths = [cluster.truth for cluster in self.data.clusters if cluster.truth is not None]
        if len(truths) < len(self.data.clusters):
            log.info("\nthe true sequences are not known: nothing to compare with")
            return {}
        self._keep_table(found, truths)
        wanted = found.get(self._wanted())
        return {} if wanted is None else score(wanted.sequences, truths).metrics()

    # --- methods ------------------------------------------------------------------------------

    def _all_methods(self, cluster: Cluster) -> Iterator[tuple[str, str]]:
        if len(self.data.clusters) == 1:
            if self.data.spec.output is Output.NEXT_TOKEN:
                yield from self._by_network(cluster)
            else:
                yield from self._by_windows(cluster)
        yield from _without_network(cluster, self._length(cluster))

    def _by_network(self, cluster: Cluster) -> Iterator[tuple[str, str]]:
        """Greedy, the beam's best, and the likeliest of all candidates, with and without length."""
        models = [(self.training.model, self.backwards)]
        if isinstance(self.settings, Beam) and self.settings.both_directions:
            models.append((self.train_twin(), not self.backwards))
        for length, suffix in ((None, ""), (self._length(cluster), LENGTH_KNOWN)):
            if suffix and length is None:
                continue
            yield "greedy" + suffix, self._candidates(*models[0], cluster, 1, length)[0]
            if not isinstance(self.settings, Beam):
                continue
            beams = [self._candidates(*m, cluster, self.settings.width, length) for m in models]
            yield "beam" + suffix, beams[0][0]
            candidates = [candidate for beam in beams for candidate in beam]
            if len(beams) > 1:
                forward, backward = (b[0] for b in (beams[::-1] if self.backwards else beams))
                candidates += join(forward, backward)
                yield "beam, other direction" + suffix, beams[1][0]
            if length is not None:
                candidates = [c for c in candidates if len(c) == length]
            if candidates:
                channel = estimated(cluster.reads, candidates[0])
                yield "ranked" + suffix, rank(candidates, cluster.reads, channel)[0].candidate

    def _candidates(
        self, model: Model, backwards: bool, cluster: Cluster, width: int, length: int | None
    ) -> list[str]:
        """What a beam search from the start symbol finds, best first, from left to right."""
        vocabulary = self.data.spec.vocabulary
        start, end = vocabulary.encode([START, END])
        power = self.settings.length_power if isinstance(self.settings, Beam) else 1.0
        ending = Ending(end, length, 2 * max(map(len, cluster.reads)), power)
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

    def _length(self, cluster: Cluster) -> int | None:
        """The length that is known: as given, or else that of the true sequence."""
        given: int | None = getattr(self.settings, "length", None)
        if given is not None and isinstance(self.settings, Beam | Polish):
            return given
        return None if cluster.truth is None else len(cluster.truth)

    def _wanted(self) -> str:
        """The method whose scores are the run's metrics."""
        is_known = isinstance(self.settings, Beam | Polish) and self.settings.length is not None
        name = "greedy"
        if isinstance(self.settings, Polish):
            name = "polish"
        elif isinstance(self.settings, Beam) and self.data.spec.output is Output.NEXT_TOKEN:
            name = "ranked"
        return name + (LENGTH_KNOWN if is_known else "")

    # --- what is kept -------------------------------------------------------------------------

    def _timed(self, methods: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str, float]]:
        began = time.process_time()
        for method, sequence in methods:
            yield method, sequence, time.process_time() - began
            began = time.process_time()

    def _keep_sequences(self, found: Mapping[str, Decoded]) -> None:
        lines = []
        for index, cluster in enumerate(self.data.clusters):
            if cluster.truth is not None:
                lines += [f">cluster_{index} truth", cluster.truth]
            for decoded in found.values():
                lines += [f">cluster_{index} {decoded.method}", decoded.sequences[index]]
        self.tracker.text("\n".join(lines) + "\n", "reads/decoded.fasta")

    def _keep_figures(self, found: Mapping[str, Decoded]) -> None:
        """Reads, decode and truth below each other; what kinds of errors there were and are."""
        if isinstance(self.tracker, NoTracker) or self._wanted() not in found:
            return
        from seqexp.interpret.read_figures import alignment_figure, profile_figure

        method, sequences = self._wanted(), found[self._wanted()].sequences
        for index, cluster in enumerate(self.data.clusters[:MAX_FIGURES]):
            decoded = sequences[index]
            title = f"cluster {index}: {len(cluster.reads)} reads, decoded by {method}"
            figure = alignment_figure(
                cluster.reads, decoded, cluster.truth, self._certainties(decoded), title
            )
            self.tracker.figure(figure, f"reads/alignment_{index}.png")
        known = [c for c in zip(self.data.clusters, sequences, strict=True) if c[0].truth]
        if known:
            before = [(read, str(c.truth)) for c, _ in known for read in c.reads]
            after = [(decoded, str(c.truth)) for c, decoded in known]
            figure = profile_figure(before, after, f"errors before and after: {method}")
            self.tracker.figure(figure, "reads/errors.png")

    def _certainties(self, decoded: str) -> list[float] | None:
        """Of each letter, by the network; None where it did not write the whole sequence."""
        if len(self.data.clusters) > 1 or self.data.spec.output is not Output.NEXT_TOKEN:
            return None
        vocabulary = self.data.spec.vocabulary
        ids = vocabulary.encode(decoded[::-1] if self.backwards else decoded)
        start = vocabulary.encode([START])
        found = certainties(self.training.model, start, ids, self.training.device)
        return found[::-1] if self.backwards else found

    def _keep_table(self, found: Mapping[str, Decoded], truths: Sequence[str]) -> None:
        rows = []
        log.info(f"\n  {'method':<32} exact  edit distance  ms a cluster")
        for decoded in found.values():
            scored = score(decoded.sequences, truths)
            milliseconds = 1000 * decoded.seconds / len(truths)
            rows.append(scored.row(decoded.method, milliseconds))
            log.info(
                f"  {decoded.method:<32} {scored.exact.mean:5.3f}"
                f"  {scored.edit_distance.mean:13.2f}  {milliseconds:12.1f}"
            )
        self.tracker.table(rows, "reads/methods.json")


def estimated(reads: Sequence[str], draft: str) -> Channel:
    """The channel's rates, from the reads and a first idea of what they are copies of."""
    return estimate_channel(reads, draft, FIRST_GUESS, iterations=10)


def _without_network(cluster: Cluster, length: int | None) -> Iterator[tuple[str, str]]:
    """The best single read, alignment graphs, and the polish of the best read."""
    methods, absent = yardsticks()
    for name, consensus in methods.items():
        yield name, consensus(cluster.reads)
    draft = medoid(cluster.reads)
    channel = estimated(cluster.reads, draft)
    better = polish(draft, cluster.reads, channel).draft
    channel = estimated(cluster.reads, better)
    yield "polish", polish(better, cluster.reads, channel).draft
    if length is not None:
        yield "polish" + LENGTH_KNOWN, polish(better, cluster.reads, channel, length).draft
