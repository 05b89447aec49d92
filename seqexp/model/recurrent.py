"""Recurrent layers by their equations, and the network around them.

One bias vector a gate: PyTorch's layers have two that only add up.
"""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.model.cells import CellName
from seqexp.model.layers import Head, Init, PositionFeatures, TokenInput, initialise_as_keras
from seqexp.model.recurrent_layer import Dropout, Kernel, RecurrentLayer
from seqexp.spec import PAD, Carry, Output, TaskSpec

Readout = Literal["last", "mean", "max"]


# --- the equations ----------------------------------------------------------------------------
# Each step takes W_x x_t + b and W_h h_{t-1} of all gates, side by side, and the state before.


# --- one layer --------------------------------------------------------------------------------


# --- the network ------------------------------------------------------------------------------


class RecurrentNetwork(nn.Module):
    """Token vectors, recurrent layers, readout, dense layers: what rnn, lstm, stacked-rnn share.

    Raises:
        InputError: on choices that see later tokens where the next one is to be predicted.
    """

    def __init__(
        self,
        spec: TaskSpec,
        cell: CellName,
        num_layers: int,
        embedding_size: int | None,
        hidden_size: int,
        bidirectional: bool,
        readout: Readout,
        hidden_layers: Sequence[int],
        dropout: Dropout,
        init: Init,
        token_dropout: float = 0.0,
        readout_dropout: float = 0.0,
        forget_bias: float | None = None,
        kernel: Kernel = "auto",
        position_features: int | None = None,
        recurrent_norm: float | None = None,
    ) -> None:
        super().__init__()
        self.is_classifier = spec.output is Output.SEQUENCE_CLASS
        self.readout = readout
        if bidirectional and not self.is_classifier:
            raise InputError(
                "model.bidirectional is true, which sees later tokens, but the dataset wants the"
                " next token predicted; give false"
            )
        self.causal = not bidirectional and (not self.is_classifier or readout == "last")
        self.input = TokenInput(spec.vocabulary, embedding_size)
        self.token_dropout = token_dropout
        self.position = None if position_features is None else PositionFeatures(position_features)
        directions = 2 if bidirectional else 1
        num_inputs = self.input.size + (0 if self.position is None else self.position.size)
        sizes = [num_inputs] + [directions * hidden_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(
            RecurrentLayer(cell, size, hidden_size, dropout, kernel) for size in sizes
        )
        self.backwards = nn.ModuleList(
            RecurrentLayer(cell, size, hidden_size, dropout, kernel)
            for size in sizes
            if bidirectional
        )
        width = directions * hidden_size
        self.head = Head(width, hidden_layers, spec.num_outputs, readout_dropout)
        if init == "keras":
            initialise_as_keras(self)
        for layer in [*self.forwards, *self.backwards]:
            layer.initialise(init, forget_bias, recurrent_norm)

    def forward(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits, and the states of all layers after the last token that is no padding.

        With position features, the last of the carry is the number of tokens so far: (batch,).
        """
        is_real = tokens != PAD
        vectors, positions = self.vectors(tokens, carry)
        vectors, finals, carry = self._layers(vectors, is_real, carry)
        if self.is_classifier:
            vectors = self._read_out(vectors, finals, is_real)
        return self.head(vectors), (*carry, *positions)

    def vectors(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch time inputs"], Carry]:
        """What the first layer reads, and how many tokens there were, where that matters."""
        vectors = self.input(tokens)
        if self.training and self.token_dropout > 0:
            vectors = vectors * self._kept_tokens(tokens)[:, :, None]
        if self.position is None:
            return vectors, ()
        before = carry[-1] if carry else tokens.new_zeros(tokens.shape[0])
        count = before[:, None] + (tokens != PAD).cumsum(dim=1)  # tokens up to and with each
        features = self.position(count - 1).to(vectors.dtype)
        return torch.cat([vectors, features], dim=2), (count[:, -1],)

    def _kept_tokens(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
        """0 where a token is dropped, the same for all tokens of a kind in a sequence.

        Source: Gal & Ghahramani (2016), sec. 4.2.
        """
        keep = torch.full((len(tokens), len(self.input.table)), 1 - self.token_dropout)
        kinds = torch.bernoulli(keep.to(tokens.device)) / (1 - self.token_dropout)
        return kinds.gather(1, tokens)

    def _layers(
        self,
        vectors: Float[Tensor, "batch time inputs"],
        is_real: Bool[Tensor, "batch time"],
        carry: Carry | None,
    ) -> tuple[Float[Tensor, "batch time features"], Float[Tensor, "batch features"], Carry]:
        """Hidden states of the top layer, its last one of each sequence, and the carry."""
        padded = None if bool(is_real.all()) else is_real
        flipped = None if padded is None else padded.flip(1)
        states: list[Tensor] = []
        for index, layer in enumerate(cast(list[RecurrentLayer], list(self.forwards))):
            count = layer.cell.num_states
            start = layer.start(vectors)
            if carry:
                start = tuple(carry[index * count : (index + 1) * count])
            hidden, state = layer(vectors, padded, start)
            finals = state[0]
            states += state
            if self.backwards:
                backward = cast(RecurrentLayer, self.backwards[index])
                # padding leaves the state at its start, so that it begins at the last real token
                reverse, last = backward(vectors.flip(1), flipped, backward.start(vectors))
                hidden = torch.cat([hidden, reverse.flip(1)], dim=2)
                finals = torch.cat([finals, last[0]], dim=1)
            vectors = hidden
        return vectors, finals, () if self.backwards else tuple(states)

    def _read_out(
        self,
        hidden: Float[Tensor, "batch time features"],
        finals: Float[Tensor, "batch features"],
        is_real: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch 1 features"]:
        mask = is_real[:, :, None]
        if self.readout == "last":
            return finals[:, None]
        if self.readout == "mean":
            count = mask.sum(dim=1, keepdim=True).clamp(min=1)
            return (hidden * mask).sum(dim=1, keepdim=True) / count
        lowest = torch.finfo(hidden.dtype).min
        highest = hidden.masked_fill(~mask, lowest).amax(dim=1, keepdim=True)
        return highest.where(mask.any(dim=1, keepdim=True), 0)
