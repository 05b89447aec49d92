"""Attributions of a batch of sequences by each method, for letters, words and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from seqexp.errors import InputError
from seqexp.interpret.attributions.deep_lift import deep_lift
from seqexp.interpret.attributions.gradients import (
    CELLS,
    TOLERANCE,
    gradients,
    integrated_gradients,
)
from seqexp.interpret.attributions.question import Margins, Question
from seqexp.interpret.letters import have_logo
from seqexp.interpret.saliency.mutagenesis import changes
from seqexp.spec import PAD, Model, ReadsVectors, TaskSpec, is_real

Method = Literal["ism", "gradient", "integrated-gradients", "deep-lift", "contributions"]

Baseline = Literal["auto", "uniform", "zero"]

Made = Literal["letters", "words", "features"]

TOGETHER = 2**23
"""Numbers of the vectors on the ways of sequences that are explained together."""

VARIANTS = 2000
"""Sequences without a part of them that go through a model together."""

Sequential = Callable[[], tuple[nn.Module, Callable[[Tensor], Tensor]]]
"""Makes a twin of a model of layers that captum knows, and what it reads from vectors."""


@runtime_checkable
class Contributes(Protocol):
    """A model that is a sum of what its tokens add."""

    def contributions(
        self, tokens: Num[Tensor, "batch time ..."]
    ) -> Float[Tensor, "batch time outputs"] | None:
        """What each token adds to the logits; None where the model is no such sum."""
        ...


@dataclass(frozen=True, eq=False)
class Attributions:
    """What the parts of each sequence of a batch add to what is explained.

    Args:
        values: of each position, what stands there.
        parts: of letters, what each symbol would add at each position (hypothetical ones, whose
            value at the letter that is there is `values`); of features, what each adds; None for
            words.
        delta: of each sequence, the sum of the attributions less what changes from the baseline to
            the sequence; None where a method promises no such sum.
    """

    values: Float[Tensor, "batch time"]
    parts: Float[Tensor, "batch time channels"] | None
    delta: Float[Tensor, " batch"] | None


def made_of(spec: TaskSpec) -> Made:
    """Whether sequences are of letters, all of which can be tried at a place, words or numbers."""
    if spec.features is not None:
        return "features"
    return "letters" if have_logo(spec.vocabulary.symbols) else "words"


def method_for(model: Model) -> Method:
    """What is chosen where no method is named."""
    if not isinstance(model, ReadsVectors):
        return "contributions" if isinstance(model, Contributes) else "ism"
    return "ism" if model.why_no_vectors() else "integrated-gradients"


def refuse_method(model: Model, method: Method) -> None:
    """Refuse a method that a model has no rule for.

    Raises:
        InputError: with the reason, and what to give instead.
    """
    if method == "contributions" and (
        isinstance(model, ReadsVectors) or not isinstance(model, Contributes)
    ):
        raise InputError(
            "method is contributions, which are those of model=ngrams, a sum over n-grams; give"
            f" method={method_for(model)}"
        )
    if method in ("ism", "contributions"):
        return
    why = "it has no method as_vectors (seqexp.spec.ReadsVectors)"
    if isinstance(model, ReadsVectors):
        why = model.why_no_vectors() or ""
    elif isinstance(model, Contributes):
        why = "it counts n-grams"
    if why:
        raise InputError(
            f"method is {method}, but the model of this run has no derivative by its input: {why};"
            f" give method={method_for(model)}"
        )


def attribute(
    model: Model,
    spec: TaskSpec,
    tokens: Num[Tensor, "batch time ..."],
    question: Question,
    method: Method,
    baseline: Baseline = "auto",
    sequential: Sequential | None = None,
    tolerance: float = TOLERANCE,
) -> Attributions:
    """Attributions of sequences of one length, padded or not.

    Args:
        model: that predicts.
        spec: the task.
        tokens: ids, or features.
        question: what is explained.
        method: one of `Method` that `refuse_method` allows.
        baseline: what gradients start from: `zero` vectors, or `uniform`, all symbols alike, which
            is for letters, and `auto` there.
        sequential: of deep-lift, what makes the model of layers that captum has rules for.
        tolerance: of integrated gradients, what a piece of the way may miss.
    """
    if method == "contributions":
        return _contributions(model, spec, tokens, question)
    if method == "ism":
        return _by_changes(model, spec, tokens, question)
    assert isinstance(model, ReadsVectors)
    vectors = model.as_vectors(tokens).detach()
    made = made_of(spec)
    start = _start(model, vectors, made == "letters" and baseline != "zero")
    size = vectors[0].numel() * (CELLS if method == "integrated-gradients" else 1)
    found, deltas = [], []
    every = torch.arange(len(tokens), device=tokens.device)
    for rows in torch.split(every, max(1, TOGETHER // size)):
        own = Question(
            question.outputs[rows], None if question.against is None else question.against[rows]
        )
        ends = start[rows], vectors[rows]
        by_number, delta = _along(model, own, ends, method, sequential, tolerance)
        found.append(by_number)
        deltas.append(delta)
    means = torch.cat(found)
    known = [delta for delta in deltas if delta is not None]
    return _told(model, spec, tokens, question, (start, vectors, means), known)


def _along(
    model: ReadsVectors,
    question: Question,
    ends: tuple[Tensor, Tensor],
    method: Method,
    sequential: Sequential | None,
    tolerance: float,
) -> tuple[Float[Tensor, "batch time channels"], Float[Tensor, " batch"] | None]:
    """Multipliers of the vectors' numbers, and the delta of each sequence."""
    start, end = ends
    margins = question.margins(cast(Model, model))  # which reads vectors as well
    if method == "gradient":
        return gradients(margins, end), None
    if method == "deep-lift":
        assert sequential is not None
        multipliers = deep_lift(*sequential(), question, start, end)
    else:
        multipliers = integrated_gradients(margins, start, end, tolerance)
    with torch.no_grad():
        numbers = torch.arange(len(end), device=end.device)
        risen = margins(end, numbers) - margins(start, numbers)
        delta = (multipliers * torch.nan_to_num(end - start)).sum(dim=(1, 2)) - risen
    return multipliers, delta


def _start(
    model: ReadsVectors, vectors: Float[Tensor, "batch time channels"], is_uniform: bool
) -> Float[Tensor, "batch time channels"]:
    """The vectors that nothing is known of; padding stays."""
    like = model.symbol_vectors().mean(dim=0) if is_uniform else vectors.new_zeros(())
    return torch.where(vectors.isnan(), vectors, like.detach().to(vectors))


def _told(
    model: ReadsVectors,
    spec: TaskSpec,
    tokens: Num[Tensor, "batch time ..."],
    question: Question,
    along: tuple[Tensor, Tensor, Tensor],
    deltas: list[Tensor],
) -> Attributions:
    """From multipliers of vectors to what each symbol or feature adds."""
    start, end, multipliers = along
    delta = torch.cat(deltas) if deltas else None
    by_number = torch.nan_to_num(end - start) * multipliers
    values, parts = by_number.sum(dim=2), None
    made = made_of(spec)
    if made == "features":
        parts = by_number
    elif made == "letters":
        # what a symbol's vector would add in the place of the baseline's
        symbols = multipliers @ model.symbol_vectors().detach().T.to(multipliers)
        parts = symbols - (torch.nan_to_num(start) * multipliers).sum(dim=2, keepdim=True)
    beside = model.contributions(tokens)
    if beside is not None:
        added = _of_outputs(beside, question)
        values = values + added
        if parts is not None:
            parts = parts + _there(tokens, parts.shape[2]) * added[:, :, None]
    return Attributions(values, parts, delta)


def _there(tokens: Int[Tensor, "batch time"], symbols: int) -> Bool[Tensor, "batch time symbols"]:
    """Which symbol stands at each place; none where there is padding."""
    return tokens[:, :, None] == torch.arange(1, symbols + 1, device=tokens.device)


def _of_outputs(
    logits: Float[Tensor, "batch time outputs"], question: Question
) -> Float[Tensor, "batch time"]:
    """What is explained, of what each token adds to the logits."""
    batch, time = logits.shape[:2]
    numbers = torch.arange(batch, device=logits.device).repeat_interleave(time)
    return question.of(logits.flatten(0, 1), numbers).view(batch, time)


def _contributions(
    model: Model, spec: TaskSpec, tokens: Int[Tensor, "batch time"], question: Question
) -> Attributions:
    """Of a sum over n-grams: exact, but the sum lacks the bias."""
    assert isinstance(model, Contributes)
    logits = model.contributions(tokens)
    assert logits is not None
    values = _of_outputs(logits, question)
    parts = None
    if made_of(spec) == "letters":
        parts = _there(tokens, len(spec.vocabulary.symbols)) * values[:, :, None]
    with torch.no_grad():
        numbers = torch.arange(len(tokens), device=tokens.device)
        margins = question.margins(model)
        risen = margins(tokens, numbers) - margins(torch.full_like(tokens, PAD), numbers)
    return Attributions(values, parts, values.sum(dim=1) - risen)


@torch.no_grad()
def _by_changes(
    model: Model, spec: TaskSpec, tokens: Num[Tensor, "batch time ..."], question: Question
) -> Attributions:
    """In-silico mutagenesis: letters are replaced by each other, words and numbers are taken away.

    A letter's attribution is what it gives less the mean over all letters at its place; the mean of
    a number over the training is what it is replaced by.
    """
    margins = question.margins(model)
    if made_of(spec) == "letters":
        tried = changes(margins, tokens, len(spec.vocabulary.symbols))
        parts = tried - tried.mean(dim=2, keepdim=True)
        parts = parts * is_real(tokens)[:, :, None]
        return Attributions((parts * _there(tokens, parts.shape[2])).sum(dim=2), parts, None)
    lost = without_each(margins, tokens)
    return (
        Attributions(lost, None, None)
        if lost.dim() == 2
        else Attributions(lost.sum(dim=2), lost, None)
    )


def without_each(
    margins: Margins, tokens: Num[Tensor, "batch time ..."]
) -> Float[Tensor, "batch time ..."]:
    """What is lost without each token, or without each number of features."""
    is_there = ~tokens.isnan() if tokens.is_floating_point() else tokens != PAD
    places = is_there.nonzero()
    before = margins(tokens, torch.arange(len(tokens), device=tokens.device))
    lost = before.new_zeros(tokens.shape)
    for part in torch.split(places, VARIANTS):
        changed = tokens[part[:, 0]]
        changed[(torch.arange(len(part), device=tokens.device), *part[:, 1:].T)] = 0
        lost[tuple(part.T)] = before[part[:, 0]] - margins(changed, part[:, 0])
    return lost
