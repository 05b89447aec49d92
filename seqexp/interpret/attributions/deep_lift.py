"""DeepLift, by captum's rules, of a model of layers that it knows."""

import importlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.interpret.attributions.question import Question

Vectors = Float[Tensor, "batch time channels"]


def deep_lift(
    layers: nn.Module,
    read: Callable[[Tensor], Tensor],
    question: Question,
    start: Vectors,
    end: Vectors,
) -> Vectors:
    """Multipliers of the numbers of vectors, against those that they start from.

    Args:
        layers: a model whose layers captum has rules for, from what `read` gives to logits.
        read: makes what the layers read of vectors.
        question: what is explained.
        start: the baseline.
        end: the sequences.

    Source: Shrikumar, Greenside & Kundaje (2017), the rescale rule.
    """
    captum: Any = importlib.import_module("captum.attr")  # `refuse_missing` has asked for it

    class Asked(nn.Module):
        """The layers, with what is explained as their only output."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, inputs: Tensor) -> Tensor:
            numbers = torch.arange(len(inputs), device=inputs.device) % len(end)
            return question.of(self.layers(inputs), numbers)[:, None]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks, and takes them away again
        given = (read(end).detach(), read(start).detach())
        with _any_algorithm():  # a maximum is undone by one that is not called deterministic
            found = captum.DeepLift(Asked(), multiply_by_inputs=False).attribute(*given, target=0)
    # (batch, channels, time) before; what is read may be longer, and have channels more
    own: Tensor = found.transpose(1, 2).detach()[:, : end.shape[1], : end.shape[2]]
    return functional.pad(own, (0, 0, 0, end.shape[1] - own.shape[1]))


def refuse_missing() -> None:
    """Refuse deep-lift where captum is not installed.

    Raises:
        InputError: with the command that installs it.
    """
    if importlib.util.find_spec("captum") is None:
        raise InputError("method is deep-lift, which is captum's: pip install 'seqexp[explain]'")


@contextmanager
def _any_algorithm() -> Iterator[None]:
    """Within, PyTorch does not refuse what it does not call deterministic, as it does in a run."""
    was = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)
