"""What knows nothing scores, by hand; and what knows the most frequent label of each token."""

from typing import Any

import pytest
import torch

from seqexp.callback.baselines import Method, behind, constant_metrics, token_metrics
from seqexp.data import Data, Sequences
from seqexp.metrics import METRICS
from seqexp.spec import IGNORE, Output, Scale, Scoring, TaskSpec, Vocabulary

AB = Vocabulary(("a", "b"))


def data(output: Output, outputs: int, train: Any, test: Any, **more: Any) -> Data:
    names = tuple(f"n{index}" for index in range(max(2, outputs)))
    count = max(2, outputs) if output is Output.SEQUENCE_CLASS else outputs
    spec = TaskSpec(AB, outputs, output, names[:count], **more)

    def split(rows: Any) -> Sequences:
        targets = torch.tensor(rows)
        return Sequences(torch.ones(len(rows), 2, dtype=torch.int64), targets)

    return Data(spec, split(train), split(test[:1]), split(test))


@pytest.mark.parametrize("outputs", [1, 2])
def test_of_classes_the_most_frequent_one_is_always_predicted(outputs: int) -> None:
    train, test = [[1], [1], [0], [IGNORE]], [[1], [0], [1], [1], [IGNORE]]
    found = constant_metrics(data(Output.SEQUENCE_CLASS, outputs, train, test))
    assert found["baseline/constant_accuracy"] == pytest.approx(3 / 4)
    assert found["baseline/constant_macro_f1"] == pytest.approx((2 * 0.75 / 1.75) / 2)
    assert found["baseline/constant_auprc"] == pytest.approx(3 / 4)  # the share of the second
    assert found.keys() <= METRICS.keys()


def test_of_labels_each_is_predicted_by_its_share() -> None:
    train, test = [[1, 0], [1, 0], [0, IGNORE]], [[1, 1], [0, 0], [1, IGNORE]]
    found = constant_metrics(data(Output.MULTI_LABEL, 2, train, test))
    assert found["baseline/constant_accuracy"] == pytest.approx(3 / 5)


@pytest.mark.parametrize("scale", [None, Scale((2.0,), (3.0,))])
@pytest.mark.parametrize("loss", ["gaussian", "huber", "poisson"])
def test_of_numbers_their_mean_is_predicted(loss: str, scale: Scale | None) -> None:
    if loss == "poisson" and scale is not None:
        return  # counts are not standardised
    train, test = [[1.0], [3.0], [torch.nan]], [[2.0], [5.0], [torch.nan]]
    scoring = Scoring(loss, scale)
    found = constant_metrics(data(Output.REGRESSION, 1, train, test, scoring=scoring))
    assert found["baseline/constant_mse"] == pytest.approx(9 / 2, rel=1e-5)
    assert found["baseline/constant_mae"] == pytest.approx(3 / 2, rel=1e-5)


def test_of_positions_only_scored_ones_count() -> None:
    train, test = [[0, 1], [1, IGNORE], [1, 1]], [[1, 0], [IGNORE, 1], [0, 0]]
    found = constant_metrics(data(Output.TOKEN_CLASS, 2, train, test))
    assert found["baseline/constant_accuracy"] == pytest.approx(2 / 5)


def test_the_most_frequent_label_of_each_token() -> None:
    spec = TaskSpec(Vocabulary(tuple("abc")), 2, Output.TOKEN_CLASS, ("x", "y"))
    train = Sequences(torch.tensor([[1, 1, 1, 2, 2]]), torch.tensor([[0, 0, 1, 1, IGNORE]]))
    test = Sequences(torch.tensor([[1, 2, 3, 1]]), torch.tensor([[0, 1, 0, 1]]))
    found = token_metrics(Data(spec, train, test, test))
    assert found == {"baseline/token_accuracy": 3 / 4}  # c is new: x, of two that are as frequent


def test_nothing_is_said_where_training_knows_nothing() -> None:
    assert constant_metrics(data(Output.SEQUENCE_CLASS, 2, [[IGNORE]], [[0], [1]])) == {}
    train = [[1.0, torch.nan]]
    assert constant_metrics(data(Output.REGRESSION, 2, train, [[1.0, 2.0]])) == {}


def test_a_text_in_pieces_is_counted_whole() -> None:
    spec = TaskSpec(AB, 3, Output.NEXT_TOKEN, ("padding", "a", "b"))
    tokens = torch.tensor([[1, 2, 2, 2, 1, 2]], dtype=torch.uint8)
    split = Sequences(tokens[:, :-1], tokens[:, 1:], is_stream=True)
    found = constant_metrics(Data(spec, split, split, split))
    assert found["baseline/constant_accuracy"] == pytest.approx(4 / 5)
    entropy = -(0.8 * torch.log(torch.tensor(0.8)) + 0.2 * torch.log(torch.tensor(0.2)))
    assert found["baseline/constant_perplexity"] == pytest.approx(float(entropy.exp()), rel=1e-4)


def test_a_method_that_is_as_good_is_named_with_how_sure_that_is() -> None:
    own = Method("this model", 0.9, 0.9)
    sure, unsure = (-0.05, -0.08, -0.02), (-0.01, -0.03, 0.01)
    others = [
        Method("words", 0.95, None, sure),
        Method("a matrix", 0.91, None, unsure),
        Method("as much", 0.9, None, (0.0, -0.01, 0.01)),
        Method("less", 0.8, None, (0.1, 0.05, 0.15)),
        Method("unknown", None, None),
    ]
    assert behind(own, others) == [
        "the model is behind words: test AUROC 0.9 and 0.95, difference -0.0500 (-0.0800 to"
        " -0.0200)",
        "the model is not ahead of a matrix: test AUROC 0.9 and 0.91, difference -0.0100 (-0.0300"
        " to +0.0100)",
        "the model is level with as much: test AUROC 0.9 and 0.9, difference +0.0000 (-0.0100 to"
        " +0.0100)",
    ]
    row = others[0].row()
    assert row["model - method, 95 % interval"] == "-0.0500 (-0.0800 to -0.0200)"
