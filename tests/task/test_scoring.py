"""Choices of the section `task`: weights of classes, scale and loss of numbers; by hand."""

import math

import pytest
import torch
from forms import spec_of
from kinds import data_of

from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output
from seqexp.task.kinds import of
from seqexp.task.regression import HUBER, Regression
from seqexp.task.scoring import scoring

CLASSES = spec_of(Output.TOKEN_CLASS)
LABELS = spec_of(Output.MULTI_LABEL)
NUMBERS = spec_of(Output.REGRESSION)
NAN = math.nan


def test_balanced_weights_give_every_class_the_same_mass() -> None:
    targets = [torch.tensor([[0, 0, 0], [0, 1, IGNORE]]), torch.tensor([[2, 2, 0]])]
    # 8 scored: 5, 1, 2 of three classes
    expected = (8 / (3 * 5), 8 / 3, 8 / 6)
    assert scoring(CLASSES, targets, "balanced", "gaussian").class_weights == expected


def test_a_class_that_training_lacks_weighs_one() -> None:
    found = scoring(CLASSES, [torch.tensor([[0, 0, 1]])], "balanced", "gaussian").class_weights
    assert found == (3 / 4, 3 / 2, 1.0)


def test_a_balanced_label_counts_where_it_is_there_as_much_as_where_it_is_not() -> None:
    targets = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 0, IGNORE], [0, 1, 1]])
    found = scoring(LABELS, [targets], "balanced", "gaussian").class_weights
    assert found == (3.0, 3.0, 1.0)  # the third is there always


@pytest.mark.parametrize("output", [Output.SEQUENCE_CLASS, Output.TOKEN_CLASS])
def test_a_weight_multiplies_the_loss_of_its_class(output: Output) -> None:
    count = 2 if output is Output.SEQUENCE_CLASS else 3
    weights = [1.0, 4.0, 1.0][:count]
    plain, weighted = data_of(output), data_of(output, class_weights=weights)
    for target, factor in ((0, 1.0), (1, 4.0)):
        logits, targets = torch.randn(1, 1, count), torch.tensor([[target]])
        expected = factor * of(plain.spec).nats(logits, targets)
        torch.testing.assert_close(of(weighted.spec).nats(logits, targets), expected)


def test_one_output_is_weighted_as_the_two_it_stands_for() -> None:
    data = data_of(Output.SEQUENCE_CLASS, class_weights=[0.5, 3.0])
    logits, targets = torch.randn(4, 1, 1), torch.tensor([[1], [0], [IGNORE], [1]])
    both = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    task = of(data.spec)
    torch.testing.assert_close(task.nats(logits, targets), task.nats(both, targets))


@pytest.mark.parametrize(
    ("output", "weights", "loss", "message"),
    [
        (
            Output.TOKEN_CLASS,
            [1.0, 2.0],
            "gaussian",
            "2 numbers, but the dataset has 3 classes",
        ),
        (Output.MULTI_LABEL, [1.0], "gaussian", "3 labels; give one each, in this order: output 0"),
        (Output.NEXT_TOKEN, "balanced", "gaussian", "next_token, which has no classes to weigh"),
        (Output.REGRESSION, [1.0], "gaussian", "task.class_weights is [1.0], but the dataset's"),
        (Output.SEQUENCE_CLASS, "none", "huber", "task.loss is huber, but the dataset's kind of"),
    ],
)
def test_a_choice_that_a_kind_lacks_is_refused(
    output: Output, weights: object, loss: str, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        data_of(output, class_weights=weights, loss=loss)
    assert message in str(refused.value)


def test_numbers_are_standardised_by_those_that_are_known() -> None:
    targets = [torch.tensor([[1.0, 5.0], [3.0, NAN]]), torch.tensor([[NAN, 5.0]])]
    scale = scoring(NUMBERS, targets, "none", "gaussian").scale
    assert scale is not None
    assert scale.mean == (2.0, 5.0) and scale.deviation == (1.0, 1.0)  # a constant is left as it is


def test_numbers_far_from_zero_keep_their_spread() -> None:
    targets = torch.tensor([[1e6, 0.0], [1e6 + 1, 1.0]])
    scale = scoring(NUMBERS, [targets], "none", "gaussian").scale
    assert scale is not None and scale.deviation == (0.5, 0.5)
    task = Regression(data_of(Output.REGRESSION).spec)
    assert task.standardised(targets).dtype is torch.float32


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(InputError, match="training target of output 1 is -2"):
        scoring(NUMBERS, [torch.tensor([[1.0, -2.0], [0.0, NAN]])], "none", "poisson")
    assert scoring(NUMBERS, [torch.tensor([[1.0, 2.0]])], "none", "poisson").scale is None


@pytest.mark.parametrize("loss", ["gaussian", "huber", "poisson"])
def test_a_loss_is_minus_the_logarithm_of_a_density(loss: str) -> None:
    data = data_of(Output.REGRESSION, loss=loss)
    task = of(data.spec)
    scale = data.spec.scoring.scale
    mean, deviation = (scale.mean[0], scale.deviation[0]) if scale else (0.0, 1.0)
    logits = torch.tensor([[[0.3, 0.0]]])
    if loss == "poisson":
        outcomes, width = torch.arange(0.0, 40.0), 1.0
    else:
        outcomes, width = torch.linspace(-15, 15, 601), 0.05
    targets = torch.stack([mean + deviation * outcomes, outcomes * NAN], dim=1)
    nats = torch.stack([task.nats(logits, target[None]) for target in targets])
    assert float((-nats).exp().sum()) * width == pytest.approx(1.0, abs=2e-3)


def test_hubers_density_integrates_to_one() -> None:
    x = torch.linspace(-40, 40, 800_001, dtype=torch.float64)
    density = (-torch.nn.functional.huber_loss(x, 0 * x, reduction="none") - HUBER).exp()
    assert float(torch.trapezoid(density, x)) == pytest.approx(1.0, abs=1e-9)


def test_predictions_are_in_the_targets_unit() -> None:
    data = data_of(Output.REGRESSION)
    scale = data.spec.scoring.scale
    assert scale is not None
    task = of(data.spec)
    (row,) = task.predictions(torch.tensor([[[0.0, 2.0]]]))
    expected = [scale.mean[0], scale.mean[1] + 2 * scale.deviation[1]]
    assert row == pytest.approx(expected)
    poisson = of(data_of(Output.REGRESSION, loss="poisson").spec)
    assert poisson.predictions(torch.tensor([[[0.0, 2.0]]]))[0] == pytest.approx([1, math.exp(2)])
