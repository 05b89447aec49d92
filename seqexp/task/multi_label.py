"""Several labels a sequence, each there or not."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.metrics import HEADLINE, OF_KIND, of_names
from seqexp.spec import IGNORE, TaskSpec
from seqexp.task.base import MOST_CURVES, Cell, Whole
from seqexp.task.calibration import calibration_error
from seqexp.task.ranking import auprc, auroc

if TYPE_CHECKING:
    from seqexp.utils.beside import Make


class MultiLabel:
    """Several labels a sequence, each a question of its own with a logit of its own.

    Targets are `(batch, labels)`: 1 there, 0 not there, IGNORE not known. Where weights are given,
    a label that is there counts so much.

    Args:
        spec: of the dataset.
    """

    name: ClassVar[str] = "multi_label"
    target_type: ClassVar[torch.dtype] = torch.int64
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ()
    weighs_classes: ClassVar[bool] = True

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        weights = spec.scoring.class_weights
        self._weights = None if weights is None else torch.tensor(weights)

    def nats(
        self, logits: Float[Tensor, "batch 1 labels"], targets: Int[Tensor, "batch labels"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of each label that is known."""
        logits = logits[:, 0].to(torch.promote_types(logits.dtype, torch.float32))
        if self._weights is not None and self._weights.device != logits.device:
            self._weights = self._weights.to(logits.device)  # once
        known = targets != IGNORE
        each = functional.binary_cross_entropy_with_logits(
            logits,
            (targets == 1).to(logits.dtype),
            pos_weight=None if self._weights is None else self._weights.to(logits.dtype),
            reduction="none",
        )
        return torch.where(known, each, 0.0).sum()

    def extras(
        self, logits: Float[Tensor, "batch 1 labels"], targets: Int[Tensor, "batch labels"]
    ) -> Int[Tensor, "1"]:
        """Right predictions."""
        return ((logits[:, 0] > 0) == targets).sum()[None]

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Accuracy over all known labels."""
        return {"loss_nats": nats / count, "accuracy": extras[0] / count}

    def whole(self) -> Whole | None:
        """Log-odds and truth of each label."""
        return LabelsOfSplit(self.spec.output_names)

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Of each label's share."""
        size = len(self.spec.output_names)
        there, known = torch.zeros(size), torch.zeros(size)
        for part in targets:
            there += (part == 1).sum(dim=0).cpu()
            known += (part != IGNORE).sum(dim=0).cpu()
        weights = self.spec.scoring.class_weights or [1.0] * size
        nats = 0.0
        for weight, positive, count in zip(weights, there.tolist(), known.tolist(), strict=True):
            masses = (weight * positive, count - positive)
            nats -= sum(mass * math.log(mass / sum(masses)) for mass in masses if mass)
        return nats / max(1.0, float(known.sum()))

    def columns(self) -> tuple[str, ...]:
        """The labels."""
        return self.spec.output_names

    def predictions(
        self,
        logits: Float[Tensor, "batch 1 labels"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """The probability of each label."""
        rows: list[list[Cell]] = torch.sigmoid(logits[:, -1].double()).tolist()
        return rows


@dataclass
class LabelsOfSplit:
    """What a model predicts for a whole split.

    Args:
        names: of the labels.
    """

    names: tuple[str, ...]
    scores: list[np.ndarray] = field(default_factory=list)  # log-odds: (batch, labels)
    truth: list[np.ndarray] = field(default_factory=list)

    def add(
        self, logits: Float[Tensor, "batch 1 labels"], targets: Int[Tensor, "batch labels"]
    ) -> None:
        """Take in a batch."""
        scored = (targets != IGNORE).any(dim=1)
        self.scores.append(logits[scored, 0].double().cpu().numpy())
        self.truth.append(targets[scored].cpu().numpy())

    def merge(self, other: Any) -> None:
        """Take in what another has."""
        self.scores += other.scores
        self.truth += other.truth

    def known(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of each label, the log-odds where it is known, and whether it is there."""
        if not self.truth:
            return {}
        scores, truth = np.concatenate(self.scores), np.concatenate(self.truth)
        is_known = truth != IGNORE
        return {
            name: (scores[is_known[:, i], i], truth[is_known[:, i], i] == 1)
            for i, name in enumerate(self.names)
        }

    def metrics(self) -> dict[str, float]:
        """The areas under both curves of each label, and their means; calibration of all labels.

        Labels that are there always or never have no areas.
        """
        found: dict[str, float] = {}
        probabilities, is_there = self._pooled()
        if len(is_there):
            found["ece"] = calibration_error(probabilities, is_there)
        for measure, area_of in (("auroc", auroc), ("auprc", auprc)):
            areas = {
                name: area_of(scores, is_there)
                for name, (scores, is_there) in self.known().items()
                if 0 < is_there.sum() < len(is_there)
            }
            there = {name: area for name, area in areas.items() if area is not None}
            if there:
                found[measure] = sum(there.values()) / len(there)
            if len(self.names) > 1:
                found |= of_names(measure, there)
        return found

    def _pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """The probability of each label wherever it is known, and whether it is there."""
        known = list(self.known().values())
        if not known:
            return np.zeros(0), np.zeros(0, bool)
        scores, is_there = (np.concatenate(parts) for parts in zip(*known, strict=True))
        return 1 / (1 + np.exp(-np.clip(scores, -700, 700))), is_there

    def figures(self) -> dict[str, "Make"]:
        """Curves of each label, bars of their areas, a reliability diagram."""
        from seqexp.task import figures

        curves = {
            name: (scores, is_there)
            for name, (scores, is_there) in self.known().items()
            if 0 < is_there.sum() < len(is_there)
        }
        if not curves:
            return {}
        areas = {name: float(auroc(*curve) or 0.0) for name, curve in curves.items()}
        pooled = self._pooled()
        found: dict[str, Make] = {
            "per_label": partial(figures.bars, areas, "AUROC", chance=0.5),
            "reliability": partial(figures.reliability, *pooled, "probability of a label"),
        }
        if len(curves) <= MOST_CURVES:
            found["roc_curve"] = partial(figures.roc_curves, curves)
            found["precision_recall_curve"] = partial(figures.precision_recall_curves, curves)
        return found
