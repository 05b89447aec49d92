"""Areas under curves, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from seqexp.task.ranking import auprc, auroc


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
