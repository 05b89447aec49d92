"""The exact likelihood of reads given a candidate, under insertions, deletions and substitutions.

Source: the channel is the course notebook's `sim_error`; the recursion is that of Durbin, Eddy,
Krogh & Mitchison (1998), sec. 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.decode.consensus.alignments import Alignments, log_likelihoods, sums
from seqexp.formats.dna import LETTERS

_NUMBERS = np.full(256, -1)
_NUMBERS[[ord(letter) for letter in LETTERS]] = range(len(LETTERS))


@dataclass(frozen=True)
class Channel:
    """What happens to a sequence on the way to a read: probabilities, one draw after another.

    Before each base, a letter may be inserted, and another, ...; then the base is deleted or passed
    on as a letter. So `insertion.sum() + deletion[a] + emission[a].sum()` is 1 for each base a.
    After the last base letters are inserted by `tail`, with an end after each by 1 - tail.sum().

    `sim_error` is `Channel.of_rates`, with tail 0: it draws r; r < pi inserts a random letter and
    draws again, the next `pd` of r's range delete, the next `ps` write a random letter (the base
    itself in a quarter of the cases), the rest writes the base. So a base is deleted with the
    *joint* probability pd of "no insertion and deletion", and after the last nothing is inserted.
    """

    insertion: Float[Tensor, " letters"]
    deletion: Float[Tensor, " letters"]
    emission: Float[Tensor, "letters letters"]
    tail: Float[Tensor, " letters"]

    @classmethod
    def of_rates(
        cls,
        insertion: float | Tensor = 0.05,
        deletion: float | Tensor = 0.05,
        substitution: float | Tensor = 0.01,
        tail: float | Tensor = 0.0,
    ) -> "Channel":
        """The channel that treats all letters alike; rates may be tensors that need a gradient."""
        rates = [
            torch.as_tensor(rate, dtype=torch.float64)
            for rate in (insertion, deletion, substitution, tail)
        ]
        pi, pd, ps, pt = rates
        one = torch.ones(len(LETTERS), dtype=torch.float64)
        emission = torch.diag(one) * (1 - pi - pd - ps) + ps / len(LETTERS)
        return cls(one * pi / len(LETTERS), one * pd, emission, one * pt / len(LETTERS))

    def rates(self) -> dict[str, float]:
        """Insertions, deletions and substitutions a draw, and the tail, averaged over the bases."""
        differs = 1 - torch.eye(len(LETTERS), dtype=self.emission.dtype)
        return {
            "insertion": float(self.insertion.sum()),
            "deletion": float(self.deletion.mean()),
            # a substitution writes the base itself in a quarter of the cases
            "substitution": float((self.emission * differs).sum(dim=1).mean() * 4 / 3),
            "tail": float(self.tail.sum()),
        }


def encode(sequences: Sequence[str]) -> tuple[Int[Tensor, "count length"], Int[Tensor, " count"]]:
    """Letters as numbers 0 to 3, padded with -1, and lengths.

    Raises:
        ValueError: on another letter.
    """
    lengths = [len(sequence) for sequence in sequences]
    width = max(lengths, default=0)
    joined = "".join(sequence.ljust(width) for sequence in sequences)
    signs = np.frombuffer(joined.encode("latin-1", "replace"), dtype=np.uint8)
    letters = _NUMBERS[signs].reshape(len(sequences), width)
    num_letters = torch.tensor(lengths, dtype=torch.int64)
    if not np.array_equal((letters >= 0).sum(axis=1), lengths):
        wrong = next(s for s in sequences if set(s) - set(LETTERS))
        raise ValueError(f"{wrong!r} has other letters than {LETTERS}")
    return torch.from_numpy(letters), num_letters


def align(
    channels: Sequence[Channel],
    candidates: tuple[Int[Tensor, "pairs bases"], Int[Tensor, " pairs"]],
    reads: tuple[Int[Tensor, "pairs length"], Int[Tensor, " pairs"]],
    which: Int[Tensor, " pairs"],
) -> tuple[Alignments, Float[Tensor, " pairs"]]:
    """Pairs of candidates and reads, each by a channel, and log-probabilities of the end."""
    bases, num_bases = candidates
    insertion, deletion, emission, tail = (
        torch.stack([getattr(channel, name) for channel in channels])
        for name in ("insertion", "deletion", "emission", "tail")
    )
    known = bases.clamp(min=0)
    row = which[:, None]
    gaps = torch.arange(bases.shape[1] + 1)
    is_last = (gaps == num_bases[:, None])[:, :, None]  # (pairs, gaps, 1)
    inserted = torch.where(is_last, tail[which, None], insertion[which, None])
    pairs = Alignments(
        emission=emission[row, known],
        insertion=inserted,
        deletion=deletion[row, known],
        num_bases=num_bases,
        read=reads[0],
        num_letters=reads[1],
    )
    return pairs, torch.log1p(-tail.sum(dim=1))[which]


class _LogLikelihood(torch.autograd.Function):
    """The recursion with its derivatives by the rates, which are sums over alignments."""

    @staticmethod
    def forward(
        ctx: Any,
        emission: Tensor,
        insertion: Tensor,
        deletion: Tensor,
        num_bases: Tensor,
        read: Tensor,
        num_letters: Tensor,
    ) -> Tensor:
        """Log-likelihood of each pair; sums are made only where a gradient may be asked for."""
        pairs = Alignments(emission, insertion, deletion, num_bases, read, num_letters)
        if not any(ctx.needs_input_grad):
            return log_likelihoods(pairs)
        found = sums(pairs)
        ctx.save_for_backward(found.passed, found.inserted, found.skipped)
        return found.log_likelihood

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by emission, insertion and deletion."""
        passed, inserted, skipped = ctx.saved_tensors
        by_pair = gradient[:, None]
        rates = (passed * by_pair[:, None], inserted * by_pair[:, None], skipped * by_pair)
        return *rates, None, None, None


def alignment_log_likelihood(pairs: Alignments) -> Float[Tensor, " pairs"]:
    """Log-likelihood without the end's probability, differentiable by all rates.

    Rates may differ from base to base and from gap to gap, so that a network can give them.
    """
    values: Tensor = _LogLikelihood.apply(  # type: ignore[no-untyped-call]
        pairs.emission,
        pairs.insertion,
        pairs.deletion,
        pairs.num_bases,
        pairs.read,
        pairs.num_letters,
    )
    return values


def log_likelihood(
    reads: Sequence[str], candidates: Sequence[str], channel: Channel
) -> Float[Tensor, "candidates reads"]:
    """Nats, of each read given each candidate, summed over all alignments; -inf if impossible.

    Differentiable by the tensors of the channel.
    """
    read, num_letters = encode(reads)
    base, num_bases = encode(candidates)
    # every candidate with every read
    one = torch.arange(len(candidates)).repeat_interleave(len(reads))
    other = torch.arange(len(reads)).repeat(len(candidates))
    pairs, end = align(
        [channel],
        (base[one], num_bases[one]),
        (read[other], num_letters[other]),
        torch.zeros_like(one),
    )
    return (alignment_log_likelihood(pairs) + end).view(len(candidates), len(reads))


@torch.no_grad()
def log_likelihood_of_pairs(
    sequences: Sequence[str], reads: Sequence[str], channel: Channel
) -> Float[Tensor, " pairs"]:
    """Nats of each read given its own sequence."""
    which = torch.zeros(len(reads), dtype=torch.int64)
    pairs, end = align([channel], encode(sequences), encode(reads), which)
    return alignment_log_likelihood(pairs) + end
