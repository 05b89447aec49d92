"""How a read differs from the sequence that it is of."""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqexp.metrics import HEADLINE, OF_KIND
from seqexp.spec import TaskSpec, is_scored
from seqexp.task.base import Cell, Whole


class ReadErrors:
    """The likelihood of a read given its sequence; the loss is in nats a read.

    Tokens are the sequence, the context is the read, and the only output is the log-likelihood.
    Targets are `(batch, 1)`: 0, or IGNORE where a read is not scored.

    Args:
        spec: of the dataset.
    """

    name: ClassVar[str] = "read_errors"
    target_type: ClassVar[torch.dtype] = torch.int64
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ()
    weighs_classes: ClassVar[bool] = False

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec

    def nats(
        self, logits: Float[Tensor, "batch 1 1"], targets: Int[Tensor, "batch 1"]
    ) -> Float[Tensor, ""]:
        """Minus the log-likelihoods, summed."""
        return -torch.where(is_scored(targets), logits[..., 0], 0.0).sum()

    def extras(
        self, logits: Float[Tensor, "batch 1 1"], targets: Int[Tensor, "batch 1"]
    ) -> Float[Tensor, " none"]:
        """Nothing."""
        return logits.new_zeros(0)

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Nats a read."""
        return {"loss_nats": nats / count}

    def whole(self) -> Whole | None:
        """None: all adds up."""
        return None

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Unbounded: targets say nothing of the reads."""
        return math.inf

    def columns(self) -> tuple[str, ...]:
        """The log-likelihood, nats."""
        return self.spec.output_names

    def predictions(
        self,
        logits: Float[Tensor, "batch 1 1"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """A row a read."""
        rows: list[list[Cell]] = logits[:, 0].double().tolist()
        return rows
