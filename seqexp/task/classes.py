"""What the kinds with classes share: accuracy, probabilities, metrics and pictures of a split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.spec import IGNORE, TaskSpec
from seqexp.task.base import MOST_CLASSES, Whole
from seqexp.task.calibration import calibration_error
from seqexp.task.cross_entropy import cross_entropy_sum, entropy_of_shares
from seqexp.task.ranking import auprc, auroc

if TYPE_CHECKING:
    from seqexp.utils.beside import Make


def count_correct(
    logits: Float[Tensor, "batch positions outputs"], targets: Int[Tensor, "batch positions"]
) -> Int[Tensor, ""]:
    """How many scored targets have the largest logit, or the right sign of the only one."""
    if logits.shape[-1] == 1:
        return ((logits[..., 0] > 0) == targets).sum()
    return (logits.argmax(dim=-1) == targets).sum()


def probabilities(
    logits: Float[Tensor, "*positions outputs"],
) -> Float[Tensor, "*positions classes"]:
    """What the model gives each class, in float64: two of them for one output."""
    logits = logits.double()
    if logits.shape[-1] == 1:
        # a single logit against one of zero; a sigmoid would round 1 - p off
        logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    return torch.softmax(logits, dim=-1)


class Classes:
    """A kind whose targets are numbers of classes.

    Args:
        spec: of the dataset.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        weights = spec.scoring.class_weights
        self._weights = None if weights is None else torch.tensor(weights)

    def nats(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy, each target weighted by its class."""
        if self._weights is not None and self._weights.device != logits.device:
            self._weights = self._weights.to(logits.device)  # once
        return cross_entropy_sum(logits, targets, self._weights)

    def extras(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> Int[Tensor, "1"]:
        """Right predictions."""
        return count_correct(logits, targets)[None]

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Accuracy; the loss is the same for all kinds."""
        return {"loss_nats": nats / count, "accuracy": extras[0] / count}

    def whole(self) -> Whole | None:
        """Predictions, and of two classes their log-odds."""
        return ClassesOfSplit(self.spec.output_names)

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Of the classes' shares."""
        return entropy_of_shares(targets, self.spec.scoring.class_weights)


@dataclass
class ClassesOfSplit:
    """What a model predicts for a whole split.

    Args:
        names: of the classes.
    """

    names: tuple[str, ...]
    truth: list[np.ndarray] = field(default_factory=list)  # of what is scored
    predicted: list[np.ndarray] = field(default_factory=list)
    confidence: list[np.ndarray] = field(default_factory=list)  # probability of what is predicted
    margins: list[np.ndarray] = field(default_factory=list)  # log-odds of the second of two

    def add(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> None:
        """Take in what is scored of a batch."""
        scored = targets != IGNORE
        of_scored = logits[scored]  # (scored, outputs)
        if len(self.names) == 2:
            margins = of_scored[:, -1]
            if logits.shape[-1] == 2:
                margins = margins - of_scored[:, 0]
            self.margins.append(margins.double().cpu().numpy())
        confidence, predicted = probabilities(of_scored).max(dim=1)
        self.truth.append(targets[scored].cpu().numpy())
        self.predicted.append(predicted.cpu().numpy())
        self.confidence.append(confidence.float().cpu().numpy())

    def merge(self, other: Any) -> None:
        """Take in what another has."""
        for name in ("truth", "predicted", "confidence", "margins"):
            getattr(self, name).extend(getattr(other, name))

    def metrics(self) -> dict[str, float]:
        """Macro-F1, Matthews' correlation, `ece`; of two classes the areas under their curves.

        Nothing where the targets are of one class only.
        """
        if not self.truth:
            return {}
        truth, predicted = np.concatenate(self.truth), np.concatenate(self.predicted)
        if len(np.unique(truth)) < 2:
            return {}
        found = {"macro_f1": macro_f1(truth, predicted), "mcc": mcc(truth, predicted)}
        found["ece"] = calibration_error(np.concatenate(self.confidence), truth == predicted)
        if self.margins:
            margins = np.concatenate(self.margins)
            areas = {"auroc": auroc(margins, truth == 1), "auprc": auprc(margins, truth == 1)}
            found |= {name: area for name, area in areas.items() if area is not None}
        return found

    def figures(self) -> dict[str, "Make"]:
        """The confusion matrix, a reliability diagram, and of two classes their curves."""
        from seqexp.task import figures

        if not self.truth or not sum(map(len, self.truth)):
            return {}
        truth, predicted = np.concatenate(self.truth), np.concatenate(self.predicted)
        confidence = np.concatenate(self.confidence)
        found: dict[str, Make] = {
            "reliability": partial(figures.reliability, confidence, truth == predicted)
        }
        if len(self.names) <= MOST_CLASSES:
            given = truth, predicted, self.names
            found["confusion_matrix"] = partial(figures.confusion_matrix, *given)
        if self.margins and len(np.unique(truth)) == 2:
            curves = {self.names[1]: (np.concatenate(self.margins), truth == 1)}
            found["roc_curve"] = partial(figures.roc_curves, curves)
            found["precision_recall_curve"] = partial(figures.precision_recall_curves, curves)
        return found


def macro_f1(truth: Int[np.ndarray, " items"], predicted: Int[np.ndarray, " items"]) -> float:
    """Mean of the classes' F1, over the classes that are true or predicted somewhere."""
    right, true, said = _counts(truth, predicted)
    there = true + said > 0
    return float((2 * right[there] / (true[there] + said[there])).mean())


def mcc(truth: Int[np.ndarray, " items"], predicted: Int[np.ndarray, " items"]) -> float:
    """Matthews' correlation of classes; 0 where one class only is predicted.

    Source: Gorodkin (2004), eq. 8.
    """
    right, true, said = (counts.astype(float) for counts in _counts(truth, predicted))
    total = true.sum()
    spread = (total**2 - (said**2).sum()) * (total**2 - (true**2).sum())
    if spread <= 0:
        return 0.0
    return float((right.sum() * total - true @ said) / np.sqrt(spread))


def _counts(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By class: how often it is predicted rightly, true, and predicted."""
    most = int(max(truth.max(), predicted.max())) + 1
    columns = (truth[truth == predicted], truth, predicted)
    right, true, said = (np.bincount(column, minlength=most) for column in columns)
    return right, true, said
