"""A convolution of one-hot tokens on the CPU: `cpp/convolution.cpp`, called by ctypes.

Values and gradients are those of `torch.nn.functional.conv1d` on one-hot vectors to rounding, the
same bits for any number of threads. Other Python threads run meanwhile.
"""

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import handle_torch_function, has_torch_function

from seqexp.kernels import build as building
from seqexp.kernels.build import REALS, Built

SOURCE = Path(__file__).with_name("cpp") / "convolution.cpp"

NUMBERS = (
    *("models", "batch", "time", "symbols", "filters", "width", "positions", "before", "rectified"),
    *("threads", "of_model", "of_row", "of_token"),
)
POINTERS = (
    *("tokens", "weight", "bias", "is_real", "strongest", "out"),
    *("grad", "grad_weight", "grad_bias"),
)


class _Layer(ctypes.Structure):
    """`struct Layer` of `convolution.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in NUMBERS),
        *((name, ctypes.c_void_p) for name in POINTERS),
    ]


def available(like: Tensor) -> Built:
    """The library for weights like these, or the reason why there is none."""
    if like.device.type != "cpu":
        return Built(None, f"it is for the CPU, and this is {like.device.type}")
    if like.dtype not in REALS:
        return Built(None, f"it is for float32 and float64, and this is {like.dtype}")
    return building.built(SOURCE, f"REAL={REALS[like.dtype]}")


def convolve(
    tokens: Int[Tensor, "batch time"],
    weight: Float[Tensor, "filters symbols width"],
    bias: Float[Tensor, " filters"],
    before: int,
    positions: int,
    rectified: bool = False,
) -> Float[Tensor, "batch positions filters"]:
    """What filters give for the windows that start `before` tokens before the first, and so on.

    Padding, and what is outside of the sequence, is the zero vector. `rectified`: 0 instead of what
    is less.

    Raises:
        IndexError: on a token that is no symbol.
        ValueError: on a tensor whose size or type is not what the others ask for.
    """
    return _either(tokens, weight, bias, None, before, positions, rectified)


def strongest(
    tokens: Int[Tensor, "batch time"],
    weight: Float[Tensor, "filters symbols width"],
    bias: Float[Tensor, " filters"],
    is_real: Bool[Tensor, "batch positions"],
    before: int,
) -> Float[Tensor, "batch filters"]:
    """The maximum of what `convolve` gives, rectified, over the positions that are real.

    0 where none is. Of several positions with the same maximum the first has the gradient.

    Raises:
        IndexError: on a token that is no symbol.
    """
    return _either(tokens, weight, bias, is_real, before, is_real.shape[1], True)


@torch.no_grad()
def highest(
    tokens: Int[Tensor, "batch time"],
    weight: Float[Tensor, "filters symbols width"],
    is_real: Bool[Tensor, "batch positions"],
) -> Float[Tensor, "batch filters"]:
    """The maximum of each filter over the windows that are real, by their first token.

    -inf where none is. Weights are added in the order of the window. It cannot be trained.

    Raises:
        IndexError: on a token that is no symbol.
        ValueError: on a tensor whose size or type is not what the others ask for.
    """
    bias = weight.new_zeros(len(weight))
    return _either(tokens, weight, bias, is_real, 0, is_real.shape[1], False)


def _either(*given: Any) -> Tensor:
    if has_torch_function(given[:2]):  # what stacks models does something else
        overridden: Tensor = handle_torch_function(_either, given[:2], *given)
        return overridden
    out: Tensor = _Convolution.apply(*given)  # type: ignore[no-untyped-call]
    return out


class _Inputs(NamedTuple):
    """Arguments of a convolution, of one model or of several."""

    tokens: Tensor
    weight: Tensor
    bias: Tensor
    is_real: Tensor | None
    before: int
    positions: int
    rectified: bool


class _Convolution(torch.autograd.Function):
    """The convolution of one model, or of several: their tensors have one more dimension."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        inputs = _Inputs(*given)
        tokens, weight, bias, is_real, before, positions, rectified = inputs
        if not tokens.is_cpu:  # its address would mean something else here
            raise RuntimeError(f"tokens are on {tokens.device}, and the filters on the CPU")
        if not _fits(inputs):
            _refuse_other_sizes(inputs)
        tokens, weight, bias = tokens.long(), weight.contiguous(), bias.contiguous()
        layer = ctx.layer = _layer(tokens, weight, bias, before, positions, rectified)
        rows, filters = tokens.shape[:-1], weight.shape[-3]
        kept: list[Tensor] = []
        if is_real is None:
            out = weight.new_empty(*rows, positions, filters)
            kept += [out] if rectified else []
        else:
            is_real, out = is_real.contiguous(), weight.new_empty(*rows, filters)
            kept += [out, tokens.new_empty(*rows, filters)]
            layer.is_real, layer.strongest = is_real.data_ptr(), kept[1].data_ptr()
        layer.out = out.data_ptr()
        _call(available(weight).binary.forward, layer)  # type: ignore[union-attr]
        ctx.save_for_backward(tokens, weight, bias, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight, bias, *kept = ctx.saved_tensors  # maybe not where they were
        grad = grad.contiguous()
        grad_weight, grad_bias = torch.empty_like(weight), torch.empty_like(bias)
        layer = ctx.layer
        layer.threads, layer.tokens = torch.get_num_threads(), tokens.data_ptr()
        layer.of_model, layer.of_row, layer.of_token = (0, *tokens.stride())[-3:]
        layer.grad, layer.out = grad.data_ptr(), (*kept, grad)[0].data_ptr()
        if layer.strongest:
            layer.strongest = kept[1].data_ptr()
        layer.grad_weight, layer.grad_bias = grad_weight.data_ptr(), grad_bias.data_ptr()
        _call(available(weight).binary.back, layer)  # type: ignore[union-attr]
        return None, grad_weight, grad_bias, None, None, None, None


INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16)


def _fits(given: _Inputs) -> bool:
    """Whether each tensor has as many numbers as the library reads: in a few microseconds."""
    tokens, weight, bias, is_real, before, positions, _ = given
    shape, sizes = tokens.shape, weight.shape
    if len(sizes) - len(shape) != 1 or not 2 <= len(shape) <= 3 or before < 0 or positions < 0:
        return False
    if tokens.dtype not in INTEGERS or bias.dtype is not weight.dtype:
        return False
    models = shape[0] if len(shape) == 3 else 1
    filters = models * sizes[-3]
    if len(sizes) == 4 and sizes[0] != models:
        return False
    if not weight.numel() or bias.numel() != filters or not (bias.is_cpu and weight.is_cpu):
        return False
    if is_real is None:
        return True
    is_sound = is_real.dtype is torch.bool and is_real.is_cpu
    return is_sound and is_real.numel() == models * shape[-2] * positions


def _refuse_other_sizes(given: _Inputs) -> None:
    """Say which tensor is not as large as the library takes it to be, which goes by addresses."""
    tokens, weight, bias, is_real, before, positions, _ = given
    models = weight.shape[:-3]
    if tokens.is_floating_point() or tokens.dtype == torch.bool or tokens.is_complex():
        raise ValueError(f"tokens are {tokens.dtype}; they are integers")
    if weight.dim() not in (3, 4) or tokens.dim() not in (2, 3) or 0 in weight.shape[-3:]:
        raise ValueError(f"tokens are {tuple(tokens.shape)}, the weights {tuple(weight.shape)}")
    if tokens.shape[:-2] != models or bias.shape != weight.shape[:-2]:
        shapes = f"tokens {tuple(tokens.shape)}, bias {tuple(bias.shape)}"
        raise ValueError(f"{shapes}: not for weights of {tuple(weight.shape)}")
    if bias.dtype != weight.dtype or not (bias.is_cpu and weight.is_cpu):
        raise ValueError(f"bias is {bias.dtype} on {bias.device}, the weights {weight.dtype}")
    if before < 0 or positions < 0:
        raise ValueError(f"{positions} windows from {before} tokens before the first; none below 0")
    wanted = (*tokens.shape[:-1], positions)
    if is_real is not None and (is_real.shape != wanted or is_real.dtype != torch.bool):
        raise ValueError(f"is_real is {is_real.dtype} {tuple(is_real.shape)}; it is {wanted}")
    if is_real is not None and not is_real.is_cpu:
        raise ValueError(f"is_real is on {is_real.device}, and the filters on the CPU")


def _layer(
    tokens: Tensor, weight: Tensor, bias: Tensor, before: int, positions: int, rectified: bool
) -> _Layer:
    models = tokens.shape[0] if tokens.dim() > 2 else 1
    filters, symbols, width = weight.shape[-3:]
    of_model, of_row, of_token = (0, *tokens.stride())[-3:]
    sizes = (models, *tokens.shape[-2:], symbols, filters, width, positions, before, rectified)
    threads = torch.get_num_threads()
    pointers = (tensor.data_ptr() for tensor in (tokens, weight, bias))
    return _Layer(*sizes, threads, of_model, of_row, of_token, *pointers)


def _call(function: Any, layer: _Layer) -> None:
    result = function(ctypes.byref(layer))
    if result == 1:
        raise MemoryError("the convolution has no memory for its tables")
    if result == 2:
        raise IndexError("a token is not among the symbols that the filters have weights for")


# --- of a stack of models -----------------------------------------------------------------------


class _SideBySide(torch.autograd.Function):
    """Under `torch.func.vmap`, the convolutions of all models at once; never called otherwise."""

    @staticmethod
    def forward(*given: Any) -> Tensor:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *given: Any) -> tuple[Tensor, int]:
        tensors = [
            _in_front(tensor, dim, info.batch_size)
            for tensor, dim in zip(given[:4], in_dims[:4], strict=True)
        ]
        return _Convolution.apply(*tensors, *given[4:]), 0  # type: ignore[no-untyped-call]


def _in_front(tensor: Tensor | None, dim: int | None, count: int) -> Tensor | None:
    if tensor is None:
        return None
    return tensor.expand(count, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _for_stacks(*given: Any) -> Tensor:
    """`_either` for models side by side."""
    out: Tensor = _SideBySide.apply(*given)  # type: ignore[no-untyped-call]
    return out


_either.for_stacks = _for_stacks  # type: ignore[attr-defined]
