"""Records of a file with what each of their parts adds to the prediction of a trained model."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.inference.prediction import Given, by_shape, stacked
from seqexp.inference.saved_model import SavedModel
from seqexp.interpret.attributions.deletion import Deletion
from seqexp.interpret.attributions.methods import (
    Attributions,
    Baseline,
    Made,
    Method,
    attribute,
    made_of,
    method_for,
    refuse_method,
)
from seqexp.interpret.attributions.question import KINDS, asked
from seqexp.interpret.attributions.record import Explained
from seqexp.model.cnn1d import CNN1D
from seqexp.model.layered import Layered, why_not_layered
from seqexp.spec import PAD, Model, Output, TaskSpec, Vocabulary
from seqexp.utils.nearest import did_you_mean

DELETED = 500
"""Records, the first ones, of which deletion curves are made."""


class Explainer:
    """Explains records of a trained model, a batch at a time.

    Args:
        saved: the model.
        method: None is the one for this model.
        target: name of the output; None is the predicted one of each record.
        baseline: what gradients start from.

    Raises:
        InputError: if the model has not one prediction a sequence, reads a context, has no such
            output, or no rule for this method.
    """

    def __init__(
        self,
        saved: SavedModel,
        method: Method | None = None,
        target: str | None = None,
        baseline: Baseline = "auto",
    ) -> None:
        _refuse_other_kinds(saved.spec)
        self.saved, self.spec = saved, saved.spec
        self.model = cast(Model, saved.model)
        self.made: Made = made_of(saved.spec)
        self.method: Method = method_for(self.model) if method is None else method
        refuse_method(self.model, self.method)
        if baseline == "uniform" and self.made != "letters":
            raise InputError(
                f"baseline is uniform, which is for letters, but sequences of this run are of"
                f" {self.made}; give zero"
            )
        self.baseline: Baseline = baseline
        self.target = _number_of(target, saved.spec)
        self.deletion = Deletion()
        if self.method == "deep-lift":
            self._refuse_without_rules()

    def _refuse_without_rules(self) -> None:
        why = why_not_layered(self.model)
        if why is not None:
            raise InputError(
                f"method is deep-lift, but the model of this run has layers without a rule: {why};"
                f" give method={method_for(self.model)}"
            )

    def batch(self, given: Sequence[Given]) -> list[Explained]:
        """Explain records; the first of all go into the deletion curves, too."""
        found: dict[int, Explained] = {}
        for places in by_shape(given):
            chosen = [given[place] for place in places]
            found.update(zip(places, self._together(chosen), strict=True))
        return [found[place] for place in range(len(given))]

    def _together(self, given: Sequence[Given]) -> list[Explained]:
        """Records of one length."""
        tokens = stacked([one.values for one in given])
        if self.spec.features is None:
            tokens = tokens.long()
        with torch.no_grad():
            logits = self.model(tokens)[0][:, -1]
        question = asked(self.spec, logits, self.target)
        made = attribute(
            self.model, self.spec, tokens, question, self.method, self.baseline, self._layered
        )
        margins = question.margins(self.model)
        room = DELETED - self.deletion.count
        if room > 0:
            self.deletion.add(margins, tokens[:room], made.values[:room])
        values = question.of(logits, torch.arange(len(given)))
        return [
            self._one(one, row, made, int(question.outputs[row]), float(values[row]))
            for row, one in enumerate(given)
        ]

    def _layered(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        layered = Layered(cast(CNN1D, self.model))  # as `why_not_layered` says
        return layered.eval(), layered.read

    def _one(
        self, given: Given, row: int, made: Attributions, output: int, margin: float
    ) -> Explained:
        symbols: tuple[str, ...] = ()
        if self.spec.features is None:
            symbols = symbols_of(given, self.spec.vocabulary)
        return Explained(
            name=given.name,
            tokens=np.asarray(given.values),
            symbols=symbols,
            output=self.spec.output_names[output],
            margin=margin,
            values=made.values[row].double().numpy(),
            parts=None if made.parts is None else made.parts[row].float().numpy(),
            delta=None if made.delta is None else float(made.delta[row]),
        )


def symbols_of(given: Given, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The symbol at each position; empty for padding."""
    ids = [int(index) for index in given.values]
    return tuple("" if index == PAD else vocabulary.symbols[index - 1] for index in ids)


def _refuse_other_kinds(spec: TaskSpec) -> None:
    if spec.output not in KINDS:
        raise InputError(
            f"the model of this run predicts {spec.output.value}; explain is for one prediction a"
            f" sequence: {', '.join(KINDS)}"
        )
    if spec.context is not None:
        raise InputError(
            "the model of this run reads a context beside each sequence, and explain is for"
            " predictions from one sequence; predict what=attention shows what a model with"
            " model.attention looks at"
        )


def _number_of(target: str | None, spec: TaskSpec) -> int | None:
    """The index of an output by its name; None is the predicted one.

    Raises:
        InputError: if there is none of this name, or several numbers and none is named.
    """
    names = spec.output_names
    if target is not None:
        if target not in names:
            hint = did_you_mean(target, names) or f"; give one of {', '.join(names)[:200]}"
            raise InputError(f"target is {target!r}, which the model of this run has not{hint}")
        return names.index(target)
    if spec.output is not Output.REGRESSION:
        return None
    if len(names) > 1:
        raise InputError(
            f"target is missing: the model of this run predicts {len(names)} numbers; give one of"
            f" {', '.join(names)[:200]}, as target={names[0]}"
        )
    return 0
