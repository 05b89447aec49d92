"""N-grams of sequences as numbers: tokens side by side, or with gaps between them."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.spec import PAD, Vocabulary, is_real

NONE = 0
"""Code of a place where no whole n-gram ends."""

MAX_CODE = 2**63
"""Codes are signed integers of 64 bits."""

PLACES = 2**19
"""N-grams that are looked at together: bounds the memory."""

PENDING = 2**22
"""Codes that are gathered before equal ones are counted together."""

NGramSize = Annotated[int, Interval(ge=1, le=64)]
"""Tokens of an n-gram, as a configuration may give them."""

Pattern = tuple[int, ...]
"""Where the tokens of an n-gram stand, from 0 on; places between them are gaps."""


@dataclass(frozen=True)
class Grams:
    """Which n-grams are looked at, and the number of each.

    An n-gram is a number in base `len(vocabulary)`, a digit a place: the token's id, or 0 in a gap.

    Args:
        vocabulary: of the tokens.
        sizes: tokens of an n-gram; several are looked at together.
        gaps: places, at most, that are skipped within an n-gram.
        both_strands: whether an n-gram of DNA and its reverse complement are one.
        key: that holds them, in messages.

    Raises:
        InputError: on n-grams that are too long to be numbered.
    """

    vocabulary: Vocabulary
    sizes: tuple[int, ...]
    gaps: int = 0
    both_strands: bool = False
    key: str = "model"

    def __post_init__(self) -> None:
        most = 1
        while self.base ** (most + 1) < MAX_CODE:
            most += 1
        if self.span > most:
            within = f" with {self.gaps} gaps" if self.gaps else ""
            raise InputError(
                f"{self.key}.sizes has {max(self.sizes)}{within}, but of"
                f" {self.base - 1:,} symbols n-grams of at most {most} places can be numbered; give"
                " smaller sizes"
            )

    @property
    def base(self) -> int:
        """Of the codes."""
        return len(self.vocabulary)

    @property
    def span(self) -> int:
        """Places from the first token of the longest n-gram to its last."""
        return max(self.sizes) + (self.gaps if max(self.sizes) > 1 else 0)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """Of all n-grams, the shortest first."""
        return tuple(
            (0, *inner)
            for size in sorted(set(self.sizes))
            for inner in itertools.combinations(range(1, size + self.gaps), size - 1)
        )

    def codes(
        self, tokens: Int[Tensor, "batch time"], before: Int[Tensor, "batch earlier"] | None = None
    ) -> Int[Tensor, "batch time patterns"]:
        """The n-gram of each pattern that ends at each token; `NONE` where one is not whole.

        `before` are the `span - 1` tokens before the first.
        """
        missing = self.span - 1
        if before is None:
            tokens = functional.pad(tokens, (missing, 0), value=PAD)
        else:
            tokens = torch.cat([before.to(tokens.dtype), tokens], dim=1)
        end = tokens.shape[1]
        small = torch.int32 if self.base**self.span < 2**31 else torch.long
        scaled = self._scaled(tokens.to(small))
        opposite = None
        if self.both_strands:
            ids = torch.tensor(self.vocabulary.complements(), device=tokens.device)
            opposite = self._scaled(ids.to(small)[tokens.long()])
        is_there = tokens != PAD

        def sum_of(parts: Sequence[Tensor], starts: Sequence[int], powers: Sequence[int]) -> Tensor:
            total = parts[powers[0]][:, starts[0] : end - missing + starts[0]].clone()
            for start, power in zip(starts[1:], powers[1:], strict=True):
                total += parts[power][:, start : end - missing + start]
            return total

        found = []
        for pattern in self.patterns:
            starts = [missing - pattern[-1] + place for place in pattern]
            code = sum_of(scaled, starts, [pattern[-1] - place for place in pattern])
            if opposite is not None:
                code = torch.minimum(code, sum_of(opposite, starts, pattern))
            whole = is_there[:, starts[0] : end - missing + starts[0]].clone()
            for start in starts[1:]:
                whole &= is_there[:, start : end - missing + start]
            found.append(code * whole)
        return torch.stack(found, dim=2).long()

    def _scaled(self, digits: Int[Tensor, "batch time"]) -> list[Int[Tensor, "batch time"]]:
        """Each token's digit at each place of a code."""
        return [digits * self.base**power for power in range(self.span)]

    def shared(
        self, values: Float[Tensor, "batch time patterns width"]
    ) -> Float[Tensor, "batch time width"]:
        """The values of n-grams, by the token where each ends, in equal shares to their tokens."""
        shares = values.new_zeros(*values.shape[:2], values.shape[3])
        for number, pattern in enumerate(self.patterns):
            share = values[:, :, number] / len(pattern)
            for place in pattern:
                back = pattern[-1] - place  # tokens before the last one of the n-gram
                shares[:, : shares.shape[1] - back] += share[:, back:]
        return shares

    def named(self, code: int) -> list[str | None]:
        """The symbols of a code from the first place on; None in a gap."""
        places: list[str | None] = []
        while code:
            code, digit = divmod(code, self.base)
            places.append(None if digit == PAD else self.vocabulary.symbols[digit - 1])
        return places[::-1]

    def count(
        self, train: Sequences, min_count: int
    ) -> tuple[Int[Tensor, " kept"], Int[Tensor, " kept"]]:
        """Codes of the n-grams that occur at least so often, in order, and how often they do."""
        keys, counts = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
        pending: list[Tensor] = []
        size = self.base**self.span
        is_small = size <= PENDING
        totals = torch.zeros(size if is_small else 0, dtype=torch.long)
        for codes in self._of(train):
            if is_small:
                totals += torch.bincount(codes, minlength=size)
                continue
            pending.append(codes)
            if sum(map(len, pending)) > PENDING:
                keys, counts = _added(keys, counts, pending)
                pending = []
        if is_small:
            keys = torch.nonzero(totals)[:, 0]
            counts = totals[keys]
        elif pending:
            keys, counts = _added(keys, counts, pending)
        kept = counts >= min_count
        return keys[kept], counts[kept]

    def _of(self, train: Sequences) -> Iterator[Int[Tensor, " codes"]]:
        """All codes of a split, some rows at a time."""
        for _, tokens in pieces(train, len(self.patterns)):
            codes = self.codes(tokens).flatten()
            yield codes[codes != NONE]


def _added(keys: Tensor, counts: Tensor, pending: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Numbers and how often each was counted, with more of them."""
    new = torch.cat(list(pending)).sort().values
    found, times = torch.unique_consecutive(new, return_counts=True)
    if not len(keys):
        return found, times
    joined, order = torch.cat([keys, found]).sort()
    weights = torch.cat([counts, times])[order]
    distinct, repeats = torch.unique_consecutive(joined, return_counts=True)
    ends = repeats.cumsum(0) - 1
    return distinct, weights.cumsum(0)[ends].diff(prepend=torch.zeros(1, dtype=torch.long))


def pieces(
    split: Sequences, each: int
) -> Iterator[tuple[Int[Tensor, " rows"], Int[Tensor, "rows time"]]]:
    """Rows of a split with sequences of like length, without the padding that they share.

    `each` is the number of n-grams a token. Of a stream, all of it, piece by piece of its rows.
    """
    tokens = split.tokens
    if split.is_stream:
        width = PLACES // each
        for row in range(len(tokens)):
            for piece in torch.split(tokens[row : row + 1], width, dim=1):
                yield torch.tensor([row]), piece.cpu().long()
        return
    lengths = torch.cat([is_real(part).sum(dim=1) for part in torch.split(tokens, 1000)]).cpu()
    order = lengths.argsort(stable=True)
    start = 0
    while start < len(order):
        # as many as fit, by the longest of them
        ahead = lengths[order[start : start + PLACES]]
        sizes = ahead.clamp(min=1) * torch.arange(1, len(ahead) + 1) * each
        count = max(1, int((sizes <= PLACES).sum()))
        rows = order[start : start + count]
        part = tokens[rows.to(tokens.device)].cpu().long()
        used = torch.nonzero((part != PAD).any(dim=0))[:, 0]
        stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        yield rows, part[:, stop[0] : stop[1]]
        start += count
