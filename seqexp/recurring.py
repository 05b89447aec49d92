"""What computes a model's recurrences: said, recorded, and the same when a run goes on."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from seqexp.compile import Built
from seqexp.errors import InputError
from seqexp.model import compiled
from seqexp.model.recurrent import RecurrentLayer, Stepwise
from seqexp.spec import PAD, Data
from seqexp.trainer.training import Training

log = logging.getLogger("seqexp")

TAG = "seqexp.recurrence"


class Recurrences:
    """The kernel of a model's recurrent layers, of which its values depend in their last bits.

    Args:
        training: whose model; one without recurrent layers is fine.
        data: what it learns from, padded or not.

    Raises:
        InputError: if the compiled recurrence is asked for and cannot be had.
    """

    def __init__(self, training: Training, data: Data) -> None:
        assert isinstance(training.model, nn.Module)
        self.layers = [
            part for part in training.model.modules() if isinstance(part, RecurrentLayer)
        ]
        self.training, self.data = training, data
        self.stepwise = self._stepwise()

    def tags(self) -> dict[str, str]:
        """What a run records."""
        return {TAG: self.text()} if self.layers else {}

    def say(self) -> None:
        """One line, where there is a recurrence."""
        if self.layers:
            log.info(f"  recurrence: {self.text()}")

    def text(self) -> str:
        """Which kernel computes, and why."""
        layer, name = self.layers[0], self.stepwise or "fused"
        if name == "compiled":
            return f"compiled, by {self._found().compiler}"
        if layer.kernel != "auto":
            return f"{name}, since model.kernel is {layer.kernel}"
        if name == "fused":
            return "fused, PyTorch's own layer, which no dropout or padding forbids"
        if layer.began_with is not None:
            return f"{name}, as the run began"
        return f"{name}, since {self._found().reason or 'products are wanted in bfloat16'}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"stepwise": self.stepwise}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the kernel that a checkpoint was computed by.

        Raises:
            InputError: if it was the compiled one and that cannot be had here.
        """
        was: Stepwise | None = state["stepwise"]
        if was == self.stepwise or not self.layers:
            return
        if was == "compiled":
            raise InputError(
                "model.kernel: the run was begun with the compiled recurrence, which cannot be had"
                f" here: {self._found().reason}. Go on where it was begun, or give force=true,"
                " which starts anew"
            )
        for layer in self.layers:
            layer.began_with = was
        self.stepwise = was
        self.say()

    def _stepwise(self) -> Stepwise | None:
        """What computes where PyTorch's own layer cannot; None where it always can."""
        if not self.layers:
            return None
        layer, settings = self.layers[0], self.training.settings
        device, is_bf16 = self.training.device.type, settings.precision == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=is_bf16):
            drops = layer.dropout.recurrent > 0
            if drops or not layer.can_fuse(layer.weight_h) or self._is_padded():
                return layer.stepwise()
        return None

    def _found(self) -> Built:
        return compiled.available(self.layers[0].cell.name, self.layers[0].weight_h)

    def _is_padded(self) -> bool:
        splits = [split for split in self.data.splits().values() if not split.is_stream]
        return any(bool((split.tokens == PAD).any()) for split in splits)
