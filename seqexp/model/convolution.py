"""Convolutions over the positions of a sequence, in layers, with what a window needs of the last.

A causal layer keeps its last inputs in the carry, so that windows give what one pass gives.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from annotated_types import Interval
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from seqexp.model.layers import ACTIVATIONS, Activation
from seqexp.ranges import Rate, Size
from seqexp.spec import Carry

Width = Annotated[int, Interval(ge=1, le=1001)]
Layers = Annotated[int, Interval(ge=1, le=16)]
Padding = Literal["same", "causal", "valid"]


@dataclass(frozen=True)
class Convolution:
    """Layers of convolution that are read by what stands above them.

    Args:
        filters: of each layer; None is no convolution.
        width: positions that a filter sees at once.
        layers: on top of each other.
        activation: after the filters.
        dropout: share of the results of each layer that is dropped.
        padding: `same` centres each filter on its position, `causal` lets it end there. `auto` is
            `causal` where the next token is predicted, else `same`.
    """

    filters: Size | None = None
    width: Width = 5
    layers: Layers = 1
    activation: Activation = "relu"
    dropout: Rate = 0.0
    padding: Literal["auto", "same", "causal"] = "auto"


class ConvolutionLayer(nn.Module):
    """One layer; padding gives the zero vector, as it is read."""

    def __init__(
        self,
        num_inputs: int,
        filters: int,
        width: int,
        padding: Padding,
        activation: Activation = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv1d(num_inputs, filters, width)
        self.width, self.padding = width, padding
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    @property
    def num_carried(self) -> int:
        """Tensors in the carry."""
        return 1 if self.padding == "causal" and self.width > 1 else 0

    def forward(
        self,
        vectors: Float[Tensor, "batch time inputs"],
        is_real: Bool[Tensor, "batch time"],
        carry: Carry | None = None,
    ) -> tuple[Float[Tensor, "batch positions filters"], Bool[Tensor, "batch positions"], Carry]:
        """Results, which of them are real, and the last inputs: (batch, width - 1, inputs)."""
        before = {"same": (self.width - 1) // 2, "causal": self.width - 1, "valid": 0}[self.padding]
        kept: Carry = ()
        if self.num_carried:
            if carry:
                vectors = torch.cat([carry[0].to(vectors.dtype), vectors], dim=1)
            else:
                vectors = functional.pad(vectors, (0, 0, before, 0))
            kept = (vectors[:, vectors.shape[1] - before :],)
        elif self.padding == "same":
            vectors = functional.pad(vectors, (0, 0, before, self.width - 1 - before))
        else:
            is_real = is_real.unfold(1, self.width, 1).all(dim=-1)  # (batch, starts)
        sums = self.conv(vectors.transpose(1, 2)).transpose(1, 2)  # (batch, positions, filters)
        return self.dropout(self.activation(sums)) * is_real[:, :, None], is_real, kept


class Convolutions(nn.Module):
    """Layers of convolution on top of each other."""

    def __init__(self, num_inputs: int, settings: Convolution, is_causal: bool) -> None:
        super().__init__()
        assert settings.filters is not None
        padding = settings.padding
        if padding == "auto":
            padding = "causal" if is_causal else "same"
        self.causal = padding == "causal"
        self.size = settings.filters
        self.layers = nn.ModuleList(
            ConvolutionLayer(
                size,
                settings.filters,
                settings.width,
                padding,
                settings.activation,
                settings.dropout,
            )
            for size in [num_inputs] + [settings.filters] * (settings.layers - 1)
        )

    @property
    def num_carried(self) -> int:
        """Tensors in the carry."""
        return sum(cast(ConvolutionLayer, layer).num_carried for layer in self.layers)

    def start(self, like: Float[Tensor, "batch any"]) -> Carry:
        """The carry before the first position: nothing but padding."""
        layers = cast(list[ConvolutionLayer], list(self.layers))
        return tuple(
            like.new_zeros(like.shape[0], layer.width - 1, layer.conv.in_channels)
            for layer in layers
            if layer.num_carried
        )

    def forward(
        self,
        vectors: Float[Tensor, "batch time inputs"],
        is_real: Bool[Tensor, "batch time"],
        carry: Carry | None = None,
    ) -> tuple[Float[Tensor, "batch time filters"], Carry]:
        """Results of the top layer, and the last inputs of each that is causal."""
        kept: list[Tensor] = []
        for layer in cast(list[ConvolutionLayer], list(self.layers)):
            own = carry[len(kept) : len(kept) + layer.num_carried] if carry else None
            vectors, is_real, last = layer(vectors, is_real, own)
            kept += last
        return vectors, tuple(kept)
