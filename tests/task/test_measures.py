"""Metrics of whole splits against scikit-learn and SciPy, and what is not defined is left out."""

import numpy as np
import pytest
import torch
from kinds import data_of
from scipy import stats
from sklearn import metrics as reference

from seqexp.metrics import METRICS, higher_is_better, is_known, of_names
from seqexp.spec import IGNORE, Output
from seqexp.task.classes import macro_f1, mcc
from seqexp.task.kinds import of
from seqexp.task.regression import Regression, measures


@pytest.mark.parametrize("classes", [2, 5])
def test_macro_f1_and_mcc_are_those_of_scikit_learn(classes: int) -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        truth, predicted = draw.integers(0, classes, (2, 30))
        expected = reference.f1_score(truth, predicted, average="macro", zero_division=0)
        assert macro_f1(truth, predicted) == pytest.approx(expected)
        assert mcc(truth, predicted) == pytest.approx(reference.matthews_corrcoef(truth, predicted))
    assert mcc(truth, np.zeros_like(truth)) == 0


def test_one_class_only_has_no_metrics_of_the_whole() -> None:
    data = data_of(Output.SEQUENCE_CLASS)
    whole = of(data.spec).whole()
    assert whole is not None
    whole.add(torch.randn(3, 1, 2), torch.ones(3, 1, dtype=torch.long))
    assert whole.metrics() == {}


def test_metrics_of_numbers_are_those_of_the_references() -> None:
    data = data_of(Output.REGRESSION)
    task = of(data.spec)
    assert isinstance(task, Regression)
    targets = data.test.targets
    logits = torch.randn(len(targets), 1, 2, generator=torch.Generator().manual_seed(0))
    whole = task.whole()
    assert whole is not None
    whole.add(logits, targets)
    extras = task.extras(logits, targets).tolist()
    count = int((~targets.isnan()).sum())
    found = task.means(0.0, count, extras) | whole.metrics()
    predicted = np.array(task.predictions(logits))
    by_name = []
    for index, name in enumerate(data.spec.output_names):
        known = ~targets[:, index].isnan().numpy()
        truth, guess = targets[known, index].double().numpy(), predicted[known, index]
        expected = {
            "mse": reference.mean_squared_error(truth, guess),
            "mae": reference.mean_absolute_error(truth, guess),
            "r2": reference.r2_score(truth, guess),
            "pearson": stats.pearsonr(truth, guess).statistic,
            "spearman": stats.spearmanr(truth, guess).statistic,
        }
        by_name.append(expected)
        for measure, value in expected.items():
            assert found[f"{measure}.{name}"] == pytest.approx(value, rel=1e-5)
    for measure in by_name[0]:
        mean = np.mean([values[measure] for values in by_name])
        assert found[measure] == pytest.approx(mean, rel=1e-5)


def test_what_constant_numbers_do_not_have_is_left_out() -> None:
    some, same = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    assert {*measures(some, same)} == {"mse", "mae"}
    assert {*measures(same, some)} == {"mse", "mae", "r2"}
    task = of(data_of(Output.REGRESSION).spec)
    targets = torch.full((4, 2), 3.3)
    extras = task.extras(torch.randn(4, 1, 2), targets).tolist()
    assert {*task.means(1.0, 8, extras)} == {"loss_nats", "mse", "mae"}


def test_a_label_that_is_always_there_has_no_area_and_is_in_no_mean() -> None:
    whole = of(data_of(Output.MULTI_LABEL).spec).whole()
    assert whole is not None
    logits = torch.tensor([[[3.0, 1, 0]], [[2, 2, 0]], [[1, 3, 0]]])
    whole.add(logits, torch.tensor([[1, 0, 1], [1, 1, 1], [0, 0, IGNORE]]))
    found = whole.metrics()
    # the second: a positive in the middle of two negatives
    assert found["auroc.output 0"] == 1.0 and found["auroc.output 1"] == 0.5
    assert found["auroc"] == 0.75 and "auroc.output 2" not in found


def test_a_metric_of_one_name_goes_the_way_of_all() -> None:
    assert higher_is_better("test/r2.length") and not higher_is_better("test/mse.length")
    assert is_known("best/valid_auroc.a label") and not is_known("test/msse.length")
    found = of_names("mse", {"a/b:c|d": 1.0, "a_b_c_d": 2.0, "e": 3.0})
    assert found == {"mse.a_b_c_d": 1.0, "mse.a_b_c_d 2": 2.0, "mse.e": 3.0}
    assert all("." not in name for name in METRICS)
