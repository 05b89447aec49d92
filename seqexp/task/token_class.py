"""A label at each position."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqexp.metrics import HEADLINE, OF_KIND
from seqexp.spec import IGNORE
from seqexp.task.base import Cell, Whole
from seqexp.task.classes import Classes, ClassesOfSplit, probabilities
from seqexp.task.spans import SpanCounts, are_spans


@dataclass
class LabelsOfSplit(ClassesOfSplit):
    """What a model predicts for a whole split, with the spans of its sequences."""

    reads_rows: ClassVar[bool] = True
    spans: SpanCounts = field(default_factory=SpanCounts)

    def add(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> None:
        """Take in what is scored of a batch of whole sequences."""
        super().add(logits, targets)
        predicted = probabilities(logits).argmax(dim=-1)
        for row, labels in zip(targets.cpu(), predicted.cpu(), strict=True):
            scored = row != IGNORE
            truth = [self.names[index] for index in row[scored].tolist()]
            self.spans.add(truth, [self.names[index] for index in labels[scored].tolist()])

    def merge(self, other: Any) -> None:
        """Take in what another has."""
        super().merge(other)
        self.spans.merge(other.spans)

    def metrics(self) -> dict[str, float]:
        """Those of classes, and F1 of the spans, where there is one."""
        value = self.spans.f1()
        return super().metrics() | ({} if value is None else {"span_f1": value})


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

    def whole(self) -> Whole | None:
        """Predictions; with their spans, where labels have the form of spans."""
        names = self.spec.output_names
        return LabelsOfSplit(names) if are_spans(names) else ClassesOfSplit(names)

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
