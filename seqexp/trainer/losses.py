"""The losses of consecutive parts of a batch, as a module that can be run by several processes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from seqexp.data import Batch
from seqexp.spec import Carry, HasMembers, Model, ScoresTargets, first_carry
from seqexp.task.base import Task


class Losses(nn.Module):
    """What a model's predictions cost.

    Args:
        model: whose.
        task: what is predicted.
        device: where the model is.
        bf16: compute the forward pass in bfloat16.
    """

    def __init__(self, model: Model, task: Task, device: torch.device, bf16: bool) -> None:
        super().__init__()
        self.model, self.task, self.device, self.bf16 = model, task, device, bf16
        # asked once: a protocol takes longer to look through than a small layer; in tuples, so
        # that the model is a submodule once
        self.scoring = (model,) if isinstance(model, ScoresTargets) else ()
        self.group = (model,) if isinstance(model, HasMembers) else ()

    def forward(
        self, parts: Sequence[Batch], carry: Carry | None, seed: int
    ) -> tuple[Tensor, Tensor, Carry]:
        """Sums of the loss in nats and of what else the kind counts, and the state after the first
        part as a value. A model that scores targets without all logits counts nothing else.

        `carry` is the state before the first part; where it is None, the context is read. `seed` is
        what dropout's masks are drawn by.
        """
        nats: Tensor | None = None
        extras: Tensor | None = None
        kept: Carry = ()
        if carry is None and parts[0].context is not None:
            seed_masks(self.device, seed)
            with self._precision():
                carry = first_carry(self.model, parts[0].context)
        for index, part in enumerate(parts):
            seed_masks(self.device, seed)
            cost, counted, carry = self._cost(part, carry)
            cost = cost.to(torch.promote_types(cost.dtype, torch.float32))
            nats = cost if nats is None else nats + cost
            extras = counted if extras is None else extras + counted
            if index == 0:
                kept = tuple(tensor.detach() for tensor in carry)
        assert nats is not None and extras is not None
        return nats, extras, kept

    def _cost(self, part: Batch, carry: Carry | None) -> tuple[Tensor, Tensor, Carry]:
        """Nats of a part, what else is counted, and the state after it."""
        if self.scoring and self.scoring[0].scores_targets:
            with self._precision():
                cost, carry = self.scoring[0].target_nats(part.tokens, part.targets, carry)
            return cost, cost.new_zeros(0), carry
        if self.group and self.group[0].has_members:
            with self._precision():
                members, carry = self.group[0].members(part.tokens, carry)
            costs = [self.task.nats(logits, part.targets) for logits in members]
            counted = self.task.extras(torch.stack(members).mean(dim=0), part.targets)
            return torch.stack(costs).mean(), counted, carry
        with self._precision():
            logits, carry = self.model(part.tokens, carry)
        counted = self.task.extras(logits, part.targets)
        return self.task.nats(logits, part.targets), counted, carry

    def _precision(self) -> AbstractContextManager[None]:
        if self.bf16:
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def seed_masks(device: torch.device, seed: int) -> None:
    """Have dropout draw the masks of this seed.

    All windows of a sequence get the same: a mask that is constant in time stays so.
    """
    # torch.manual_seed would also seed absent devices, at a fifth of a small model's step
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
