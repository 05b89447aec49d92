"""Areas under curves, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from seqexp.task.ranking import auprc, auroc, auroc_difference


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_areas_equal_those_of_scikit_learn_also_with_ties(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    for share in (0.05, 0.5):
        truth = rng.random(300) < share
        scores = np.round(rng.normal(size=300) + truth, decimals)
        assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert auprc(scores, truth) == pytest.approx(
            average_precision_score(truth, scores), abs=1e-12
        )


def test_areas_by_hand() -> None:
    truth = np.array([True, False, True, False])
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    # of four pairs, three are in order; precision is 1 at the first positive and 2/3 at the second
    assert auroc(scores, truth) == 0.75
    assert auprc(scores, truth) == pytest.approx((1 + 2 / 3) / 2)
    assert auroc(np.zeros(4), truth) == 0.5 and auprc(np.zeros(4), truth) == 0.5


def test_one_class_has_no_area() -> None:
    scores = np.array([1.0, 2.0])
    assert auroc(scores, np.array([True, True])) is None
    assert auroc(scores, np.array([False, False])) is None
    assert auprc(scores, np.array([False, False])) is None


def test_the_difference_of_areas_is_that_of_both_and_its_interval_by_hand() -> None:
    truth = np.array([True, True, True, False, False])
    ours, theirs = np.array([3.0, 2, 0, 1, 0]), np.array([3.0, 0, 1, 2, 2])
    found = auroc_difference(ours, theirs, truth)
    # of positives, negatives below: ours 1 1 1/4, theirs 1 0 0; of negatives, positives above:
    # ours 2/3 5/6, theirs 1/3 1/3
    mean = 3 / 4 - 1 / 3
    of_positives, of_negatives = np.array([0, 1, 1 / 4]), np.array([1 / 3, 1 / 2])
    error = np.sqrt(of_positives.var(ddof=1) / 3 + of_negatives.var(ddof=1) / 2)
    assert found is not None
    assert found == pytest.approx((mean, mean - 1.959964 * error, mean + 1.959964 * error))
    assert auroc_difference(ours, theirs, truth & (ours > 2)) is None


def test_the_interval_of_a_difference_holds_the_true_one_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        truth = np.arange(120) < 60
        shared = rng.normal(size=120) + 1.5 * truth
        ours, theirs = (shared + 0.7 * rng.normal(size=120) for _ in range(2))
        found = auroc_difference(ours, theirs, truth)
        assert found is not None
        held += found[1] <= 0 <= found[2]
    assert 0.92 <= held / 400 <= 0.98
