"""Erroneous copies of DNA sequences, simulated or from a file, to learn the sequences from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Interval

from seqexp.data import Cluster, Data, Sequences
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out
from seqexp.dataset.reads.files import Rules, read_clusters, read_with_truths
from seqexp.dataset.reads.strands import like_their_sequence, on_one_strand
from seqexp.dataset.reads.views import (
    cluster_task,
    read_task,
    whole_reads,
    window_task,
    windows,
    with_their_sequences,
)
from seqexp.decode.consensus.pair_hmm import Channel
from seqexp.decode.consensus.table import polished
from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Rate, Seed, Share
from seqexp.seeding import stream_seed

Length = Annotated[int, Interval(ge=1, le=10**6)]


@dataclass(frozen=True)
class NoisyReads:
    """Clusters of reads of one sequence each.

    Of the views `reads` and `windows`, validation is by read: the last reads of each cluster,
    `valid_share` of them and at least one; a cluster of one read has it for training. The test is
    on the true sequences (what the model learned of them, though it saw none); where none is known,
    on the validation reads, and where there are none, on the training reads. Of the view
    `clusters`, whole clusters are for validation and the test, drawn by the seed, and a row is a
    read with its sequence. Read i of simulated cluster c depends on the seed, i and c only, not on
    how many there are.

    Args:
        reads: a FASTA or FASTQ file (one cluster), or a file of clusters: lines of letters, and
            between clusters a blank line or a line of signs, as `====`. A line of signs may set the
            true sequence apart from its reads too. May be gzipped. None simulates. Reads of the
            other strand are turned.
        truths: a file of the true sequences, a line each, in the order of the clusters of `reads`,
            which are divided by lines of signs; a cluster may be empty there.
        reads_have_truth: the first sequence of each cluster is the true one; None: it is in a file
            of clusters, and is not in FASTA and FASTQ; has to be said where signs divide clusters.
        bad_reads: `refuse` a file with a read that is empty or has other letters than A, C, G, T
            (lower case is read as upper case, U as T); `skip` such reads, and say how many.
        max_reads: take the first so many reads of each cluster of the file; None takes all.
        max_clusters: take the first so many clusters of the file; None takes all.
        num_clusters: simulated sequences.
        length: letters of a simulated sequence, each with a chance of a quarter.
        num_reads: simulated reads of each.
        insertion: share of draws that insert a random letter and are drawn again.
        deletion: share of draws that delete the base.
        substitution: share of draws that write a random letter for it, perhaps the same.
        view: `windows`: every window of a read, labelled with the letter after it; `reads`: whole
            reads from '<' to '>', the next letter predicted at each position; `clusters`: each read
            with its sequence, for `model=read-errors`, which learns how reads err.
        window: letters of a window.
        window_starts: have windows that begin before the read too, filled up with '<', so that a
            model sees how a sequence starts; the notebook has none.
        reverse: write the reads backwards, for a model that goes from the end.
        valid_share: of the reads of each cluster, for validation; of the view `clusters`, of the
            clusters that are not for the test.
        test_share: of the clusters, for the test; of the view `clusters`.
        folds: of the view `clusters`: parts of all clusters, each of which is the test of one run;
            None: the test is drawn, `test_share` of them.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        reads_per_cluster: of each training cluster, drawn anew for each epoch; of the view
            `clusters`.
        labels: `truth`: learn from the true sequences; `consensus`: from the polished consensus of
            each cluster's own reads, which needs no true sequence; of the view `clusters`.
        seed: selects sequences and errors.

    Raises:
        InputError: from `load`, on a file that is not sound, or reads too short for a window.

    Source: the course notebook's reads; its `sim_error` is `channel.read_out`.
    """

    reads: str | None = None
    truths: str | None = None
    reads_have_truth: bool | None = None
    bad_reads: Literal["refuse", "skip"] = "refuse"
    max_reads: Count | None = None
    max_clusters: Count | None = None
    num_clusters: Count = 1
    length: Length = 220
    num_reads: Count = 20
    insertion: Rate = 0.05
    deletion: Rate = 0.05
    substitution: Share = 0.01
    view: Literal["windows", "reads", "clusters"] = "reads"
    window: Length = 50
    window_starts: bool = False
    reverse: bool = False
    valid_share: HeldOutShare = 0.2
    test_share: HeldOutShare = 0.2
    folds: Folds | None = None
    fold: CountOrZero = 0
    reads_per_cluster: Count = 10
    labels: Literal["truth", "consensus"] = "truth"
    seed: Seed = 0

    is_written = True  # a read, from its first letter on

    output_by_view = {
        "windows": "sequence_class",
        "reads": "next_token",
        "clusters": "read_errors",
    }

    def load(self) -> Data:
        """Read or simulate the clusters."""
        clusters, notes = self._clusters()
        data = self.data(clusters)
        return replace(data, notes=(*notes, *data.notes))

    @property
    def channel(self) -> Channel | None:
        """What reads are simulated by; None where they come from a file."""
        if self.reads is not None:
            return None
        return Channel.of_rates(self.insertion, self.deletion, self.substitution)

    def clusters(self) -> tuple[Cluster, ...]:
        """The reads, on one strand, and the sequences that they are of."""
        return self._clusters()[0]

    def _clusters(self) -> tuple[tuple[Cluster, ...], list[str]]:
        """The same, and what is to be known of them."""
        if self.reads is None:
            return tuple(self._simulated(index) for index in range(self.num_clusters)), []
        path = Path(self.reads)
        if not path.is_file():
            raise InputError(f"dataset.reads is {path}: there is no such file")
        if self.truths is not None:
            rules = Rules(False, self.bad_reads, self.max_reads, self.max_clusters)
            clusters, notes = read_with_truths(path, Path(self.truths), rules)
            on_one, more = on_one_strand(clusters)
            return on_one, [*notes, *more]
        rules = Rules(self.reads_have_truth, self.bad_reads, self.max_reads, self.max_clusters)
        return on_one_strand(read_clusters(path, rules))

    def data(self, clusters: Sequence[Cluster]) -> Data:
        """Some clusters as tokens and targets, for one model of them all."""
        if self.view == "clusters":
            return self._by_cluster(clusters)
        train: list[str] = []
        valid: list[str] = []
        for cluster in clusters:
            cut = len(cluster.reads) - self._num_valid(len(cluster.reads))
            train += cluster.reads[:cut]
            valid += cluster.reads[cut:]
        truths = [cluster.truth for cluster in clusters if cluster.truth is not None]
        test = truths or valid or train
        spec = window_task(self.window) if self.view == "windows" else read_task()
        data = Data(
            spec,
            train=self._tokens(train),
            valid=self._tokens(valid),
            test=self._tokens(test),
            clusters=tuple(clusters),
        )
        if not len(data.train) or not len(data.test):
            longest = max(map(len, train))
            raise InputError(
                f"dataset.window is {self.window}, but the longest read has {longest} letters;"
                f" give at most {longest + 1}, or view=reads"
            )
        return data

    def _by_cluster(self, clusters: Sequence[Cluster]) -> Data:
        """Reads with their sequences; whole clusters are held out."""
        order = torch.randperm(len(clusters), generator=self._generator("clusters")).tolist()
        if self.folds is None:
            num_test = self._held_out(len(clusters), self.test_share, "test_share")
        else:
            first, stop = (len(clusters) * (self.fold + i) // self.folds for i in (0, 1))
            order = [*order[first:stop], *order[:first], *order[stop:]]
            num_test = stop - first
        num_valid = self._held_out(len(clusters) - num_test, self.valid_share, "valid_share")
        parts = {
            "test": order[:num_test],
            "valid": order[num_test : num_test + num_valid],
            "train": order[num_test + num_valid :],
        }
        chosen = {name: [clusters[i] for i in sorted(rows)] for name, rows in parts.items()}
        if not chosen["train"]:
            raise InputError(
                f"dataset.view is clusters, and there are {len(clusters)} clusters, of which none"
                " is left to learn from; give more, or smaller test_share and valid_share"
            )
        kept, notes = self._learned_from(chosen)
        fold = Fold.of(self)
        if fold is not None:
            notes = [*notes, fold.note(len(chosen["test"]), len(clusters), "clusters")]
        train, valid, test = (
            with_their_sequences(kept[name]) for name in ("train", "valid", "test")
        )
        train = replace(train, rows_per_group=self.reads_per_cluster)
        decoded = tuple(chosen["test"])
        return Data(cluster_task(), train, valid, test, clusters=decoded, notes=tuple(notes))

    def _learned_from(
        self, chosen: dict[str, list[Cluster]]
    ) -> tuple[dict[str, list[Cluster]], list[str]]:
        """Each cluster with the sequence that is learned from and the reads that are its copies.

        Then what is to be known of that.
        """
        named = {name: self._with_labels(name, part) for name, part in chosen.items()}
        found = {
            name: [replace(cluster, reads=tuple(like_their_sequence(cluster))) for cluster in part]
            for name, part in named.items()
        }
        before, after = (
            sum(len(cluster.reads) for part in parts.values() for cluster in part)
            for parts in (chosen, found)
        )
        note = (
            f"{before - after:,} of {before:,} reads are no copies of their sequence: they are not"
            " learned from"
        )
        return found, [note] if after < before else []

    def _with_labels(self, split: str, clusters: Sequence[Cluster]) -> list[Cluster]:
        """The clusters with true sequences, or with the consensus of their reads.

        A test is on true sequences wherever they are known.
        """
        unknown = sum(cluster.truth is None for cluster in clusters)
        if self.labels == "consensus" and (split != "test" or unknown):
            drafts = polished([cluster.reads for cluster in clusters])
            return [replace(c, truth=draft) for c, draft in zip(clusters, drafts, strict=True)]
        if unknown:
            raise InputError(
                f"dataset.labels is truth, but of {unknown} clusters no true sequence is known;"
                " give labels=consensus, or a file with true sequences (dataset.truths, or"
                " dataset.reads_have_truth=true)"
            )
        return list(clusters)

    def _held_out(self, count: int, share: float, key: str) -> int:
        """Clusters for a split: at least one, where any are asked for."""
        if not share:
            return 0
        if count < 2:
            raise InputError(
                f"dataset.{key} is {share}, but there are {count} clusters to take some of; give"
                f" more clusters, as num_clusters=100, or view=reads, which learns one cluster"
            )
        return min(count - 1, max(1, round(count * share)))

    def _generator(self, use: str) -> torch.Generator:
        return torch.Generator().manual_seed(stream_seed(self.seed, use))

    def _simulated(self, index: int) -> Cluster:
        truth = random_sequence(self.length, stream_seed(self.seed, "sequence", index))
        rates = ErrorRates(self.insertion, self.deletion, self.substitution)
        reads = (
            read_out(truth, rates, stream_seed(self.seed, "read", index, number))
            for number in range(self.num_reads)
        )
        return Cluster(tuple(reads), truth)

    def _num_valid(self, num_reads: int) -> int:
        if num_reads < 2 or self.valid_share == 0:
            return 0
        return min(num_reads - 1, max(1, round(num_reads * self.valid_share)))

    def _tokens(self, reads: Sequence[str]) -> Sequences:
        ordered = [read[::-1] for read in reads] if self.reverse else reads
        if self.view == "windows":
            return windows(ordered, self.window, self.window_starts)
        return whole_reads(ordered)
