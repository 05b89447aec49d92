"""The channel's rates, estimated from reads and a draft of what they are copies of.

Source: Baum & Welch's algorithm, as in Durbin, Eddy, Krogh & Mitchison (1998), sec. 3.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from seqexp.decode.consensus.alignments import sums, wide_band
from seqexp.decode.consensus.pair_hmm import Channel, align, encode
from seqexp.decode.consensus.typical import copies
from seqexp.formats.dna import LETTERS


@dataclass(frozen=True)
class Counts:
    """Expected number of each event over all reads, each alignment by its probability."""

    inserted: Float[Tensor, " letters"]
    deleted: Float[Tensor, " letters"]
    passed: Float[Tensor, "letters letters"]
    after_the_end: Float[Tensor, " letters"]
    num_reads: int
    log_likelihood: float

    def channel(self, prior: float) -> Channel:
        """The rates that make these counts likeliest, letters and bases alike.

        `prior` counts of each kind of event are added, so that what was never seen stays possible.
        """
        passed, deleted = self.passed.sum(), self.deleted.sum() + prior
        inserted, same = self.inserted.sum() + prior, self.passed.diagonal().sum()
        draws = inserted + deleted + passed + prior
        tail = self.after_the_end.sum() + prior
        # a substitution writes the base itself in a quarter of the cases
        substituted = (passed - same + prior) * 4 / 3
        return Channel.of_rates(
            inserted / draws,
            deleted / draws,
            substituted / draws,
            tail / (tail + self.num_reads + prior),
        )

    def channel_by_letter(self, prior: float) -> Channel:
        """The same with rates of their own for each base and letter."""
        letters = len(LETTERS)
        inserted = self.inserted + prior / letters
        # an insertion is drawn before the base is looked at: its rate is one for all bases
        rate = inserted.sum() / (
            inserted.sum() + self.deleted.sum() + self.passed.sum() + 2 * prior
        )
        passed, deleted = self.passed + prior / letters**2, self.deleted + prior / letters
        bases = passed.sum(dim=1) + deleted
        tail = self.after_the_end + prior / letters
        return Channel(
            insertion=rate * inserted / inserted.sum(),
            deletion=(1 - rate) * deleted / bases,
            emission=(1 - rate) * passed / bases[:, None],
            tail=tail / (tail.sum() + self.num_reads + prior),
        )


@torch.no_grad()
def estimate_channel(
    reads: Sequence[str],
    draft: str,
    start: Channel | None = None,
    by_letter: bool = False,
    iterations: int = 30,
) -> Channel:
    """Rates under which the reads are likeliest, given that the draft is their source."""
    return estimate_shared_channel([reads], [draft], start, by_letter, iterations)


@torch.no_grad()
def estimate_shared_channel(
    clusters: Sequence[Sequence[str]],
    drafts: Sequence[str],
    start: Channel | None = None,
    by_letter: bool = False,
    iterations: int = 30,
    tolerance: float = 0.01,
    prior: float = 0.5,
) -> Channel:
    """One channel for several clusters, each with its draft.

    Reads of foreign length, and those that are no copies of their draft, are left out.

    Args:
        clusters: the reads of each.
        drafts: what each is read from.
        start: first guess; None is 5 % insertions, deletions and tail, 1 % substitutions.
        by_letter: estimate rates for each base and letter; needs some thousand letters.
        iterations: at most.
        tolerance: stop when the log-likelihood rises by less, nats.
        prior: counts of each event that are added to those expected.
    """
    channel = start or Channel.of_rates(tail=0.05)
    before = -torch.inf
    clusters = [copies(reads, draft) for reads, draft in zip(clusters, drafts, strict=True)]
    for _ in range(iterations):
        counts = expected_counts(clusters, drafts, channel)
        channel = counts.channel_by_letter(prior) if by_letter else counts.channel(prior)
        if counts.log_likelihood - before < tolerance:
            break
        before = counts.log_likelihood
    return channel


def expected_counts(
    clusters: Sequence[Sequence[str]], drafts: Sequence[str], channel: Channel
) -> Counts:
    """How often each event happened, given the reads and the channel."""
    which = torch.tensor([index for index, reads in enumerate(clusters) for _ in reads])
    bases, num_bases = (values[which] for values in encode(drafts))
    read, num_letters = encode([read for reads in clusters for read in reads])
    pairs, end = align([channel], (bases, num_bases), (read, num_letters), torch.zeros_like(which))
    found = sums(pairs, band=wide_band(pairs))
    # a rate times the derivative by its logarithm is the expected number of its uses
    passed = (pairs.emission * found.passed)[bases >= 0]
    deleted = (pairs.deletion * found.skipped)[bases >= 0]
    inserted = pairs.insertion * found.inserted
    gaps = torch.arange(inserted.shape[1])
    letters = len(LETTERS)
    base = bases[bases >= 0]
    return Counts(
        inserted=inserted[gaps < num_bases[:, None]].sum(dim=0),
        deleted=deleted.new_zeros(letters).index_add(0, base, deleted),
        passed=passed.new_zeros(letters, letters).index_add(0, base, passed),
        after_the_end=inserted[gaps == num_bases[:, None]].sum(dim=0),
        num_reads=len(which),
        log_likelihood=float((found.log_likelihood + end).sum()),
    )
