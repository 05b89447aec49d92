"""The compiled convolution of one-hot tokens: PyTorch's values, threads, and without a compiler."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from kernels.test_recurrence_cpp import anew  # noqa: F401  (a fixture)
from torch.func import vmap
from torch.nn import functional

from seqexp.checkpoint.identity import sources
from seqexp.errors import InputError
from seqexp.kernels import build as building
from seqexp.kernels import convolution_cpp as token_convolution
from seqexp.kernels.convolution_cpp import available, convolve, strongest
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import TaskSpec
from seqexp.trainer.replicas import _AsEachAlone

FOUND = available(torch.empty(1))
needs_a_compiler = pytest.mark.skipif(FOUND.binary is None, reason=FOUND.reason)

FILTERS = (1, 3, 8, 17, 64, 70)
"""One; less than a vector, as many, more; four vectors; five."""

WIDTHS = (1, 2, 3, 4, 17)
"""Words of one, two and three tokens, that fill the filter and that do not."""


def random_tokens(batch: int, time: int, symbols: int = 4) -> torch.Tensor:
    """With padding at both ends and inside."""
    tokens = torch.randint(1, symbols + 1, (batch, time))
    tokens[torch.rand(batch, time) < 0.1] = 0
    tokens[: batch // 2, : time // 3] = 0
    tokens[1::3, time - time // 4 :] = 0
    return tokens


def weights(filters: int, width: int, symbols: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.randn(filters, symbols, width, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(filters, dtype=torch.float64, requires_grad=True)
    return weight, bias


def by_pytorch(
    tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, before: int, positions: int
) -> torch.Tensor:
    after = positions + weight.shape[2] - 1 - before - tokens.shape[1]
    ids = functional.pad(tokens.long(), (before, after))
    one_hot = functional.one_hot(ids, weight.shape[1] + 1)[..., 1:].to(weight.dtype)
    return functional.conv1d(one_hot.transpose(1, 2), weight, bias).transpose(1, 2)


def check_same(
    ours: torch.Tensor, theirs: torch.Tensor, parameters: tuple[torch.Tensor, ...]
) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradient = torch.randn_like(ours)
    gradient[torch.rand_like(ours) < 0.5] = 0
    found = torch.autograd.grad(ours, parameters, gradient, retain_graph=True)
    expected = torch.autograd.grad(theirs, parameters, gradient, retain_graph=True)
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-12, atol=1e-12)


@needs_a_compiler
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("filters", FILTERS)
def test_values_and_gradients_are_those_of_pytorch(filters: int, width: int) -> None:
    torch.manual_seed(0)
    parameters = weights(filters, width)
    for batch, time in ((1, 1), (5, 3), (7, 40), (2, 130)):
        tokens = random_tokens(batch, time)
        for before in {0, (width - 1) // 2, width - 1}:
            theirs = by_pytorch(tokens, *parameters, before, time)
            check_same(convolve(tokens, *parameters, before, time), theirs, parameters)
            rectified = convolve(tokens, *parameters, before, time, rectified=True)
            check_same(rectified, torch.relu(theirs), parameters)
            lowest = theirs.masked_fill((tokens == 0)[:, :, None], -1)
            highest = strongest(tokens, *parameters, tokens != 0, before)
            check_same(highest, torch.relu(lowest.amax(dim=1)), parameters)


@needs_a_compiler
@pytest.mark.parametrize("width", WIDTHS)
def test_the_highest_window_may_be_below_zero_and_like_windows_are_as_high(width: int) -> None:
    torch.manual_seed(0)
    tokens, weight = random_tokens(8, 60), -torch.rand(3, 4, width)
    whole = (tokens != 0).unfold(1, width, 1).all(dim=2)
    found = token_convolution.highest(tokens, weight, whole)
    theirs = by_pytorch(tokens, weight, torch.zeros(3), 0, whole.shape[1])
    expected = theirs.masked_fill(~whole[:, :, None], -torch.inf).amax(dim=1)
    torch.testing.assert_close(found, expected)
    assert (found[whole.any(dim=1)] < 0).all() and not found.requires_grad
    # the same window, somewhere else among others, and alone
    window = torch.randint(1, 5, (1, width))
    there = torch.cat([torch.randint(1, 5, (1, 7)), window, torch.randint(1, 5, (1, 5))], dim=1)
    only = torch.arange(13)[None] == 7
    alone = token_convolution.highest(window, weight, torch.ones(1, 1, dtype=torch.bool))
    assert torch.equal(token_convolution.highest(there, weight, only), alone)


@needs_a_compiler
@pytest.mark.parametrize("symbols", [1, 2, 20, 300])
def test_alphabets_of_any_size_are_taken(symbols: int) -> None:
    torch.manual_seed(0)
    parameters, tokens = weights(3, 5, symbols), random_tokens(4, 30, symbols)
    theirs = by_pytorch(tokens, *parameters, 2, 30)
    check_same(convolve(tokens, *parameters, 2, 30), theirs, parameters)


@needs_a_compiler
def test_gradients_are_those_of_small_differences() -> None:
    torch.manual_seed(0)
    parameters, tokens = weights(3, 4), random_tokens(3, 9)
    assert torch.autograd.gradcheck(lambda w, b: convolve(tokens, w, b, 1, 9), parameters)
    assert torch.autograd.gradcheck(lambda w, b: convolve(tokens, w, b, 1, 9, True), parameters)
    real = tokens != 0
    assert torch.autograd.gradcheck(lambda w, b: strongest(tokens, w, b, real, 1), parameters)


@needs_a_compiler
def test_tokens_of_other_integers_and_strides_are_the_same_tokens() -> None:
    torch.manual_seed(0)
    parameters, tokens = weights(3, 4), random_tokens(6, 20)
    expected = convolve(tokens, *parameters, 1, 20)
    for dtype in (torch.int8, torch.int16, torch.int32):
        assert torch.equal(convolve(tokens.to(dtype), *parameters, 1, 20), expected)
    assert torch.equal(convolve(tokens.t().contiguous().t(), *parameters, 1, 20), expected)
    assert torch.equal(
        convolve(tokens[::2, 3:15], *parameters, 1, 12)[:, 1:-2], expected[::2, 4:13]
    )
    spread = torch.stack([tokens, tokens + 99], dim=2)[:, :, 0]
    check_same(convolve(spread, *parameters, 1, 20), expected, parameters)


@needs_a_compiler
def test_no_sequences_give_no_values_and_gradients_of_zero() -> None:
    parameters = weights(3, 4)
    out = convolve(torch.zeros(0, 10, dtype=torch.int64), *parameters, 1, 10)
    assert out.shape == (0, 10, 3)
    assert all((g == 0).all() for g in torch.autograd.grad(out.sum(), parameters))


@needs_a_compiler
def test_a_gradient_may_be_asked_for_of_one_alone_and_be_spread_out() -> None:
    torch.manual_seed(0)
    (weight, bias), tokens = weights(3, 4), random_tokens(6, 20)
    both = torch.autograd.grad(convolve(tokens, weight, bias, 1, 20).sum(), (weight, bias))
    alone = convolve(tokens, weight, bias.detach(), 1, 20).mean(dim=1)
    assert torch.allclose(torch.autograd.grad(alone.sum() * 20, weight)[0], both[0])
    alone = convolve(tokens, weight.detach(), bias, 1, 20)
    assert torch.allclose(torch.autograd.grad(alone.sum(), bias)[0], both[1])
    with torch.no_grad():
        assert not convolve(tokens, weight, bias, 1, 20).requires_grad


@needs_a_compiler
@pytest.mark.parametrize("token", [-1, 5, 2**40])
def test_a_token_without_weights_is_refused(token: int) -> None:
    with pytest.raises(IndexError, match="not among the symbols"):
        convolve(torch.tensor([[1, token]]), *weights(3, 4), 1, 2)


@needs_a_compiler
def test_what_is_not_finite_stays_so() -> None:
    weight, bias = weights(9, 1)
    with torch.no_grad():
        weight[:, 1] = torch.nan
        bias.fill_(-3)
    tokens = torch.tensor([[1, 2, 3], [1, 1, 3]])
    out = convolve(tokens, weight, bias, 0, 3, rectified=True)
    assert out[0, 1].isnan().all() and out[:, 0].isfinite().all()
    highest = strongest(tokens, weight, bias, tokens != 0, 0)
    assert highest[0].isnan().all() and highest[1].isfinite().all()
    lowest = strongest(tokens, torch.full_like(weight, -torch.inf), bias, tokens != 0, 0)
    assert (lowest == 0).all()


@needs_a_compiler
@pytest.mark.parametrize("filters", [1, 8, 70])
def test_bits_depend_neither_on_threads_nor_on_other_rows(filters: int) -> None:
    torch.manual_seed(0)
    # enough that threads are worth it
    parameters, tokens = weights(filters, 17), random_tokens(37, 600)
    real = tokens != 0

    def values() -> list[torch.Tensor]:
        outs = [
            convolve(tokens, *parameters, 8, 600, rectified=True),
            strongest(tokens, *parameters, real, 8),
        ]
        loss = sum((out**2).sum() for out in outs)
        return [*outs, *torch.autograd.grad(loss, parameters)]

    one, threads = values(), torch.get_num_threads()
    try:
        for count in (1, 2, 3, 64):
            torch.set_num_threads(count)
            again = zip(one, values(), strict=True)
            assert all(torch.equal(a, b) for a, b in again), count
    finally:
        torch.set_num_threads(threads)
    part = convolve(tokens[5:9], *parameters, 8, 600, rectified=True)
    assert torch.equal(part, one[0][5:9])


def test_a_run_depends_on_the_source() -> None:
    files = set(token_convolution.SOURCE.parent.iterdir())
    assert token_convolution.SOURCE in files
    assert files <= set(sources(token_convolution.SOURCE.parents[1]))


@needs_a_compiler
def test_models_side_by_side_have_the_bits_of_each_alone() -> None:
    torch.manual_seed(0)
    tokens = torch.stack([random_tokens(5, 12) for _ in range(3)])
    parameters = [
        torch.stack(column) for column in zip(*(weights(9, 4) for _ in range(3)), strict=True)
    ]
    parameters = [parameter.detach().requires_grad_() for parameter in parameters]

    def model(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        every = convolve(tokens, weight, bias, 1, 12, rectified=True).sum(dim=1)
        return every + strongest(tokens, weight, bias, tokens != 0, 1)

    def under_mode(*given: torch.Tensor) -> torch.Tensor:
        with _AsEachAlone():
            return model(*given)

    stacked = vmap(under_mode)(tokens, *parameters)
    alone = torch.stack([model(*given) for given in zip(tokens, *parameters, strict=True)])
    assert torch.equal(stacked, alone)
    gradients = [torch.autograd.grad(out.square().sum(), parameters) for out in (stacked, alone)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    # weights that all models have
    shared = vmap(under_mode, in_dims=(0, None, None))(tokens, *(p[0] for p in parameters))
    assert torch.equal(shared[1], model(tokens[1], *(p[0] for p in parameters)))


# --- the model ----------------------------------------------------------------------------------


def both_kernels(spec: TaskSpec, **arguments: Any) -> list[CNN1D]:
    models = []
    for kernel in ("compiled", "reference"):
        torch.manual_seed(0)
        models.append(CNN1D(spec, kernel=kernel, init="torch", **arguments).double())
    return models


@needs_a_compiler
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "linear"])
@pytest.mark.parametrize("readout", ["max", "mean", "last", "flatten"])
@pytest.mark.parametrize("padding", ["same", "causal", "valid"])
def test_a_classifier_is_the_same_by_both_kernels(
    dna_spec: TaskSpec, padding: Any, readout: Any, activation: Any
) -> None:
    for width in (4, 5):
        given = {"padding": padding, "readout": readout, "activation": activation}
        ours, theirs = both_kernels(dna_spec, num_filters=3, filter_width=width, **given)
        tokens = random_tokens(9, 10)
        tokens[0] = 0
        logits = [model(tokens)[0] for model in (ours, theirs)]
        torch.testing.assert_close(*logits, rtol=0, atol=1e-12)
        sum(values.square().sum() for values in logits).backward()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)
        activations = [model.filter_activations(tokens) for model in (ours, theirs)]
        torch.testing.assert_close(*activations, rtol=0, atol=1e-12)
        effects = [model.filter_effects(tokens) for model in (ours, theirs)]
        torch.testing.assert_close(*effects, rtol=0, atol=1e-12)


@needs_a_compiler
def test_both_strands_and_long_filters_are_the_same_by_both_kernels(dna_spec: TaskSpec) -> None:
    ours, theirs = both_kernels(
        replace(dna_spec, length=None), num_filters=3, filter_width=19, strands="both"
    )
    for time in (1, 10, 30):
        tokens = random_tokens(9, time)
        torch.testing.assert_close(ours(tokens)[0], theirs(tokens)[0], rtol=0, atol=1e-12)


@needs_a_compiler
def test_carried_tokens_are_the_same_by_both_kernels(next_token_spec: TaskSpec) -> None:
    models = both_kernels(next_token_spec, num_filters=3, filter_width=6)
    tokens, ends = torch.randint(1, 5, (4, 20)), []
    for model in models:
        first, carry = model(tokens[:, :3])
        second, carry = model(tokens[:, 3:], carry)
        ends.append(torch.cat([first, second], dim=1))
        assert torch.equal(carry[0], tokens[:, -5:])
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)


@needs_a_compiler
def test_auto_is_compiled_for_one_hot_tokens_in_full_precision_only(dna_spec: TaskSpec) -> None:
    model = CNN1D(dna_spec)
    assert model.stepwise() == "compiled"
    with torch.autocast("cpu", torch.bfloat16):
        assert model.stepwise() == "reference"
        assert CNN1D(dna_spec, kernel="compiled").stepwise() == "compiled"
    assert model.half().stepwise() == "reference"
    assert CNN1D(dna_spec).to("meta").stepwise() == "reference"
    assert CNN1D(dna_spec, embedding_size=3).stepwise() == "reference"
    assert CNN1D(dna_spec, kernel="reference").stepwise() == "reference"


def test_compiled_is_refused_for_learned_vectors(dna_spec: TaskSpec) -> None:
    with pytest.raises(
        InputError, match="model.kernel is compiled.*model.embedding_size is 3; give"
    ):
        CNN1D(dna_spec, embedding_size=3, kernel="compiled")


def test_without_a_compiler_auto_is_pytorch_and_compiled_is_refused(
    anew: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    dna_spec: TaskSpec,
) -> None:
    monkeypatch.setenv("CXX", "/there/is/none")
    tokens = torch.randint(1, 5, (3, 10))
    model = CNN1D(dna_spec)
    assert model.stepwise() == "reference"
    model(tokens)
    asked = CNN1D(dna_spec, kernel="compiled")
    with pytest.raises(InputError, match="model.kernel is compiled.*CXX is /there/is/none.*auto"):
        asked(tokens)
    asked.eval()(tokens)  # a model that was trained elsewhere still predicts
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(building, "COMPILERS", ("there-is-no-such-compiler",))
    building.built.cache_clear()
    assert "no C++ compiler" in model.compiled().reason


# --- what goes by addresses looks at sizes first ------------------------------------------------


@needs_a_compiler
@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": torch.zeros(3, 9)},
        {"tokens": torch.zeros(3, 9, dtype=torch.bool)},
        {"tokens": torch.ones(9, dtype=torch.int64)},
        {"tokens": torch.ones(2, 3, 9, dtype=torch.int64)},
        {"weight": torch.zeros(0, 4, 3)},
        {"weight": torch.zeros(5, 4)},
        {"weight": torch.zeros(2, 5, 4, 3)},
        {"bias": torch.zeros(4)},
        {"bias": torch.zeros(5, dtype=torch.float64)},
        {"is_real": torch.ones(3, 6, dtype=torch.bool)},
        {"is_real": torch.ones(2, 7, dtype=torch.bool)},
        {"is_real": torch.ones(3, 7)},
        {"before": -1},
    ],
)
def test_tensors_of_other_sizes_are_refused_at_the_door(changed: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "tokens": torch.ones(3, 9, dtype=torch.int64),
        "weight": torch.zeros(5, 4, 3),
        "bias": torch.zeros(5),
        "is_real": torch.ones(3, 7, dtype=torch.bool),
        "before": 0,
    }
    call = token_convolution._Convolution.apply
    assert call(*given.values(), 7, True).shape == (3, 5)
    with pytest.raises(ValueError, match="token|bias|weights|is_real|below 0"):
        call(*{**given, **changed}.values(), 7, True)
