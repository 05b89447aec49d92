"""Models made without memory have the weights that others have, and no values."""

import sys

import pytest
import torch

from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.rnn import RNN
from seqexp.model.weightless import weightless
from seqexp.spec import Model, TaskSpec

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
