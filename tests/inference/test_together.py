"""The mean of several models, as a table: laws, for every kind that has one."""

from dataclasses import replace

import pytest
import torch

from seqexp.errors import InputError
from seqexp.inference.prediction import Given, predicted
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.together import comparable_of, predicted_together, refuse_apart
from seqexp.model.lstm import LSTM
from seqexp.spec import Features, Output, Scale, Scoring, TaskSpec, Vocabulary
from seqexp.task.base import Cell

LETTERS = Vocabulary(("a", "b", "c"))
GIVEN = [Given("x", [1, 2, 3]), Given("y", [2, 1]), Given("z", [3, 3, 1])]
SPECS = {
    "two classes": TaskSpec(LETTERS, 1, Output.SEQUENCE_CLASS, ("no", "yes")),
    "classes": TaskSpec(LETTERS, 3, Output.SEQUENCE_CLASS, ("p", "q", "r")),
    "labels": TaskSpec(LETTERS, 2, Output.MULTI_LABEL, ("p", "q")),
    "numbers": TaskSpec(
        *(LETTERS, 2, Output.REGRESSION, ("p", "q")),
        scoring=Scoring(scale=Scale((3.0, 4.0), (2.0, 5.0))),
    ),
    "positions": TaskSpec(LETTERS, 3, Output.TOKEN_CLASS, ("p", "q", "r")),
    "next": TaskSpec(LETTERS, 4, Output.NEXT_TOKEN, ("", "a", "b", "c")),
}


def saved(spec: TaskSpec, seed: int = 0) -> SavedModel:
    torch.manual_seed(seed)
    model = LSTM(spec, hidden_size=4, embedding_size=3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # far from one another
    return SavedModel(model, spec, {})


def together(
    models: list[SavedModel], weights: list[float], given: list[list[Given]]
) -> list[list[Cell]]:
    parts = [comparable_of(model, own) for model, own in zip(models, given, strict=True)]
    names = [one.name for one in given[0]]
    return predicted_together(models[0].spec, parts, weights, names)


def numbers(rows: list[list[Cell]]) -> list[float]:
    return [value for row in rows for value in row if isinstance(value, float)]


def texts(rows: list[list[Cell]]) -> list[str]:
    return [value for row in rows for value in row if isinstance(value, str)]


@pytest.mark.parametrize("kind", SPECS)
def test_the_mean_of_equals_is_each_and_a_weight_of_zero_leaves_out(kind: str) -> None:
    one, other = saved(SPECS[kind]), saved(SPECS[kind], 1)
    alone = predicted(one, GIVEN)
    for models, weights in (([one], [1.0]), ([one, one], [0.5, 0.5]), ([one, other], [1.0, 0.0])):
        found = together(models, weights, [GIVEN] * len(models))
        assert numbers(found) == pytest.approx(numbers(alone), rel=1e-5)
        assert texts(found) == texts(alone)


def test_numbers_are_averaged_in_their_unit() -> None:
    one, other = saved(SPECS["numbers"]), saved(SPECS["numbers"], 1)
    scoring = Scoring(scale=Scale((0.0, 0.0), (1.0, 1.0)))
    scaled = replace(other, spec=replace(other.spec, scoring=scoring))
    a, b = (numbers(predicted(model, GIVEN)) for model in (one, scaled))
    found = numbers(together([one, scaled], [0.5, 0.5], [GIVEN, GIVEN]))
    assert found == pytest.approx([(x + y) / 2 for x, y in zip(a, b, strict=True)], rel=1e-5)


def test_of_two_classes_log_odds_are_averaged() -> None:
    one, other = saved(SPECS["two classes"]), saved(SPECS["two classes"], 1)
    odds = [torch.tensor(numbers(predicted(model, GIVEN))[1::2]).logit() for model in (one, other)]
    found = numbers(together([one, other], [0.5, 0.5], [GIVEN, GIVEN]))[1::2]
    assert found == pytest.approx(torch.sigmoid((odds[0] + odds[1]) / 2).tolist(), rel=1e-4)


def test_what_has_no_mean_is_refused() -> None:
    classes, labels = saved(SPECS["classes"]), saved(SPECS["labels"])
    with pytest.raises(InputError, match=r"run a predicts p, q, r .* run b p, q \(multi_label\)"):
        refuse_apart({"a": classes, "b": labels})
    writes = replace(SPECS["next"], context=Features(2))
    with pytest.raises(InputError, match="writes sequences"):
        refuse_apart({"a": SavedModel(torch.nn.Identity(), writes, {})})
