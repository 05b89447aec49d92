"""One recurrent layer: a cell over time, its dropout and its kernel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.kernels import recurrence_cpp as compiled
from seqexp.kernels.build import Built
from seqexp.kernels.recurrence import recurrence
from seqexp.model.cells import CELLS, FORGET_GATE, FUSED, State, gate_activations
from seqexp.model.layers import Init

DropoutMasks = Literal["tied", "per_gate"]


Kernel = Literal["auto", "fused", "python", "compiled", "reference"]


Stepwise = Literal["python", "compiled", "compiled-bf16", "reference"]
"""A kernel that takes masks for h and padding; the compiled one under autocast, too."""

SMALL = 32
"""Hidden size up to which `auto` compiles an LSTM without recurrent dropout, which PyTorch's layer
could compute as well: that takes 0.6 to 0.8 of its time. All others keep the bits that they had.
"""


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
        self.computes = "recurrence"
        self.cell = CELLS[cell]
        self.kernel = kernel
        # of a training that goes on; None: none did
        self.began_with: Stepwise | Literal["fused"] | None = None
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
        # under autocast, what is read may be in bfloat16; the state never is
        zeros = like.new_zeros(like.shape[0], self.hidden_size, dtype=self.weight_h.dtype)
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
            hidden, state = recurrence(self.cell.name, x, self.weight_h, state, h_masks, real)
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
        if self.began_with is not None and self.began_with != "fused":
            return self.began_with
        found = self.compiled()
        if found.binary is not None:
            return "compiled-bf16" if self._is_bf16() else "compiled"
        if self.kernel == "compiled" and self.training:
            raise InputError(
                f"model.kernel is compiled, which cannot be had: {found.reason}; give auto"
            )
        return "python"

    def fuses(self) -> bool:
        """Whether PyTorch's own layer computes it all, where nothing is padded."""
        return self.dropout.recurrent == 0 and self.can_fuse(self.weight_h)

    def compiled(self) -> Built:
        """The compiled recurrence, or why there is none."""
        return compiled.available(self.cell.name, self.weight_h, self._is_bf16())

    def _is_bf16(self) -> bool:
        """Whether products are wanted in bfloat16."""
        return torch.is_autocast_enabled(self.weight_h.device.type)

    def can_fuse(self, inputs: Tensor) -> bool:
        """Whether PyTorch's own layer does the same, without padding and recurrent dropout.

        On the CPU it is taken for the LSTM only, which oneDNN computes, and not for a small one,
        where the compiled recurrence is faster.
        """
        per_gate = self.dropout.masks == "per_gate" and self.dropout.inputs > 0 and self.training
        # under autocast PyTorch's layer would round the state to bfloat16 at each token
        if per_gate or self._is_bf16():
            return False
        if self.kernel not in ("auto", "fused"):
            return False
        if self.kernel == "fused" or inputs.is_cuda:
            return True
        if self.cell.name != "lstm" or inputs.dtype != torch.float32:
            return False
        is_small = self.hidden_size <= SMALL and self.dropout.recurrent == 0
        # one that began without the compiled recurrence goes on so
        return not is_small or self.began_with is not None or self.compiled().binary is None

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


class RecurrentLayers(nn.Module):
    """Recurrent layers on top of each other, in one direction or in both."""

    forwards: nn.ModuleList
    backwards: nn.ModuleList

    def make(
        self,
        cell: str,
        num_inputs: int,
        num_layers: int,
        hidden_size: int,
        bidirectional: bool,
        dropout: Dropout,
        kernel: Kernel,
    ) -> None:
        """Make the layers; those on top read both directions of the one below."""
        directions = 2 if bidirectional else 1
        sizes = [num_inputs] + [directions * hidden_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(
            RecurrentLayer(cell, size, hidden_size, dropout, kernel) for size in sizes
        )
        self.backwards = nn.ModuleList(
            RecurrentLayer(cell, size, hidden_size, dropout, kernel)
            for size in sizes
            if bidirectional
        )

    def initialise(
        self, init: Init, forget_bias: float | None, recurrent_norm: float | None
    ) -> None:
        """Fill the weights of all layers."""
        for layer in [*self.forwards, *self.backwards]:
            cast(RecurrentLayer, layer).initialise(init, forget_bias, recurrent_norm)

    @property
    def num_states(self) -> int:
        """Tensors of the state of one layer: 2 of an LSTM."""
        return cast(RecurrentLayer, self.forwards[0]).cell.num_states

    def over(
        self,
        vectors: Float[Tensor, "batch time inputs"],
        is_real: Bool[Tensor, "batch time"],
        starts: Sequence[Tensor],
        both: bool = True,
    ) -> tuple[Float[Tensor, "batch time features"], list[Tensor], list[Tensor]]:
        """Hidden states of the top layer, and the last states of all layers in each direction.

        `starts` are the states that forward layers start with, from the bottom up, then those of
        the backward layers; missing ones are zeros. Without `both`, only forward layers read.
        """
        padded = None if bool(is_real.all()) else is_real
        flipped = None if padded is None else padded.flip(1)
        count, num_layers = self.num_states, len(self.forwards)
        finals: tuple[list[Tensor], list[Tensor]] = ([], [])
        for index, layer in enumerate(cast(list[RecurrentLayer], list(self.forwards))):
            start = tuple(starts[index * count : (index + 1) * count])
            hidden, state = layer(vectors, padded, start or layer.start(vectors))
            finals[0].extend(state)
            if self.backwards and both:
                backward = cast(RecurrentLayer, self.backwards[index])
                start = tuple(starts[(num_layers + index) * count :][:count])
                # padding leaves the state at its start, so that it begins at the last real token
                given = (vectors.flip(1), flipped, start or backward.start(vectors))
                reverse, last = backward(*given)
                hidden = torch.cat([hidden, reverse.flip(1)], dim=2)
                finals[1].extend(last)
            vectors = hidden
        return vectors, *finals


def _gates_in_order(weight: Float[Tensor, "rows ..."], order: Sequence[int]) -> Tensor:
    gates = weight.chunk(len(order))
    return torch.cat([gates[index] for index in order])
