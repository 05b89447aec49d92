"""One label a sequence."""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from seqexp.metrics import HEADLINE, OF_KIND
from seqexp.task.base import Cell
from seqexp.task.classes import Classes, count_correct, probabilities

__all__ = ["SequenceClass", "count_correct", "probabilities"]


class SequenceClass(Classes):
    """One of several classes a sequence.

    Targets are `(batch, 1)`. Of two classes there may be one output: the logit of the second
    against the first.
    """

    name: ClassVar[str] = "sequence_class"
    target_type: ClassVar[torch.dtype] = torch.int64
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ()
    weighs_classes: ClassVar[bool] = True

    def columns(self) -> tuple[str, ...]:
        """The classes."""
        return self.spec.output_names

    def predictions(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """The probability of each class."""
        rows: list[list[Cell]] = probabilities(logits[:, -1]).tolist()
        return rows
