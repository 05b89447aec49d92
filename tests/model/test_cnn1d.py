"""cnn1d against hand-made and Keras values."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from seqexp.dataset.motif import Motif
from seqexp.errors import InputError
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import TaskSpec


def one_letter_detector(spec: TaskSpec, **arguments: Any) -> CNN1D:
    """A filter that gives 1 for each A it sees, and passes it to the second output."""
    model = CNN1D(spec, **arguments)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.conv.weight[:, 0] = 1  # (filters, channels, width)
        model.head.output.weight[1] = 1
    return model


def tokens(text: str) -> torch.Tensor:
    return torch.tensor([["-ACGT".index(letter) for letter in text]])


def test_the_notebooks_network_has_151_parameters() -> None:
    spec = Motif(num_train=1, num_valid=0, num_test=1).load().spec
    model = CNN1D(spec, num_filters=1, filter_width=17, padding="same", readout="flatten")
    assert sum(p.numel() for p in model.parameters()) == 151


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        # As in each window of 4, for AACAGTTTTA: with zeros outside
        ("same", [2, 3, 2, 1, 1, 0, 0, 1, 1, 1]),  # one before, two after, as Keras
        ("causal", [1, 2, 2, 3, 2, 1, 1, 0, 0, 1]),
        ("valid", [3, 2, 1, 1, 0, 0, 1]),
    ],
)
def test_where_a_filter_looks(dna_spec: TaskSpec, padding: Any, expected: list[int]) -> None:
    model = one_letter_detector(dna_spec, filter_width=4, padding=padding)
    activations = model.filter_activations(tokens("AACAGTTTTA"))
    assert activations[0, :, 0].tolist() == expected
    first = -model.window_offset  # the position whose window starts at the first token
    assert activations[0, first, 0] == 3


@pytest.mark.parametrize(
    ("readout", "expected"), [("max", 3.0), ("mean", 1.2), ("last", 1.0), ("flatten", 12.0)]
)
def test_what_is_read_out(dna_spec: TaskSpec, readout: Any, expected: float) -> None:
    model = one_letter_detector(dna_spec, filter_width=4, padding="same", readout=readout)
    # activations 2 3 2 1 1 0 0 1 1 1, which sum to 12
    logits, _ = model(tokens("AACAGTTTTA"))
    assert logits.shape == (1, 1, 2)
    assert logits[0, 0, 1].item() == pytest.approx(expected)


@pytest.mark.parametrize("readout", ["max", "mean", "last", "flatten"])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_does_not_reach_the_readout(dna_spec: TaskSpec, readout: Any, padding: Any) -> None:
    torch.manual_seed(0)
    model = CNN1D(dna_spec, num_filters=3, filter_width=4, padding=padding, readout=readout)
    with torch.no_grad():
        model.conv.bias.fill_(5)  # a filter that responds to padding, too
    plain, _ = model(tokens("AACAGTTTTA"))
    padded, _ = model(tokens("AACAGTTTTA----"))
    torch.testing.assert_close(padded, plain)


def test_keras_initialisation_is_glorot_uniform_with_zero_biases(dna_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = CNN1D(dna_spec, num_filters=200, filter_width=17, embedding_size=30, init="keras")
    limit = np.sqrt(6 / (17 * 30 + 17 * 200))
    weight = model.conv.weight.detach()
    assert weight.abs().max() <= limit
    assert weight.std().item() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert model.conv.bias.abs().max() == 0 and model.head.output.bias.abs().max() == 0
    assert model.input.table.abs().max() <= 0.05 and model.input.table[0].abs().max() == 0


def test_learned_vectors_of_symbols_enter_the_filter_weights(dna_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = CNN1D(dna_spec, embedding_size=3, num_filters=2, filter_width=5, activation="linear")
    with torch.no_grad():
        model.conv.bias.zero_()
    text = tokens("ACGTACGTAC")
    weights = model.filter_weights()  # (filters, width, symbols)
    window = text[0, 2:7] - 1
    expected = sum(weights[:, place, window[place]] for place in range(5))
    activations = model.filter_activations(text)[0, 2 - model.window_offset]
    torch.testing.assert_close(activations, expected)


def test_one_hot_weights_are_the_filter_weights(dna_spec: TaskSpec) -> None:
    model = CNN1D(dna_spec, num_filters=2, filter_width=5)
    torch.testing.assert_close(model.filter_weights(), model.conv.weight.transpose(1, 2))


def test_impossible_choices_are_refused_with_the_key(
    dna_spec: TaskSpec, next_token_spec: TaskSpec
) -> None:
    with pytest.raises(InputError, match="model.padding is same.*give causal or auto"):
        CNN1D(next_token_spec, padding="same")
    with pytest.raises(InputError, match="model.readout is flatten.*of one length"):
        CNN1D(replace(dna_spec, length=None), readout="flatten")
    with pytest.raises(InputError, match="model.filter_width is 11 .* have 10 tokens"):
        CNN1D(dna_spec, filter_width=11, padding="valid")
    model = CNN1D(dna_spec, readout="flatten")
    with pytest.raises(InputError, match="more than 10 tokens"):
        model(tokens("AACAGTTTTACC"))


def test_dropout_is_for_training_only(dna_spec: TaskSpec) -> None:
    model = CNN1D(dna_spec, num_filters=20, hidden_layers=[30], dropout=0.5)
    text = tokens("AACAGTTTTA")
    assert not torch.equal(model(text)[0], model(text)[0])
    model.eval()
    assert torch.equal(model(text)[0], model(text)[0])


# --- against Keras ----------------------------------------------------------------------------


def keras_network(golden: dict[str, np.ndarray], when: str) -> CNN1D:
    spec = Motif(num_train=1, num_valid=0, num_test=1).load().spec
    model = CNN1D(spec, num_filters=1, filter_width=17, padding="same", readout="flatten")
    kernel, bias, dense, dense_bias = (torch.tensor(golden[f"cnn_{when}{i}"]) for i in range(4))
    with torch.no_grad():
        model.conv.weight.copy_(kernel.permute(2, 1, 0))  # from (width, channels, filters)
        model.conv.bias.copy_(bias)
        model.head.output.weight.copy_(dense.T)
        model.head.output.bias.copy_(dense_bias)
    return model


def as_tokens(one_hot: np.ndarray) -> torch.Tensor:
    return torch.tensor(one_hot.argmax(axis=-1) + 1)


def test_an_even_filter_pads_as_keras_does(golden: dict[str, np.ndarray]) -> None:
    weights = torch.tensor(golden["even_w"])  # (width, channels, filters)
    spec = Motif(num_train=1, num_valid=0, num_test=1).load().spec
    model = CNN1D(spec, num_filters=2, filter_width=6, padding="same", activation="linear")
    with torch.no_grad():
        model.conv.weight.copy_(weights.permute(2, 1, 0))
        model.conv.bias.zero_()
    activations = model.filter_activations(as_tokens(golden["even_x"]))
    np.testing.assert_allclose(activations.detach().numpy(), golden["even_y"], atol=1e-6)


def test_probabilities_equal_those_of_keras(golden: dict[str, np.ndarray]) -> None:
    inputs = as_tokens(golden["cnn_x"])
    for when, expected in (("w", "cnn_p0"), ("end", "cnn_p1")):
        logits, _ = keras_network(golden, when)(inputs)
        found = torch.softmax(logits[:, 0], dim=-1).detach().numpy()
        np.testing.assert_allclose(found, golden[expected], atol=1e-6)


def test_forty_steps_of_the_notebooks_optimizer_equal_those_of_keras(
    golden: dict[str, np.ndarray],
) -> None:
    """Keras 3 takes two sigmoid losses of the softmax's logits here, so this test does too."""
    from seqexp.optimizer.schedule import inverse_time

    model = keras_network(golden, "w")
    inputs = as_tokens(golden["cnn_x"])
    labels = functional.one_hot(torch.tensor(golden["cnn_y"]), 2).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    schedule = inverse_time(optimizer, decay=1e-6)
    losses = []
    for rows in torch.tensor(golden["cnn_order"]):
        logits, _ = model(inputs[rows])
        loss = functional.binary_cross_entropy_with_logits(logits[:, 0], labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(losses, golden["cnn_loss"], atol=1e-5)
    end = keras_network(golden, "end")
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor, end.state_dict()[name], atol=1e-5, err_msg=name)


# --- both strands, a read-out that stays positive, effects ------------------------------------


def test_both_strands_give_a_sequence_and_its_other_strand_the_same(dna_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    spec = replace(dna_spec, length=None)
    text, other = tokens("AACAGTTTTA"), tokens("TAAAACTGTT")
    for width in (4, 5):
        both = CNN1D(spec, num_filters=6, filter_width=width, strands="both").double()
        torch.testing.assert_close(both(text)[0], both(other)[0], rtol=0, atol=1e-12)
        padded = functional.pad(text, (0, 5))
        torch.testing.assert_close(both(padded)[0], both(text)[0], rtol=0, atol=1e-12)
    forward = CNN1D(spec, num_filters=6, filter_width=4).double()
    assert not torch.allclose(forward(text)[0], forward(other)[0])


def test_the_stronger_strand_is_read_out(dna_spec: TaskSpec) -> None:
    model = one_letter_detector(dna_spec, filter_width=4, padding="same", strands="both")
    # at most three A in a window of AACAGTTTTA, four of TAAAACTGTT
    assert model(tokens("AACAGTTTTA"))[0][0, 0, 1].item() == 4
    assert model(tokens("TAAAACTGTT"))[0][0, 0, 1].item() == 4


def test_a_positive_readout_never_lowers_what_a_filter_speaks_for(dna_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = CNN1D(dna_spec, num_filters=4, filter_width=4, positive_readout=True)
    with torch.no_grad():
        model.head.output.weight.uniform_(-5, 5)
    text = torch.randint(1, 5, (50, 10))
    effects = model.filter_effects(text)  # (batch, filters, outputs)
    assert (effects[..., 0] == 0).all() and (effects[..., 1] >= 0).all()
    assert effects[..., 1].max() > 0
    assert model(text)[0].shape == (50, 1, 2)


def test_a_positive_readout_of_one_output_is_that_of_two(dna_spec: TaskSpec) -> None:
    models = [
        CNN1D(spec, num_filters=4, filter_width=4, positive_readout=True)
        for spec in (dna_spec, replace(dna_spec, num_outputs=1))
    ]
    models[1].load_state_dict(models[0].state_dict())
    text = torch.randint(1, 5, (50, 10))
    two, one = (model(text)[0] for model in models)
    torch.testing.assert_close(one[..., 0], two[..., 1] - two[..., 0])


@pytest.mark.parametrize("readout", ["max", "mean", "last", "flatten"])
def test_an_effect_is_what_the_logits_lose_without_the_filter(
    dna_spec: TaskSpec, readout: Any
) -> None:
    torch.manual_seed(0)
    model = CNN1D(
        dna_spec, num_filters=3, filter_width=4, readout=readout, hidden_layers=[5]
    ).double()
    text = torch.randint(1, 5, (20, 10))
    effects = model.filter_effects(text)
    whole = model(text)[0][:, 0]
    with torch.no_grad():  # a filter of zeros gives relu(0) = 0 everywhere
        model.conv.weight[1] = 0
        model.conv.bias[1] = 0
    torch.testing.assert_close(effects[:, 1], whole - model(text)[0][:, 0])


def test_effects_of_a_next_token_model_are_means_over_positions(next_token_spec: TaskSpec) -> None:
    model = CNN1D(next_token_spec, num_filters=3, filter_width=4)
    assert model.filter_effects(torch.randint(1, 5, (7, 10))).shape == (7, 3, 5)


def test_the_penalty_is_the_l1_norm_of_the_filters(dna_spec: TaskSpec) -> None:
    model = one_letter_detector(dna_spec, filter_width=4, filter_l1=0.5)
    assert model.penalty().item() == 2  # four weights of 1
    assert one_letter_detector(dna_spec, filter_width=4).penalty().item() == 0


def test_impossible_strands_and_readouts_are_refused(dna_spec: TaskSpec) -> None:
    words = replace(dna_spec, vocabulary=replace(dna_spec.vocabulary, symbols=("good", "bad")))
    with pytest.raises(InputError, match="model.strands is both, but the dataset is no DNA.*good"):
        CNN1D(words, strands="both")
    with pytest.raises(InputError, match="model.strands is both and model.readout is mean"):
        CNN1D(dna_spec, strands="both", readout="mean")
    with pytest.raises(InputError, match=r"positive_readout is true, but .* is \[3\]"):
        CNN1D(dna_spec, positive_readout=True, hidden_layers=[3])
