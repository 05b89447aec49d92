"""Derivatives by the vectors that a model reads: at a sequence, and along the way to it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.interpret.attributions.question import Margins

CELLS = 16
"""Pieces of the way at first."""

HALVINGS = 18
"""Of a piece, at most."""

TOLERANCE = 1e-3
"""Of a piece of the way, and of the convergence delta, in the unit of what is explained."""

NUMBERS = 2**22
"""Of the vectors that go through the model together."""

Vectors = Float[Tensor, "batch time channels"]


def gradients(margins: Margins, vectors: Vectors) -> Vectors:
    """Derivative of what is explained by each number of the vectors; 0 where there is padding."""
    numbers = torch.arange(len(vectors), device=vectors.device)
    return _values_and_gradients(margins, vectors, numbers)[1]


def integrated_gradients(
    margins: Margins, start: Vectors, end: Vectors, tolerance: float = TOLERANCE
) -> Vectors:
    """Mean derivative along the straight way from `start` to `end`, two readings of each sequence.

    Times `end - start` it is the attribution of each number, and the attributions of a sequence
    sum to what changes along the way (completeness). The integral is a sum over pieces of the way,
    each with the derivative in its middle. What a piece misses is known, since its ends are: pieces
    that miss more than the tolerance are halved. So the places where a ReLU or a maximum switches
    have short pieces, and others long ones. What a piece still misses is shared by its numbers, in
    proportion to their attributions.

    Source: Sundararajan, Taly & Yan (2017), eq. 1 and proposition 1.
    """
    way = torch.nan_to_num(end - start)
    pieces = _first_pieces(margins, start, way)
    mean = torch.zeros_like(way)
    for left in range(HALVINGS, -1, -1):
        middles = (pieces.low + pieces.high) / 2
        values, derivatives = _along(margins, start, way, pieces.numbers, middles)
        along = way[pieces.numbers]
        added = derivatives * (pieces.high - pieces.low)[:, None, None]
        misses = pieces.risen() - (added * along).sum(dim=(1, 2))
        is_good = (misses.abs() <= tolerance) | (left == 0)
        sizes = (added * along).abs().sum(dim=(1, 2)).clamp(min=torch.finfo(way.dtype).tiny)
        shared = added.abs() * along.sign() * (misses / sizes)[:, None, None]
        mean.index_add_(0, pieces.numbers[is_good], (added + shared)[is_good])
        if bool(is_good.all()):
            break
        pieces = pieces.halved(~is_good, middles, values)
    return mean


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Pieces of the ways of sequences, from `low` to `high`, shares of the way."""

    numbers: Int[Tensor, " pieces"]  # of the sequence
    low: Float[Tensor, " pieces"]
    high: Float[Tensor, " pieces"]
    at_low: Float[Tensor, " pieces"]  # what is explained there
    at_high: Float[Tensor, " pieces"]

    def risen(self) -> Float[Tensor, " pieces"]:
        """What changes along each piece."""
        return self.at_high - self.at_low

    def halved(
        self, chosen: Tensor, middles: Float[Tensor, " pieces"], values: Float[Tensor, " pieces"]
    ) -> "_Pieces":
        """The two halves of each chosen piece."""
        middle, value = middles[chosen], values[chosen]
        return _Pieces(
            self.numbers[chosen].repeat(2),
            torch.cat([self.low[chosen], middle]),
            torch.cat([middle, self.high[chosen]]),
            torch.cat([self.at_low[chosen], value]),
            torch.cat([value, self.at_high[chosen]]),
        )


@torch.no_grad()
def _first_pieces(margins: Margins, start: Vectors, way: Vectors) -> _Pieces:
    edges = torch.linspace(0, 1, CELLS + 1, dtype=way.dtype, device=way.device)
    numbers = torch.arange(len(way), device=way.device).repeat_interleave(len(edges))
    shares = edges.repeat(len(way))
    values = torch.cat(
        [
            margins(start[rows] + way[rows] * share[:, None, None], rows)
            for rows, share in _parts(way, numbers, shares)
        ]
    ).view(len(way), -1)
    return _Pieces(
        numbers.view(len(way), -1)[:, 1:].flatten(),
        edges[:-1].repeat(len(way)),
        edges[1:].repeat(len(way)),
        values[:, :-1].flatten(),
        values[:, 1:].flatten(),
    )


def _along(
    margins: Margins,
    start: Vectors,
    way: Vectors,
    numbers: Int[Tensor, " pieces"],
    shares: Float[Tensor, " pieces"],
) -> tuple[Float[Tensor, " pieces"], Float[Tensor, "pieces time channels"]]:
    """What is explained at these shares of the ways, and its derivatives."""
    found = [
        _values_and_gradients(margins, start[rows] + way[rows] * share[:, None, None], rows)
        for rows, share in _parts(way, numbers, shares)
    ]
    values, derivatives = zip(*found, strict=True)
    return torch.cat(values), torch.cat(derivatives)


def _parts(
    way: Vectors, numbers: Int[Tensor, " pieces"], shares: Float[Tensor, " pieces"]
) -> list[tuple[Tensor, Tensor]]:
    size = max(1, NUMBERS // way[0].numel())
    return list(zip(torch.split(numbers, size), torch.split(shares, size), strict=True))


def _values_and_gradients(
    margins: Margins, vectors: Float[Tensor, "rows time channels"], numbers: Int[Tensor, " rows"]
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows time channels"]]:
    with torch.enable_grad():
        vectors = vectors.detach().requires_grad_()
        values = margins(vectors, numbers)
        (derivatives,) = torch.autograd.grad(values.sum(), vectors)
    return values.detach(), derivatives
