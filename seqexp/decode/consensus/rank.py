"""Order candidates by how likely they make the reads."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from seqexp.decode.consensus.pair_hmm import Channel, log_likelihood


@dataclass(frozen=True)
class Ranked:
    """A candidate and the log-likelihood of all reads given it, nats."""

    candidate: str
    log_likelihood: float


@torch.no_grad()
def rank(candidates: Sequence[str], reads: Sequence[str], channel: Channel) -> list[Ranked]:
    """The candidates, the likeliest first; equal ones are listed once.

    Reads are independent given their source, so that their log-likelihoods add up.
    """
    different = list(dict.fromkeys(candidates))
    if not different:
        return []
    totals = log_likelihood(reads, different, channel).sum(dim=1).tolist()
    ranked = [Ranked(*pair) for pair in zip(different, totals, strict=True)]
    return sorted(ranked, key=lambda one: -one.log_likelihood)
