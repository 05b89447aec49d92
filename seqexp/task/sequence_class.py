"""Scores of labels: accuracy, probabilities, margins."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.spec import IGNORE
from seqexp.task.ranking import auprc, auroc


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


@dataclass
class Margins:
    """Log-odds of the second of two classes, nats, with what is true."""

    values: list[Tensor] = field(default_factory=list)
    is_second: list[Tensor] = field(default_factory=list)

    def add(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> None:
        """Take in what is scored of a batch; nothing where there are not two classes."""
        if logits.shape[-1] > 2 or logits.shape[:2] != targets.shape:
            return
        scored = targets != IGNORE
        margins = logits[..., -1]
        if logits.shape[-1] == 2:
            margins = margins - logits[..., 0]
        self.values.append(margins[scored].double().cpu())
        self.is_second.append((targets[scored] == 1).cpu())

    def metrics(self, split: str) -> dict[str, float]:
        """Areas under the ROC and the precision-recall curve; nothing where a class is missing."""
        if not self.values:
            return {}
        values, truth = torch.cat(self.values).numpy(), torch.cat(self.is_second).numpy()
        area = auroc(values, truth)
        precision = auprc(values, truth)
        if area is None or precision is None:
            return {}
        return {f"{split}/auroc": area, f"{split}/auprc": precision}
