"""The compiled recurrence: sizes, threads, precision, and what happens without a compiler."""

import ctypes
import inspect
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.checkpoint.identity import sources
from seqexp.errors import InputError
from seqexp.kernels import build as building
from seqexp.kernels import recurrence_cpp as compiled
from seqexp.kernels.build import Built
from seqexp.kernels.recurrence_cpp import built
from seqexp.model.cells import CELLS
from seqexp.model.lstm import LSTM
from seqexp.model.recurrent_layer import Dropout, RecurrentLayer
from seqexp.spec import TaskSpec

needs_a_compiler = pytest.mark.skipif(
    built("lstm", "float").binary is None, reason=built("lstm", "float").reason
)

bf16 = compiled.available("lstm", torch.empty(0), is_bf16=True)
needs_bf16 = pytest.mark.skipif(bf16.binary is None, reason=bf16.reason)

SIZES = [(1, 1, 1, 1), (1, 7, 3, 40), (9, 1, 33, 32), (37, 5, 130, 33), (70, 3, 20, 100)]
"""Batch, time, inputs, hidden: one of each; more and less than a tile, a panel and a block."""


def layer(cell: str, inputs: int, hidden: int, kernel: Any, masks: Any = "tied") -> RecurrentLayer:
    torch.manual_seed(0)
    made = RecurrentLayer(cell, inputs, hidden, Dropout(0.2, 0.3, masks), kernel)
    made.initialise("torch", None)
    return made


def in_bf16(is_bf16: bool = True) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=is_bf16)


def values_and_gradients(
    made: RecurrentLayer, batch: int, time: int, padded: bool = False, is_bf16: bool = False
) -> list[torch.Tensor]:
    torch.manual_seed(1)
    dtype = made.weight_h.dtype
    inputs = torch.randn(batch, time, made.weight_x.shape[1], dtype=dtype, requires_grad=True)
    shape = (made.cell.num_states, batch, made.hidden_size)
    state = torch.randn(shape, dtype=dtype, requires_grad=True)
    real = torch.rand(batch, time) > 0.3 if padded else None
    with in_bf16(is_bf16):
        hidden, last = made(inputs, real, tuple(state))
    weights = torch.arange(hidden.numel()).view(hidden.shape).sin().to(dtype)
    loss = (hidden * weights).sum() + sum((value**2).sum() for value in last)
    return [hidden, *last, *torch.autograd.grad(loss, [inputs, state, *made.parameters()])]


@needs_a_compiler
@pytest.mark.parametrize("masks", ["tied", "per_gate"])
@pytest.mark.parametrize("cell", CELLS)
def test_any_size_has_the_values_of_the_equations(cell: str, masks: Any) -> None:
    for (batch, time, inputs, hidden), padded in itertools.product(SIZES, (False, True)):
        ours = layer(cell, inputs, hidden, "compiled", masks).double()
        theirs = layer(cell, inputs, hidden, "reference", masks).double()
        found = values_and_gradients(ours, batch, time, padded)
        expected = values_and_gradients(theirs, batch, time, padded)
        for value, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(value, wanted, rtol=1e-11, atol=1e-12)


@needs_a_compiler
@pytest.mark.parametrize("cell", CELLS)
def test_float32_is_as_far_from_float64_as_rounding_takes_it(cell: str) -> None:
    made = layer(cell, 40, 60, "compiled").eval()
    exact = layer(cell, 40, 60, "reference").double().eval()
    inputs, state = torch.randn(16, 30, 40), torch.randn(made.cell.num_states, 16, 60)
    found, _ = made(inputs, None, tuple(state))
    expected, _ = exact(inputs.double(), None, tuple(state.double()))
    # a sum of 100 products, each rounded, wanders by the root of their number
    assert (found - expected).abs().max() < math.sqrt(100) * torch.finfo(torch.float32).eps


@needs_a_compiler
@pytest.mark.parametrize("is_bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("cell", CELLS)
def test_bits_depend_neither_on_threads_nor_on_other_rows(cell: str, is_bf16: bool) -> None:
    made, threads = layer(cell, 33, 40, "compiled", "per_gate"), torch.get_num_threads()
    one = values_and_gradients(made, 45, 20, padded=True, is_bf16=is_bf16)
    try:
        for count in (2, 3, 64):
            torch.set_num_threads(count)
            many = values_and_gradients(made, 45, 20, padded=True, is_bf16=is_bf16)
            assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True)), count
    finally:
        torch.set_num_threads(threads)
    made.eval()
    inputs, state = torch.randn(45, 20, 33), torch.randn(made.cell.num_states, 45, 40)
    with in_bf16(is_bf16):
        whole, _ = made(inputs, None, tuple(state))
        for rows in (slice(0, 1), slice(7, 20), slice(31, 45)):
            part, _ = made(inputs[rows], None, tuple(state[:, rows]))
            assert torch.equal(part, whole[rows])


@needs_a_compiler
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_in_two_parts_has_the_bits_of_the_whole(cell: str) -> None:
    made = layer(cell, 5, 7, "compiled").eval()
    inputs = torch.randn(3, 20, 5)
    whole, last = made(inputs, None, made.start(inputs))
    first, carry = made(inputs[:, :8], None, made.start(inputs))
    second, end = made(inputs[:, 8:], None, carry)
    assert torch.equal(torch.cat([first, second], dim=1), whole)
    assert all(torch.equal(a, b) for a, b in zip(end, last, strict=True))


@needs_a_compiler
def test_gates_of_any_sum_are_right_to_a_few_units_in_the_last_place() -> None:
    # an RNN of one unit without a state is a tanh; the o of an LSTM whose c is 1 a sigmoid
    # (beyond -87 a sigmoid stays what it is there, 1.6e-38)
    sums = torch.cat([torch.linspace(-87, 87, 20001), torch.logspace(-30, 1, 2000)])[:, None, None]
    rnn = layer("rnn", 1, 1, "compiled").eval()
    lstm = layer("lstm", 1, 1, "compiled").eval()
    with torch.no_grad():
        for weight in (*rnn.parameters(), *lstm.parameters()):
            weight.zero_()
        rnn.weight_x.fill_(1)
        lstm.weight_x[2] = 1  # of i, f, o, g
        lstm.bias[1] = 100  # c stays
        zeros = torch.zeros(len(sums), 1)
        tanh, _ = rnn(sums, None, (zeros,))
        sigmoid, _ = lstm(sums, None, (zeros, zeros + 20))  # tanh(20) is 1
    for found, exact in ((tanh, sums.double().tanh()), (sigmoid, sums.double().sigmoid())):
        error = ((found - exact).abs() / exact.abs().clamp(min=1e-38)).max()
        assert error < 4 * torch.finfo(torch.float32).eps, error


@needs_a_compiler
@pytest.mark.parametrize("is_bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("cell", CELLS)
def test_what_is_not_finite_stays_so(cell: str, is_bf16: bool) -> None:
    made = layer(cell, 2, 3, "compiled").eval()
    inputs = torch.zeros(2, 4, 2)
    inputs[0, 1, 0] = math.nan
    with in_bf16(is_bf16):
        hidden, _ = made(inputs, None, made.start(inputs))
    assert hidden[0, 1:].isnan().all() and hidden[1].isfinite().all()


def test_a_run_depends_on_the_source() -> None:
    files = set(compiled.SOURCE.parent.iterdir())
    assert compiled.SOURCE in files
    assert files <= set(sources(compiled.SOURCE.parents[1]))


@needs_a_compiler
def test_inputs_that_need_no_gradient_and_rows_that_are_not_side_by_side_are_taken() -> None:
    made, plain = (layer("lstm", 6, 5, kernel) for kernel in ("compiled", "reference"))
    inputs = torch.randn(8, 4, 6).transpose(0, 1)[:, ::2]
    for weights in zip(made.parameters(), plain.parameters(), strict=True):
        grads = []
        for one, weight in zip((made, plain), weights, strict=True):
            torch.manual_seed(2)
            hidden, _ = one(inputs, None, one.start(inputs))
            grads.append(torch.autograd.grad(hidden.square().sum(), weight)[0])
        torch.testing.assert_close(grads[0], grads[1])


# --- products in bfloat16 -----------------------------------------------------------------------


def rounded(value: torch.Tensor) -> torch.Tensor:
    return value.to(torch.bfloat16).to(value.dtype)


class Product(torch.autograd.Function):
    """a @ b, of which only the factors are rounded, forward and back."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(rounded(a), rounded(b))
        return rounded(a) @ rounded(b)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = ctx.saved_tensors
        grad_b = a.mT @ rounded(grad)
        while grad_b.dim() > b.dim():
            grad_b = grad_b.sum(0)
        return rounded(grad) @ b.mT, grad_b


def linear(
    inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    products = Product.apply(inputs, weight.t())
    return products if bias is None else products + bias


BF16_EPS = 2**-8


def by_sequence(values: list[torch.Tensor], batch: int) -> torch.Tensor:
    """A row a sequence: states and gradients of inputs and first states, side by side."""
    rows = [v if len(v) == batch else v.transpose(0, 1) for v in values]
    return torch.cat([row.detach().reshape(batch, -1) for row in rows], dim=1)


def differ_in_few_sequences(
    found: list[torch.Tensor], expected: list[torch.Tensor], batch: int, num_states: int
) -> bool:
    """Whether all but a few sequences agree, and these within a rounding to bfloat16.

    A sum that differs in its last bits may be rounded to another neighbour, which a sequence then
    goes on with; gradients of weights are sums over sequences.
    """
    count = 1 + num_states + 2
    rows = by_sequence(expected[:count], batch)
    differences = (by_sequence(found[:count], batch) - rows).norm(dim=1) / rows.norm(dim=1)
    few = max(1, batch // 12)
    return (
        int((differences > 1e-5).sum()) <= few
        and float(differences.max()) <= BF16_EPS
        and all(
            (value - wanted).norm() <= BF16_EPS * (few / batch) ** 0.5 * wanted.norm()
            for value, wanted in zip(found[count:], expected[count:], strict=True)
        )
    )


@needs_bf16
@pytest.mark.parametrize("masks", ["tied", "per_gate"])
@pytest.mark.parametrize("cell", CELLS)
def test_only_factors_of_products_are_rounded_to_bfloat16(
    cell: str, masks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for (batch, time, inputs, hidden), padded in itertools.product(SIZES, (False, True)):
        ours = layer(cell, inputs, hidden, "auto", masks)
        theirs = layer(cell, inputs, hidden, "reference", masks)
        found = values_and_gradients(ours, batch, time, padded, is_bf16=True)
        exact = values_and_gradients(theirs, batch, time, padded)
        with monkeypatch.context() as patch:
            patch.setattr(torch.nn.functional, "linear", linear)
            patch.setattr(torch, "bmm", Product.apply)
            expected = values_and_gradients(theirs, batch, time, padded)
        *found, bias = found  # the sum of the gates' gradients, which are rounded
        *expected, bias_wanted = expected
        are_near = all(
            # a few sums that differ in their last bits are rounded to another neighbour
            (value - wanted).norm() <= BF16_EPS / 16 * wanted.norm()
            for value, wanted in zip(found, expected, strict=True)
        )
        num_states = ours.cell.num_states
        assert are_near or differ_in_few_sequences(found, expected, batch, num_states)
        assert (bias - bias_wanted).norm() <= BF16_EPS * bias_wanted.norm()
        # they are rounded at all; the only input of one may be dropped
        assert inputs == 1 or (found[0] - exact[0]).norm() > BF16_EPS / 8 * exact[0].norm()


@needs_bf16
@pytest.mark.skipif(not torch.cpu._is_amx_tile_supported(), reason="there is no AMX to compare")
@pytest.mark.parametrize("cell", CELLS)
def test_products_by_amx_are_those_without(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for batch, time, inputs, hidden in SIZES:
        made = layer(cell, inputs, hidden, "auto", "per_gate")
        found = values_and_gradients(made, batch, time, True, is_bf16=True)
        defined = (f"CELL={cell.upper()}", "REAL=float", "BF16=1", "NO_AMX=1")
        plain = building.built(compiled.SOURCE, *defined)
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "available", lambda *_: plain)  # noqa: B023
            expected = values_and_gradients(made, batch, time, True, is_bf16=True)
        for value, wanted in zip(found, expected, strict=True):
            assert (value - wanted).norm() <= BF16_EPS / 16 * wanted.norm()


@needs_a_compiler
def test_without_bfloat16_auto_is_python_and_compiled_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, asked = (layer("lstm", 3, 4, kernel) for kernel in ("auto", "compiled"))
    assert "float64" in compiled.available("lstm", torch.empty(0).double(), is_bf16=True).reason
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    with in_bf16():
        assert made.stepwise() == "python"
        with pytest.raises(InputError, match=r"compiled, which .* AVX512_BF16.*auto"):
            asked.stepwise()
    assert asked.stepwise() == "compiled"


@needs_a_compiler
def test_a_system_that_does_not_give_amx_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Binary(ctypes.CDLL):
        def __init__(self) -> None:
            pass

        def may_run(self) -> int:
            return 0

    monkeypatch.setattr(building, "built", lambda *_: Built(Binary(), ""))  # type: ignore
    assert built("lstm", "float", True) == Built(
        None, "the system does not let this process use AMX"
    )


# --- without a compiler -----------------------------------------------------------------------


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing found before."""
    monkeypatch.setenv("SEQEXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    building.built.cache_clear()
    yield tmp_path
    building.built.cache_clear()


def test_without_a_compiler_auto_is_python_and_compiled_is_refused(
    anew: Path, monkeypatch: pytest.MonkeyPatch, next_token_spec: TaskSpec
) -> None:
    monkeypatch.setattr(building, "COMPILERS", ("there-is-no-such-compiler",))
    tokens = torch.randint(1, 5, (3, 6))
    model = LSTM(next_token_spec, recurrent_dropout=0.5)
    assert model.forwards[0].stepwise() == "python"
    model(tokens)
    asked = LSTM(next_token_spec, kernel="compiled")
    with pytest.raises(InputError, match="model.kernel is compiled.*no C\\+\\+ compiler.*auto"):
        asked(tokens)
    asked.eval()(tokens)  # a model that was trained elsewhere still predicts


def test_a_compiler_that_fails_is_told_in_one_line(
    anew: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = anew / "broken"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "broken 1.0" && exit 0\n'
        'echo "x.cpp: In function f:" >&2; echo "x.cpp:1: error: no" >&2; echo more >&2; exit 1\n'
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    found = built("lstm", "float")
    assert found.binary is None
    assert found.reason == f"{broken} failed: x.cpp:1: error: no"
    assert list((anew / "cache").iterdir()) == []


def test_a_compiler_that_is_named_and_not_there_is_told(
    anew: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/there/is/none -O3")
    found = built("lstm", "float")
    assert found.reason == "CXX is /there/is/none, and there is no such compiler"


@needs_a_compiler
def test_a_cache_that_cannot_be_written_is_no_crash(anew: Path) -> None:
    (anew / "cache").write_text("a file")
    found = built("lstm", "float")
    assert found.binary is None and str(anew / "cache") in found.reason


def test_a_layer_on_another_device_or_of_other_numbers_says_so() -> None:
    assert "meta" in compiled.available("lstm", torch.empty(1, device="meta")).reason
    assert "float16" in compiled.available("lstm", torch.empty(1, dtype=torch.float16)).reason


@needs_a_compiler
def test_two_processes_may_build_at_once(anew: Path) -> None:
    code = "from seqexp.kernels.recurrence_cpp import built; assert built('rnn', 'float').binary"
    environment = {**os.environ, "SEQEXP_CACHE": str(anew / "cache")}
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len(list((anew / "cache").iterdir())) == 1


@needs_a_compiler
def test_what_was_built_is_found_again(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = built("rnn", "float")
    building.built.cache_clear()
    monkeypatch.setattr(building, "_build", None)
    assert built("rnn", "float").binary is not None
    assert built("rnn", "float").compiler == first.compiler


@pytest.mark.skipif(sys.platform == "win32", reason="a shared library of another kind")
def test_a_damaged_library_is_no_crash(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(command: Any, file: Path) -> None:
        file.write_bytes(b"not a library")

    monkeypatch.setattr(building, "_build", write)
    monkeypatch.setattr(building, "_output", lambda command: "a compiler 1.0")
    monkeypatch.setenv("CXX", "c++")
    found = built("rnn", "float")
    assert isinstance(found, Built) and found.binary is None and found.reason


# --- what goes by addresses looks at sizes first ------------------------------------------------


def sized(gates: int = 4, **changed: Any) -> dict[str, Any]:
    """What an LSTM layer takes: 3 rows, 5 tokens, 2 inputs, 6 hidden."""
    given: dict[str, Any] = {
        "x": torch.zeros(3, 5, 2),
        "weight_x": torch.zeros(gates * 6, 2),
        "weight_h": torch.zeros(gates * 6, 6),
        "bias": torch.zeros(gates * 6),
        "state": (torch.zeros(3, 6),) * (2 if gates == 4 else 1),
        "x_masks": torch.ones(1, 3, 2),
        "h_masks": torch.ones(1, 3, 6),
        "is_real": torch.ones(3, 5, dtype=torch.bool),
    }
    return {**given, **changed}


@needs_a_compiler
@pytest.mark.parametrize(
    "changed",
    [
        {"x": torch.zeros(3, 5, 3)},
        {"x": torch.zeros(4, 5, 2)},
        {"x": torch.zeros(3, 0, 2)},
        {"weight_x": torch.zeros(23, 2)},
        {"weight_h": torch.zeros(24, 5)},
        {"weight_h": torch.zeros(18, 6)},
        {"weight_h": torch.zeros(24, 6, dtype=torch.float64)},
        {"bias": torch.zeros(23)},
        {"bias": torch.zeros(24, dtype=torch.float16)},
        {"state": (torch.zeros(3, 6),)},
        {"state": (torch.zeros(2, 6), torch.zeros(3, 6))},
        {"state": (torch.zeros(3, 6), torch.zeros(3, 5))},
        {"state": (torch.zeros(3, 6), torch.zeros(3, 6, dtype=torch.float64))},
        {"x_masks": torch.ones(2, 3, 2)},
        {"x_masks": torch.ones(4, 3, 2)},
        {"x_masks": torch.ones(1, 3, 1)},
        {"h_masks": torch.ones(1, 2, 6)},
        {"is_real": torch.ones(3, 4, dtype=torch.bool)},
        {"is_real": torch.ones(3, 5)},
    ],
)
def test_tensors_of_other_sizes_are_refused_at_the_door(changed: dict[str, Any]) -> None:
    call = inspect.unwrap(compiled.layer)
    assert call("lstm", *sized().values())[0].shape == (3, 5, 6)
    with pytest.raises(ValueError, match="it is|they are|no numbers|x is"):
        call("lstm", *sized(**changed).values())


@needs_a_compiler
def test_each_cell_has_its_own_sizes() -> None:
    call = inspect.unwrap(compiled.layer)
    assert {name: (c.num_gates, c.num_states > 1) for name, c in CELLS.items()} == compiled.CELLS
    for cell, (gates, _) in compiled.CELLS.items():
        assert call(cell, *sized(gates).values())[0].shape == (3, 5, 6)
        for other, (others, _) in compiled.CELLS.items():
            if other != cell:
                with pytest.raises(ValueError, match="for x of"):
                    call(cell, *sized(others).values())
