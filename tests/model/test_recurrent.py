"""Recurrent models against PyTorch's layers, Keras' values and their definitions."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from seqexp.errors import InputError
from seqexp.model.added_ngrams import AddedNGrams
from seqexp.model.convolution import Convolution
from seqexp.model.layers import PositionFeatures
from seqexp.model.lstm import LSTM
from seqexp.model.recurrent_layer import Dropout, RecurrentLayer
from seqexp.model.rnn import RNN
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.spec import IGNORE, PAD, Output, TaskSpec, Vocabulary
from seqexp.task.cross_entropy import cross_entropy_sum

LETTERS = TaskSpec(Vocabulary(tuple("ACGT<>")), 6, Output.SEQUENCE_CLASS, tuple("ACGT<>"), 50)
"""The notebook's read task: six letters in, one of six out."""

TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
ORDER = {"rnn": [0], "gru": [0, 1, 2], "lstm": [0, 1, 3, 2]}
"""Our place of each of PyTorch's gates: its LSTM has i, f, g, o, ours i, f, o, g."""


def reference(network: Any, cell: str) -> nn.Module:
    """PyTorch's layers with a network's weights, their second bias zero."""
    layers, hidden_size = network.forwards, network.forwards[0].hidden_size
    inputs = network.input.size
    bidirectional = len(network.backwards) > 0
    arguments = {"num_layers": len(layers), "batch_first": True, "bidirectional": bidirectional}
    theirs = TORCH[cell](inputs, hidden_size, **arguments).double()
    directions = {"": layers, "_reverse": network.backwards}
    with torch.no_grad():
        for suffix, ours in directions.items():
            for index, layer in enumerate(ours):
                for name, weight in (
                    ("weight_ih", layer.weight_x),
                    ("weight_hh", layer.weight_h),
                    ("bias_ih", layer.bias),
                ):
                    gates = weight.chunk(len(ORDER[cell]))
                    ordered = torch.cat([gates[place] for place in ORDER[cell]])
                    getattr(theirs, f"{name}_l{index}{suffix}").copy_(ordered)
                getattr(theirs, f"bias_hh_l{index}{suffix}").zero_()
    return theirs


def random_tokens(rows: int = 4, time: int = 12) -> torch.Tensor:
    return torch.randint(1, 7, (rows, time), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_values_and_gradients_equal_pytorchs(
    cell: Any, num_layers: int, bidirectional: bool
) -> None:
    torch.manual_seed(0)
    settings = {"embedding_size": 5, "hidden_size": 7, "init": "torch"}
    ours = StackedRNN(
        LETTERS, num_layers=num_layers, cell=cell, bidirectional=bidirectional, **settings
    ).double()
    theirs = reference(ours, cell)
    tokens = random_tokens()
    logits, _ = ours(tokens)
    vectors = ours.input(tokens)
    hidden = theirs(vectors)[0]
    last = hidden[:, -1]
    if bidirectional:  # the reverse layer ends at the first token
        last = torch.cat([hidden[:, -1, :7], hidden[:, 0, 7:]], dim=1)
    expected = ours.head(last[:, None])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    weights = [ours.input.table, ours.forwards[0].weight_x]
    table, weight_x = torch.autograd.grad(logits.square().sum(), weights)
    their_weights = [ours.input.table, theirs.weight_ih_l0]
    their_table, weight_ih = torch.autograd.grad(expected.square().sum(), their_weights)
    torch.testing.assert_close(table, their_table, rtol=0, atol=1e-12)
    gates = weight_x.chunk(len(ORDER[cell]))
    ordered = torch.cat([gates[place] for place in ORDER[cell]])
    torch.testing.assert_close(ordered, weight_ih, rtol=0, atol=1e-12)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_parameter_counts_are_those_of_the_equations() -> None:
    lstm = LSTM(LETTERS, hidden_size=32, hidden_layers=[12, 12])
    assert count(lstm.forwards[0]) == 4 * (32 * (6 + 32) + 32) == 4992
    assert count(lstm) == 5622  # the notebook's network for noisy reads
    assert count(RNN(LETTERS, hidden_size=32).forwards[0]) == 32 * (6 + 32) + 32
    gru = StackedRNN(LETTERS, num_layers=2, cell="gru", hidden_size=10)
    assert [count(layer) for layer in gru.forwards] == [3 * (10 * 16 + 10), 3 * (10 * 20 + 10)]


def test_padding_on_either_side_leaves_the_state_alone() -> None:
    for model in (
        LSTM(LETTERS, hidden_size=8),
        LSTM(LETTERS, hidden_size=8, bidirectional=True),
        LSTM(LETTERS, hidden_size=8, readout="mean"),
        StackedRNN(LETTERS, cell="gru", hidden_size=8, bidirectional=True, readout="max"),
    ):
        tokens = random_tokens()
        plain, _ = model(tokens)
        for before, after in ((3, 0), (0, 3), (2, 2)):
            padded = nn.functional.pad(tokens, (before, after), value=PAD)
            torch.testing.assert_close(model(padded)[0], plain)


def test_a_sequence_of_nothing_but_padding_has_finite_logits() -> None:
    for readout in ("last", "mean", "max"):
        model = RNN(LETTERS, hidden_size=8, readout=readout)
        assert torch.isfinite(model(torch.zeros(2, 5, dtype=torch.long))[0]).all()


# --- next tokens from both ends ----------------------------------------------------------------

NEXT = replace(LETTERS, output=Output.NEXT_TOKEN, num_outputs=7, length=None)
PADDED = torch.tensor([[1, 2, 3, 4, 2], [5, 1, 6, PAD, PAD]])
FOLLOWING = torch.tensor([[2, 3, 4, 2, 1], [1, 6, 2, IGNORE, IGNORE]])
BEFORE = torch.tensor([[IGNORE, 1, 2, 3, 4], [IGNORE, 5, 1, IGNORE, IGNORE]])


@pytest.mark.parametrize("tied", [False, True])
def test_from_both_ends_the_next_token_and_the_one_before_cost_what_two_models_say(
    tied: bool,
) -> None:
    both = LSTM(NEXT, hidden_size=8, embedding_size=8, bidirectional=True, tied=tied)
    alone = LSTM(NEXT, hidden_size=8, embedding_size=8, tied=tied)
    shared = {k: v for k, v in both.state_dict().items() if not k.startswith("backwards")}
    alone.load_state_dict(shared)
    ahead = cross_entropy_sum(alone(PADDED)[0], FOLLOWING)
    turned = {k.replace("back", "for"): v for k, v in both.state_dict().items() if "backw" in k}
    alone.load_state_dict({**shared, **turned})
    rows = [
        (PADDED[:1].flip(1), BEFORE[:1].flip(1)),
        (PADDED[1:, [2, 1, 0]], BEFORE[1:, [2, 1, 0]]),
    ]
    back = sum(cross_entropy_sum(alone(tokens)[0], targets) for tokens, targets in rows)
    found, _ = both.target_nats(PADDED, FOLLOWING)
    torch.testing.assert_close(found, (ahead + back) / 2)


def test_predictions_of_a_model_that_learns_from_both_ends_are_of_the_forward_layer() -> None:
    both = LSTM(NEXT, hidden_size=8, bidirectional=True).eval()
    alone = LSTM(NEXT, hidden_size=8).eval()
    state = both.state_dict()
    alone.load_state_dict({k: v for k, v in state.items() if not k.startswith("backwards")})
    whole, carry = both(PADDED[:1])
    assert both.causal and both.scores_targets
    torch.testing.assert_close(whole, alone(PADDED[:1])[0], rtol=0, atol=0)
    _, kept = both(PADDED[:1, :2])
    rest, after = both(PADDED[:1, 2:], kept)
    torch.testing.assert_close(rest, whole[:, 2:])
    torch.testing.assert_close(after, carry)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"num_layers": 2}, "model.num_layers is 2, but .* which it would be shown; give 1"),
        ({"convolution": Convolution(filters=4)}, "model.convolution.filters is 4, but"),
        ({"ngrams": AddedNGrams(sizes=[2])}, r"model.ngrams.sizes is \[2\], but"),
    ],
)
def test_what_would_show_the_token_before_is_refused(settings: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        StackedRNN(NEXT, **{"num_layers": 1, "embedding_size": 4, **settings}, bidirectional=True)


# --- initial weights --------------------------------------------------------------------------


def test_keras_initialisation() -> None:
    torch.manual_seed(0)
    layer = LSTM(LETTERS, embedding_size=40, hidden_size=64).forwards[0]
    limit = np.sqrt(6 / (40 + 4 * 64))  # Glorot, on the kernel of all gates
    assert layer.weight_x.abs().max() <= limit
    assert layer.weight_x.std().item() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    product = layer.weight_h.T @ layer.weight_h  # H x 4H, orthogonal as one matrix
    torch.testing.assert_close(product, torch.eye(64), rtol=0, atol=1e-5)
    i, f, o, g = layer.bias.detach().chunk(4)
    assert f.tolist() == [1] * 64
    assert torch.cat([i, o, g]).abs().max() == 0


def test_torch_initialisation_and_the_forget_bias() -> None:
    torch.manual_seed(0)
    layer = LSTM(LETTERS, hidden_size=64, init="torch").forwards[0]
    for weight in layer.parameters():
        assert weight.abs().max() <= 1 / 8
        assert weight.std().item() == pytest.approx(1 / 8 / np.sqrt(3), rel=0.1)
    for init in ("keras", "torch"):
        biased = LSTM(LETTERS, hidden_size=64, init=init, forget_bias=2.5).forwards[0]
        assert biased.bias.detach().chunk(4)[1].tolist() == [2.5] * 64
        assert biased.bias.detach().chunk(4)[0].abs().max() < 0.2


# --- dropout ----------------------------------------------------------------------------------


def layer(cell: str = "lstm", **dropout: Any) -> RecurrentLayer:
    torch.manual_seed(0)
    made = RecurrentLayer(cell, 6, 50, Dropout(**dropout))
    made.initialise("keras", None)
    return made.train()


def masks_of(made: RecurrentLayer, size: int, rate: float) -> torch.Tensor:
    return made._masks(torch.zeros(20, 9, 6), size, rate)


@pytest.mark.parametrize(("kind", "number"), [("tied", 1), ("per_gate", 4)])
def test_masks_are_drawn_once_for_a_sequence_and_keep_the_mean(kind: Any, number: int) -> None:
    mask = masks_of(layer(masks=kind), 500, 0.2)
    assert mask.shape == (number, 20, 500)  # no time axis: constant in time
    assert set(mask.unique().tolist()) == {0.0, 1.25}
    assert mask.mean().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(mask[:, 0], mask[:, 1])


def test_input_dropout_drops_the_same_parts_of_every_token() -> None:
    made = layer(inputs=0.5)
    inputs = torch.ones(3, 7, 6)
    x = made._input_products(inputs, made._masks(inputs, 6, 0.5))
    assert torch.equal(x[:, 0], x[:, 6])
    assert not torch.equal(x[0], x[1])


@pytest.mark.parametrize("kind", ["tied", "per_gate"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_dropout_equals_a_loop_over_tokens_and_gates(cell: str, kind: Any) -> None:
    """The products of all tokens and gates at once, against each by itself."""
    made = layer(cell, inputs=0.3, recurrent=0.4, masks=kind).double()
    inputs = torch.randn(4, 6, 6, dtype=torch.float64)
    torch.manual_seed(7)
    hidden, _ = made(inputs, None, made.start(inputs))
    torch.manual_seed(7)
    x_masks = made._masks(inputs, 6, 0.3)
    h_masks = made._masks(inputs, 50, 0.4)
    gates = made.cell.num_gates
    state = made.start(inputs)
    for step in range(6):
        x, h = [], []
        for gate in range(gates):
            mask = gate if kind == "per_gate" else 0
            rows = slice(gate * 50, (gate + 1) * 50)
            x.append((inputs[:, step] * x_masks[mask]) @ made.weight_x[rows].T + made.bias[rows])
            h.append((state[0] * h_masks[mask]) @ made.weight_h[rows].T)
        state = made.cell.step(torch.cat(x, dim=1), torch.cat(h, dim=1), state)
        torch.testing.assert_close(hidden[:, step], state[0], rtol=0, atol=1e-12)


def test_nothing_is_dropped_outside_training() -> None:
    made = layer(inputs=0.5, recurrent=0.5).eval()
    inputs = torch.randn(3, 7, 6)
    first, _ = made(inputs, None, made.start(inputs))
    second, _ = made(inputs, None, made.start(inputs))
    assert torch.equal(first, second)


def test_recurrent_dropout_drops_activations_and_not_the_state_that_is_carried() -> None:
    """Not DropConnect: with W_h = 0 nothing of h is left to drop, and nothing changes."""
    made = layer("lstm", recurrent=0.9).double()
    with torch.no_grad():
        made.weight_h.zero_()
    inputs = torch.randn(3, 7, 6).double()
    hidden, _ = made(inputs, None, made.start(inputs))
    made.eval()
    plain, _ = made(inputs, None, made.start(inputs))
    torch.testing.assert_close(hidden, plain, rtol=0, atol=1e-14)


# --- position features ------------------------------------------------------------------------


def test_position_features_are_sines_and_cosines_of_the_place() -> None:
    features = PositionFeatures(2)(torch.tensor([[0, 3]]))
    slow = 3 / 1000**0.5
    expected = [[0, 0, 1, 1], [math.sin(3), math.sin(slow), math.cos(3), math.cos(slow)]]
    torch.testing.assert_close(features[0], torch.tensor(expected))


def test_positions_go_on_over_windows_and_do_not_count_padding(next_token_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = LSTM(next_token_spec, position_features=3).double()
    tokens = torch.randint(1, 5, (2, 9))
    whole, carry = model(tokens)
    first, between = model(tokens[:, :4])
    second, after = model(tokens[:, 4:], between)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-12)
    assert after[-1].tolist() == carry[-1].tolist() == [9, 9]
    padded, _ = model(torch.nn.functional.pad(tokens, (3, 0)))
    torch.testing.assert_close(padded[:, 3:], whole, rtol=0, atol=1e-12)


def test_the_same_token_is_told_apart_by_its_place(next_token_spec: TaskSpec) -> None:
    torch.manual_seed(0)
    model = LSTM(next_token_spec, position_features=3)
    tokens = torch.ones(1, 4, dtype=torch.long)
    vectors, _ = model.vectors(tokens)
    assert len(vectors[0].unique(dim=0)) == 4


# --- against Keras ----------------------------------------------------------------------------


def keras_network(golden: dict[str, np.ndarray]) -> LSTM:
    """The notebook's LSTM for reads with stored weights; Keras has the gates i, f, c, o."""
    model = LSTM(LETTERS, hidden_size=32, hidden_layers=[12, 12])
    weights = [torch.tensor(golden[f"lstm_w{i}"]) for i in range(9)]

    def ours(kernel: torch.Tensor) -> torch.Tensor:
        i, f, c, o = kernel.T.chunk(4)
        return torch.cat([i, f, o, c])

    with torch.no_grad():
        model.forwards[0].weight_x.copy_(ours(weights[0]))
        model.forwards[0].weight_h.copy_(ours(weights[1]))
        model.forwards[0].bias.copy_(ours(weights[2][None])[:, 0])
        dense = [*model.head.hidden, model.head.output]
        for layer, kernel, bias in zip(dense, weights[3::2], weights[4::2], strict=True):
            layer.weight.copy_(kernel.T)
            layer.bias.copy_(bias)
    return model


def keras_tokens(golden: dict[str, np.ndarray]) -> torch.Tensor:
    ids = torch.tensor(golden["lstm_x"]).long()
    assert ids.min() == 0 and ids.max() == 5
    return ids + 1


def test_the_notebooks_lstm_equals_keras(golden: dict[str, np.ndarray]) -> None:
    logits, _ = keras_network(golden)(keras_tokens(golden))
    found = torch.softmax(logits[:, 0], dim=-1).detach().numpy()
    np.testing.assert_allclose(found, golden["lstm_p0"], atol=1e-6)


def test_twenty_adam_steps_equal_those_of_keras(golden: dict[str, np.ndarray]) -> None:
    """Keras adds epsilon 1e-7 outside the bias correction: 1e-7 / sqrt(1 - 0.999^t) inside."""
    model, tokens = keras_network(golden), keras_tokens(golden)
    labels = torch.tensor(golden["lstm_y"]).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    losses = []
    for step in range(1, 21):
        for group in optimizer.param_groups:
            group["eps"] = 1e-7 / np.sqrt(1 - 0.999**step)
        logits, _ = model(tokens)
        loss = nn.functional.cross_entropy(logits[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, golden["lstm_loss"], atol=1e-5)
    probabilities = torch.softmax(model(tokens)[0][:, 0], dim=-1).detach().numpy()
    np.testing.assert_allclose(probabilities, golden["lstm_p1"], atol=1e-5)


# --- what gradient flow looks at --------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("init", ["keras", "torch"])
def test_recurrent_norm_is_the_largest_singular_value_at_the_start(cell: Any, init: Any) -> None:
    for norm in (0.5, 3.0):
        torch.manual_seed(0)
        scaled = StackedRNN(LETTERS, cell=cell, init=init, hidden_size=6, recurrent_norm=norm)
        torch.manual_seed(0)
        plain = StackedRNN(LETTERS, cell=cell, init=init, hidden_size=6)
        for layer, other in zip(scaled.forwards, plain.forwards, strict=True):
            largest = np.linalg.svd(layer.weight_h.detach().numpy())[1].max()
            assert largest == pytest.approx(norm, rel=1e-5)
            ratio = layer.weight_h / other.weight_h  # scaled as a whole, and nothing else is
            torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
            assert torch.equal(layer.weight_x, other.weight_x)
            assert torch.equal(layer.bias, other.bias)


def test_gates_are_those_of_the_equations() -> None:
    torch.manual_seed(0)
    x, h, c = torch.randn(4, 3).double(), torch.randn(4, 5).double(), torch.randn(4, 5).double()
    layers = {}
    for cell in ("rnn", "gru", "lstm"):
        layers[cell] = RecurrentLayer(cell, 3, 5, Dropout()).double()
        layers[cell].initialise("torch", None)
    (state,) = layers["rnn"](x[:, None], None, (h,))[1]
    torch.testing.assert_close(layers["rnn"].gates(x, h)["h"], state)
    gates = layers["gru"].gates(x, h)
    (state,) = layers["gru"](x[:, None], None, (h,))[1]
    torch.testing.assert_close((1 - gates["z"]) * gates["n"] + gates["z"] * h, state)
    gates = layers["lstm"].gates(x, h)
    new_h, new_c = layers["lstm"](x[:, None], None, (h, c))[1]
    torch.testing.assert_close(gates["f"] * c + gates["i"] * gates["g"], new_c)
    torch.testing.assert_close(gates["o"] * torch.tanh(new_c), new_h)
    # the reset gate of a GRU shows in n only: n = tanh(x_n + r h_n)
    layer = layers["gru"]
    x_new = (x @ layer.weight_x.T + layer.bias).chunk(3, dim=1)[2]
    h_new = (h @ layer.weight_h.T).chunk(3, dim=1)[2]
    gates = layer.gates(x, h)
    torch.testing.assert_close(gates["n"], torch.tanh(x_new + gates["r"] * h_new))
