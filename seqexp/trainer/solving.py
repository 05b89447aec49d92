"""Models that are fitted at once, by a solver of their own, instead of by updates."""

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from seqexp.data import Data, Sequences
from seqexp.errors import InputError
from seqexp.spec import is_scored
from seqexp.trainer.score import Score
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training, Updates


@runtime_checkable
class Solver(Protocol):
    """Fits a model to the sequences that it was made for."""

    def fit(self, number: int) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Fit with the choices of this number, from 0; from the model's weights on.

        Returns logits and targets of all sequences, and the choices as metrics.
        """
        ...


@runtime_checkable
class Solves(Protocol):
    """A model whose weights a solver finds: with several choices, each of which is an epoch."""

    num_fits: int
    chosen: str  # key of the model whose value they are

    def solver(self, train: Sequences) -> Solver:
        """Made once, for all fits."""
        ...


def settings_for(model: object, settings: Settings, data: Data) -> Settings:
    """Settings with an epoch for each fit, where a model is solved; otherwise as they are.

    Validation chooses the best one. Where that is by its loss, the first fit that is no better than
    the one before is the last.

    Raises:
        InputError: if there is a choice, and nothing to validate on.
    """
    if not isinstance(model, Solves):
        return settings
    if model.num_fits > 1 and not len(data.valid):
        raise InputError(
            f"model.{model.chosen} is null, which is chosen on validation sequences, but there are"
            f" none; give a number, as model.{model.chosen}=3, or validation data"
        )
    patience = 1 if settings.monitor == "valid/loss_nats" else None
    found = replace(settings, epochs=model.num_fits, patience=patience, min_delta=0.0)
    # all that is about updates, which a solver makes none of
    found = replace(found, adversarial=None, average="none", freeze=[], unfreeze_every=None)
    found = replace(found, dynamic_evaluation=None)
    return replace(found, starts=1, test_weights="best")


def solve(training: Training, model: Solves, train: Sequences) -> tuple[Updates, dict[str, float]]:
    """Fit the model of an epoch; returns its sums over the training sequences and its choices."""
    if training.solver is None:
        training.solver = model.solver(train)
    logits, targets, told = training.solver.fit(training.epoch - 1)
    task = training.task
    with torch.no_grad():
        nats = float(task.nats(logits, targets))
        extras: Any = task.extras(logits, targets).double().tolist()
    score = Score(nats, int(is_scored(targets).sum()), tuple(extras))
    return Updates(score, tokens=train.tokens.numel()), told
