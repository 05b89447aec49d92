"""A label at each position."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from seqexp.metrics import HEADLINE, OF_KIND
from seqexp.task.base import Cell
from seqexp.task.classes import Classes, probabilities


class TokenClass(Classes):
    """One of several classes at each position, which may depend on later ones.

    Targets are `(batch, time)`.
    """

    name: ClassVar[str] = "token_class"
    target_type: ClassVar[torch.dtype] = torch.int64
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ()
    weighs_classes: ClassVar[bool] = True

    def columns(self) -> tuple[str, ...]:
        """One, of all labels of a sequence."""
        return ("labels",)

    def predictions(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """The labels of a sequence, joined by blanks."""
        return [[" ".join(labels)] for labels in self.labels(logits, is_real)]

    def labels(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[str]]:
        """The likeliest label of each position that is not padding."""
        classes = probabilities(logits).argmax(dim=-1)
        if is_real is None:
            is_real = torch.ones_like(classes, dtype=torch.bool)
        names = self.spec.output_names
        rows = zip(classes.cpu(), is_real.cpu(), strict=True)
        return [[names[index] for index in row[real].tolist()] for row, real in rows]
