"""Attributions of a detector that is known by hand, and of n-grams, by every method."""

import importlib.util
from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.inference.explained import Explainer
from seqexp.inference.prediction import Given
from seqexp.inference.saved_model import SavedModel
from seqexp.interpret.attributions.methods import method_for, refuse_method, without_each
from seqexp.interpret.attributions.question import asked
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.ngrams import NGrams
from seqexp.spec import Features, Output, TaskSpec, Vocabulary

HAS_CAPTUM = importlib.util.find_spec("captum") is not None

DNA = "ACGT"


def given(*texts: str) -> list[Given]:
    rows = [["-ACGT".index(letter) for letter in text] for text in texts]
    return [Given(text, row) for text, row in zip(texts, rows, strict=True)]


def detector(spec: TaskSpec) -> CNN1D:
    """The logit of the second output is how many letters of the best window are ACG, less one."""
    model = CNN1D(replace(spec, length=None), num_filters=1, filter_width=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for place, letter in enumerate("ACG"):
            model.conv.weight[0, DNA.index(letter), place] = 1
        model.conv.bias.fill_(-1)
        model.head.output.weight[1] = 1
    return model.eval()


class Own(torch.nn.Module):
    """A model that knows no vectors."""

    causal = False

    def forward(self, tokens: torch.Tensor, carry: Any = None) -> Any:
        return torch.zeros(len(tokens), 1, 2), ()


def explained(model: Any, method: Any, *texts: str, **more: Any) -> Any:
    explainer = Explainer(SavedModel(model, model.spec, {}), method, **more)
    return explainer.batch(given(*texts))


METHODS = [
    "ism",
    "gradient",
    "integrated-gradients",
    pytest.param("deep-lift", marks=pytest.mark.skipif(not HAS_CAPTUM, reason="no captum")),
]


@pytest.mark.parametrize("method", METHODS)
def test_the_letters_of_the_site_have_it_all(dna_spec: TaskSpec, method: str) -> None:
    target = dna_spec.output_names[1]
    short, long = explained(detector(dna_spec), method, "TTTACGTT", "TTACGTTTTT", target=target)
    assert short.margin == 2 and short.output == target
    assert short.letters == "TTTACGTT" and set(short.values.argsort()[-3:]) == {3, 4, 5}
    assert set(long.values.argsort()[-3:]) == {2, 3, 4}
    # what is told of the letters that are there are the attributions
    there = short.parts[range(8), short.tokens - 1]
    assert there == pytest.approx(short.values, abs=1e-6)


@pytest.mark.parametrize("method", METHODS[2:])
def test_attributions_sum_to_what_changes_from_the_baseline(
    dna_spec: TaskSpec, method: str
) -> None:
    torch.manual_seed(0)
    model = CNN1D(replace(dna_spec, length=None), num_filters=8, filter_width=4, strands="both")
    with torch.no_grad():
        model.conv.weight.mul_(5)
    (one,) = explained(model.eval(), method, "ACGTTGCAAGGT", baseline="zero")
    rows = torch.zeros(2, 12, dtype=torch.long)
    rows[0] = torch.from_numpy(one.tokens)
    with torch.no_grad():
        logits = model(rows)[0][:, 0]
    number = dna_spec.output_names.index(one.output)
    margins = logits[:, number] - logits[:, 1 - number]
    assert abs(one.delta) < 1e-3
    assert one.values.sum() == pytest.approx(float(margins[0] - margins[1]), abs=1e-3)


@pytest.mark.parametrize("texts", [("ACGTACGT", "ACGTA"), ("ACGTA",)])
def test_a_batch_gives_what_each_record_gives_alone(
    dna_spec: TaskSpec, texts: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    model = LSTM(replace(dna_spec, length=None), hidden_size=4).eval()
    for method in ("ism", "integrated-gradients"):
        together = explained(model, method, "GGGGGGGG", *texts)[1:]
        for one, text in zip(together, texts, strict=True):
            (alone,) = explained(model, method, text)
            assert one.values == pytest.approx(alone.values, abs=1e-4)


def test_the_one_logit_of_two_classes_stands_for_both(dna_spec: TaskSpec) -> None:
    spec = replace(dna_spec, num_outputs=1)
    logits = torch.tensor([[2.0], [-3.0]])
    question = asked(spec, logits)
    assert question.outputs.tolist() == [1, 0]
    assert question.of(logits, torch.arange(2)).tolist() == [2, 3]
    labels = asked(replace(dna_spec, output=Output.MULTI_LABEL), torch.tensor([[1.0, 5.0]]), 0)
    assert labels.of(torch.tensor([[1.0, 5.0]]), torch.arange(1)).tolist() == [1]


@pytest.mark.parametrize("to", ["logits", "mean"])
@pytest.mark.parametrize("method", ["integrated-gradients", "deep-lift"])
def test_counted_words_beside_filters_are_explained_with_them(
    dna_spec: TaskSpec, to: Any, method: str
) -> None:
    if method == "deep-lift" and not HAS_CAPTUM:
        pytest.skip("captum is not installed")
    torch.manual_seed(0)
    spec = replace(dna_spec, length=None)
    words = AddedNGrams([2], min_count=1, to=to)
    model = CNN1D(spec, num_filters=2, filter_width=3, ngrams=words).eval()
    assert model.ngrams is not None
    tokens = torch.tensor(given("ACGTAACC")[0].values)[None]
    model.ngrams.table.count(Sequences(tokens, torch.zeros(1, 1, dtype=torch.long)))
    with torch.no_grad():
        model.ngrams.table.table[1:].normal_()
        nothing = model(torch.zeros(1, tokens.shape[1], len(DNA)))[0]
        risen = (model(tokens)[0] - nothing)[0, 0]
    (one,) = explained(model, method, "ACGTAACC", baseline="zero")
    output = model.spec.output_names.index(one.output)
    assert one.values.sum() == pytest.approx(float(risen[output] - risen[1 - output]), abs=2e-3)


def test_contributions_are_of_ngrams_alone(dna_spec: TaskSpec) -> None:
    counted = NGrams(replace(dna_spec, length=None), sizes=[2])
    network = detector(dna_spec)
    assert method_for(counted) == "contributions"
    assert method_for(network) == "integrated-gradients"
    with pytest.raises(InputError, match="method is contributions, .* model=ngrams"):
        refuse_method(network, "contributions")
    with pytest.raises(InputError, match="method is gradient, .*it counts n-grams; give method=c"):
        refuse_method(counted, "gradient")
    with pytest.raises(InputError, match="as_vectors.*give method=ism"):
        refuse_method(Own(), "gradient")
    with pytest.raises(InputError, match="layers without a rule.*recurrent cells"):
        explained(LSTM(dna_spec), "deep-lift", "ACGT")


def test_words_and_numbers_are_taken_away() -> None:
    def sums(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).float().sum(dim=1)

    tokens = torch.tensor([[3, 0, 5]])
    assert without_each(sums, tokens).tolist() == [[3, 0, 5]]
    numbers = torch.tensor([[[1.0, -2.0], [0.5, 4.0]]])
    assert without_each(sums, numbers).tolist() == numbers.tolist()


def test_each_number_has_its_attribution() -> None:
    spec = TaskSpec(Vocabulary(()), 1, Output.REGRESSION, ("y",), features=Features(2))
    torch.manual_seed(0)
    model = CNN1D(spec, num_filters=2, filter_width=3).eval()
    rows = [Given("a", torch.randn(6, 2).numpy())]
    for method in ("ism", "integrated-gradients"):
        (one,) = Explainer(SavedModel(model, spec, {}), method).batch(rows)  # type: ignore[arg-type]
        assert one.parts is not None and one.parts.shape == (6, 2)
        assert one.parts.sum(axis=1) == pytest.approx(one.values, abs=1e-6)


@pytest.mark.parametrize(
    ("spec", "more", "says"),
    [
        ({"output": Output.TOKEN_CLASS}, {}, "predicts token_class; explain is for one prediction"),
        ({"context": Features(2)}, {}, "reads a context"),
        ({}, {"target": "motiv"}, "target is 'motiv'.*; did you mean motif"),
        ({"output": Output.REGRESSION}, {}, "target is missing: .* predicts 2 numbers"),
        ({"features": Features(2)}, {"baseline": "uniform"}, "baseline is uniform.*of features"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    dna_spec: TaskSpec, spec: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    asked_of = replace(dna_spec, output_names=("background", "motif"), **spec)
    model = CNN1D(replace(dna_spec, length=None))
    with pytest.raises(InputError, match=says):
        Explainer(SavedModel(model, asked_of, {}), **more)
