"""A kind of task whose loss is a user's own: `task.loss` with a `_target_`."""

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from seqexp.errors import InputError
from seqexp.spec import Output, is_scored
from seqexp.task.base import Logits, Task
from seqexp.utils.own_code import blamed

Loss = Callable[..., Tensor]
"""`loss(outputs=..., targets=..., mask=...)` is what each target costs, in the form of the targets.

Of classes, outputs are logits `(batch, positions, classes)` and targets `(batch, positions)`. Of
labels and numbers, both are `(batch, values)`; numbers are standardised by the training targets.
`mask` says which targets are scored; the others are 0.
"""


Columns = Num[Tensor, "batch columns"]
"""Targets: a column a position, a label or a number."""


def with_loss(task: Task, loss: Loss, name: str) -> Task:
    """A kind of task with another loss: all else is as the kind has it.

    Args:
        task: the kind.
        loss: of a user's own.
        name: dotted name of its class or function.
    """
    return cast(Task, _WithLoss(task, loss, name))


class _WithLoss:
    """See `with_loss`."""

    def __init__(self, task: Task, loss: Loss, name: str) -> None:
        self.task, self.loss, self.called = task, loss, f"task.loss ({name})"
        weights = task.spec.scoring.class_weights
        self._weights = None if weights is None else torch.tensor(weights)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.task, name)

    def nats(self, logits: Logits, targets: Columns) -> Float[Tensor, ""]:
        """What all scored targets cost, summed, at least in float32.

        Raises:
            InputError: if the user's loss fails, or is no number of finite outputs.
        """
        mask = is_scored(targets)
        outputs = self._outputs(logits)
        wanted = self._wanted(targets, mask)
        # in a stack of models, what PyTorch has no rule for is no fault
        with nullcontext() if _is_stacked(outputs) else blamed(self.called):
            each = self.loss(outputs=outputs, targets=wanted, mask=mask)
        self._refuse_other(each, mask, outputs)
        each = each.to(torch.promote_types(each.dtype, torch.float32))
        if self._weights is not None:
            each = each * self._weights_of(wanted).to(each.dtype)
        total: Tensor = torch.where(mask, each, 0.0).sum()
        if not torch.isfinite(total) and torch.isfinite(outputs).all():
            raise InputError(
                f"{self.called} is nan or inf of outputs that are finite; give finite numbers"
            )
        return total

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Not known of a user's own loss: none is too large."""
        return math.inf

    def _outputs(self, logits: Logits) -> Tensor:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.task.spec.output in (Output.REGRESSION, Output.MULTI_LABEL):
            return logits[:, 0]  # (batch, values)
        if logits.shape[-1] == 1:  # of two classes, against the first
            return torch.cat([torch.zeros_like(logits), logits], dim=-1)
        return logits

    def _wanted(self, targets: Columns, mask: Bool[Tensor, "batch columns"]) -> Tensor:
        if self.task.spec.output is Output.REGRESSION:
            task: Any = self.task
            targets = task.standardised(targets)
        # before the loss: a gradient of NaN would stay one under a mask
        return torch.where(mask, targets, torch.zeros_like(targets))

    def _weights_of(self, wanted: Tensor) -> Tensor:
        assert self._weights is not None
        self._weights = self._weights.to(wanted.device)
        if self.task.spec.output is Output.MULTI_LABEL:
            return torch.where(wanted == 1, self._weights, 1.0)
        return self._weights[wanted]

    def _refuse_other(self, each: Any, mask: Tensor, outputs: Tensor) -> None:
        wanted = f"give one of shape {tuple(mask.shape)}, what each target costs"
        if not isinstance(each, Tensor):
            raise InputError(f"{self.called} returns a {type(each).__name__}, no tensor; {wanted}")
        if each.shape != mask.shape:
            raise InputError(
                f"{self.called} returns a tensor of shape {tuple(each.shape)}; {wanted}"
            )
        if not each.dtype.is_floating_point:
            raise InputError(f"{self.called} returns {each.dtype}; give floating-point numbers")
        if outputs.requires_grad and not each.requires_grad and torch.is_grad_enabled():
            raise InputError(
                f"{self.called} returns what does not depend on the outputs; compute it without"
                " detach(), no_grad() and numpy"
            )


def _is_stacked(outputs: Tensor) -> bool:
    """Whether several models are computed as one."""
    return bool(torch._C._functorch.is_batchedtensor(outputs))
