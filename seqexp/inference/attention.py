"""What a model attends to: of each prediction the weight of each position of the context."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from seqexp.decode.targets import write_targets
from seqexp.errors import InputError
from seqexp.formats.ends import ends_of
from seqexp.inference.prediction import Given, Values, by_shape, how, padded, stacked, writes
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import PAD, Attends, Input, ReadsContext, Vocabulary, attends

WHOLE = "whole"
"""The row of a prediction that is made of a sequence as a whole."""


@dataclass(frozen=True, eq=False)
class Attention:
    """Weights of one sequence, which sum to 1 in each row; 0 for padding of the context.

    Args:
        weights: a row a prediction, a column a position of the context.
        rows: symbols that are predicted, or that stand where something is predicted; of one
            prediction a sequence, `whole`.
        columns: symbols of the context, empty for padding; of numbers their positions from 1, of
            patches of a picture their row and column.
    """

    weights: Float[np.ndarray, "rows columns"]
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@torch.no_grad()
def attention(saved: SavedModel, given: Sequence[Given]) -> list[Attention]:
    """Weights of each sequence; where targets are written, those of what the model writes.

    Sequences of one length go through the model together: none is padded.

    Raises:
        InputError: if the model attends to nothing.
    """
    model = attending(saved)
    if writes(saved.spec):
        given = _with_written(saved, given)
    found: list[Attention | None] = [None] * len(given)
    for places in by_shape(given):
        chosen = [given[place] for place in places]
        contexts = stacked([one.context for one in chosen if one.context is not None])
        tokens = stacked([one.values for one in chosen])
        weights = model.attention_weights(tokens, model.read(contexts)).float().numpy()
        shape = model.attended_shape(contexts)
        for place, one, own in zip(places, chosen, weights, strict=True):
            assert one.context is not None
            columns = _columns(one.context, saved.spec.context, shape)
            if saved.spec.per_position:
                rows = tuple(one.pieces) or _symbols(one.values, saved.spec.input)
                own = own if one.places is None else own[list(one.places)]
            else:
                rows = (WHOLE,)
            if own.shape != (len(rows), len(columns)):
                raise InputError(
                    f"the model's attention_weights are of the shape {own.shape}, for"
                    f" {len(rows)} predictions and {len(columns)} positions of the context"
                )
            found[place] = Attention(own, rows, columns)
    return [one for one in found if one is not None]


def attending(saved: SavedModel) -> Attends:
    """The model, if it has weights of attention.

    Raises:
        InputError: saying what it lacks.
    """
    model: object = saved.model
    if saved.spec.context is None or not isinstance(model, ReadsContext):
        raise InputError(
            "what is attention, but sequences of this run have no context that could be attended"
            " to; give what=predictions"
        )
    if not attends(model):
        node = saved.config["model"]
        lacks = (
            "was trained with model.attention=none; train one with model.attention=additive or dot"
            if "attention" in node
            else f"({node['_target_']}) has no attention_weights; give what=predictions"
        )
        raise InputError(f"what is attention, but the model of this run {lacks}")
    return model


def _with_written(saved: SavedModel, given: Sequence[Given]) -> list[Given]:
    """Sequences from the begin symbol on, whose next symbols are those that the model writes."""
    assert isinstance(saved.model, ReadsContext)
    vocabulary = saved.spec.vocabulary
    ends = ends_of(vocabulary.symbols)
    assert ends is not None, "as the reader has asked"
    contexts = [one.context for one in given if one.context is not None]
    targets = write_targets(saved.model, vocabulary, padded(contexts), how(saved))
    found = []
    for one, target in zip(given, targets, strict=True):
        predicted = [*vocabulary.decode(target.tokens), *([ends[1]] if target.has_ended else [])]
        before = vocabulary.encode([ends[0], *predicted[:-1]])[: len(predicted)]
        found.append(replace(one, values=before, pieces=predicted))
    return found


def _columns(context: Values, made_of: Input | None, shape: Sequence[int]) -> tuple[str, ...]:
    if len(shape) == 2:
        return tuple(f"{row + 1},{column + 1}" for row, column in np.ndindex(*shape))
    assert made_of is not None
    return _symbols(context, made_of)


def _symbols(values: Values, made_of: Input) -> tuple[str, ...]:
    """What stands at each position: a symbol, or its number."""
    if isinstance(made_of, Vocabulary):
        symbols = made_of.symbols
        return tuple("" if index == PAD else symbols[index - 1] for index in map(int, values))
    return tuple(str(place + 1) for place in range(len(values)))
