"""Recurrent layers as ONNX has them: LSTM, GRU and RNN over sequences of known lengths.

Our layers leave the state where it is at padding, wherever that stands. ONNX knows padding at the
end only. So real tokens are moved to the front first, and states back to their places.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, library

from seqexp.model.recurrent_layer import RecurrentLayer, RecurrentLayers

ORDERS = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 2, 1, 3)}
"""Our gates in the order of ONNX: update, reset, new of a GRU; i, o, f, g of an LSTM."""

NAMESPACE = "seqexp"
"""Of operations of ours, beside those of PyTorch."""

_library: Any = library.Library(NAMESPACE, "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "recurrence(str cell, Tensor x, Tensor weight_x, Tensor weight_h, Tensor bias, Tensor lengths,"
    " Tensor h, Tensor c, int hidden) -> (Tensor, Tensor, Tensor)"
)


@library.register_fake(f"{NAMESPACE}::recurrence", lib=_library)  # type: ignore[untyped-decorator]
def _shapes(
    cell: str,
    x: Tensor,
    weight_x: Tensor,
    weight_h: Tensor,
    bias: Tensor,
    lengths: Tensor,
    h: Tensor,
    c: Tensor,
    hidden: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes of what the operation gives: it is traced, and computed by an ONNX runtime only."""
    states = x.new_empty(x.shape[0], x.shape[1], hidden)
    return states, torch.empty_like(h), torch.empty_like(c)


def _operators() -> Any:
    """Operations of ours by name, as `torch.ops` has them."""
    return getattr(torch.ops, NAMESPACE)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What the exporter writes for the operation."""
    from onnxscript import opset18 as op

    def recurrence(
        cell: str,
        x: Any,
        weight_x: Any,
        weight_h: Any,
        bias: Any,
        lengths: Any,
        h: Any,
        c: Any,
        hidden: int,
    ) -> tuple[Any, Any, Any]:
        first = op.Constant(value_ints=[0])
        weights = [op.Unsqueeze(one, first) for one in (weight_x, weight_h, bias)]
        given = (op.Transpose(x, perm=[1, 0, 2]), *weights, op.Cast(lengths, to=6))
        start = op.Unsqueeze(h, first)
        if cell == "lstm":
            states, last, memory = op.LSTM(
                *given, start, op.Unsqueeze(c, first), hidden_size=hidden
            )
            memory = op.Squeeze(memory, first)
        elif cell == "gru":
            states, last = op.GRU(*given, start, hidden_size=hidden, linear_before_reset=1)
            memory = op.Identity(c)
        else:
            states, last = op.RNN(*given, start, hidden_size=hidden)
            memory = op.Identity(c)
        states = op.Squeeze(states, op.Constant(value_ints=[1]))  # of one direction
        return op.Transpose(states, perm=[1, 0, 2]), op.Squeeze(last, first), memory

    return {_operators().recurrence.default: recurrence}


def over(
    layers: RecurrentLayers,
    vectors: Float[Tensor, "batch time inputs"],
    is_real: Bool[Tensor, "batch time"],
    starts: Sequence[Tensor],
    both: bool = True,
) -> tuple[Float[Tensor, "batch time features"], list[Tensor], list[Tensor]]:
    """What `RecurrentLayers.over` gives, by the operation above."""
    count, num_layers = layers.num_states, len(layers.forwards)
    flipped = is_real.flip(1)
    finals: tuple[list[Tensor], list[Tensor]] = ([], [])
    for index, layer in enumerate(cast(list[RecurrentLayer], list(layers.forwards))):
        start = tuple(starts[index * count : (index + 1) * count])
        hidden, state = _layer(layer, vectors, is_real, start)
        finals[0].extend(state)
        if layers.backwards and both:
            backward = cast(RecurrentLayer, layers.backwards[index])
            start = tuple(starts[(num_layers + index) * count :][:count])
            reverse, last = _layer(backward, vectors.flip(1), flipped, start)
            hidden = torch.cat([hidden, reverse.flip(1)], dim=2)
            finals[1].extend(last)
        vectors = hidden
    return vectors, *finals


def _layer(
    layer: RecurrentLayer,
    vectors: Float[Tensor, "batch time inputs"],
    is_real: Bool[Tensor, "batch time"],
    start: tuple[Tensor, ...],
) -> tuple[Float[Tensor, "batch time hidden"], tuple[Tensor, ...]]:
    state = start or layer.start(vectors)
    counted = is_real.long().cumsum(dim=1)  # real tokens up to and with each
    time = vectors.shape[1]
    places = torch.where(is_real, counted - 1, torch.full_like(counted, time))
    room = vectors.new_zeros(vectors.shape[0], time + 1, vectors.shape[2])
    moved = room.scatter(1, places[:, :, None].expand(-1, -1, vectors.shape[2]), vectors)[:, :time]
    order = ORDERS[layer.cell.name]
    weights = [_ordered(one, order) for one in (layer.weight_x, layer.weight_h, layer.bias)]
    bias = torch.cat([weights[2], torch.zeros_like(weights[2])])  # ONNX has one of W_h h, too
    lengths = counted[:, -1]
    given = (layer.cell.name, moved, weights[0], weights[1], bias, lengths, state[0], state[-1])
    hidden, h, c = _operators().recurrence(*given, layer.hidden_size)
    back = (counted - 1).clamp(min=0)[:, :, None].expand(-1, -1, layer.hidden_size)
    hidden = torch.where(counted[:, :, None] > 0, hidden.gather(1, back), state[0][:, None])
    return hidden, (h, c)[: layer.cell.num_states]


def _ordered(weight: Tensor, order: Sequence[int]) -> Tensor:
    gates = weight.chunk(len(order))
    return torch.cat([gates[index] for index in order])
