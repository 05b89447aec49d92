"""Dynamic evaluation: a model that goes on learning from the text that it is tested on.

Each piece of a held-out text is scored first, and learned from afterwards, so no target is seen
before it is predicted. Steps are scaled by the size that each weight's gradients had in training,
and the weights decay to the trained ones. All is done to a copy of the model.

Source: Krause et al. (2018), secs. 4 and 5.
"""

import copy
import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqexp.data import Batch, Data, Sequences
from seqexp.spec import Carry, Model, is_scored
from seqexp.task.base import Task
from seqexp.trainer.score import Score
from seqexp.trainer.settings import DynamicEvaluation

log = logging.getLogger("seqexp")

MEASURED = 200
"""Pieces of the training text on which the size of gradients is measured, at most."""

FLOOR = 0.1
"""Share of the mean size of all gradients that is added to each, so that no step is endless."""


@dataclass(frozen=True)
class Sizes:
    """Root mean square of the gradient of each weight that is trained, over pieces of training."""

    of_weights: Sequence[Tensor]
    mean: float  # over all weights

    def pull(self, decay: float) -> list[Tensor]:
        """The share of the way back to the trained weights that each goes, at most all of it.

        Weights with large gradients go back faster.
        """
        return [(decay / self.mean * size).clamp(max=1) for size in self.of_weights]


def dynamic_metrics(
    model: Model, task: Task, data: Data, settings: DynamicEvaluation
) -> dict[str, float]:
    """Metrics of the test by the rate that is best on validation, and which that is.

    Nothing where no rate has a finite loss there, or validation cannot tell.
    """
    assert settings.rates is not None
    sizes = gradient_sizes(model, task, data.train, settings.tokens)
    if sizes.mean == 0:
        log.warning("dynamic evaluation is left out: all gradients of the training text are zero")
        return {}

    def score(split: Sequences, rate: float) -> Score:
        return evaluate_dynamically(model, task, split, sizes, rate, settings)

    losses = {}
    for rate in settings.rates:
        found = score(data.valid, rate)
        losses[rate] = found.nats / max(1, found.count)
        log.info(f"dynamic evaluation, rate {rate:g}: valid/loss_nats {losses[rate]:.4f}")
    finite = {rate: loss for rate, loss in losses.items() if math.isfinite(loss)}
    if not finite:
        rates = ", ".join(f"{rate:g}" for rate in losses)
        log.warning(f"dynamic evaluation is left out: the loss is not finite with {rates}")
        return {}
    best = min(finite, key=lambda rate: finite[rate])
    tested = score(data.test, best).metrics("test", task)
    shown = ("loss_nats", "perplexity", "bits_per_token")
    named = {f"test/dynamic_{name}": tested[f"test/{name}"] for name in shown}
    return named | {"dynamic/rate": best, "dynamic/valid_loss_nats": finite[best]}


def gradient_sizes(model: Model, task: Task, train: Sequences, size: int) -> Sizes:
    """How large gradients of the mean loss of `size` tokens of training are, weight by weight."""
    with _twin(model) as (twin, weights):
        sums = [torch.zeros_like(weight) for weight in weights]
        pieces = itertools.islice(_pieces(train, size), MEASURED)
        count = 0
        for _, gradients in _learned_from(twin, task, weights, pieces):
            for total, gradient in zip(sums, gradients, strict=True):
                total.addcmul_(gradient, gradient)
            count += 1
        sizes = [(total / max(1, count)).sqrt() for total in sums]
    number = sum(size.numel() for size in sizes)
    mean = sum(float(size.sum(dtype=torch.float64)) for size in sizes) / max(1, number)
    return Sizes(sizes, mean)


def evaluate_dynamically(
    model: Model,
    task: Task,
    split: Sequences,
    sizes: Sizes,
    rate: float,
    settings: DynamicEvaluation,
) -> Score:
    """Score of a model that learns from each piece of a text after it was scored.

    Args:
        model: trained; it stays as it is.
        task: what is predicted.
        split: a stream.
        sizes: of gradients in training.
        rate: what gradients, by their size, are multiplied with.
        settings: tokens of a piece, and decay.
    """
    total = Score()
    with _twin(model) as (twin, weights):
        trained = [weight.detach().clone() for weight in weights]
        pull = sizes.pull(settings.decay)
        scales = [rate / (size + FLOOR * sizes.mean) for size in sizes.of_weights]
        for score, gradients in _learned_from(twin, task, weights, _pieces(split, settings.tokens)):
            total += score
            if not math.isfinite(score.nats):  # which it stays
                break
            for weight, start, back, scale, gradient in zip(
                weights, trained, pull, scales, gradients, strict=True
            ):
                weight.data.lerp_(start, back).addcmul_(gradient, scale, value=-1)
    return total


def _pieces(split: Sequences, size: int) -> Iterator[tuple[Batch, bool]]:
    """All rows of a stream, `size` tokens at a time, and whether a piece begins its rows."""
    for batch in split.batches(max(1, len(split))):
        for index, part in enumerate(batch.windows(size)):
            yield part, index == 0


def _learned_from(
    twin: Any, task: Task, weights: Sequence[Tensor], pieces: Iterator[tuple[Batch, bool]]
) -> Iterator[tuple[Score, Sequence[Tensor]]]:
    """The score of each piece, and the gradients of its mean loss; weights may change between."""
    carry: Carry | None = None
    for part, is_first in pieces:
        with torch.enable_grad():
            logits, carry = twin(part.tokens, None if is_first else carry)
            nats = task.nats(logits, part.targets)
            count = int(is_scored(part.targets).sum())
            found = torch.autograd.grad(nats / max(1, count), weights, materialize_grads=True)
        carry = tuple(state.detach() for state in carry)
        extras = task.extras(logits.detach(), part.targets)
        yield Score(float(nats.detach()), count, tuple(extras.double().tolist())), found


@contextmanager
def _twin(model: Any) -> Iterator[tuple[Any, list[Tensor]]]:
    """A copy of a model that predicts without dropout, and its weights that are trained.

    Its tables are read and learned as wholes, also those that an optimizer steps lazily.
    """
    lazy = {
        part: part.on_reading
        for part in model.modules()
        if getattr(part, "on_reading", None) is not None
    }
    for part in lazy:
        part.on_reading = None
    try:
        twin = copy.deepcopy(model).eval()
    finally:
        for part, told in lazy.items():
            part.on_reading = told
    yield twin, [weight for weight in twin.parameters() if weight.requires_grad]
