"""How faithful attributions are: what is left of a prediction without the parts that they name.

Source: Samek et al. (2017), the area over the perturbation curve.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from seqexp.interpret.attributions.question import Margins
from seqexp.seeding import stream_seed
from seqexp.spec import PAD, is_real

STEPS = 20
"""Of the curve, each a twentieth of a sequence."""

ORDERS = 3
"""Random ones of each sequence."""

ROWS = 2000
"""Sequences with parts taken away that go through the model together."""


class Deletion:
    """Mean curves of the sequences so far: in the order of the attributions, and in random ones.

    Letters and words are taken away as padding, numbers by the mean of the training. Each share of
    the positions is taken from the sequence as it is.
    """

    def __init__(self) -> None:
        self.count = 0
        self.by_attribution = torch.zeros(STEPS + 1, dtype=torch.float64)
        self.by_chance = torch.zeros(STEPS + 1, dtype=torch.float64)

    @torch.no_grad()
    def add(
        self,
        margins: Margins,
        tokens: Num[Tensor, "batch time ..."],
        values: Float[Tensor, "batch time"],
    ) -> None:
        """Take in sequences, with the attribution of each position."""
        real = is_real(tokens)
        generator = torch.Generator().manual_seed(stream_seed(0, "deletion", self.count))
        self.by_attribution += _curve(margins, tokens, values, real)
        for _ in range(ORDERS):
            chance = torch.rand(values.shape, generator=generator).to(values.device)
            self.by_chance += _curve(margins, tokens, chance, real) / ORDERS
        self.count += len(tokens)

    def curves(self) -> dict[str, list[float]]:
        """The share taken away, and the mean margins of both orders."""
        return {
            "share": [step / STEPS for step in range(STEPS + 1)],
            "by_attribution": (self.by_attribution / max(1, self.count)).tolist(),
            "by_chance": (self.by_chance / max(1, self.count)).tolist(),
        }

    def area(self) -> float | None:
        """Mean distance between the curves, as a share of the largest fall of the lower one.

        Above 0, attributions point to what the prediction is made of. None where nothing falls.
        """
        own, chance = self.by_attribution, self.by_chance
        fall = float(own[0] - own.min()) / max(1, self.count)
        distance = float((chance - own).mean()) / max(1, self.count)
        return distance / fall if fall > 1e-6 else None


def _curve(
    margins: Margins,
    tokens: Num[Tensor, "batch time ..."],
    order: Float[Tensor, "batch time"],
    real: Tensor,
) -> Float[Tensor, " shares"]:
    """The sum over sequences at each share, the largest of `order` taken away first."""
    ranks = order.masked_fill(~real, -torch.inf).argsort(dim=1, descending=True).argsort(dim=1)
    counts = real.sum(dim=1)
    sums = [
        margins(_without(tokens[part], ranks[part], counts[part], share), part).double().sum()
        for share in range(STEPS + 1)
        for part in _parts(tokens)
    ]
    return torch.stack(sums).view(STEPS + 1, -1).sum(dim=1).cpu()


def _parts(tokens: Tensor) -> Iterator[Int[Tensor, " rows"]]:
    yield from torch.split(torch.arange(len(tokens), device=tokens.device), ROWS)


def _without(
    tokens: Num[Tensor, "batch time ..."],
    ranks: Int[Tensor, "batch time"],
    counts: Int[Tensor, " batch"],
    step: int,
) -> Num[Tensor, "batch time ..."]:
    taken = ranks < (counts * step / STEPS).round()[:, None]
    if tokens.is_floating_point():
        return tokens.masked_fill(taken[:, :, None], 0.0)
    return tokens.masked_fill(taken, PAD)
