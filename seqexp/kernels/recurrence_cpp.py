"""A whole recurrent layer on the CPU as one operation: `cpp/recurrence.cpp`, called by ctypes.

Values and gradients are those of `recurrent.py`'s equations to rounding, the same bits for any
number of threads. Other Python threads run meanwhile. With `is_bf16`, factors of matrix products
are rounded to bfloat16; their sums, the gates, the state and the gradients stay float32.
"""

import ctypes
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function

from seqexp.kernels import build as building
from seqexp.kernels.build import REALS, Built

SOURCE = Path(__file__).with_name("cpp") / "recurrence.cpp"

SIZES = ("batch", "time", "inputs", "hidden", "num_masks", "threads", "x_row", "x_step")
GIVEN = ("x", "weight_x", "weight_h", "bias", "h0", "c0", "x_masks", "h_masks", "is_real")
RESULTS = ("h", "c", "kept", "grad_h", "grad_c")
GRADIENTS = ("x", "weight_x", "weight_h", "bias", "h0", "c0")

CELLS = {"lstm": (4, True), "gru": (3, False), "rnn": (1, False)}
"""Gates of a cell, and whether it has a second state."""


class _Layer(ctypes.Structure):
    """`struct Layer` of `cpp/layer.h`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in SIZES),
        *((name, ctypes.c_void_p) for name in (*GIVEN, *RESULTS)),
        *((f"grad_{name}", ctypes.c_void_p) for name in GRADIENTS),
    ]


def built(cell: str, real: str, is_bf16: bool = False) -> Built:
    """The recurrence of a cell, for `float` or `double`."""
    defined = (f"CELL={cell.upper()}", f"REAL={real}", f"BF16={int(is_bf16)}")
    found = building.built(SOURCE, *defined)
    if found.binary is not None and not found.binary.may_run():
        return Built(None, "the system does not let this process use AMX")
    return found


def available(cell: str, like: Tensor, is_bf16: bool = False) -> Built:
    """The library for tensors like this one, or the reason why there is none."""
    if like.device.type != "cpu":
        return Built(None, f"it is for the CPU, and this is {like.device.type}")
    if like.dtype not in REALS:
        return Built(None, f"it is for float32 and float64, and this is {like.dtype}")
    if is_bf16 and like.dtype != torch.float32:
        return Built(None, f"products in bfloat16 are for float32, and this is {like.dtype}")
    # torch.cpu.get_capabilities says it too, from PyTorch 2.11 on
    if is_bf16 and not torch.cpu._is_avx512_bf16_supported():
        return Built(None, "products in bfloat16 need AVX512_BF16, which this processor has not")
    return built(cell, REALS[like.dtype], is_bf16)


def layer(
    cell: str,
    x: Float[Tensor, "batch time inputs"],
    weight_x: Float[Tensor, "rows inputs"],
    weight_h: Float[Tensor, "rows hidden"],
    bias: Float[Tensor, " rows"],
    state: tuple[Float[Tensor, "batch hidden"], ...],
    x_masks: Float[Tensor, "x_masks batch inputs"] | None,
    h_masks: Float[Tensor, "h_masks batch hidden"] | None,
    is_real: Bool[Tensor, "batch time"] | None,
    is_bf16: bool = False,
) -> tuple[Float[Tensor, "batch time hidden"], tuple[Float[Tensor, "batch hidden"], ...]]:
    """Hidden states of all tokens and the state after the last.

    `x_masks` multiply x_t and `h_masks` h_{t-1}: one for all gates, or one for each. Where
    `is_real` is False the state stays as it was.

    Raises:
        ValueError: on a tensor whose size, type or place is not what the others ask for; what is
            compiled goes by addresses and would read beyond it.
    """
    if has_torch_function((x,)):  # what stacks models does something else
        given = (cell, x, weight_x, weight_h, bias, state, x_masks, h_masks, is_real, is_bf16)
        overridden: tuple[Tensor, tuple[Tensor, ...]] = handle_torch_function(layer, (x,), *given)
        return overridden
    x = x if x.stride(2) == 1 else x.contiguous()
    h0, c0 = state if len(state) > 1 else (state[0], None)
    masks = (None if mask is None else mask.to(x.dtype).contiguous() for mask in (x_masks, h_masks))
    h, c = _Recurrence.apply(  # type: ignore[no-untyped-call]
        cell,
        is_bf16,
        x,
        weight_x.contiguous(),
        weight_h.contiguous(),
        bias.contiguous(),
        h0.contiguous(),
        None if c0 is None else c0.contiguous(),
        *masks,
        None if is_real is None else is_real.contiguous(),
    )
    return h, (h[:, -1],) if c is None else (h[:, -1], c)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, cell: str, is_bf16: bool, *given: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        tensors = dict(zip(GIVEN, given, strict=True))
        x, weight_h, c0 = tensors["x"], tensors["weight_h"], tensors["c0"]
        assert x is not None and weight_h is not None
        if not _fits(cell, x, weight_h, tensors):
            _refuse_other_sizes(cell, x, weight_h, tensors)
        (batch, time, _), hidden = x.shape, weight_h.shape[1]
        binary = available(cell, x, is_bf16).binary
        assert binary is not None
        binary.kept.restype = ctypes.c_int64
        h = tensors["h"] = x.new_empty(batch, time, hidden)
        tensors["c"] = None if c0 is None else torch.empty_like(c0)
        tensors["kept"] = x.new_empty(batch * time * binary.kept(ctypes.c_int64(hidden)))
        _call(binary.forward, tensors)
        ctx.save_for_backward(*given, h, tensors["kept"])
        ctx.binary = binary
        return h, tensors["c"]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor | None) -> tuple[Tensor | None, ...]:
        *given, h, kept = ctx.saved_tensors
        tensors = dict(zip(GIVEN, given, strict=True))
        grads: dict[str, Tensor | None] = {
            name: None if tensors[name] is None else tensors[name].new_empty(tensors[name].shape)
            for name in GRADIENTS
        }
        if not ctx.needs_input_grad[2]:
            grads["x"] = None  # of one-hot vectors nobody asks for it
        tensors |= {"h": h, "kept": kept, "grad_h": grad_h.contiguous()}
        tensors["grad_c"] = None if grad_c is None else grad_c.contiguous()
        _call(ctx.binary.back, {**tensors, **{f"grad_{name}": grads[name] for name in grads}})
        return None, None, *grads.values(), None, None, None


def _fits(cell: str, x: Tensor, weight_h: Tensor, tensors: dict[str, Tensor | None]) -> bool:
    """Whether each tensor has as many numbers as the library reads: in a few microseconds."""
    if x.dim() != 3 or weight_h.dim() != 2:
        return False
    (gates, has_c), (batch, time, inputs), hidden = CELLS[cell], x.shape, weight_h.shape[1]
    rows, states, masks, dtype = gates * hidden, batch * hidden, 0, x.dtype
    counts = (rows * inputs, rows * hidden, rows, states, states if has_c else None)
    for name, count in zip(GIVEN[1:6], counts, strict=True):
        tensor = tensors[name]
        if tensor is None or count is None:
            if (tensor is None) != (count is None):
                return False
        elif tensor.numel() != count or tensor.dtype is not dtype or not tensor.is_cpu:
            return False
    for name, size in (("x_masks", inputs), ("h_masks", hidden)):
        tensor = tensors[name]
        if tensor is not None:
            count = tensor.shape[0]
            if count not in (1, gates) or masks not in (0, count):
                return False
            if tensor.numel() != count * batch * size:
                return False
            if tensor.dtype is not dtype or not tensor.is_cpu:
                return False
            masks = count
    real = tensors["is_real"]
    if real is None:
        return time > 0 and hidden > 0
    is_sound = real.numel() == batch * time and real.dtype is torch.bool and real.is_cpu
    return is_sound and time > 0 and hidden > 0


def _refuse_other_sizes(
    cell: str, x: Tensor, weight_h: Tensor, tensors: dict[str, Tensor | None]
) -> None:
    """Say which tensor is not as large as the library takes it to be."""
    gates, has_c = CELLS[cell]
    if x.dim() != 3 or weight_h.dim() != 2:
        raise ValueError(f"x is {tuple(x.shape)} and weight_h {tuple(weight_h.shape)}")
    (batch, time, inputs), hidden = x.shape, weight_h.shape[1]
    if time == 0 or hidden == 0:
        raise ValueError(f"x is {tuple(x.shape)} and weight_h {tuple(weight_h.shape)}: no numbers")
    expected = {
        "weight_x": (gates * hidden, inputs),
        "weight_h": (gates * hidden, hidden),
        "bias": (gates * hidden,),
        "h0": (batch, hidden),
        "c0": (batch, hidden) if has_c else None,
    }
    for name, shape in expected.items():
        tensor = tensors[name]
        found = None if tensor is None else tuple(tensor.shape)
        if found != shape:
            raise ValueError(f"{name} is {found}; for x of {tuple(x.shape)} it is {shape}")
    counts = set()
    for name, size in (("x_masks", inputs), ("h_masks", hidden)):
        mask = tensors[name]
        if mask is not None:
            counts.add(mask.shape[0])
            if mask.shape[1:] != (batch, size) or mask.shape[0] not in (1, gates):
                raise ValueError(f"{name} is {tuple(mask.shape)}; it is (masks, {batch}, {size})")
    if len(counts) > 1:
        raise ValueError(f"masks of x and of h are {sorted(counts)}; they are as many")
    is_real = tensors["is_real"]
    if is_real is not None and (is_real.shape != (batch, time) or is_real.dtype != torch.bool):
        raise ValueError(f"is_real is {is_real.dtype} {tuple(is_real.shape)}; it is {batch, time}")
    for name, tensor in tensors.items():
        if tensor is None or name == "is_real":
            continue
        if tensor.dtype != x.dtype or not tensor.is_cpu:
            raise ValueError(f"{name} is {tensor.dtype} on {tensor.device}; x is {x.dtype} on cpu")
    if is_real is not None and not is_real.is_cpu:
        raise ValueError(f"is_real is on {is_real.device}; x is on cpu")


def _call(function: Any, tensors: dict[str, Tensor | None]) -> None:
    """Have the library read and write the tensors; missing ones are null."""
    x, weight_h = tensors["x"], tensors["weight_h"]
    assert x is not None and weight_h is not None
    masks = [tensors[name] for name in ("x_masks", "h_masks")]
    arguments = _Layer(
        *x.shape,
        weight_h.shape[1],
        max([1, *(mask.shape[0] for mask in masks if mask is not None)]),
        torch.get_num_threads(),
        *x.stride()[:2],
        **{name: value.data_ptr() for name, value in tensors.items() if value is not None},
    )
    if function(ctypes.byref(arguments)):
        raise MemoryError("the recurrence has no memory for its sums")


# --- of a stack of models -----------------------------------------------------------------------


class _OneByOne(torch.autograd.Function):
    """Under `torch.func.vmap`, the layer of each model in turn; it is never called otherwise."""

    @staticmethod
    def forward(cell: str, *given: Tensor | None) -> tuple[Tensor, ...]:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], cell: str, *given: Tensor | None) -> Any:
        columns = [
            [tensor] * info.batch_size if tensor is None or dim is None else tensor.unbind(dim)
            for tensor, dim in zip(given, in_dims[1:], strict=True)
        ]
        rows = []
        for x, weight_x, weight_h, bias, is_real, *state in zip(*columns, strict=True):
            h, last = layer(cell, x, weight_x, weight_h, bias, tuple(state), None, None, is_real)
            rows.append((h, *last))
        return tuple(torch.stack(column) for column in zip(*rows, strict=True)), 0


def _for_stacks(
    cell: str,
    x: Tensor,
    weight_x: Tensor,
    weight_h: Tensor,
    bias: Tensor,
    state: tuple[Tensor, ...],
    x_masks: Tensor | None,
    h_masks: Tensor | None,
    is_real: Tensor | None,
    is_bf16: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`layer` for models side by side, without dropout and in full precision."""
    if x_masks is not None or h_masks is not None:
        raise RuntimeError("masks of dropout are drawn for one model at a time")
    if is_bf16:
        raise RuntimeError("models side by side are not computed in bfloat16")
    h, *last = _OneByOne.apply(  # type: ignore[no-untyped-call]
        cell, x, weight_x, weight_h, bias, is_real, *state
    )
    return h, tuple(last)


layer.for_stacks = _for_stacks  # type: ignore[attr-defined]
