"""Averages of weights over a training, by which its model is validated, tested and kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["none", "ema", "swa"]

WARM_UP = 10
"""The t-th update counts at least 1 - (1 + t) / (`WARM_UP` + t), so that early ones fade."""


class Average:
    """The average of a model's weights, beside the weights that are trained.

    Args:
        model: whose weights.
        kind: `ema` is an exponential mean over updates, `swa` the mean of the ends of epochs.
        decay: of `ema`, an update; less at first, see `WARM_UP`.
        first: epoch from whose end on `swa` counts.

    Source: Polyak & Juditsky (1992); of `swa`, Izmailov et al. (2018), algorithm 1.
    """

    def __init__(self, model: nn.Module, kind: Kind, decay: float, first: int) -> None:
        self.model, self.kind, self.decay, self.first = model, kind, decay, first
        self.count = 0  # of what is in it
        named = dict(model.named_parameters())
        self.weights = {name: weight.detach().clone() for name, weight in named.items()}
        self._averages: list[Tensor] = [*self.weights.values()]
        self._trained: list[Tensor] = [*named.values()]

    def after_update(self) -> None:
        """Take in the weights after an update."""
        if self.kind == "ema":
            decay = min(self.decay, (1 + self.count) / (WARM_UP + self.count))
            self._add(1 - decay)

    def after_epoch(self, epoch: int) -> None:
        """Take in the weights at the end of an epoch."""
        if self.kind == "swa" and epoch >= self.first:
            self._add(1 / (1 + self.count))

    @torch.no_grad()
    def _add(self, share: float) -> None:
        if self.count == 0:
            torch._foreach_copy_(self._averages, self._trained)
        else:
            torch._foreach_lerp_(self._averages, self._trained, share)
        self.count += 1

    def kept(self) -> dict[str, Tensor]:
        """All tensors of the model, averaged where there is an average."""
        tensors = self.model.state_dict()
        return {**tensors, **(self.weights if self.count else {})}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the model compute with the average, and give it its own weights back."""
        own = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.kept())
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def state(self) -> dict[str, Any]:
        """The part of it that a checkpoint holds."""
        return {"count": self.count, "weights": self.weights}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.count = state["count"]
        for name, tensor in self.weights.items():
            tensor.copy_(state["weights"][name])
