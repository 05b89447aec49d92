"""The token after each position."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from seqexp.metrics import HEADLINE, OF_KIND
from seqexp.task.base import Cell, Whole
from seqexp.task.classes import Classes, probabilities

LARGEST = 700
"""Nats whose exponential is a float."""


class NextToken(Classes):
    """The next token at each position, of which no position may see any later one.

    Targets are `(batch, time)`, ids of the vocabulary.
    """

    name: ClassVar[str] = "next_token"
    target_type: ClassVar[torch.dtype] = torch.int64
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ()
    weighs_classes: ClassVar[bool] = False

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Accuracy, perplexity and bits a token; no accuracy where right ones were not counted."""
        loss = nats / count
        counted = super().means(nats, count, extras) if extras else {"loss_nats": loss}
        return {
            **counted,
            "perplexity": math.exp(loss) if loss < LARGEST else math.inf,
            "bits_per_token": loss / math.log(2),
        }

    def whole(self) -> Whole | None:
        """None: all adds up."""
        return None

    def columns(self) -> tuple[str, ...]:
        """The symbols."""
        return self.spec.output_names

    def predictions(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """The probability of each symbol after the last token."""
        last = logits[:, -1]
        if is_real is not None:
            places = torch.arange(is_real.shape[1], device=is_real.device)
            ends = (is_real * places).amax(dim=1)
            last = logits[torch.arange(len(logits), device=logits.device), ends]
        rows: list[list[Cell]] = probabilities(last).tolist()
        return rows
