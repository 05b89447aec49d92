"""The convolutional network as layers, each a module of its own that is used once.

DeepLift has rules for modules of PyTorch and knows nothing of functions.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from seqexp.model.cnn1d import CNN1D
from seqexp.model.convolution import ConvolutionLayer
from seqexp.model.layers import ACTIVATIONS, FeatureInput, Head
from seqexp.spec import is_real, other_strand

RULED = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "linear": nn.Identity}
"""Activations with a rule; one that is linear needs none."""


class Layered(nn.Module):
    """The same logits as of a `CNN1D`, of what `read` makes of its vectors, without n-grams.

    The last channel says where a sequence is, so that the same holds for its baseline.
    """

    def __init__(self, model: CNN1D) -> None:
        super().__init__()
        self.model = model
        above = cast(list[ConvolutionLayer], list(model.above))
        self.convs = nn.ModuleList([model.conv, *(layer.conv for layer in above)])
        self.activations = nn.ModuleList(RULED[_activation(model)]() for _ in self.convs)
        self.pool = nn.MaxPool1d(1)
        head = model.head
        count = len(head.hidden) if isinstance(head, Head) else 0
        self.rectifiers = nn.ModuleList(nn.ReLU() for _ in range(count))

    def read(
        self, vectors: Float[Tensor, "batch time channels"]
    ) -> Float[Tensor, "batch more time"]:
        """Vectors with a channel more: where they are no padding."""
        if self.model.readout == "flatten" and not self.model.spec.per_position:
            vectors = self.model._fixed_length(vectors)
        real = is_real(vectors).to(vectors.dtype)[:, :, None]
        return torch.cat([torch.nan_to_num(vectors), real], dim=2).transpose(1, 2)

    def forward(self, read: Float[Tensor, "batch more time"]) -> Float[Tensor, "batch outputs"]:
        """Logits of one prediction a sequence."""
        model = self.model
        vectors, real = read[:, :-1].transpose(1, 2), read[:, -1] > 0
        strands = [vectors]
        if model.both_strands:  # side by side, each in the place of a longer sequence
            strands.append(other_strand(vectors, model.spec.vocabulary))
        reals = [real, real.flip(1)][: len(strands)]
        if isinstance(model.input, FeatureInput) and model.input.linear is not None:
            strands = [model.input.linear(vectors) * real[:, :, None]]
        parts = [one.transpose(1, 2) for one in strands]  # (batch, channels, time)
        for conv, activation in zip(self.convs, self.activations, strict=True):
            parts = [conv(self._padded(part)) for part in parts]
            if model.padding == "valid":
                reals = [one.unfold(1, model.filter_width, 1).all(dim=-1) for one in reals]
            activated = activation(torch.cat(parts, dim=2))
            mask = torch.cat(reals, dim=1)[:, None]
            if len(self.convs) > 1:
                activated = activated * mask
            parts = list(activated.chunk(len(strands), dim=2))
        logits = self._head(self._read_out(activated, mask))
        return logits / 2 if model.has_members else logits

    def _padded(self, part: Float[Tensor, "batch channels time"]) -> Tensor:
        width = self.model.filter_width
        before = -self.model.window_offset
        after = 0 if self.model.padding == "valid" else width - 1 - before
        return functional.pad(part, (before, after))

    def _read_out(self, activated: Tensor, mask: Tensor) -> Float[Tensor, "batch features"]:
        readout = self.model.readout
        if readout == "flatten":
            return (activated * mask).transpose(1, 2).flatten(1)
        if readout == "mean":
            return (activated * mask).sum(dim=2) / mask.sum(dim=2).clamp(min=1)
        if readout == "last":
            last = (mask[:, 0] * torch.arange(mask.shape[2], device=mask.device)).amax(dim=1)
            return activated[torch.arange(len(last), device=last.device), :, last]
        self.pool.kernel_size = activated.shape[2]
        lowest = torch.finfo(activated.dtype).min
        highest: Tensor = self.pool(activated.masked_fill(~mask, lowest))[:, :, 0]
        return highest.where(mask.any(dim=2), 0)

    def _head(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        head = self.model.head
        if isinstance(head, Head):
            for layer, rectifier in zip(head.hidden, self.rectifiers, strict=True):
                features = rectifier(layer(features))
            logits: Tensor = head.output(features)
            return logits
        positive: Tensor = head(features[:, None])[:, 0]
        return positive


def why_not_layered(model: object) -> str | None:
    """Why a model is not of layers that DeepLift has rules for; None if it is."""
    if not isinstance(model, CNN1D):
        return "it is no cnn1d, and recurrent cells have no rule"
    activation = _activation(model)
    return None if activation in RULED else f"model.activation is {activation}, which has no rule"


def _activation(model: CNN1D) -> str:
    return next(name for name, function in ACTIVATIONS.items() if function is model.activation)
