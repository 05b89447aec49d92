"""A metric of a user's own: what it is given of each kind of task, and what it gets wrong."""

from typing import Any

import numpy as np
import pytest
import torch
from kinds import data_of

from seqexp.errors import InputError
from seqexp.spec import Output
from seqexp.task import kinds
from seqexp.task.own_metric import OwnMetric, Split, measured, split_of
from seqexp.trainer.predicted import Predicted

KINDS = [kind for kind in Output if kind is not Output.READ_ERRORS]


def kept_of(kind: Output, size: int) -> tuple[Any, list[dict[str, torch.Tensor]]]:
    """Random predictions of a split, in batches of a size, which two processes share."""
    data = data_of(kind)
    generator = torch.Generator().manual_seed(0)
    targets = data.train.targets
    positions = targets.shape[1] if kind.per_position else 1
    logits = torch.randn(len(targets), positions, data.spec.num_outputs, generator=generator)
    both = [Predicted(), Predicted()]
    for index, batch in enumerate(data.train.batches(size, order_seed=3)):
        both[index % 2].add(batch, logits[batch.numbers])
    return kinds.of(data.spec), [one.tensors() for one in both]


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_come_in_the_order_of_the_split_however_they_were_batched(kind: Output) -> None:
    found, whole = (split_of(*kept_of(kind, size)) for size in (5, 24))
    assert found is not None and whole is not None
    for name in ("predictions", "targets", "rows"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert (np.diff(found.rows) >= 0).all() and len(found.rows) == len(found.predictions)
    if kind is Output.REGRESSION:
        assert found.targets.mean(where=~np.isnan(found.targets)) > 15  # in their own unit
    elif kind is Output.MULTI_LABEL:
        assert {*found.targets[~np.isnan(found.targets)]} == {0.0, 1.0}
        assert np.isnan(found.targets).any()
    else:
        np.testing.assert_allclose(found.predictions.sum(axis=1), 1)
        assert found.targets.dtype == np.int64 and found.targets.min() >= 0


SPLIT = Split(np.full((3, 2), 0.5), np.array([0, 1, 1]), np.arange(3))


def test_rows_are_given_to_who_asks_for_them_and_none_is_no_value() -> None:
    metrics = [
        OwnMetric(
            "rows", "my_lab.rows", lambda predictions, targets, rows: rows.max(), wants_rows=True
        ),
        OwnMetric("share", "my_lab.share", lambda predictions, targets: np.mean(targets)),
        OwnMetric("count", "my_lab.count", lambda targets, predictions: torch.tensor(len(targets))),
        OwnMetric("nothing", "my_lab.nothing", lambda **both: None),
    ]
    assert measured(metrics, SPLIT, "test") == {"rows": 2.0, "share": 2 / 3, "count": 3.0}
    assert measured(metrics, split_of(kinds.of(data_of(KINDS[0]).spec), [{}]), "test") == {}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda predictions, targets: predictions @ predictions,
            r"raises ValueError: .* \(.*test_own_metric.py, line \d+\)",
        ),
        (
            lambda predictions, targets: predictions,
            r"is a ndarray of shape \(3, 2\); give one number",
        ),
        (
            lambda y_true, y_pred: 0.0,
            "raises TypeError: .*unexpected keyword argument 'predictions'",
        ),
        (lambda **both: "high", "is a str; give one number"),
        (lambda **both: np.nan, "is nan; give a finite number"),
        (lambda **both: np.inf, "is inf; give a finite number"),
    ],
)
def test_what_is_wrong_with_a_metric_is_said_with_its_name(function: Any, said: str) -> None:
    with pytest.raises(
        InputError, match=r"^metrics.cost \(my_lab.Cost\) of valid in epoch 3 " + said
    ):
        OwnMetric("cost", "my_lab.Cost", function).of(SPLIT, "valid in epoch 3")
