"""A table with a row for each n-gram: of those that the training has, or by a hash of any."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.model.counting.grams import NONE, Grams
from seqexp.model.layers import OnReading, embedded

SMALL = 2**20
"""Codes, at most, for which a list of the row of each is made, which is quicker than a search."""

MIX = (-7046029254386353131, -4658895280553007687)
"""Odd multipliers of SplitMix64."""


class NGramTable(nn.Module):
    """A row of numbers for each n-gram; row 0 is of all that are not known, and stays zero.

    Without `buckets`, `count` gives a row to each n-gram that the training sequences have often
    enough, and `keys` are their codes in order. With `buckets`, any n-gram has the row that a hash
    of its code names, which others may share.

    Args:
        grams: which n-grams there are.
        width: numbers of a row.
        min_count: occurrences in the training sequences that an n-gram needs.
        buckets: rows that n-grams are hashed to; None counts them.
        has_scale: whether there is a number more of each row, `scale`, which is not learned.
        has_ratios: whether each number of a row is multiplied by one of `ratios`, which are not
            learned.
    """

    keys: Tensor
    scale: Tensor
    ratios: Tensor

    def __init__(
        self,
        grams: Grams,
        width: int,
        min_count: int = 1,
        buckets: int | None = None,
        has_scale: bool = False,
        has_ratios: bool = False,
    ) -> None:
        super().__init__()
        self.grams, self.width, self.min_count, self.buckets = grams, width, min_count, buckets
        self.counted_in, self.has_ratios = 0, has_ratios
        self.on_reading: OnReading | None = None
        self.table = nn.Parameter(torch.zeros(1 + (buckets or 0), width))
        self.register_buffer("keys", torch.zeros(0, dtype=torch.long), persistent=buckets is None)
        self.register_buffer("scale", torch.ones(1), persistent=has_scale)
        self.register_buffer("ratios", torch.ones(1, width), persistent=has_ratios)

    def count(self, train: Sequences) -> None:
        """Make a row for each n-gram that occurs often enough; `counted_in` is how many sequences
        there are.

        Raises:
            InputError: if none does.
        """
        self.counted_in = len(train)
        if self.buckets is not None:
            return
        keys, _ = self.grams.count(train, self.min_count)
        if not len(keys):
            key, sizes = self.grams.key, list(self.grams.sizes)
            raise InputError(
                f"{key}.sizes is {sizes} and {key}.min_count is {self.min_count}, but no n-gram of"
                " the training sequences is so long and so frequent; give smaller ones"
            )
        self.resize(len(keys))
        self.keys.copy_(keys)

    def resize(self, rows: int) -> None:
        """Make room for the codes of so many n-grams, all zero; hashed ones have theirs."""
        if self.buckets is None:
            self.keys = self.keys.new_zeros(rows)
            self.table.data = self.table.data.new_zeros(1 + rows, self.width)
            self.scale = self.scale.new_ones(1 + rows)
            if self.has_ratios:
                self.ratios = self.ratios.new_ones(1 + rows, self.width)

    def rows(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"] | None = None
    ) -> Int[Tensor, "batch time patterns"]:
        """The row of each n-gram that ends at each token; 0 where there is none."""
        codes = self.grams.codes(tokens, before)
        if self.buckets is not None:
            return torch.where(codes == NONE, 0, 1 + hashed(codes) % self.buckets)
        if not len(self.keys):
            return torch.zeros_like(codes)
        size = self.grams.base**self.grams.span
        if size <= SMALL:
            index = torch.zeros(size, dtype=torch.long, device=codes.device)
            index[self.keys] = torch.arange(1, len(self.keys) + 1, device=codes.device)
            return index[codes]
        places = torch.searchsorted(self.keys, codes).clamp(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == codes, places + 1, 0)

    def forward(
        self, rows: Int[Tensor, "batch time patterns"]
    ) -> Float[Tensor, "batch time width"]:
        """The sum of the rows at each token."""
        batch, time, patterns = rows.shape
        vectors = embedded(self.table, rows.flatten(1), self.on_reading)
        if self.has_ratios:
            vectors = vectors * self.ratios[rows.flatten(1)]
        return vectors.view(batch, time, patterns, self.width).sum(dim=2)

    def values(self) -> Float[Tensor, "rows width"]:
        """What each row counts."""
        return self.table * self.ratios if self.has_ratios else self.table

    def names(self, rows: Sequence[int]) -> list[list[str | None]]:
        """The tokens of counted n-grams by their row, from 1 on; None in a gap."""
        return [self.grams.named(int(self.keys[row - 1])) for row in rows]


def hashed(codes: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Numbers that are spread evenly, zero or above, the same on every machine.

    Source: SplitMix64 (Steele, Lea & Flood 2014), in signed arithmetic that wraps around.
    """
    mixed = codes
    for multiplier, shift in zip(MIX, (30, 27), strict=True):
        mixed = (mixed ^ ((mixed >> shift) & (2 ** (64 - shift) - 1))) * multiplier
    return (mixed ^ ((mixed >> 31) & (2**33 - 1))) & (2**62 - 1)


class Speaking(NamedTuple):
    """An output, an n-gram whose gaps are None, and what it adds to that output, nats; and the key
    of the model's group of n-grams that it is of.
    """

    output: str
    ngram: tuple[str | None, ...]
    nats: float
    group: str


def highest(
    adds: Float[Tensor, "ngrams outputs"],
    ngrams: Sequence[Sequence[str | None]] | None,
    table: NGramTable,
    outputs: Sequence[str],
    count: int,
    group: str = "ngrams",
) -> list[Speaking]:
    """For each output, the n-grams that add most to it, the most first; none that speaks against.

    `ngrams` are those of the rows of `adds`; None: of the rows of the table from 1 on. A single
    column for two outputs is the second against the first.
    """
    if len(outputs) == 2 and adds.shape[1] == 1:
        adds = torch.cat([-adds, adds], dim=1)
    found = []
    for name, column in zip(outputs, adds.T, strict=False):
        best = column.topk(min(count, len(column)))
        for row, value in zip(best.indices.tolist(), best.values.tolist(), strict=True):
            if value > 0:
                symbols = table.names([row + 1])[0] if ngrams is None else ngrams[row]
                found.append(Speaking(name, tuple(symbols), value, group))
    return found
