"""How far probabilities are off, and the temperature that makes them fit."""

import numpy as np
import pytest
import torch

from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary
from seqexp.task.calibration import (
    as_classes,
    calibration_error,
    confidences,
    fitted_temperature,
)
from seqexp.task.multi_label import LabelsOfSplit
from seqexp.task.sequence_class import SequenceClass

LETTERS = Vocabulary(("a", "b"))
TWO = TaskSpec(LETTERS, 1, Output.SEQUENCE_CLASS, ("no", "yes"))
THREE = TaskSpec(LETTERS, 3, Output.SEQUENCE_CLASS, ("p", "q", "r"))
LABELS = TaskSpec(LETTERS, 2, Output.MULTI_LABEL, ("p", "q"))


def drawn(spec: TaskSpec, scale: float, count: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are `scale` times those of which the targets are drawn."""
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(count, spec.num_outputs, generator=generator, dtype=torch.float64)
    if spec.output is Output.MULTI_LABEL or spec.num_outputs == 1:
        there = torch.rand(logits.shape, generator=generator) < torch.sigmoid(logits)
        return logits * scale, there.long()
    targets = torch.multinomial(torch.softmax(logits, dim=1), 1, generator=generator)
    return logits * scale, targets


def test_the_error_by_hand() -> None:
    """Bin 9 has .95 and .97, one of two right: off by .46; bin 5 has .5, wrong: off by .5."""
    confidence = np.array([0.95, 0.97, 0.5])
    found = calibration_error(confidence, np.array([True, False, False]))
    assert found == pytest.approx((2 * 0.46 + 0.5) / 3)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0


@pytest.mark.parametrize("spec", [TWO, THREE, LABELS], ids=["one output", "classes", "labels"])
@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_scale_and_calibrates(spec: TaskSpec, scale: float) -> None:
    logits, targets = drawn(spec, scale)
    found = fitted_temperature(*as_classes(spec, logits, targets))
    assert found == pytest.approx(scale, rel=0.1)
    assert calibration_error(*confidences(spec, logits / found, targets)) < 0.03
    if scale != 1:
        assert calibration_error(*confidences(spec, logits, targets)) > 0.04


def test_it_is_where_the_likelihood_is_largest() -> None:
    logits, targets = drawn(THREE, 2.5, 300)
    columns, classes = as_classes(THREE, logits, targets)
    found = fitted_temperature(columns, classes)
    assert found is not None
    loss = torch.nn.functional.cross_entropy
    best = loss(columns / found, classes)
    assert best < loss(columns / (found * 1.02), classes)
    assert best < loss(columns / (found / 1.02), classes)


def test_there_is_none_where_all_are_right_or_nothing_is_known() -> None:
    assert fitted_temperature(torch.eye(3).double(), torch.arange(3)) is None
    assert fitted_temperature(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)) is None
    all_wrong = fitted_temperature(torch.eye(3).double(), (torch.arange(3) + 1) % 3)
    assert all_wrong is None


@pytest.mark.parametrize("spec", [TWO, THREE, LABELS], ids=["one output", "classes", "labels"])
def test_what_a_run_logs_is_the_same_error(spec: TaskSpec) -> None:
    logits, targets = drawn(spec, 2.0, 200)
    targets[3] = IGNORE
    task = SequenceClass(spec)
    whole = LabelsOfSplit(spec.output_names) if spec is LABELS else task.whole()
    assert whole is not None
    whole.add(logits[:, None], targets)
    expected = calibration_error(*confidences(spec, logits, targets))
    assert whole.metrics()["ece"] == pytest.approx(expected, abs=1e-6)
