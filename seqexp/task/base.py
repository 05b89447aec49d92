"""What a kind of prediction is: its loss, what adds up, its metrics, what predictions look like."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from seqexp.spec import TaskSpec

if TYPE_CHECKING:
    from seqexp.utils.beside import Make

Logits = Float[Tensor, "batch positions outputs"]
Targets = Num[Tensor, "batch positions"]
Cell = float | str
"""Of a table of predictions."""

MOST_CLASSES = 30
"""Of a confusion matrix that can be read."""

MOST_CURVES = 8
"""In one picture."""

MOST_BARS = 60
"""In one picture; of more, the highest are drawn."""

MOST_PANELS = 9
"""In one picture of numbers."""


@runtime_checkable
class Whole(Protocol):
    """Takes in a whole split, for metrics and pictures that do not add up over batches."""

    def add(self, logits: Logits, targets: Targets) -> None:
        """Take in what is scored of a batch."""
        ...

    def merge(self, other: Any) -> None:
        """Take in what another has, as that of another process."""
        ...

    def metrics(self) -> dict[str, float]:
        """By name without the split, as `auroc`; nothing that is not defined for these targets."""
        ...

    def figures(self) -> dict[str, "Make"]:
        """How pictures of the predictions are made, by name, as `confusion_matrix`."""
        ...


@runtime_checkable
class Task(Protocol):
    """A kind of prediction, for one dataset.

    Args:
        spec: of the dataset; `spec.scoring` holds the choices that the kind has.
    """

    name: ClassVar[str]
    target_type: ClassVar[torch.dtype]
    metrics: ClassVar[tuple[str, ...]]  # without the split; all that it may report
    headline: ClassVar[tuple[str, ...]]  # of these, what summaries show, the first one first
    losses: ClassVar[tuple[str, ...]]  # choices of `task.loss`; empty where there is none
    weighs_classes: ClassVar[bool]  # whether `task.class_weights` means anything

    @property
    def spec(self) -> TaskSpec:
        """Of the dataset."""
        ...

    def nats(self, logits: Logits, targets: Targets) -> Float[Tensor, ""]:
        """The loss in nats, summed over scored targets, at least in float32."""
        ...

    def extras(self, logits: Logits, targets: Targets) -> Float[Tensor, " extras"]:
        """What adds up over batches beside nats and the number of scored targets."""
        ...

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Metrics of sums, by name without the split; `count` is above 0."""
        ...

    def whole(self) -> Whole | None:
        """A fresh collector of a split; None where the kind has no such metrics."""
        ...

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Loss a target of a model that knows the training targets' shares, or mean, alone."""
        ...

    def columns(self) -> tuple[str, ...]:
        """Of a table of predictions."""
        ...

    def predictions(
        self, logits: Logits, is_real: Bool[Tensor, "batch time"] | None = None
    ) -> list[list[Cell]]:
        """A row a sequence, a value a column; `is_real` leaves out padded positions."""
        ...
