"""What a model makes of a sequence before its output: features, and states at each position."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from seqexp.errors import InputError
from seqexp.inference.prediction import Given, by_shape, first_carry, stacked
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Represents

Inner = Literal["features", "states"]


@torch.no_grad()
def represented(
    saved: SavedModel, given: Sequence[Given], what: Inner
) -> list[Float[np.ndarray, "positions size"]]:
    """Features of each sequence, (1, size), or of each position that is predicted; or its states.

    Sequences of one length go through the model together: none is padded.

    Raises:
        InputError: if the model has none.
    """
    model = representing(saved, what)
    found: list[np.ndarray | None] = [None] * len(given)
    for places in by_shape(given):
        chosen = [given[place] for place in places]
        carry = first_carry(saved, [one.context for one in chosen])
        tokens = stacked([one.values for one in chosen])
        make = model.representation if what == "features" else model.states
        for place, own in zip(places, make(tokens, carry).float().numpy(), strict=True):
            found[place] = own
    return [one for one in found if one is not None]


def representing(saved: SavedModel, what: Inner) -> Represents:
    """The model, if it has features and states.

    Raises:
        InputError: naming the model.
    """
    model: object = saved.model
    if not isinstance(model, Represents):
        target = saved.config["model"]["_target_"]
        raise InputError(
            f"what is {what}, but the model of this run ({target}) has none, as a convolution or a"
            " recurrent network has; give what=predictions"
        )
    return model
