"""The predictions of a split, kept in the order of its rows."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from seqexp.data import Batch
from seqexp.spec import is_scored

MAX_NUMBERS = 2**24
"""Logits that are kept of a split; of a split with more, none are."""


@dataclass
class Predicted:
    """Keeps the logits of all scored predictions of a split.

    Args:
        limit: numbers that are kept at most.
    """

    limit: int = MAX_NUMBERS
    is_too_large: bool = False
    _size: int = 0
    _numbers: list[Int[Tensor, " predictions"]] = field(default_factory=list)
    _logits: list[Float[Tensor, "predictions outputs"]] = field(default_factory=list)
    _targets: list[Num[Tensor, "predictions labels"]] = field(default_factory=list)

    def add(self, part: Batch, logits: Float[Tensor, "batch positions outputs"]) -> None:
        """Take in what is scored of a batch, or of one of its windows in the order of time."""
        if self.is_too_large or part.numbers is None:
            return
        scored = is_scored(part.targets)
        numbers = part.numbers.to(scored.device)
        if part.per_position:
            found, targets = logits[scored], part.targets[scored][:, None]
            numbers = numbers[:, None].expand_as(scored)[scored]
        else:  # labels that are missing stay as they are, where others of the row are known
            rows = scored.any(dim=1)
            found, targets, numbers = logits[rows, -1], part.targets[rows], numbers[rows]
        self._size += found.numel()
        if self._size > self.limit:
            self.is_too_large = True
            for kept in (self._numbers, self._logits, self._targets):
                kept.clear()
            return
        self._numbers.append(numbers.cpu())
        self._logits.append(found.float().cpu())
        self._targets.append(targets.cpu())

    def tensors(self) -> dict[str, Tensor]:
        """`logits` (predictions, outputs), `targets` (predictions, labels), `numbers` of rows.

        Rows are in the order of the split, and positions of a row in the order of time. Nothing
        where nothing was kept.
        """
        if not self._numbers:
            return {}
        numbers = torch.cat(self._numbers)
        order = numbers.argsort(stable=True)
        return {
            "logits": torch.cat(self._logits)[order],
            "targets": torch.cat(self._targets)[order],
            "numbers": numbers[order],
        }
