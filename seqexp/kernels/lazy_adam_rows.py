"""Rows of a table that is stepped where it is read: their state, and Adam's steps of them.

Two ways to the same values up to rounding: `cpp/rows.cpp`, which takes each row through the cache
once, and PyTorch's operations, on GPUs and where there is no compiler.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.errors import InputError
from seqexp.kernels.build import REALS, Built, built

SOURCE = Path(__file__).parent / "cpp" / "rows.cpp"

State = dict[str, Any]
"""What an optimizer holds of a table; see `begun`."""


@dataclass(frozen=True)
class Step:
    """A step's numbers for all rows: `distance` is lr_k c_k, `eps` is added to sqrt(v) itself."""

    number: int
    betas: tuple[float, float]
    eps: float
    distance: float
    fades: bool  # whether moments do so in steps that a row was not read in


class _Table(ctypes.Structure):
    """`struct Table` of `cpp/rows.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "size")),
        *((name, ctypes.c_void_p) for name in ("weights", "moments", "last", "moved")),
    ]


def begun(table: Float[Tensor, "rows size"]) -> State:
    """The state before the first step."""
    rows, device = len(table), table.device
    return {
        "step": 0,
        "settled": 0,  # the step after which all rows were up to date
        "compiled": available(table).binary is not None,
        # m, v and m / (sqrt(v) + eps) of each row after its last step, side by side in memory
        "moments": table.new_zeros(rows, 3, table.shape[1]),
        "last": torch.zeros(rows, dtype=torch.int64, device=device),
        # how far along its direction a row has been moved since
        "moved": torch.zeros(rows, dtype=torch.float64, device=device),
        # how far it is to be, by its last step counted from `settled`: sums of lr c rho^j
        "missed": torch.zeros(1024, dtype=torch.float64),
    }


def available(table: Tensor) -> Built:
    """The library for tables like this one, or the reason why there is none."""
    if table.device.type != "cpu" or table.dtype not in REALS:
        return Built(None, f"it is not for {table.dtype} on {table.device.type}")
    return built(SOURCE, f"REAL={REALS[table.dtype]}")


def catch_up(table: Tensor, state: State, rows: Int[Tensor, " some"]) -> None:
    """Move rows to where they would be, had they been stepped without a gradient since their last.

    Args:
        table: the weights, which are changed.
        state: of the table.
        rows: which, each once.

    Raises:
        IndexError: on a row that the table does not have.
    """
    if state["compiled"]:
        missed = state["missed"]
        _refuse_other_sizes(table, state, rows)
        given = _pointer(missed), ctypes.c_int64(len(missed)), ctypes.c_int64(state["settled"])
        _refuse(_library(table).catch_up(_struct(table, state), *_rows(rows), *given), table)
        return
    places = state["last"].index_select(0, rows) - state["settled"]
    due = state["missed"].to(table.device).index_select(0, places)
    distance = due - state["moved"].index_select(0, rows)
    state["moved"].index_copy_(0, rows, due)
    direction = state["moments"][:, 2].index_select(0, rows)
    table.index_add_(0, rows, direction.mul_(_column(distance, table)), alpha=-1)


def take_step(
    table: Tensor,
    state: State,
    rows: Int[Tensor, " some"],
    gradient: Float[Tensor, "some size"],
    step: Step,
) -> None:
    """Step rows that are up to date, by their gradients.

    Args:
        table: the weights, which are changed.
        state: of the table.
        rows: which, each once.
        gradient: of these.
        step: for all of them.

    Raises:
        IndexError: on a row that the table does not have.
    """
    beta1, beta2 = step.betas
    # a gradient that was always 0 leaves 0 / 0, and does not move
    eps = max(step.eps, torch.finfo(table.dtype).tiny)
    if state["compiled"]:
        numbers = (ctypes.c_double(value) for value in (beta1, beta2, eps, step.distance))
        _refuse_other_sizes(table, state, rows)
        if gradient.shape != (len(rows), table.shape[1]) or gradient.dtype != table.dtype:
            raise ValueError(f"gradients are {gradient.dtype} {tuple(gradient.shape)}")
        values = gradient.contiguous()
        given = _pointer(values), ctypes.c_int64(step.number), *numbers
        fades = ctypes.c_int64(step.fades)
        _refuse(_library(table).step(_struct(table, state), *_rows(rows), *given, fades), table)
        return
    moments = state["moments"].index_select(0, rows)
    m, v, direction = moments.unbind(dim=1)
    if step.fades:
        faded = (step.number - 1 - state["last"].index_select(0, rows)).double()
        m.mul_(_column(beta1**faded, m))
        v.mul_(_column(beta2**faded, v))
    m.lerp_(gradient, 1 - beta1)
    v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    torch.div(m, v.sqrt().add_(eps), out=direction)
    state["moments"].index_copy_(0, rows, moments)
    state["last"].index_fill_(0, rows, step.number)
    state["moved"].index_fill_(0, rows, 0)
    table.index_add_(0, rows, direction, alpha=-step.distance)


def settle(table: Tensor, state: State, betas: tuple[float, float], rho: float) -> None:
    """Bring all rows up to date, as if each had had a step now."""
    catch_up(table, state, torch.arange(len(table), device=table.device))
    steps = (state["step"] - state["last"]).double()
    for moment, decay in zip(state["moments"].unbind(dim=1), (*betas, rho), strict=True):
        moment.mul_(_column(decay**steps, table))
    state["last"].fill_(state["step"])
    state["moved"].zero_()
    state["missed"].zero_()
    state["settled"] = state["step"]


def copied(saved: State, table: Tensor) -> State:
    """A state that was saved, on a table's device.

    Raises:
        InputError: if it was computed by the compiled steps and these cannot be had.
    """
    found = available(table)
    if saved["compiled"] and found.binary is None:
        raise InputError(
            "optimizer: the run was begun with compiled steps of the table of token vectors, which"
            f" cannot be had here: {found.reason}. Go on where it was begun, or give force=true,"
            " which starts anew"
        )
    on_device = {name: saved[name].to(table.device, copy=True) for name in ("last", "moved")}
    numbers = {"step": int(saved["step"]), "missed": saved["missed"].clone()}
    moments = saved["moments"].to(table.device, table.dtype, copy=True)
    return {**saved, **on_device, **numbers, "moments": moments}


def _library(table: Tensor) -> ctypes.CDLL:
    binary = available(table).binary
    assert binary is not None
    return binary


def _refuse_other_sizes(table: Tensor, state: State, rows: Tensor) -> None:
    """Have each tensor be as large as the library takes it to be, which goes by addresses.

    Raises:
        ValueError: naming the one that is not.
    """
    count, size = table.shape
    expected = {
        "moments": ((count, 3, size), table.dtype),
        "last": ((count,), torch.int64),
        "moved": ((count,), torch.float64),
        "missed": ((len(state["missed"]),), torch.float64),
    }
    for name, (shape, dtype) in expected.items():
        found = state[name]
        if found.shape != shape or found.dtype != dtype or not found.is_contiguous():
            raise ValueError(f"{name} is {found.dtype} {tuple(found.shape)}; it is {dtype} {shape}")
    if rows.dim() != 1 or rows.dtype != torch.int64 or not rows.is_contiguous():
        raise ValueError(f"rows are {rows.dtype} {tuple(rows.shape)}; they are int64, in one row")
    if not table.is_contiguous():
        raise ValueError(f"the table's strides are {table.stride()}; its rows follow each other")


def _refuse(result: int, table: Tensor) -> None:
    """Raise what the library says: it stops before the first row that is not there."""
    if result == 1:
        raise IndexError(f"a token is not among the table's {len(table)}")
    if result == 2:
        raise IndexError("a row's last step is not among those that rows may have missed")


def _struct(table: Tensor, state: State) -> Any:
    pointers = (_pointer(tensor) for tensor in (table, state["moments"]))
    return ctypes.byref(
        _Table(*table.shape, *pointers, _pointer(state["last"]), _pointer(state["moved"]))
    )


def _rows(rows: Tensor) -> tuple[ctypes.c_int64, ctypes.c_void_p]:
    return ctypes.c_int64(len(rows)), _pointer(rows)


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _column(values: Float[Tensor, " some"], like: Tensor) -> Float[Tensor, "some 1"]:
    return values[:, None].to(like.dtype)
