"""What several trained models say of sequences together: the mean of their predictions."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from seqexp.errors import InputError
from seqexp.inference.ensemble import common_task, comparable, mean
from seqexp.inference.prediction import Given, logits_by_shape, writes
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Output, TaskSpec
from seqexp.task.base import Cell


def refuse_apart(models: dict[str, SavedModel]) -> None:
    """Refuse models whose predictions have no common mean.

    Raises:
        InputError: if they write texts, or predict other things.
    """
    (first, model), *others = models.items()
    spec = model.spec
    if writes(spec) or spec.output is Output.READ_ERRORS:
        raise InputError(
            f"run {first} writes sequences, of which there is no mean; give one run by run=ID"
        )
    for name, other in others:
        theirs = other.spec
        if (theirs.output, theirs.output_names) != (spec.output, spec.output_names):
            raise InputError(
                f"run {first} predicts {', '.join(spec.output_names[:5])} ({spec.output.value}) and"
                f" run {name} {', '.join(theirs.output_names[:5])} ({theirs.output.value}): there"
                " is no mean of both"
            )


def predicted_together(
    spec: TaskSpec,
    parts: Sequence[Sequence[Float[Tensor, "positions columns"]]],
    weights: Sequence[float],
    names: Sequence[str],
) -> list[list[Cell]]:
    """A row a sequence, as of one model: of the weighted sum of what all models predict.

    Args:
        spec: the task of one of them; all predict the same.
        parts: of each model, what it says of each sequence, as `comparable_of` gives it.
        weights: of each model.
        names: of the sequences, for messages.

    Raises:
        InputError: if models see other positions of a sequence.
    """
    rows = []
    for name, one, *others in zip(names, *parts, strict=True):
        if any(other.shape != one.shape for other in others):
            raise InputError(
                f"{name}: the runs label other positions of it, as their windows have other lengths"
            )
        total = mean([one, *others], weights)[None]  # (1, positions, columns)
        task = common_task(spec, total.shape[2])
        labelled = torch.ones(total.shape[:2], dtype=torch.bool)
        rows.append(task.predictions(total, labelled)[0])
    return rows


def comparable_of(
    saved: SavedModel, given: Sequence[Given]
) -> list[Float[Tensor, "positions columns"]]:
    """Of each sequence, the predictions in the form whose mean is taken."""
    found: list[Tensor] = [torch.empty(0)] * len(given)
    for places, logits in logits_by_shape(saved, given):
        for place, own in zip(places, logits, strict=True):
            chosen = given[place].places
            rows = own if chosen is None or not saved.spec.per_position else own[list(chosen)]
            if not saved.spec.per_position or saved.spec.causal:
                rows = rows[-1:]
            found[place] = comparable(saved.spec, rows)
    return found
