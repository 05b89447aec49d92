"""Gradient flow: against Jacobians worked out by hand, finite differences and closed forms."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from forms import FEATURES, LETTERS, OUTPUTS, Form, model_of
from PIL import Image
from torch import Tensor
from torch.nn import functional

from seqexp.data import Sequences
from seqexp.interpret.gradient_flow.figures import comparison_figure, flow_figure, slider_image
from seqexp.interpret.gradient_flow.measure import (
    LOWEST,
    Flow,
    GradientFlow,
    Recurrent,
    Sample,
    draw_sample,
    measure,
    unroll,
)
from seqexp.model.convolution import Convolution
from seqexp.model.lstm import LSTM
from seqexp.model.rnn import RNN
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.spec import IGNORE, Output, TaskSpec

CELLS = ["rnn", "gru", "lstm"]


def sample_of(rows: int = 3, time: int = 12, lags: int = 8) -> Sample:
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 5, (rows, time), generator=generator)
    targets = torch.randint(1, 5, (rows,), generator=generator)
    return Sample(tokens, targets, lags)


def built(cls: Any, spec: TaskSpec, **changes: Any) -> Any:
    """Weights so large that no Jacobian is near one that a slip would give too."""
    torch.manual_seed(0)
    model = cls(spec, hidden_size=5, init="torch", **changes).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model


def loss_after(model: Any, sample: Sample, row: int, first: int, carry: tuple[Tensor, ...]) -> Any:
    """Loss of one row at its last token, from a state before token `first`."""
    logits, _ = model(sample.tokens[row : row + 1, first:], carry)
    return functional.cross_entropy(logits[:, -1], sample.targets[row : row + 1])


def test_norms_are_those_of_the_product_of_jacobians(next_token_spec: TaskSpec) -> None:
    model, sample = built(RNN, next_token_spec), sample_of()
    layer, output = model.forwards[0], model.head.output
    expected = np.zeros(9)
    for tokens, target in zip(sample.tokens, sample.targets, strict=True):
        h, derivatives = torch.zeros(5).double(), []  # diag(1 - h_t^2)
        for vector in model.input(tokens[None])[0]:
            h = torch.tanh(layer.weight_x @ vector + layer.weight_h @ h + layer.bias)
            derivatives.append(torch.diag(1 - h**2))
        errors = torch.softmax(output.weight @ h + output.bias, 0)
        errors = errors - functional.one_hot(target, 5)
        gradient = output.weight.T @ errors  # dL_t / dh_t
        for lag in range(9):
            expected[lag] += gradient.norm().log10().item() / 3
            # h_{t-j} = tanh(W h_{t-j-1} + ...): one Jacobian further back
            gradient = layer.weight_h.T @ derivatives[-1 - lag] @ gradient
    flow = measure(model, sample, epoch=0)
    np.testing.assert_allclose(flow.layers[0].norms["h"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lag", [1, 2, 7])
@pytest.mark.parametrize("part", ["h", "c"])
def test_norms_of_an_lstm_are_those_of_finite_differences(
    next_token_spec: TaskSpec, lag: int, part: str
) -> None:
    model, sample = built(LSTM, next_token_spec), sample_of(rows=2)
    first, epsilon, logs = 12 - lag, 1e-6, []
    for row in range(2):
        _, carry = model(sample.tokens[row : row + 1, :first])
        gradient = torch.zeros(5).double()
        for unit in range(5):
            losses = []
            for sign in (1, -1):
                moved = {"h": carry[0].clone(), "c": carry[1].clone()}
                moved[part][0, unit] += sign * epsilon
                losses.append(loss_after(model, sample, row, first, (moved["h"], moved["c"])))
            gradient[unit] = (losses[0] - losses[1]).detach() / (2 * epsilon)
        logs.append(gradient.norm().log10().item())
    found = measure(model, sample, epoch=0).layers[0].norms[part][lag]
    assert found == pytest.approx(sum(logs) / 2, abs=1e-6)


def test_a_lower_layer_counts_the_paths_through_those_above(next_token_spec: TaskSpec) -> None:
    model, sample = built(StackedRNN, next_token_spec, num_layers=2), sample_of(rows=1)
    low, high = model.forwards
    for lag in (0, 1, 5):
        # an extra term in h^1 at one token, through which nothing but that state is moved
        extra = torch.zeros(5, dtype=torch.double, requires_grad=True)
        below, above = torch.zeros(5).double(), torch.zeros(5).double()
        for token, vector in enumerate(model.input(sample.tokens)[0]):
            below = torch.tanh(low.weight_x @ vector + low.weight_h @ below + low.bias)
            if token == 11 - lag:
                below = below + extra
            above = torch.tanh(high.weight_x @ below + high.weight_h @ above + high.bias)
        loss = functional.cross_entropy(model.head(above[None, None])[0], sample.targets)
        (gradient,) = torch.autograd.grad(loss, extra)
        found = measure(model, sample, epoch=0).layers[0].norms["h"][lag]
        assert found == pytest.approx(gradient.norm().log10().item(), abs=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("is_label", [False, True])
def test_token_by_token_gives_the_models_own_logits(
    cell: Any, is_label: bool, dna_spec: TaskSpec, next_token_spec: TaskSpec
) -> None:
    spec = dna_spec if is_label else next_token_spec
    model = built(StackedRNN, spec, num_layers=3, cell=cell, hidden_layers=[4])
    sample = sample_of()
    padded = functional.pad(sample.tokens, (2, 0))
    for tokens in (sample.tokens, padded):
        steps, logits = unroll(model, replace(sample, tokens=tokens))
        assert len(steps) == 9
        torch.testing.assert_close(logits, model(tokens)[0][:, -1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", [0.5, 1.0, 2.0])
def test_a_linear_network_multiplies_by_its_singular_value(
    next_token_spec: TaskSpec, norm: float
) -> None:
    """With no input h stays 0, where tanh is the identity: each lag is one more factor W_hh."""
    model = RNN(next_token_spec, hidden_size=8, recurrent_norm=norm)
    with torch.no_grad():
        model.forwards[0].weight_x.zero_()
    metrics = measure(model, sample_of(time=60, lags=50), epoch=0).metrics()
    # float32 weights are orthogonal to six digits
    assert metrics["gradient_flow/factor_per_token"] == pytest.approx(norm, rel=1e-6)
    assert metrics["gradient_flow/lag_10_log10"] == pytest.approx(10 * math.log10(norm), abs=1e-5)
    assert metrics["gradient_flow/lag_50_log10"] == pytest.approx(50 * math.log10(norm), abs=1e-4)
    assert metrics["gradient_flow/singular_value_max"] == pytest.approx(norm, rel=1e-6)
    assert metrics["gradient_flow/singular_value_min"] == pytest.approx(norm, rel=1e-6)
    assert metrics["gradient_flow/saturated_share"] == 0


def test_saturation_is_counted_by_hand(next_token_spec: TaskSpec) -> None:
    model = LSTM(next_token_spec, hidden_size=2)
    layer: Any = model.forwards[0]
    with torch.no_grad():
        for weight in (layer.weight_x, layer.weight_h):
            weight.zero_()
        # gates i, f, o, g of two units: 5 and -5 are near a limit of a sigmoid and of tanh, 0 not;
        # 2 is of a sigmoid (0.88) not, of tanh (0.96) it is
        layer.bias.copy_(torch.tensor([5.0, -5.0, 0.0, 0.0, 2.0, -2.0, 2.0, 0.0]))
    flow = measure(model, sample_of(), epoch=0)
    assert flow.layers[0].saturated == pytest.approx(3 / 8)
    shares = flow.layers[0].gates
    assert list(shares) == ["i", "f", "o", "g"]
    for share in shares.values():
        assert share.sum() == pytest.approx(1)
    assert shares["f"][60] == 1  # the bin from 0.5 on


def test_measuring_changes_nothing(next_token_spec: TaskSpec) -> None:
    model = LSTM(next_token_spec, hidden_size=4, dropout=0.5).train()
    model.forwards[0].weight_h.grad = torch.ones(16, 4)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    first = measure(model, sample_of(), epoch=0).metrics()
    assert first == measure(model, sample_of(), epoch=0).metrics()  # without dropout
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training and model.forwards[0].training
    assert torch.equal(model.forwards[0].weight_h.grad, torch.ones(16, 4))
    for name, value in model.state_dict().items():
        assert value.dtype == weights[name].dtype and torch.equal(value, weights[name])


# --- the sample -------------------------------------------------------------------------------


def test_lags_count_real_tokens_back_from_the_label() -> None:
    tokens = torch.tensor([[0, 0, 1, 2, 3], [4, 3, 2, 1, 0], [1, 2, 0, 0, 0], [0, 4, 4, 4, 4]])
    sequences = Sequences(tokens, torch.tensor([[0], [1], [0], [1]]))
    sample = draw_sample(sequences, Output.SEQUENCE_CLASS, GradientFlow(1, 10, num_sequences=3))
    # the longest three, the first of equals first, each ending with its last real token
    assert sample.tokens.tolist() == [[0, 4, 3, 2, 1], [0, 4, 4, 4, 4], [0, 0, 1, 2, 3]]
    assert sample.targets.tolist() == [1, 1, 0]
    assert sample.lags == 2  # the shortest has three tokens
    shorter = draw_sample(sequences, Output.SEQUENCE_CLASS, GradientFlow(1, 1, num_sequences=3))
    assert shorter.lags == 1


def test_the_loss_is_at_the_last_scored_token() -> None:
    tokens = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 0]])
    targets = torch.tensor([[2, 3, IGNORE, IGNORE], [3, 2, 1, IGNORE]])
    sample = draw_sample(Sequences(tokens, targets), Output.NEXT_TOKEN, GradientFlow(1, 9))
    assert sample.tokens.tolist() == [[4, 3, 2], [0, 1, 2]]
    assert sample.targets.tolist() == [1, 3]
    assert sample.lags == 1


def test_of_a_stream_no_state_that_is_looked_at_is_near_its_start() -> None:
    tokens = torch.arange(1, 41).view(2, 20)
    stream = Sequences(tokens, tokens + 1, is_stream=True)
    sample = draw_sample(stream, Output.NEXT_TOKEN, GradientFlow(1, max_lag=4))
    assert sample.tokens.tolist() == [list(range(1, 10)), list(range(21, 30))]
    assert sample.targets.tolist() == [10, 30]
    assert sample.lags == 4


# --- figures ----------------------------------------------------------------------------------


def flows(spec: TaskSpec, cell: str, norm: float, num_layers: int = 2) -> list[Flow]:
    model = built(StackedRNN, spec, cell=cell, num_layers=num_layers, recurrent_norm=norm)
    return [measure(model, sample_of(time=70, lags=60), epoch) for epoch in (0, 3)]


@pytest.mark.parametrize(("cell", "norm"), [("rnn", 1e-9), ("rnn", 50.0), ("lstm", 1.0)])
def test_gradients_that_vanish_or_explode_are_drawn_on_finite_axes(
    next_token_spec: TaskSpec, cell: str, norm: float
) -> None:
    measured = flows(next_token_spec, cell, norm, num_layers=1)
    if norm == 1e-9:  # below what float64 can hold
        assert measured[0].layers[0].norms["h"][-1] == LOWEST
    figure = flow_figure(measured, [(1, 1e12, 1.0), (2, 0.5, 0.5), (3, 0.0, 0.0)], clip_norm=1.0)
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
    assert Image.open(io.BytesIO(slider_image(measured))).size == (800, 800)
    assert all(math.isfinite(value) for value in measured[0].metrics().values())


def test_a_figure_has_a_panel_for_each_layer(next_token_spec: TaskSpec) -> None:
    measured = flows(next_token_spec, "lstm", 1.0, num_layers=3)
    titles = [axes.get_title() for axes in flow_figure(measured, [], None).axes]
    assert titles[:3] == ["layer 1 of 3", "layer 2 of 3", "layer 3 of 3"]
    many = flows(next_token_spec, "rnn", 1.0, num_layers=6)
    titles = [axes.get_title() for axes in flow_figure(many, [], None).axes]
    assert titles[:4] == [f"layer {number} of 6" for number in (1, 3, 4, 6)]


def test_runs_that_differ_in_their_seed_share_a_colour_and_a_name() -> None:
    def moments(slope: float) -> list[dict[str, Any]]:
        return [{"epoch": e, "log10_relative": [slope * j for j in range(5)]} for e in (0, 9)]

    runs = [("rnn", moments(-1.0)), ("rnn", moments(-2.0)), ("lstm", moments(-0.5))]
    figure = comparison_figure(runs)
    left, _ = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()][:2] == ["rnn", "lstm"]
    first, second, third = (line for line in left.get_lines() if len(line.get_xdata()) == 5)
    assert first.get_color() == second.get_color() != third.get_color()
    np.testing.assert_allclose(second.get_ydata(), [0, -2, -4, -6, -8])


# --- other kinds, features and a context -------------------------------------------------------


def with_context(form: Form) -> Sequences:
    """Four sequences of a form, their contexts shared by two each, and the targets of its kind."""
    tokens, context = form.tokens(), form.read()
    spec = form.spec
    targets = torch.ones(4, 9 if spec.per_position else spec.num_outputs, dtype=torch.long)
    if spec.output.has_numbers:
        targets = targets.float()
    rows = None if context is None else torch.tensor([3, 1, 1, 0])
    return Sequences(tokens, targets, context=context, context_rows=rows)


def squares(logits: Tensor, targets: Tensor) -> Tensor:
    """Stands for the loss of any kind."""
    return ((logits - 1) * targets.double().mean()).square().sum()


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("context", [None, LETTERS])
@pytest.mark.parametrize("cell", CELLS)
def test_every_kind_is_measured_on_features_and_with_a_context(
    output: Output, context: Any, cell: str
) -> None:
    form = Form(output, FEATURES, context)
    keys: dict[str, Any] = {"convolution": Convolution(3, 4), "hidden_size": 5, "cell": cell}
    if context is not None:
        keys |= {"attention": "dot", "encoder_bidirectional": True}
    model, sequences = model_of("stacked-rnn", form.spec, **keys), with_context(form)
    assert isinstance(model, Recurrent) and model.reads_forward
    sample = draw_sample(sequences, output, GradientFlow(1, max_lag=5))
    assert sample.tokens.shape == (4, 9, 6) and sample.lags == 5
    rows = sequences.context_rows
    carry = None if rows is None else model.read(sequences.context[rows])
    whole, _ = model(sequences.tokens, carry)
    _, logits = unroll(model, sample)
    torch.testing.assert_close(logits, whole[:, -1:], rtol=0, atol=1e-12)
    flow = measure(model, sample, 0, squares)
    assert all(np.isfinite(layer.norms["h"]).all() for layer in flow.layers)


def test_sequences_without_a_scored_target_are_no_sample() -> None:
    tokens = torch.tensor([[1, 2, 3, 4], [4, 3, 2, 1]])
    targets = torch.tensor([[IGNORE, IGNORE], [1, IGNORE]])
    sample = draw_sample(Sequences(tokens, targets), Output.MULTI_LABEL, GradientFlow(1, 9))
    assert sample.tokens.tolist() == [[4, 3, 2, 1]]
    assert sample.targets.tolist() == [[1, IGNORE]]
