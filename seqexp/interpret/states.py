"""Hidden states and gates of a recurrent network over one sequence, position by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from seqexp.interpret.gradient_flow.measure import Recurrent

MAX_POSITIONS = 60
"""Of a sequence, that can be read side by side."""

MAX_UNITS = 24
"""Of the layer: those that change most over the sequence."""


@dataclass(frozen=True, eq=False)
class Over:
    """The top layer, over the last positions of a sequence.

    Args:
        first: number of the first position that is shown, from 1.
        states: of the units that change most, the most first.
        units: their numbers.
        gates: mean activation over all units, by the gate's name.
    """

    first: int
    states: Float[np.ndarray, "units positions"]
    units: Sequence[int]
    gates: Mapping[str, Float[np.ndarray, " positions"]]


@torch.no_grad()
def over(model: Any, tokens: Num[Tensor, "time ..."]) -> Over | None:
    """States and gates over a sequence without padding; None of a model that has none to show.

    The model reads forward and without a context.
    """
    if not isinstance(model, Recurrent) or not model.reads_forward or not len(tokens):
        return None
    ids = tokens if tokens.is_floating_point() else tokens.long()  # datasets hold them in less
    inputs, _ = model.vectors(ids[None])
    states, gates = inputs, {}
    for layer in model.forwards:
        start = layer.start(inputs)
        states, _ = layer(inputs, None, start)
        before = torch.cat([start[0][:, None].to(states.dtype), states[:, :-1]], dim=1)
        gates = layer.gates(inputs, before)
        inputs = states
    shown = states[0, -MAX_POSITIONS:].float().cpu().numpy()
    units = np.argsort(-shown.std(axis=0), kind="stable")[:MAX_UNITS]
    return Over(
        first=len(tokens) - len(shown) + 1,
        states=shown[:, units].T,
        units=units.tolist(),
        gates={
            name: values[0, -MAX_POSITIONS:].float().mean(dim=-1).cpu().numpy()
            for name, values in gates.items()
        },
    )
