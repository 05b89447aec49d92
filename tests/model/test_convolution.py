"""The convolution before recurrent layers, against PyTorch's."""

from dataclasses import replace

import pytest
import torch
from forms import FEATURES, LETTERS, MODELS, RECURRENT, logits_of, model_of, sequences_of, spec_of
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.model.convolution import Convolution, Convolutions
from seqexp.model.lstm import LSTM
from seqexp.spec import Output


@pytest.mark.parametrize("width", [1, 4, 5])
def test_layers_are_those_of_pytorch(width: int) -> None:
    torch.manual_seed(0)
    made = Convolutions(6, Convolution(3, width, layers=2, activation="tanh"), is_causal=False)
    vectors = sequences_of(FEATURES)
    found, carry = made(vectors, torch.ones(4, 9, dtype=torch.bool))
    expected = vectors.transpose(1, 2)
    for layer in made.layers:
        before = (width - 1) // 2
        given = functional.pad(expected, (before, width - 1 - before))
        expected = torch.tanh(functional.conv1d(given, layer.conv.weight, layer.conv.bias))
    torch.testing.assert_close(found, expected.transpose(1, 2))
    assert carry == ()


def test_a_causal_filter_ends_at_its_position() -> None:
    made = Convolutions(1, Convolution(1, 3, activation="linear"), is_causal=True)
    with torch.no_grad():
        made.layers[0].conv.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        made.layers[0].conv.bias.zero_()
    values = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    found, carry = made(values, torch.ones(1, 4, dtype=torch.bool))
    assert found[0, :, 0].tolist() == [100, 210, 321, 432]
    assert carry[0][0, :, 0].tolist() == [3, 4]


@pytest.mark.parametrize("name", RECURRENT)
def test_without_filters_there_is_none(name: str) -> None:
    spec, tokens = spec_of(), sequences_of(LETTERS)
    without = model_of(name, spec, convolution=Convolution(width=9, layers=3))
    assert torch.equal(logits_of(without, tokens), logits_of(model_of(name, spec), tokens))
    assert set(without.state_dict()) == set(model_of(name, spec, convolution=None).state_dict())


def test_the_recurrence_reads_what_the_filters_give() -> None:
    spec, tokens = spec_of(made_of=FEATURES), sequences_of(FEATURES).double()
    model = model_of("lstm", spec, convolution=Convolution(4, 3))
    real = torch.ones(4, 9, dtype=torch.bool)
    given, _ = model.convolutions(tokens, real)
    layer = model.forwards[0]
    _, state = layer(given, None, layer.start(given))
    torch.testing.assert_close(logits_of(model, tokens), model.head(state[0][:, None]))


def test_later_positions_are_refused_where_the_next_is_predicted() -> None:
    spec = spec_of(Output.NEXT_TOKEN)
    with pytest.raises(InputError, match="model.convolution.padding is same.*give causal or auto"):
        LSTM(spec, convolution=Convolution(3, padding="same"))
    assert LSTM(spec, convolution=Convolution(3)).causal
    labels = replace(spec, output=Output.TOKEN_CLASS)
    assert not LSTM(labels, convolution=Convolution(3)).causal
    assert LSTM(labels, convolution=Convolution(3, padding="causal")).causal


def test_every_recurrent_model_has_one() -> None:
    assert RECURRENT and len(RECURRENT) == len(MODELS) - 1


@pytest.mark.parametrize("readout", ["max", "mean", "last", "flatten"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_layers_of_cnn1d_are_convolutions_of_convolutions(readout: str, padding: str) -> None:
    spec, tokens = spec_of(length=9), sequences_of(LETTERS)
    keys = {"padding": padding, "readout": readout, "activation": "gelu", "num_layers": 3}
    model = model_of("cnn1d", spec, **keys)
    values = model.input(tokens).transpose(1, 2)
    for conv in (model.conv, *(layer.conv for layer in model.above)):
        values = functional.pad(values, (1, 1)) if padding == "same" else values
        values = functional.gelu(functional.conv1d(values, conv.weight, conv.bias))
    by = {
        "max": values.amax(dim=2),
        "mean": values.mean(dim=2),
        "last": values[:, :, -1],
        "flatten": values.transpose(1, 2).flatten(1),
    }
    expected = model.head(by[readout][:, None])
    torch.testing.assert_close(logits_of(model, tokens), expected)


def test_filters_of_several_layers_are_those_of_the_first() -> None:
    spec, tokens = spec_of(), sequences_of(LETTERS)
    model = model_of("cnn1d", spec, num_layers=2)
    one = model_of("cnn1d", spec)
    one.conv.load_state_dict(model.conv.state_dict())
    assert torch.equal(model.filter_activations(tokens), one.filter_activations(tokens))
    assert torch.equal(model.filter_weights(), one.filter_weights())
    effects, whole = model.filter_effects(tokens), logits_of(model, tokens)
    with torch.no_grad():  # a filter of zeros gives relu(0) = 0 everywhere
        model.conv.weight[1] = 0
        model.conv.bias[1] = 0
    torch.testing.assert_close(effects[:, 1], (whole - logits_of(model, tokens))[:, 0])


def test_one_layer_has_the_names_of_before() -> None:
    names = set(model_of("cnn1d", spec_of()).state_dict())
    assert names == {"conv.weight", "conv.bias", "head.output.weight", "head.output.bias"}


def test_a_positive_readout_is_of_one_layer() -> None:
    with pytest.raises(InputError, match="positive_readout is true, but model.num_layers is 2"):
        model_of("cnn1d", spec_of(), num_layers=2, positive_readout=True)
