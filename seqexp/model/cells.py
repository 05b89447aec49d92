"""Recurrent cells by their equations: one step of an RNN, a GRU and an LSTM."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

CellName = Literal["rnn", "gru", "lstm"]


State = tuple[Float[Tensor, "batch hidden"], ...]
"""What a cell carries from token to token: (h,), or (h, c) of an LSTM."""


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
