"""Fits the temperature of a model on validation, and says how well probabilities fit with it."""

import logging

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.callback.tested import parts_of_test
from seqexp.checkpoint.result import Result
from seqexp.data import Sequences
from seqexp.inference.temperature import Temperature, no_probabilities
from seqexp.task.calibration import (
    HIGHEST,
    LOWEST,
    as_classes,
    calibration_error,
    confidences,
    fitted_temperature,
)
from seqexp.trainer.loop import scored_batches
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import evaluate, scored_window
from seqexp.utils.phases import TESTING

log = logging.getLogger("seqexp")

MAX_LOGITS = 2**22
"""Of validation that a temperature is fitted on, in a second; of more, rows are drawn."""


class Calibration(Callback):
    """Fits one temperature where the kind of task has probabilities.

    Weights, and with them ranks and the predicted classes, stay as they are.

    Args:
        run: whose validation and test are predicted.
    """

    doing = ("fitting the temperature", TESTING)

    def __init__(self, run: Observed) -> None:
        self.run = run
        self.found = Temperature(None, "the run has not ended")

    def at_end(self, result: Result) -> None:
        """Log `calibration/temperature` and `test/ece_calibrated`, or say why there is none."""
        spec = self.run.data.spec
        reason = no_probabilities(spec.output)
        if reason is not None:
            self.found = Temperature(None, reason)
            return
        self.found = self._fitted()
        value = self.found.value
        if value is None:
            log.info(f"no temperature: {self.found.reason}")
            return
        found = {"calibration/temperature": value}
        error = self._error(value)
        if error is not None and "test/ece" in result.metrics:
            found["test/ece_calibrated"] = error
        self.run.log(found, 0)

    def _fitted(self) -> Temperature:
        data = self.run.data
        if not len(data.valid):
            return Temperature(None, "there is no validation split to fit it on")
        columns, classes = self._validation(data.valid)
        if not len(classes):
            return Temperature(None, "no target of the validation split is known")
        value = fitted_temperature(columns, classes)
        if value is not None:
            return Temperature(value)
        return Temperature(
            None,
            f"{len(classes):,} targets of validation fit best beyond {LOWEST} to {HIGHEST:g}, as"
            " where all are predicted rightly, or worse than by chance: they do not tell how sure"
            " the model may be",
        )

    def _validation(
        self, valid: Sequences
    ) -> tuple[Float[Tensor, "items classes"], Int[Tensor, " items"]]:
        """What the tested weights predict for validation, and what is true."""
        training, spec = self.run.training, self.run.data.spec
        positions = valid.targets.shape[1] if spec.per_position else 1
        rows = max(1, MAX_LOGITS // (positions * spec.num_outputs))
        split = valid.at_most(rows, training.seed).to(training.device)
        predicted = Predicted()
        batches = scored_batches(split, training.settings)
        window = scored_window(split, training.window)
        evaluate(training.model, training.task, batches, window, predicted=predicted)
        found = predicted.tensors()
        if not found:
            return torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
        return as_classes(spec, found["logits"], found["targets"])

    def _error(self, temperature: float) -> float | None:
        """The calibration error of the test with a temperature; None where nothing is scored."""
        spec = self.run.data.spec
        parts = [
            confidences(spec, p.logits / temperature, p.targets) for p in parts_of_test(self.run)
        ]
        if not parts:
            return None
        confidence, is_right = (torch.cat(_tensors(one)) for one in zip(*parts, strict=True))
        return calibration_error(confidence.numpy(), is_right.numpy())


def _tensors(parts: "tuple[object, ...]") -> list[Tensor]:
    return [torch.as_tensor(part) for part in parts]
