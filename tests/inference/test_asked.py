"""A model that is asked with its temperature, or on both strands of DNA."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from seqexp.errors import InputError
from seqexp.inference import saved_model, temperature
from seqexp.inference.asked import asked, mean_of_strands, other_strand
from seqexp.inference.prediction import Given, predicted, predicted_tokens
from seqexp.inference.pyfunc import TextModel
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.temperature import Temperature
from seqexp.inference.together import comparable_of
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.ngrams import NGrams
from seqexp.model.rnn import RNN
from seqexp.spec import (
    Features,
    Output,
    Scale,
    Scoring,
    TaskSpec,
    Vocabulary,
    WordEncoding,
)

DNA = Vocabulary(tuple("ACGT"))
SPEC = TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("no", "yes"), length=8)
GIVEN = [Given("x", [1, 1, 2, 3, 4, 4, 1, 3]), Given("y", [4, 4, 2, 2, 1, 3, 3, 3])]


def dna_model(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "lstm":
        return LSTM(SPEC, hidden_size=4, embedding_size=3).eval()
    if kind == "rnn":
        return RNN(SPEC, hidden_size=4, embedding_size=3).eval()
    return CNN1D(SPEC, num_filters=3, filter_width=3).eval()


def saved(model: nn.Module, spec: TaskSpec = SPEC, value: float | None = 2.5) -> SavedModel:
    found = Temperature(value) if value is not None else Temperature(None, "of no validation")
    return SavedModel(model, spec, {}, found)


def turned(ids: list[int]) -> list[int]:
    return [5 - i for i in reversed(ids)]


@pytest.mark.parametrize("kind", ["lstm", "rnn", "cnn1d"])
def test_both_strands_are_the_mean_of_the_log_odds_of_either(kind: str) -> None:
    model = saved(dna_model(kind))
    both = asked(model, strands="both")
    others = [replace(one, values=turned(list(one.values))) for one in GIVEN]
    first, second, mean = (
        [math.log(p[1] / p[0]) for p in predicted(m, given)]  # type: ignore[operator,arg-type]
        for m, given in ((model, GIVEN), (model, others), (both, GIVEN))
    )
    assert first != pytest.approx(second)
    assert mean == pytest.approx([(a + b) / 2 for a, b in zip(first, second, strict=True)])
    assert predicted(both, others) == [pytest.approx(row) for row in predicted(both, GIVEN)]


def test_the_other_strand_is_padded_on_the_same_side() -> None:
    right = replace(SPEC, words=WordEncoding("tail", "right", "letters"))
    left = replace(SPEC, words=WordEncoding("tail", "left", "letters"))
    short = Given("x", [1, 2, 3, 0, 0, 0], pieces="ACGN")  # the last letter is open
    assert other_strand(short, right).values == [0, 2, 3, 4, 0, 0]
    short = Given("x", [0, 0, 1, 2, 3, 0], pieces="ACGN")
    assert other_strand(short, left).values == [0, 0, 0, 2, 3, 4]


def test_rates_have_a_mean_of_their_own() -> None:
    poisson = TaskSpec(DNA, 1, Output.REGRESSION, ("n",), scoring=Scoring("poisson"))
    mean = mean_of_strands(torch.tensor([math.log(2.0)]), torch.tensor([math.log(6.0)]), poisson)
    assert float(mean.exp()) == pytest.approx(4.0)


def test_other_models_have_one_strand() -> None:
    letters = Vocabulary(("a", "b"))
    for spec, says in (
        (TaskSpec(letters, 2, Output.SEQUENCE_CLASS, ("no", "yes")), "reads other symbols"),
        (replace(SPEC, features=Features(2)), "reads numbers"),
        (replace(SPEC, context=letters), "a context beside its sequences"),
        (replace(SPEC, output=Output.TOKEN_CLASS), r"each position \(token_class\)"),
    ):
        with pytest.raises(InputError, match=f"strands is both.*run 7 .*{says}"):
            asked(saved(nn.Identity(), spec), strands="both", name="run 7")


@pytest.mark.parametrize("kind", list(Output))
def test_the_temperature_divides_logits_or_is_refused_in_words(kind: Output) -> None:
    names = ("", *DNA.symbols) if kind is Output.NEXT_TOKEN else ("no", "yes")
    scale = Scale((0.0, 0.0), (1.0, 1.0))
    spec = TaskSpec(DNA, len(names), kind, names, scoring=Scoring(scale=scale))
    if kind in (Output.REGRESSION, Output.NEXT_TOKEN, Output.READ_ERRORS):
        with pytest.raises(InputError, match="calibrate is true, but this run has no temperature"):
            asked(saved(nn.Identity(), spec), calibrate=True)
        return
    model = saved(LSTM(spec, hidden_size=4, embedding_size=3).eval(), spec)
    calibrated = asked(model, calibrate=True)
    for ours, theirs in zip(
        comparable_of(model, GIVEN), comparable_of(calibrated, GIVEN), strict=True
    ):
        before, after = (
            one[:, 1] - one[:, 0] if kind is Output.TOKEN_CLASS else one for one in (ours, theirs)
        )
        torch.testing.assert_close(after, before / 2.5, rtol=1e-5, atol=1e-6)
    if kind is Output.TOKEN_CLASS:
        rows = zip(
            predicted_tokens(model, GIVEN)[0], predicted_tokens(calibrated, GIVEN)[0], strict=True
        )
        assert all(a[2] == b[2] and a[3] > b[3] for a, b in rows)  # type: ignore[operator]


def test_a_model_without_a_temperature_says_why() -> None:
    with pytest.raises(InputError, match="run 7 has no temperature: of no validation"):
        asked(saved(dna_model("cnn1d"), value=None), calibrate=True, name="run 7")


def test_the_folder_keeps_it_and_an_old_folder_still_loads(tmp_path: Path) -> None:
    node = {"_target_": "seqexp.model.cnn1d.CNN1D", "num_filters": 3, "filter_width": 3}
    model, config = dna_model("cnn1d"), {"model": node}
    saved_model.save(tmp_path / "new", model, SPEC, config, Temperature(1.5))
    assert saved_model.load(tmp_path / "new").temperature == Temperature(1.5)
    saved_model.save(tmp_path / "none", model, SPEC, config, Temperature(None, "no valid"))
    assert saved_model.load(tmp_path / "none").temperature.reason == "no valid"
    saved_model.save(tmp_path / "old", model, SPEC, config)
    old = saved_model.load(tmp_path / "old")
    assert predicted(old, GIVEN) == predicted(saved(model), GIVEN)
    with pytest.raises(InputError, match="was trained by an earlier version"):
        asked(old, calibrate=True)
    for damaged in ('"hot"', "-1", "true", "NaN", "[]"):
        file = tmp_path / "new" / temperature.FILE
        file.write_text(f'{{"temperature": {damaged}, "reason": null}}')
        with pytest.raises(InputError, match=r"temperature.json: is damaged: temperature is"):
            saved_model.load(tmp_path / "new")


def test_the_served_model_takes_the_same_choices() -> None:
    served = TextModel(saved(dna_model("lstm")))
    plain = served.predict(["ACGTACGT"])
    both = {"calibrate": True, "strands": "both"}
    expected = predicted(
        asked(served.saved, calibrate=True, strands="both"), [Given("1", [1, 2, 3, 4] * 2)]
    )
    assert served.predict(["ACGTACGT"], both).to_numpy().tolist() == expected
    assert served.predict(["ACGTACGT"], {"calibrate": False}).equals(plain)
    with pytest.raises(InputError, match="strands is 'two'; give one or both"):
        served.predict(["ACGTACGT"], {"strands": "two"})
    assert json.dumps(expected) != json.dumps(plain.to_numpy().tolist())


def test_counted_words_are_asked_on_both_strands() -> None:
    model = NGrams(SPEC)
    assert asked(saved(model), strands="both").strands == "both"
