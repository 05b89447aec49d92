"""Encoder, attention and patches: against plain PyTorch, and what is refused."""

import io
from typing import Any

import pytest
import torch
from forms import (
    FEATURES,
    LETTERS,
    MODELS,
    RECURRENT,
    logits_of,
    model_of,
    sequences_of,
    spec_of,
)
from torch import Tensor, nn
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.model import attention
from seqexp.model.attention import Attention
from seqexp.model.layers import FeatureInput, padded
from seqexp.model.picture import Patches, PictureConvolution
from seqexp.spec import Features, Output, TaskSpec

PICTURE = Features(24)  # of 8 columns with 3 channels


def translating(**keys: Any) -> Any:
    return model_of("lstm", spec_of(Output.NEXT_TOKEN, context=LETTERS), **keys)


# --- the encoder ------------------------------------------------------------------------------


def test_the_encoders_last_state_starts_the_network() -> None:
    model, source = translating(), sequences_of(LETTERS, time=5, seed=4)
    torch_lstm = nn.LSTM(4, 6, batch_first=True).double()
    ours = model.encoder.forwards[0]
    i, f, o, g = (slice(6 * place, 6 * place + 6) for place in range(4))
    rows = torch.cat([torch.arange(24)[part] for part in (i, f, g, o)])  # PyTorch's order
    with torch.no_grad():
        torch_lstm.weight_ih_l0.copy_(ours.weight_x[rows])
        torch_lstm.weight_hh_l0.copy_(ours.weight_h[rows])
        torch_lstm.bias_ih_l0.copy_(ours.bias[rows])
        torch_lstm.bias_hh_l0.zero_()
    _, (h, c) = torch_lstm(functional.one_hot(source - 1, 4).double())
    found = model.read(source)
    torch.testing.assert_close(found[0], h[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], c[0], rtol=0, atol=1e-12)
    assert len(found) == 2  # without attention, nothing else is carried


@pytest.mark.parametrize("both_read", [False, True])
@pytest.mark.parametrize("name", RECURRENT)
def test_states_of_both_directions_find_their_layers(name: str, both_read: bool) -> None:
    spec = spec_of(Output.TOKEN_CLASS, context=LETTERS)
    model = model_of(name, spec, bidirectional=both_read, encoder_bidirectional=True)
    _, _, forwards, backwards = model.encoder(sequences_of(LETTERS))
    states = model.read(sequences_of(LETTERS))
    if both_read:
        expected = [*forwards, *backwards]
    else:
        pairs = zip(forwards, backwards, strict=True)
        ends = [torch.cat(pair, dim=1) for pair in pairs]
        expected = [bridge(end) for bridge, end in zip(model.bridges, ends, strict=True)]
    assert len(states) == len(expected)
    for found, wanted in zip(states, expected, strict=True):
        torch.testing.assert_close(found, wanted)


# --- attention --------------------------------------------------------------------------------


def by_loops(made: Attention, states: Tensor, read: Tensor, lengths: list[int]) -> Tensor:
    """Bahdanau et al. (2015), A.1.2, or Luong et al. (2015), eq. 8; then eq. 5 of the latter."""
    rows = []
    for row, length in enumerate(lengths):
        for state in states[row]:
            scores = []
            for position in read[row, :length]:
                key = made.key.weight @ position
                if made.kind == "dot":
                    scores.append(state @ key)
                else:
                    query = made.query.weight @ state + made.query.bias
                    scores.append(made.score.weight[0] @ torch.tanh(query + key))
            weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
            attended = (weights[:, None] * read[row, :length]).sum(dim=0)
            both = torch.cat([attended, state])
            rows.append(torch.tanh(made.join.weight @ both + made.join.bias))
    return torch.stack(rows).view(states.shape)


@pytest.mark.parametrize("kind", ["additive", "dot"])
def test_attention_is_that_of_the_equations(kind: Any) -> None:
    torch.manual_seed(0)
    made = Attention(kind, state_size=5, read_size=3).double()
    states, read, lengths = torch.randn(2, 4, 5).double(), torch.randn(2, 6, 3).double(), [6, 2]
    real = torch.arange(6) < torch.tensor(lengths)[:, None]
    kept = made.keep(read, real)
    expected = by_loops(made, states, read, lengths)
    torch.testing.assert_close(made(states, kept), expected, rtol=0, atol=1e-12)
    weights = made.weights(states, kept)
    assert (weights[1, :, 2:] == 0).all()
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 4).double())


def test_scores_are_the_same_for_few_positions_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attention("additive", state_size=5, read_size=3).double()
    kept = made.keep(torch.randn(2, 6, 3).double(), torch.ones(2, 6, dtype=torch.bool))
    states = torch.randn(2, 7, 5).double()
    whole = made(states, kept)
    monkeypatch.setattr(attention, "MAX_SUMS", 3 * 2 * 6 * 5)  # of three positions
    torch.testing.assert_close(made(states, kept), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["additive", "dot"])
def test_nothing_but_padding_is_attended_to_with_weight_0(kind: Any) -> None:
    made = Attention(kind, state_size=5, read_size=3)
    kept = made.keep(torch.randn(2, 6, 3), torch.zeros(2, 6, dtype=torch.bool))
    assert (made.weights(torch.randn(2, 4, 5), kept) == 0).all()
    assert torch.isfinite(made(torch.randn(2, 4, 5), kept)).all()


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("output", [Output.SEQUENCE_CLASS, Output.NEXT_TOKEN])
def test_weights_of_attention_are_given_as_numbers(name: str, output: Output) -> None:
    model = model_of(name, spec_of(output, context=FEATURES), attention="dot")
    tokens, context = sequences_of(LETTERS), padded(sequences_of(FEATURES, time=7), 0, 2)
    carry = model.read(context)
    weights = model.attention_weights(tokens, carry)
    assert weights.shape == (4, 9 if output is Output.NEXT_TOKEN else 1, 9)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones_like(weights[..., 0]))
    assert (weights[..., 7:] == 0).all()
    assert model.attended_shape(context) == (9,)
    with pytest.raises(InputError, match="model.attention is none"):
        model_of(name, spec_of(output, context=FEATURES)).attention_weights(tokens, carry)


def test_attention_learns_to_copy_what_the_last_state_cannot_hold() -> None:
    """Twelve letters through a state of 8 units: with attention, and hardly without."""
    torch.manual_seed(0)
    source = torch.randint(1, 5, (64, 12))
    tokens = torch.cat([torch.ones(64, 1, dtype=torch.long), source[:, :-1]], dim=1)
    losses = {}
    for kind in ("none", "additive"):
        spec = spec_of(Output.NEXT_TOKEN, context=LETTERS)
        keys = {"hidden_size": 8, "attention": kind, "position_features": 4}
        model = model_of("rnn", spec, **keys).float().train()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(150):
            logits, _ = model(tokens, model.read(source))
            loss = functional.cross_entropy(logits.flatten(0, 1), source.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[kind] = loss.item()
    assert losses["additive"] < 0.7 * losses["none"]


# --- pictures ---------------------------------------------------------------------------------


def test_patches_are_those_of_pytorchs_convolution_and_pooling() -> None:
    torch.manual_seed(0)
    made = Patches(PICTURE, PictureConvolution(4, 3, layers=2, channels=3))
    picture = torch.randn(2, 3, 12, 8)  # channels, rows, columns
    rows = picture.permute(0, 2, 3, 1).flatten(2)  # columns side by side, of each all channels
    found, real = made(rows)
    expected = picture
    for conv in made.convs:
        convolved = functional.conv2d(expected, conv.weight, conv.bias, padding=1)
        expected = functional.max_pool2d(torch.relu(convolved), 2)
    assert made.grid(12) == (3, 2) == expected.shape[2:]
    torch.testing.assert_close(found, expected.flatten(2).transpose(1, 2))
    assert found.shape == (2, 6, 8) and real.all()


@pytest.mark.parametrize("rows", [5, 6, 7])
def test_padding_below_a_picture_changes_nothing(rows: int) -> None:
    made = Patches(PICTURE, PictureConvolution(4, 3, layers=2, channels=3)).double()
    picture = sequences_of(PICTURE, time=rows)
    found, real = made(picture)
    assert made.grid(rows) == (2, 2) and real.all()
    longer, is_patch = made(padded(picture, 0, 6))
    torch.testing.assert_close(longer[:, :4], found, rtol=0, atol=1e-12)
    assert is_patch[:, :4].all() and not is_patch[:, 4:].any()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_reads_pictures_by_patches(name: str) -> None:
    spec = spec_of(context=PICTURE)
    keys = {} if name == "cnn1d" else {"attention": "dot"}
    picture = PictureConvolution(4, 3, 2, channels=3)
    model = model_of(name, spec, context_convolution=picture, **keys)
    tokens, context = sequences_of(LETTERS), sequences_of(PICTURE, time=8)
    logits_of(model, tokens, context).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert logits_of(model, tokens, context).shape == (4, 1, 2)
    if name != "cnn1d":
        assert model.attended_shape(context) == (2, 2)
        assert model.attention_weights(tokens, model.read(context)).shape == (4, 1, 4)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(InputError, match="filters is 4, which is for pictures.*give filters=null"):
        Patches(LETTERS, PictureConvolution(4))
    says = "channels is 5, but each row of the context has 24 numbers"
    with pytest.raises(InputError, match=says):
        Patches(PICTURE, PictureConvolution(4, channels=5))


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_context_is_read_by_models_that_were_built_for_one(name: str) -> None:
    with pytest.raises(InputError, match="built for sequences without a context"):
        model_of(name, spec_of()).read(sequences_of(LETTERS))
    with pytest.raises(InputError, match="built for sequences with a context"):
        model_of(name, spec_of(context=LETTERS))(sequences_of(LETTERS))


@pytest.mark.parametrize("name", RECURRENT)
def test_attention_without_a_context_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="model.attention is dot.*have no context.*give none"):
        model_of(name, spec_of(), attention="dot")
    with pytest.raises(InputError, match="model.encoder_bidirectional is true.*give false"):
        model_of(name, spec_of(), encoder_bidirectional=True)


@pytest.mark.parametrize("name", MODELS)
def test_patches_without_a_picture_are_refused(name: str) -> None:
    says = "model.context_convolution.filters is 4.*have no context.*give null"
    with pytest.raises(InputError, match=says):
        model_of(name, spec_of(), context_convolution=PictureConvolution(4))


# --- features ---------------------------------------------------------------------------------


def test_features_are_the_numbers_or_a_linear_layer_of_them() -> None:
    values = padded(sequences_of(FEATURES, time=3), 1, 1)
    plain = FeatureInput(FEATURES, None)
    assert torch.equal(plain(values)[:, 1:4], values[:, 1:4])
    assert (plain(values)[:, [0, 4]] == 0).all() and not list(plain.parameters())
    learned = FeatureInput(FEATURES, 2)
    expected = values[:, 1:4] @ learned.linear.weight.T + learned.linear.bias
    torch.testing.assert_close(learned(values)[:, 1:4], expected)
    assert (learned(values)[:, [0, 4]] == 0).all()


def test_a_number_that_is_missing_inside_of_a_frame_is_not_taken_for_padding() -> None:
    """It shows, as a loss that is not finite: datasets refuse such frames."""
    values = sequences_of(FEATURES)
    values[0, 2, 3] = torch.nan
    assert FeatureInput(FEATURES, None)(values)[0, 2, 3].isnan()


@pytest.mark.parametrize("name", MODELS)
def test_features_are_read_as_wide_as_they_are(name: str) -> None:
    spec = spec_of(made_of=FEATURES)
    assert model_of(name, spec, embedding_size="auto").input.size == 6
    assert model_of(name, spec, embedding_size=3).input.size == 3


def test_dropped_positions_of_features_are_dropped_whole() -> None:
    model = model_of("rnn", spec_of(made_of=FEATURES), token_dropout=0.5).train()
    vectors, _ = model.vectors(sequences_of(FEATURES, rows=50).double() + 10)
    dropped = (vectors == 0).all(dim=2)
    assert torch.equal(dropped, (vectors == 0).any(dim=2))
    assert 0.4 < dropped.double().mean() < 0.6


def test_compiled_one_hot_filters_are_refused_for_features() -> None:
    says = "kernel is compiled, which is for one-hot tokens, but sequences .* are of features"
    with pytest.raises(InputError, match=says):
        model_of("cnn1d", spec_of(made_of=FEATURES), kernel="compiled")
    with pytest.raises(InputError, match="strands is both, but the dataset is no DNA .it has feat"):
        model_of("cnn1d", spec_of(made_of=FEATURES), strands="both")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_with_a_context_is_kept_and_read_again(name: str) -> None:
    spec = TaskSpec.from_dict(spec_of(Output.NEXT_TOKEN, context=FEATURES).to_dict())
    model, file = model_of(name, spec), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = model_of(name, spec)
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    other.load_state_dict(torch.load(file, weights_only=True))
    tokens, context = sequences_of(LETTERS), sequences_of(FEATURES)
    assert torch.equal(logits_of(model, tokens, context), logits_of(other, tokens, context))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("padding", ["same", "causal"])
def test_effects_of_filters_beside_a_context(num_layers: int, padding: str) -> None:
    """With a context, and where nothing was read of one."""
    keys = {"num_layers": num_layers, "padding": padding, "hidden_layers": [3], "readout": "last"}
    model = model_of("cnn1d", spec_of(context=FEATURES), **keys)
    tokens, nothing = sequences_of(LETTERS), torch.zeros(4, 5).double()
    carries = [model.read(sequences_of(FEATURES)), model._begun(nothing)]
    for carry, given in zip(carries, (carries[0], None), strict=True):
        effects, (whole, _) = model.filter_effects(tokens, given), model(tokens, carry)
        other = model_of("cnn1d", spec_of(context=FEATURES), **keys)
        with torch.no_grad():
            other.conv.weight[1] = 0
            other.conv.bias[1] = 0
        torch.testing.assert_close(effects[:, 1], (whole - other(tokens, carry)[0])[:, 0])
