"""What single edits of a draft would gain by a model of read errors, about: candidates to try.

The model's four states are joined into one at each place, by how often each is visited there. Then
an edit only joins the ways to its left side and from its right side anew, as for fixed rates
(`decode/consensus/edits.py`). Two things are taken as they are though an edit changes them: the
rates of the letters around it, and the states behind it. A base that is written errs as those of
its kind in the draft do, on average.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.decode.consensus.alignments import Alignments
from seqexp.decode.consensus.edits import DELETE, INSERT, Gains, NewBase, added, edited
from seqexp.kernels import pair_hmm
from seqexp.kernels.pair_hmm import LETTERS, Letters, Rates
from seqexp.model.read_errors import ReadErrors, band_of, turned
from seqexp.spec import PAD


def gains(
    model: ReadErrors,
    drafts: Sequence[str],
    sequences: Int[Tensor, "drafts bases"],
    which: Int[Tensor, " reads"],
    reads: Int[Tensor, "reads letters"],
    wanted: Bool[Tensor, "reads strands qualities"],
) -> list[Gains]:
    """Of all single edits of each draft under its reads.

    Args:
        model: of the errors.
        drafts: what is edited.
        sequences: the same as ids, 1 to 4, padded on the right.
        which: the draft of each read.
        reads: ids.
        wanted: strands and qualities of a read that count.
    """
    shares = model.log_shares()
    joint = torch.full(wanted.shape, -torch.inf, dtype=torch.float64)
    by_cause = []  # per strand: its rows of `wanted`, and the likelihoods of edits
    for strand in range(model.strands):
        read, quality = wanted[:, strand].nonzero(as_tuple=True)
        given = (sequences, reads) if strand == 0 else (turned(sequences), turned(reads))
        value, edits = _of_strand(model, *given, which, read, quality)
        if strand:
            edits = _turned_back(edits, (sequences != PAD).sum(dim=1)[which[read]])
        joint[read, strand, quality] = value + shares[quality]
        by_cause.append((read, quality, edits))
    log_likelihood = torch.logsumexp(joint, dim=(1, 2))
    posterior = (joint - log_likelihood[:, None, None]).exp()
    relative = torch.zeros(len(reads), sequences.shape[1] + 1, INSERT + LETTERS).double()
    for strand, (read, quality, edits) in enumerate(by_cause):
        relative.index_add_(0, read, edits * posterior[read, strand, quality][:, None, None])
    return added(drafts, which, log_likelihood, relative.clamp(min=1e-300).log())


def _of_strand(
    model: ReadErrors,
    sequences: Int[Tensor, "drafts bases"],
    reads: Int[Tensor, "reads letters"],
    which: Int[Tensor, " reads"],
    read: Int[Tensor, " pairs"],
    quality: Int[Tensor, " pairs"],
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs places edits"]]:
    """Log-likelihood of some reads with a quality, and those of edits, relative to it."""
    of = which[read]
    rates = model.rates(sequences)
    row = of * model.qualities + quality
    pairs = Rates(*(getattr(rates, name)[row] for name in Rates.__dataclass_fields__))
    num_bases = (sequences != PAD).sum(dim=1)[of]
    letters = Letters(
        sequences[of] - 1, num_bases, reads[read] - 1, (reads[read] != PAD).sum(dim=1)
    )
    band = band_of(letters)
    value, visits = _visits(pairs, letters, band)
    at_gaps = torch.cat([visits, visits[:, :, -1:]], dim=2)
    joined = Alignments(
        emission=torch.einsum("psb,psbl->pbl", visits, pairs.emission),
        insertion=torch.einsum("psb,psbl->pbl", at_gaps, pairs.insertion),
        deletion=torch.einsum("psb,psb->pb", visits, pairs.deletion),
        num_bases=num_bases,
        read=letters.read,
        num_letters=letters.num_letters,
    )
    kind = functional.one_hot(letters.base.clamp(min=0), LETTERS).double()
    kind *= (letters.base >= 0)[:, :, None]
    share = kind / kind.sum(dim=1, keepdim=True).clamp(min=1)
    new = NewBase(
        torch.einsum("pbk,pbl->pkl", share, joined.emission),
        torch.einsum("pbk,pb->pk", share, joined.deletion),
    )
    widest = int(band.amax()) if len(band) else 0
    _, edits = edited(joined, new, joined.insertion.mean(dim=1), widest)
    return value, edits


@torch.enable_grad()
def _visits(
    rates: Rates, letters: Letters, band: Int[Tensor, " pairs"]
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs states bases"]]:
    """Log-likelihoods, and how often each state is the one in which a base is left, 0 to 1."""
    emission = rates.emission.detach().clone().requires_grad_()
    deletion = rates.deletion.detach().clone().requires_grad_()
    followed = Rates(emission, rates.insertion, deletion, rates.end, rates.stay)
    value = pair_hmm.log_likelihood(followed, letters, band)
    passed, skipped = torch.autograd.grad(value.sum(), (emission, deletion))
    visits = (passed * emission).sum(dim=3) + skipped * deletion
    return value.detach(), (visits / visits.sum(dim=1, keepdim=True).clamp(min=1e-300)).detach()


def _turned_back(
    edits: Float[Tensor, "pairs places edits"], num_bases: Int[Tensor, " pairs"]
) -> Float[Tensor, "pairs places edits"]:
    """Edits of a reverse complement as those of the sequence itself."""
    place = torch.arange(edits.shape[1])
    base = (num_bases[:, None] - 1 - place).clamp(min=0)[:, :, None]
    gap = (num_bases[:, None] - place).clamp(min=0)[:, :, None]
    at_base = edits.gather(1, base.expand_as(edits))
    at_gap = edits.gather(1, gap.expand_as(edits))
    return torch.cat(
        [
            at_base[:, :, :DELETE].flip(2),  # A, C, G, T are T, G, C, A on the other strand
            at_base[:, :, DELETE:INSERT],
            at_gap[:, :, INSERT:].flip(2),
        ],
        dim=2,
    )
