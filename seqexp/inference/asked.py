"""How a model is asked: with its temperature or without, on one strand of DNA or on both."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from seqexp.errors import InputError
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.temperature import no_probabilities
from seqexp.spec import PAD, Output, TaskSpec

if TYPE_CHECKING:
    from seqexp.inference.prediction import Given

Strands = Literal["one", "both"]


def asked(
    saved: SavedModel, calibrate: bool = False, strands: Strands = "one", name: str = "this run"
) -> SavedModel:
    """The same model, whose predictions are calibrated, or the mean over both strands.

    Args:
        saved: the model.
        calibrate: divide logits by the temperature that validation has fitted.
        strands: `both`: the mean of what is predicted for a sequence and for its reverse
            complement.
        name: of the run, for messages.

    Raises:
        InputError: if it has no temperature, or reads no DNA.
    """
    if calibrate:
        reason = no_probabilities(saved.spec.output) or saved.temperature.reason
        if saved.temperature.value is None or no_probabilities(saved.spec.output) is not None:
            raise InputError(f"calibrate is true, but {name} has no temperature: {reason}")
        saved = replace(saved, divided_by=saved.temperature.value)
    if strands == "both":
        refuse_other_than_dna(saved.spec, name)
        saved = replace(saved, strands="both")
    elif strands != "one":
        raise InputError(f"strands is {strands!r}; give one or both")
    return saved


def refuse_other_than_dna(spec: TaskSpec, name: str) -> None:
    """Refuse a model whose input has no other strand, or whose predictions are of positions.

    Raises:
        InputError: saying what the model reads.
    """
    said = f"strands is both, but the model of {name}"
    if not spec.vocabulary.is_dna or spec.features is not None or spec.context is not None:
        reads = "numbers" if spec.features is not None else "other symbols"
        if spec.context is not None:
            reads = "a context beside its sequences"
        raise InputError(f"{said} reads {reads}, and the other strand is that of DNA; give one")
    if spec.per_position or spec.output is Output.READ_ERRORS:
        raise InputError(
            f"{said} predicts something of each position ({spec.output.value}), of which both"
            " strands have no mean; give one"
        )


def other_strand(one: "Given", spec: TaskSpec) -> "Given":
    """A sequence of DNA as its reverse complement, padded on the side where it was padded."""
    complements, ids = spec.vocabulary.complements(), [int(i) for i in one.values]
    letters = len(one.pieces) or len(ids)  # the rest is padding
    left = len(ids) - letters if spec.words is not None and spec.words.pad == "left" else 0
    turned = [complements[i] for i in reversed(ids[left : left + letters])]
    after = [PAD] * (len(ids) - left - letters)
    return replace(one, values=[*([PAD] * left), *turned, *after], pieces=())


def mean_of_strands(
    first: Float[Tensor, "*rows outputs"], second: Float[Tensor, "*rows outputs"], spec: TaskSpec
) -> Float[Tensor, "*rows outputs"]:
    """The mean as ensembles take it: of log-odds, or of numbers in the unit of their targets."""
    if spec.output is Output.REGRESSION and spec.scoring.loss == "poisson":
        return torch.logaddexp(first, second) - math.log(2)  # logits are logarithms of rates
    if spec.output is Output.SEQUENCE_CLASS and first.shape[-1] > 1:
        first, second = (one.double().log_softmax(dim=-1) for one in (first, second))
    return (first + second) / 2
