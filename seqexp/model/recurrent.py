"""Recurrent layers by their equations, and the network around them.

One bias vector a gate: PyTorch's layers have two that only add up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from seqexp.compile import Built
from seqexp.errors import InputError
from seqexp.model import compiled
from seqexp.model.kernel import KERNELS
from seqexp.model.parts import Head, Init, PositionFeatures, TokenInput, initialise_as_keras
from seqexp.spec import PAD, Carry, Output, TaskSpec

CellName = Literal["rnn", "gru", "lstm"]
Readout = Literal["last", "mean", "max"]
DropoutMasks = Literal["tied", "per_gate"]
Kernel = Literal["auto", "fused", "python", "compiled", "reference"]
Stepwise = Literal["python", "compiled", "compiled-bf16", "reference"]
"""A kernel that takes masks for h and padding; the compiled one under autocast, too."""

State = tuple[Float[Tensor, "batch hidden"], ...]
"""What a cell carries from token to token: (h,), or (h, c) of an LSTM."""


# --- the equations ----------------------------------------------------------------------------
# Each step takes W_x x_t + b and W_h h_{t-1} of all gates, side by side, and the state before.


def rnn_step(x: Tensor, h: Tensor, state: State) -> State:
    """h_t = tanh(W_x x_t + W_h h_{t-1} + b).

    Source: Elman (1990), eq. 1 and 2.
    """
    return (torch.tanh(x + h),)


def gru_step(x: Tensor, h: Tensor, state: State) -> State:
    """Gates r, z and candidate n = tanh(x_n + r h_n); h_t = (1 - z) n + z h_{t-1}.

    Source: Cho et al. (2014), eq. 5 to 8, with the reset after the matrix product, as in cuDNN.
    """
    x_reset, x_update, x_new = x.chunk(3, dim=1)
    h_reset, h_update, h_new = h.chunk(3, dim=1)
    update = torch.sigmoid(x_update + h_update)
    new = torch.tanh(x_new + torch.sigmoid(x_reset + h_reset) * h_new)
    return (torch.lerp(new, state[0], update),)


def lstm_step(x: Tensor, h: Tensor, state: State) -> State:
    """Gates i, f, o and candidate g; c_t = f c_{t-1} + i g; h_t = o tanh(c_t).

    Source: Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000).
    """
    size = state[0].shape[1]
    gates = x + h
    i, f, o = torch.sigmoid(gates[:, : 3 * size]).chunk(3, dim=1)
    c = f * state[1] + i * torch.tanh(gates[:, 3 * size :])
    return (o * torch.tanh(c), c)


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell."""

    name: str
    step: Callable[[Tensor, Tensor, State], State]
    num_gates: int
    num_states: int


CELLS: dict[str, Cell] = {
    "rnn": Cell("rnn", rnn_step, num_gates=1, num_states=1),
    "gru": Cell("gru", gru_step, num_gates=3, num_states=1),
    "lstm": Cell("lstm", lstm_step, num_gates=4, num_states=2),
}

FUSED: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "rnn": torch.rnn_tanh,
    "gru": torch.gru,
    "lstm": torch.lstm,
}
"""PyTorch's own layers."""

FORGET_GATE = 1
"""Place of the forget gate among an LSTM's gates i, f, o, g."""

GATES: dict[int, str] = {1: "h", 3: "rzn", 4: "ifog"}
"""Names of a cell's gates by their number, in the order of their weights: the last is a tanh, the
others are sigmoids."""


def gate_activations(x: Tensor, h: Tensor, num_gates: int) -> dict[str, Tensor]:
    """What the gates of a step have let through, by name; takes what the step takes."""
    *x_gates, x_new = x.chunk(num_gates, dim=-1)
    *h_gates, h_new = h.chunk(num_gates, dim=-1)
    gates = [torch.sigmoid(a + b) for a, b in zip(x_gates, h_gates, strict=True)]
    if GATES[num_gates] == "rzn":  # a GRU's reset stands after the matrix product
        h_new = gates[0] * h_new
    return dict(zip(GATES[num_gates], [*gates, torch.tanh(x_new + h_new)], strict=True))


# --- one layer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dropout:
    """Variational dropout: masks that stay the same over the tokens of a pass.

    `inputs` drops parts of x_t, `recurrent` parts of h_{t-1}. `masks`: one mask for all gates, or
    one for each gate, as Keras draws them. It drops activations, not weights as DropConnect does.

    Source: Gal & Ghahramani (2016), sec. 4.
    """

    inputs: float = 0.0
    recurrent: float = 0.0
    masks: DropoutMasks = "tied"


class RecurrentLayer(nn.Module):
    """One layer in one direction.

    Weights of all gates are side by side: `weight_x` (gates * hidden, inputs), `weight_h`
    (gates * hidden, hidden), `bias` (gates * hidden).
    """

    def __init__(
        self,
        cell: str,
        num_inputs: int,
        hidden_size: int,
        dropout: Dropout,
        kernel: Kernel = "auto",
    ) -> None:
        super().__init__()
        self.cell = CELLS[cell]
        self.kernel = kernel
        self.began_with: Stepwise | None = None  # of a training that goes on; None: none did
        self.hidden_size = hidden_size
        self.dropout = dropout
        rows = self.cell.num_gates * hidden_size
        self.weight_x = nn.Parameter(torch.empty(rows, num_inputs))
        self.weight_h = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias = nn.Parameter(torch.empty(rows))

    def initialise(
        self, init: Init, forget_bias: float | None, recurrent_norm: float | None = None
    ) -> None:
        """Fill the weights.

        `keras`: Glorot uniform, the recurrent matrix orthogonal as a whole, biases 0 and the
        forget gate's 1. `torch`: uniform within 1 / sqrt(hidden). `forget_bias` replaces either;
        the recurrent matrix of all gates, as one, is scaled so that its largest singular value is
        `recurrent_norm`.
        """
        if init == "keras":
            nn.init.xavier_uniform_(self.weight_x)
            nn.init.orthogonal_(self.weight_h)
            nn.init.zeros_(self.bias)
        else:
            limit = 1 / math.sqrt(self.hidden_size)
            for weight in (self.weight_x, self.weight_h, self.bias):
                nn.init.uniform_(weight, -limit, limit)
        if self.cell is CELLS["lstm"]:
            forget = self.bias.detach().chunk(self.cell.num_gates)[FORGET_GATE]
            if forget_bias is not None:
                forget.fill_(forget_bias)
            elif init == "keras":
                forget.fill_(1)
        if recurrent_norm is not None:
            with torch.no_grad():
                self.weight_h.mul_(recurrent_norm / torch.linalg.matrix_norm(self.weight_h, ord=2))

    def gates(
        self, inputs: Float[Tensor, "*batch inputs"], h: Float[Tensor, "*batch hidden"]
    ) -> dict[str, Float[Tensor, "*batch hidden"]]:
        """Activations of the gates, by name, of tokens x_t and the states h_{t-1} before them."""
        x = nn.functional.linear(inputs, self.weight_x, self.bias)
        return gate_activations(x, nn.functional.linear(h, self.weight_h), self.cell.num_gates)

    def start(self, like: Float[Tensor, "batch time inputs"]) -> State:
        """The state before the first token: zeros."""
        zeros = like.new_zeros(like.shape[0], self.hidden_size)
        return (zeros,) * self.cell.num_states

    def forward(
        self,
        inputs: Float[Tensor, "batch time inputs"],
        is_real: Bool[Tensor, "batch time"] | None,
        state: State,
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """Hidden states of all tokens, and the state after the last.

        Where `is_real` is False, the token is padding and the state stays; None: all are real.
        """
        x_masks = self._masks(inputs, inputs.shape[2], self.dropout.inputs)
        h_masks = self._masks(inputs, self.hidden_size, self.dropout.recurrent)
        if h_masks is None and is_real is None and self.can_fuse(inputs):
            return self._fused(inputs if x_masks is None else inputs * x_masks[0][:, None], state)
        kernel = self.stepwise()
        # the state is kept in full precision also where products are in bfloat16
        if kernel in ("compiled", "compiled-bf16"):
            with torch.autocast(inputs.device.type, enabled=False):
                x = inputs.to(self.weight_h.dtype)
                weights = (self.weight_x, self.weight_h, self.bias)
                given = (x, *weights, state, x_masks, h_masks, is_real)
                return compiled.layer(self.cell.name, *given, kernel == "compiled-bf16")
        x = self._input_products(inputs, x_masks).transpose(0, 1)  # (time, batch, gates * hidden)
        real = None if is_real is None else is_real.t()[:, :, None]  # (time, batch, 1)
        if kernel == "reference":
            return self._reference(x, h_masks, real, state)
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight_h.dtype).contiguous()
            hidden, state = KERNELS[self.cell.name](x, self.weight_h, state, h_masks, real)
        return hidden.transpose(0, 1), state

    def stepwise(self) -> Stepwise:
        """What computes this layer where PyTorch's own does not.

        Raises:
            InputError: if the compiled recurrence is asked for, to train, and cannot be had.
        """
        if self.kernel in ("python", "fused"):
            return "python"
        if self.kernel == "reference":
            return "reference"
        if self.began_with is not None:
            return self.began_with
        found = self.compiled()
        if found.binary is not None:
            return "compiled-bf16" if self._is_bf16() else "compiled"
        if self.kernel == "compiled" and self.training:
            raise InputError(
                f"model.kernel is compiled, which cannot be had: {found.reason}; give auto"
            )
        return "python"

    def compiled(self) -> Built:
        """The compiled recurrence, or why there is none."""
        return compiled.available(self.cell.name, self.weight_h, self._is_bf16())

    def _is_bf16(self) -> bool:
        """Whether products are wanted in bfloat16."""
        return torch.is_autocast_enabled(self.weight_h.device.type)

    def can_fuse(self, inputs: Tensor) -> bool:
        """Whether PyTorch's own layer does the same, without padding and recurrent dropout.

        On the CPU it is taken for the LSTM only, which oneDNN computes.
        """
        per_gate = self.dropout.masks == "per_gate" and self.dropout.inputs > 0 and self.training
        # under autocast PyTorch's layer would round the state to bfloat16 at each token
        if per_gate or self._is_bf16():
            return False
        if self.kernel not in ("auto", "fused"):
            return False
        if self.kernel == "fused" or inputs.is_cuda:
            return True
        return self.cell.name == "lstm" and inputs.dtype == torch.float32

    def _fused(
        self, inputs: Float[Tensor, "batch time inputs"], state: State
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """By PyTorch's layer, which has a second bias (zeros) and another order of the gates."""
        weights: list[Tensor] = [self.weight_x, self.weight_h, self.bias]
        if self.cell.name == "lstm":
            i, f, o, g = range(4)
            weights = [_gates_in_order(weight, (i, f, g, o)) for weight in weights]
        flat = (*weights, torch.zeros_like(self.bias))
        inputs = inputs.transpose(0, 1).contiguous()  # as oneDNN wants it: (time, batch, inputs)
        states = tuple(value[None] for value in state)  # (layers, batch, hidden)
        start = states if len(states) > 1 else states[0]
        hidden, *last = FUSED[self.cell.name](
            inputs, start, flat, True, 1, 0.0, self.training, False, False
        )
        return hidden.transpose(0, 1), tuple(value[0] for value in last)

    def _reference(
        self,
        x: Float[Tensor, "time batch rows"],
        h_masks: Float[Tensor, "masks batch hidden"] | None,
        is_real: Bool[Tensor, "time batch 1"] | None,
        state: State,
    ) -> tuple[Float[Tensor, "batch time hidden"], State]:
        """By the equations above, one token after the other, recorded by autograd."""
        hidden = []
        for step in range(x.shape[0]):
            new = self.cell.step(x[step], self._recurrent_product(state[0], h_masks), state)
            if is_real is not None:
                real = is_real[step]
                new = tuple(torch.where(real, n, old) for n, old in zip(new, state, strict=True))
            state = new
            hidden.append(state[0])
        return torch.stack(hidden, dim=1), state

    def _input_products(
        self,
        inputs: Float[Tensor, "batch time inputs"],
        masks: Float[Tensor, "masks batch inputs"] | None,
    ) -> Float[Tensor, "batch time rows"]:
        """W_x x_t + b of all tokens at once: one large product is faster than many small ones."""
        if masks is None:
            return nn.functional.linear(inputs, self.weight_x, self.bias)
        if masks.shape[0] == 1:
            return nn.functional.linear(inputs * masks[0][:, None], self.weight_x, self.bias)
        gates = self.weight_x.chunk(self.cell.num_gates)
        masked = [
            nn.functional.linear(inputs * mask[:, None], weight)
            for mask, weight in zip(masks, gates, strict=True)
        ]
        return torch.cat(masked, dim=2) + self.bias

    def _recurrent_product(
        self, h: Float[Tensor, "batch hidden"], masks: Float[Tensor, "masks batch hidden"] | None
    ) -> Float[Tensor, "batch rows"]:
        if masks is None:
            return nn.functional.linear(h, self.weight_h)
        if masks.shape[0] == 1:
            return nn.functional.linear(h * masks[0], self.weight_h)
        gates = self.weight_h.view(self.cell.num_gates, self.hidden_size, self.hidden_size)
        products = torch.bmm(h * masks, gates.transpose(1, 2))  # (gates, batch, hidden)
        return products.transpose(0, 1).flatten(1)

    def _masks(
        self, like: Float[Tensor, "batch time inputs"], size: int, rate: float
    ) -> Float[Tensor, "masks batch size"] | None:
        if not self.training or rate == 0:
            return None
        count = self.cell.num_gates if self.dropout.masks == "per_gate" else 1
        keep = like.new_full((count, like.shape[0], size), 1 - rate)
        return torch.bernoulli(keep) / (1 - rate)


def _gates_in_order(weight: Float[Tensor, "rows ..."], order: Sequence[int]) -> Tensor:
    gates = weight.chunk(len(order))
    return torch.cat([gates[index] for index in order])


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
