"""Models that read vectors in the place of tokens: the same logits; and what n-grams add."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from forms import LETTERS, model_of, sequences_of, spec_of

from seqexp.data import Sequences
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.layered import Layered, why_not_layered
from seqexp.model.ngrams import NGrams
from seqexp.spec import Output, TaskSpec, Vocabulary, other_strand

FORMS: list[tuple[str, dict[str, Any]]] = [
    ("cnn1d", {"filter_width": 4, "num_filters": 3}),
    ("cnn1d", {"filter_width": 3, "num_layers": 2, "padding": "valid"}),
    ("cnn1d", {"filter_width": 3, "embedding_size": 5, "readout": "mean", "hidden_layers": [3]}),
    ("cnn1d", {"filter_width": 4, "padding": "causal", "readout": "last", "activation": "tanh"}),
    ("lstm", {"hidden_size": 4}),
    ("rnn", {"hidden_size": 4, "embedding_size": 3, "bidirectional": True, "readout": "max"}),
    ("stacked-rnn", {"hidden_size": 4, "position_features": 2}),
]


def made(name: str, spec: TaskSpec, **form: Any) -> Any:
    """A model in float64; padding is the zero vector, as in every training."""
    model = model_of(name, spec, **form).double().eval()
    if isinstance(model.input.table, torch.nn.Parameter):
        model.input.table.data[0] = 0
    return model


def padded_dna() -> torch.Tensor:
    tokens = torch.randint(1, 5, (3, 12), generator=torch.Generator().manual_seed(0))
    tokens[1, 9:], tokens[2, 4] = 0, 0
    return tokens


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_vectors_give_the_logits_of_their_tokens(name: str, form: dict[str, Any]) -> None:
    model = made(name, spec_of(Output.SEQUENCE_CLASS), **form)
    tokens = sequences_of(LETTERS)
    vectors = model.as_vectors(tokens).detach().requires_grad_()
    logits = model(vectors)[0]
    torch.testing.assert_close(logits, model(tokens)[0])
    (gradient,) = torch.autograd.grad(logits[:, 0, 1].sum(), vectors)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
    assert not gradient[vectors.isnan()].any()


def test_vectors_have_the_other_strand_of_their_tokens(dna_spec: TaskSpec) -> None:
    spec = replace(dna_spec, length=None)
    model = made("cnn1d", spec, filter_width=4, num_filters=3, strands="both")
    tokens = padded_dna()
    vectors = model.as_vectors(tokens).detach()
    torch.testing.assert_close(model(vectors)[0], model(tokens)[0])
    turned = other_strand(vectors, spec.vocabulary)
    expected = model.as_vectors(other_strand(tokens, spec.vocabulary))
    torch.testing.assert_close(turned, expected, equal_nan=True)
    learned = model_of("cnn1d", spec, embedding_size=3, strands="both")
    assert "have no other strand" in str(learned.why_no_vectors())


@pytest.mark.parametrize(
    "form",
    [
        {"strands": "both", "hidden_layers": [3]},
        {"padding": "valid", "num_layers": 2},
        {"readout": "flatten", "embedding_size": 3},
        {"readout": "mean", "activation": "sigmoid", "positive_readout": True},
        {"readout": "last", "padding": "causal"},
    ],
    ids=str,
)
def test_layers_of_modules_give_the_logits_of_the_network(
    dna_spec: TaskSpec, form: dict[str, Any]
) -> None:
    spec = replace(dna_spec, length=12)
    model = made("cnn1d", spec, filter_width=4, num_filters=3, **form)
    tokens = padded_dna()
    layered = Layered(model).eval()
    found = layered(layered.read(model.as_vectors(tokens)))
    torch.testing.assert_close(found, model(tokens)[0][:, 0])


def test_what_has_no_rule_is_not_made_of_layers(dna_spec: TaskSpec) -> None:
    assert "has no rule" in str(why_not_layered(model_of("cnn1d", dna_spec, activation="gelu")))
    assert "recurrent cells" in str(why_not_layered(model_of("lstm", dna_spec)))
    assert why_not_layered(model_of("cnn1d", dna_spec)) is None


@pytest.mark.parametrize(
    "form",
    [
        {"sizes": [1, 3]},
        {"sizes": [2, 3], "gaps": 2, "strands": "forward"},
        {"sizes": [1, 2], "counting": "binary"},
        {"sizes": [1, 2], "weighting": "tf-idf"},
        {"sizes": [1, 2], "weighting": "tf-idf", "counting": "binary"},
    ],
    ids=str,
)
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_contributions_of_tokens_and_the_bias_are_the_logits(
    form: dict[str, Any], outputs: int
) -> None:
    names = ("a", "b", "c")[: max(2, outputs)]
    spec = TaskSpec(Vocabulary(tuple("ACGT")), outputs, Output.SEQUENCE_CLASS, names)
    model = NGrams(spec, **form).double().eval()
    tokens = padded_dna()
    model.ngrams.count(Sequences(tokens.repeat(2, 1), torch.zeros(6, 1, dtype=torch.long)))
    with torch.no_grad():
        model.ngrams.table[1:].normal_()
        model.bias.normal_()
        model.ngrams.scale[1:].uniform_(0.5, 1.5)
    added = model.contributions(tokens)
    assert not added[tokens == 0].any()
    bias = model.as_logits(model.bias[None])[:, 0]
    torch.testing.assert_close(added.sum(dim=1) + bias, model(tokens)[0][:, 0])


@pytest.mark.parametrize("name", ["cnn1d", "lstm"])
def test_ngrams_beside_a_network_add_what_its_vectors_lack(name: str, dna_spec: TaskSpec) -> None:
    spec = replace(dna_spec, length=None)
    chosen = AddedNGrams(sizes=[2, 3], min_count=1, to="logits")
    beside = AddedNGrams(sizes=[1], min_count=1, to="mean", weighting="nb")
    model = made(name, spec, ngrams=chosen, wide=beside)
    tokens = padded_dna()
    for group in model.groups:
        group.table.count(Sequences(tokens, torch.zeros(3, 1, dtype=torch.long)))
        with torch.no_grad():
            group.table.table[1:].normal_()
            group.table.ratios.normal_()
    whole, network = model(tokens)[0][:, 0], model(model.as_vectors(tokens))[0][:, 0]
    found = network + model.contributions(tokens).sum(dim=1) + model.wide.bias / 2
    torch.testing.assert_close(found, whole)
    into = AddedNGrams(sizes=[2], min_count=1, to="input")
    counted = model_of(name, spec, embedding_size=3, ngrams=into)
    assert "model.ngrams.to=input" in str(counted.why_no_vectors())
    assert counted.contributions(tokens) is None
