"""What every single edit of a draft would gain, from one pass forward and one backward.

All ways to an edit's left side and all ways from its right side are known from the unchanged
draft; an edit only joins them anew. So the exact likelihood of all substitutions, insertions and
deletions costs little more than that of the draft itself.

Source: the idea is that of Quiver (Chin et al. 2013, supplement).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.decode.consensus.alignments import Alignments, sums, wide_band
from seqexp.decode.consensus.pair_hmm import Channel, align, encode
from seqexp.formats.dna import LETTERS

SUBSTITUTE, DELETE, INSERT = 0, len(LETTERS), len(LETTERS) + 1
"""First columns of the table of gains; a letter is added to the first and last."""

PER_BASE = -math.log(len(LETTERS))
"""Log-probability of each base before any read was seen.

All sequences of one length are equally probable, and so are all lengths. Without it drafts are too
long: of the many sequences with one base more, one fits what is there by chance.
"""


class Edit(NamedTuple):
    """One change: at a base (counted from 0), or before it for an insertion."""

    place: int
    column: int


@dataclass(frozen=True, eq=False)
class Gains:
    """How well a draft explains its reads, and what each single edit would add to that.

    `log_likelihood` is of the reads given the draft; `table` adds to `score`, which has the
    probability of the draft itself in it. Its rows are (bases + 1, 9): write A, C, G or T for a
    base, delete it, insert A, C, G or T before it. The last is the end, for insertions only.
    """

    draft: str
    log_likelihood: float
    table: Float[Tensor, "places edits"]

    @property
    def score(self) -> float:
        """Log-probability of reads and draft together, up to a constant."""
        return self.log_likelihood + PER_BASE * len(self.draft)

    def best(self, *kinds: int) -> tuple[Edit, float]:
        """The edit of these kinds that gains most."""
        table = torch.full_like(self.table, -torch.inf)
        for kind in kinds:
            columns = slice(kind, kind + (1 if kind == DELETE else len(LETTERS)))
            table[:, columns] = self.table[:, columns]
        index = int(table.argmax())
        return Edit(*divmod(index, table.shape[1])), float(table.flatten()[index])

    def certainty(self) -> Float[Tensor, " bases"]:
        """Probability of each base of the draft against all single edits at its place, 0 to 1.

        An insertion counts for the base behind it.
        """
        return 1 / (1 + self.table[:-1].exp().sum(dim=1))


def apply(draft: str, edits: Sequence[Edit]) -> str:
    """The draft with edits at different places."""
    pieces = list(draft)
    for place, column in sorted(edits, reverse=True):  # from the end: places before stay
        if column == DELETE:
            del pieces[place]
        elif column >= INSERT:
            pieces.insert(place, LETTERS[column - INSERT])
        else:
            pieces[place] = LETTERS[column]
    return "".join(pieces)


def gains(
    drafts: Sequence[str],
    clusters: Sequence[Sequence[str]],
    channels: Sequence[Channel],
    margin: int | None = None,
) -> list[Gains]:
    """Gains of all single edits of each draft, under the reads of its own cluster and channel.

    `margin` is of cells on either side of all alignments of equal lengths; None leaves nothing out.
    """
    which = torch.tensor([index for index, reads in enumerate(clusters) for _ in reads])
    bases, num_bases = encode(drafts)
    read, num_letters = encode(list(chain.from_iterable(clusters)))
    pairs, end = align(channels, (bases[which], num_bases[which]), (read, num_letters), which)
    insertion = torch.stack([channel.insertion for channel in channels])[which]
    band = wide_band(pairs)
    if margin is not None:
        band = min(band, int((pairs.num_bases - pairs.num_letters).abs().amax()) + margin)
    emission = torch.stack([channel.emission for channel in channels])[which]
    deletion = torch.stack([channel.deletion for channel in channels])[which]
    log_likelihood, by_read = edited(pairs, NewBase(emission, deletion), insertion, band)
    return added(drafts, which, log_likelihood + end, by_read.log())


class NewBase(NamedTuple):
    """How a base of each kind is read that an edit writes: as which letters, or not at all."""

    emission: Float[Tensor, "pairs bases letters"]
    deletion: Float[Tensor, "pairs bases"]


def edited(
    pairs: Alignments,
    new: NewBase,
    after_the_last: Float[Tensor, "pairs letters"],
    band: int,
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, "pairs places edits"]]:
    """Log-likelihood of each read, and its likelihood with each edit, relative to that.

    Columns are those of `Gains.table`; after the last base only insertions count.

    Args:
        pairs: candidates, whose bases may each have rates of their own, and reads.
        new: rates of bases that are written.
        after_the_last: insertions in the last gap, if a base followed it.
        band: as for `sums`.
    """
    found = sums(pairs, after_the_last, band)
    substituted = _passes(new, found.passed, found.skipped)
    inserted = _passes(new, found.inserted, found.through)
    # the gap before a base that is gone is one with the gap behind it: not twice its insertions
    twice = torch.einsum("pbl,pbl->pb", pairs.insertion[:, :-1], found.passed)
    deleted = (found.skipped - twice)[:, :, None]
    no_base = (0, 0, 0, 1)
    at_bases = torch.nn.functional.pad(torch.cat([substituted, deleted], dim=2), no_base)
    likelihood = torch.cat([at_bases, inserted], dim=2).clamp(min=1e-300)
    return found.log_likelihood, likelihood


def added(
    drafts: Sequence[str],
    which: Int[Tensor, " pairs"],
    log_likelihood: Float[Tensor, " pairs"],
    by_read: Float[Tensor, "pairs places edits"],
) -> list[Gains]:
    """Gains of each draft by those of its reads, which are nats.

    Args:
        drafts: what is edited.
        which: the draft of each read.
        log_likelihood: of each read, nats.
        by_read: what each edit adds to it.
    """
    bases, _ = encode(drafts)
    tables = by_read.new_zeros(len(drafts), *by_read.shape[1:]).index_add(0, which, by_read)
    tables[:, :, DELETE] -= PER_BASE
    tables[:, :, INSERT:] += PER_BASE
    known = bases.clamp(min=0)[:, :, None]
    tables[:, :-1].scatter_(2, known, -torch.inf)  # a base for itself is no edit
    total = log_likelihood.new_zeros(len(drafts)).index_add(0, which, log_likelihood)
    result = []
    for draft, table, value in zip(drafts, tables, total.tolist(), strict=True):
        own = table[: len(draft) + 1].clone()
        own[-1, :INSERT] = -torch.inf
        result.append(Gains(draft, value, own))
    return result


def _passes(
    new: NewBase,
    with_letter: Float[Tensor, "pairs places letters"],
    without: Float[Tensor, "pairs places"],
) -> Float[Tensor, "pairs places bases"]:
    """Likelihood, relative to the draft's, with each base at a place: passed on or skipped."""
    passed = torch.einsum("pal,pbl->pba", new.emission, with_letter)
    return passed + new.deletion[:, None] * without[:, :, None]
