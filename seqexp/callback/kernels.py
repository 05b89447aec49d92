"""What computes recurrences and convolutions: said, recorded, and the same when a run goes on."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from seqexp.callback.base import Callback, Observed
from seqexp.errors import InputError
from seqexp.kernels.build import Built
from seqexp.spec import is_real

log = logging.getLogger("seqexp")

TAGS = ("seqexp.recurrence", "seqexp.convolution")
"""Of a run: which kernel computed."""


@runtime_checkable
class HasKernel(Protocol):
    """A part of a model that several kernels can compute, to the same values but the last bits."""

    computes: str  # what they compute, a word: TAGS
    kernel: str  # that is asked for
    began_with: Any  # that a training which goes on has begun with; None: none did

    def fuses(self) -> bool:
        """Whether PyTorch's own layer computes it all, where nothing is padded."""
        ...

    def stepwise(self) -> str:
        """What computes it otherwise."""
        ...

    def compiled(self) -> Built:
        """The compiled kernel, or why there is none."""
        ...


class Kernels(Callback):
    """The kernel of a model's recurrent layers or of its convolution.

    Values depend on it in their last bits.

    Args:
        run: whose model, on its data; one without such parts is fine.

    Raises:
        InputError: if the compiled kernel is asked for and cannot be had.
    """

    name = "recurrences"

    def __init__(self, run: Observed) -> None:
        training = run.training
        assert isinstance(training.model, nn.Module)
        self.layers = [part for part in training.model.modules() if isinstance(part, HasKernel)]
        self.run, self.training, self.data = run, training, run.data
        self.stepwise = self._stepwise()

    def tags(self) -> dict[str, str]:
        """What a run records."""
        return {self._tag(): self.text()} if self.layers else {}

    def before(self) -> None:
        """Say it, at the beginning of a run."""
        if self.run.is_new:
            self.say()

    def say(self) -> None:
        """One line, where there is something to choose."""
        if self.layers:
            log.info(f"  {self._what()}: {self.text()}")

    def text(self) -> str:
        """Which kernel computes, and why."""
        layer, name = self.layers[0], self.stepwise or "fused"
        with self._precision():
            found = layer.compiled()
        if name == "compiled":
            return f"compiled, by {found.compiler}"
        if name == "compiled-bf16":
            return f"compiled, with products in bfloat16, by {found.compiler}"
        if layer.kernel != "auto":
            return f"{name}, since model.kernel is {layer.kernel}"
        if name == "fused":
            return "fused, PyTorch's own layer, which no dropout or padding forbids"
        if layer.began_with is not None:
            return f"{name}, as the run began"
        return f"{name}, since {found.reason or 'products are wanted in bfloat16'}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"stepwise": self.stepwise}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with the kernel that a checkpoint was computed by.

        Raises:
            InputError: if it was the compiled one and that cannot be had here.
        """
        was = state["stepwise"]
        if was == self.stepwise or not self.layers:
            return
        if was in ("compiled", "compiled-bf16"):
            with self._precision():
                reason = self.layers[0].compiled().reason
            raise InputError(
                f"model.kernel: the run was begun with the compiled {self._what()}, which cannot be"
                f" had here: {reason}. Go on where it was begun, or give force=true, which starts"
                " anew"
            )
        for layer in self.layers:
            layer.began_with = was or "fused"
        self.stepwise = was
        self.say()

    def _tag(self) -> str:
        return f"seqexp.{self._what()}"

    def _what(self) -> str:
        return self.layers[0].computes

    def _stepwise(self) -> str | None:
        """What computes where PyTorch's own layer cannot; None where it always can."""
        if not self.layers:
            return None
        layer = self.layers[0]
        with self._precision():
            if layer.fuses() and not self._is_padded():
                return None
            return layer.stepwise()

    def _precision(self) -> torch.autocast:
        """What the model computes in."""
        is_bf16 = self.training.settings.precision == "bf16"
        return torch.autocast(self.training.device.type, torch.bfloat16, enabled=is_bf16)

    def _is_padded(self) -> bool:
        splits = [split for split in self.data.splits().values() if not split.is_stream]
        read = [t for split in splits for t in (split.tokens, split.context) if t is not None]
        return any(not bool(is_real(tokens).all()) for tokens in read)
