"""The losses of consecutive parts of a batch, as a module that can be run by several processes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from seqexp.data import Batch
from seqexp.spec import Carry, Model
from seqexp.task.cross_entropy import cross_entropy_sum
from seqexp.task.sequence_class import count_correct


class Losses(nn.Module):
    """What a model's predictions cost.

    Args:
        model: whose.
        device: where it is.
        bf16: compute the forward pass in bfloat16.
    """

    def __init__(self, model: Model, device: torch.device, bf16: bool) -> None:
        super().__init__()
        self.model, self.device, self.bf16 = model, device, bf16

    def forward(
        self, parts: Sequence[Batch], carry: Carry | None, seed: int
    ) -> tuple[Tensor, Tensor, Carry]:
        """Summed loss in nats and right predictions, and the state after the first part as a value.

        `carry` is the state before the first part, `seed` what dropout's masks are drawn by.
        """
        nats = correct = torch.zeros((), device=self.device)
        kept: Carry = ()
        for index, part in enumerate(parts):
            seed_masks(self.device, seed)
            with self._precision():
                logits, carry = self.model(part.tokens, carry)
            nats = nats + cross_entropy_sum(logits, part.targets)
            correct = correct + count_correct(logits, part.targets)
            if index == 0:
                kept = tuple(tensor.detach() for tensor in carry)
        return nats, correct, kept

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
