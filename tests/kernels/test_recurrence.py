"""The fast recurrences against the equations, which autograd differentiates."""

import itertools
from typing import Any

import pytest
import torch

from seqexp.kernels.recurrence_cpp import built
from seqexp.model.cells import CELLS, FUSED
from seqexp.model.lstm import LSTM
from seqexp.model.recurrent_layer import Dropout, RecurrentLayer
from seqexp.spec import TaskSpec

BATCH, TIME, INPUTS, HIDDEN = 4, 9, 5, 7


NO_DROPOUT = Dropout()

COMPILED = pytest.param(
    "compiled",
    marks=pytest.mark.skipif(
        built("lstm", "double").binary is None, reason=built("lstm", "double").reason
    ),
)


def layer(cell: str, dropout: Dropout = NO_DROPOUT) -> RecurrentLayer:
    torch.manual_seed(0)
    made = RecurrentLayer(cell, INPUTS, HIDDEN, dropout).double()
    made.initialise("torch", None)
    return made


def start(cell: str) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    shape = (BATCH, HIDDEN)
    return tuple(
        torch.randn(shape, dtype=torch.double, requires_grad=True)
        for _ in range(CELLS[cell].num_states)
    )


def real_tokens(side: str | None) -> torch.Tensor | None:
    if side is None:
        return None
    padding = torch.arange(TIME)[None] < 2 * torch.arange(BATCH)[:, None]  # 0, 2, 4, 6 of them
    return ~padding if side == "left" else ~padding.flip(1)


def values_and_gradients(
    made: RecurrentLayer, kernel: Any, side: str | None, state: tuple[torch.Tensor, ...]
) -> list[torch.Tensor]:
    made.kernel = kernel
    torch.manual_seed(2)
    inputs = torch.randn(BATCH, TIME, INPUTS, dtype=torch.double, requires_grad=True)
    hidden, last = made(inputs, real_tokens(side), state)  # the seed selects the masks too
    weights = torch.arange(hidden.numel()).view(hidden.shape).sin()  # each state counts otherwise
    loss = (hidden * weights).sum() + sum((value**2).sum() for value in last)
    return [hidden, *last, *torch.autograd.grad(loss, [inputs, *state, *made.parameters()])]


@pytest.mark.parametrize("side", [None, "left", "right"])
@pytest.mark.parametrize(
    "dropout", [Dropout(), Dropout(0.2, 0.3, "tied"), Dropout(0.2, 0.3, "per_gate")]
)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kernel", ["python", "fused", "auto", COMPILED])
def test_every_kernel_has_the_values_and_gradients_of_the_equations(
    kernel: str, cell: str, dropout: Dropout, side: str | None
) -> None:
    made, state = layer(cell, dropout), start(cell)
    expected = values_and_gradients(made, "reference", side, state)
    found = values_and_gradients(made, kernel, side, state)
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("masks", ["tied", "per_gate"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kernel", ["python", COMPILED])
def test_the_backward_pass_is_that_of_finite_differences(
    kernel: Any, cell: str, masks: Any
) -> None:
    made, state = layer(cell, Dropout(0.2, 0.3, masks)), start(cell)
    made.kernel = kernel
    real = real_tokens("right")
    inputs = torch.randn(BATCH, TIME, INPUTS, dtype=torch.double, requires_grad=True)
    names, weights = zip(*made.named_parameters(), strict=True)

    def run(inputs: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        torch.manual_seed(3)  # the same masks each time
        parameters = dict(zip(names, rest[: len(names)], strict=True))
        state = rest[len(names) :]
        hidden, last = torch.func.functional_call(made, parameters, (inputs, real, state))
        return hidden, *last

    assert torch.autograd.gradcheck(run, (inputs, *weights, *state))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kernel", ["python", COMPILED])
def test_the_same_input_gives_the_same_bits(kernel: str, cell: str) -> None:
    made, state = layer(cell, Dropout(0.2, 0.3)), start(cell)
    first = values_and_gradients(made, kernel, "left", state)
    second = values_and_gradients(made, kernel, "left", state)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_auto_fuses_an_lstm_that_is_not_small_until_dropout_or_padding_forbid_it(
    next_token_spec: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fused = FUSED["lstm"]

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return fused(*arguments)

    monkeypatch.setitem(FUSED, "lstm", counted)
    tokens = torch.randint(1, 5, (3, 6))
    padded = torch.nn.functional.pad(tokens, (0, 2))
    no_compiler = built("lstm", "float").binary is None
    for rate, kernel, given, expected, size in [
        (0.0, "auto", tokens, 1, 64),
        (0.0, "auto", padded, 0, 64),
        (0.0, "python", tokens, 0, 64),
        (0.5, "auto", tokens, 0, 64),
        (0.0, "auto", tokens, int(no_compiler), 32),
        (0.0, "fused", tokens, 1, 32),
    ]:
        calls.clear()
        model = LSTM(next_token_spec, hidden_size=size, recurrent_dropout=rate, kernel=kernel)  # type: ignore[arg-type]
        model(given)
        assert len(calls) == expected, (rate, kernel, size)


def test_kernels_keep_the_state_in_full_precision_under_autocast(next_token_spec: TaskSpec) -> None:
    tokens = torch.randint(1, 5, (3, 6))
    kernels = ("python", "auto", *(() if built("lstm", "float").binary is None else ("compiled",)))
    for kernel, rate in itertools.product(kernels, (0.0, 0.5)):
        model = LSTM(next_token_spec, recurrent_dropout=rate, kernel=kernel)  # type: ignore[arg-type]
        with torch.autocast("cpu", torch.bfloat16):
            logits, carry = model(tokens)
        assert all(value.dtype == torch.float32 for value in carry)
        logits.sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())  # type: ignore[union-attr]
