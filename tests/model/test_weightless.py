"""Models made without memory have the weights that others have, and no values."""

import sys

import pytest
import torch
from forms import LETTERS, sequences_of, spec_of

from seqexp.build import build_model
from seqexp.data import Data, Sequences
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.rnn import RNN
from seqexp.model.weightless import weightless
from seqexp.spec import Model, Output, TaskSpec

MAKE = {
    "one-hot": lambda spec: CNN1D(spec, num_filters=3, filter_width=4),
    "learned": lambda spec: LSTM(spec, embedding_size=5, hidden_size=6),
    "orthogonal": lambda spec: RNN(spec, hidden_size=7),
}


@pytest.mark.parametrize("name", MAKE)
def test_names_shapes_and_types_are_those_of_a_model_with_weights(
    name: str, dna_spec: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sympy", raising=False)  # which takes PyTorch a second
    with weightless():
        model: Model = MAKE[name](dna_spec)
    assert "sympy" not in sys.modules
    like = MAKE[name](dna_spec)
    found, expected = (
        {key: (value.shape, value.dtype) for key, value in dict(one.named_parameters()).items()}
        for one in (model, like)
    )
    assert found == expected and found
    assert all(value.is_meta for value in [*model.parameters(), *model.buffers()])
    assert not torch.empty(1).is_meta


@pytest.mark.parametrize(
    ("output", "node"),
    [
        (
            Output.SEQUENCE_CLASS,
            {
                "ngrams": {
                    "_target_": "seqexp.model.added_ngrams.AddedNGrams",
                    **{"sizes": [1, 12], "min_count": 1, "to": "mean", "weighting": "nb"},
                }
            },
        ),
        (Output.NEXT_TOKEN, {"output_bias": "frequencies"}),
    ],
)
def test_a_plan_counts_the_weights_of_models_whose_values_come_from_data(
    output: Output, node: dict[str, object]
) -> None:
    spec, tokens = spec_of(output), sequences_of(LETTERS, time=20)
    targets = tokens if output is Output.NEXT_TOKEN else torch.tensor([[0], [1], [0], [1]])
    train = Sequences(tokens, targets)
    data = Data(spec, train, train.at_most(0, 0), train.at_most(0, 0))
    whole = {"_target_": "seqexp.model.lstm.LSTM", "hidden_size": 4, **node}
    like = build_model(whole, data, torch.device("cpu"))
    with weightless():
        model = build_model(whole, data, torch.device("meta"))
    shapes = [value.shape for value in model.parameters()]
    assert shapes == [value.shape for value in like.parameters()]
