"""The fast recurrences against the equations, which autograd differentiates."""

import itertools
from typing import Any

import pytest
import torch

from seqexp.model.kernel import KERNELS
from seqexp.model.lstm import LSTM
from seqexp.model.recurrent import CELLS, FUSED, Dropout, RecurrentLayer
from seqexp.spec import TaskSpec

BATCH, TIME, INPUTS, HIDDEN = 4, 9, 5, 7


NO_DROPOUT = Dropout()


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
def test_every_kernel_has_the_values_and_gradients_of_the_equations(
    cell: str, dropout: Dropout, side: str | None
) -> None:
    made, state = layer(cell, dropout), start(cell)
    expected = values_and_gradients(made, "reference", side, state)
    for kernel in ("python", "fused", "auto"):
        found = values_and_gradients(made, kernel, side, state)
        for value, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("masks", ["tied", "per_gate"])
@pytest.mark.parametrize("cell", CELLS)
def test_the_backward_pass_is_that_of_finite_differences(cell: str, masks: Any) -> None:
    made, state = layer(cell, Dropout(0.2, 0.3, masks)), start(cell)
    made.kernel = "python"
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
def test_the_same_input_gives_the_same_bits(cell: str) -> None:
    made, state = layer(cell, Dropout(0.2, 0.3)), start(cell)
    first = values_and_gradients(made, "python", "left", state)
    second = values_and_gradients(made, "python", "left", state)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_auto_fuses_an_lstm_until_recurrent_dropout_or_padding_forbid_it(
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
    for rate, kernel, given, expected in [
        (0.0, "auto", tokens, 1),
        (0.0, "auto", padded, 0),
        (0.0, "python", tokens, 0),
        (0.5, "auto", tokens, 0),
    ]:
        calls.clear()
        LSTM(next_token_spec, recurrent_dropout=rate, kernel=kernel)(given)  # type: ignore[arg-type]
        assert len(calls) == expected, (rate, kernel)


def test_kernels_keep_the_state_in_full_precision_under_autocast(next_token_spec: TaskSpec) -> None:
    tokens = torch.randint(1, 5, (3, 6))
    for kernel, rate in itertools.product(("python", "auto"), (0.0, 0.5)):
        model = LSTM(next_token_spec, recurrent_dropout=rate, kernel=kernel)  # type: ignore[arg-type]
        with torch.autocast("cpu", torch.bfloat16):
            logits, carry = model(tokens)
        assert all(value.dtype == torch.float32 for value in carry)
        logits.sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("gru", 3)])
def test_a_stack_of_recurrences_is_each_of_them(name: str, gates: int, padded: bool) -> None:
    torch.manual_seed(0)
    replicas, time, batch, size = 3, 5, 2, 4
    x = torch.randn(replicas, time, batch, gates * size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(replicas, gates * size, size, dtype=torch.float64, requires_grad=True)
    h0 = torch.randn(replicas, batch, size, dtype=torch.float64, requires_grad=True)
    real = torch.rand(replicas, time, batch, 1) < 0.7 if padded else None

    def one(x: Any, weight: Any, h0: Any, real: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, (last,) = KERNELS[name](x, weight, (h0,), None, real)
        return hidden, last

    given = (x, weight, h0) if real is None else (x, weight, h0, real)

    def of_a_stack(x: Any, weight: Any, h0: Any, real: Any = None) -> tuple[torch.Tensor, ...]:
        hidden, (last,) = KERNELS[name].for_stacks(x, weight, (h0,), None, real)
        return hidden, last

    stacked = torch.func.vmap(of_a_stack)(*given)
    each = [one(*(tensor[index] for tensor in given)) for index in range(replicas)]
    for place, found in enumerate(stacked):
        expected = torch.stack([outputs[place] for outputs in each])
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    cotangents = [torch.randn_like(found) for found in stacked]
    ours = torch.autograd.grad(stacked, (x, weight, h0), cotangents)
    theirs = torch.autograd.grad(
        [torch.stack(column) for column in zip(*each, strict=True)], (x, weight, h0), cotangents
    )
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
