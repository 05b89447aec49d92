"""The recurrence over time, fast: one pass forward and one back, in buffers that are made once.

Autograd would record some ten small operations a token. Here the pass through a whole sequence is
one operation with a backward pass of its own: the products W_x x_t are one matrix product over all
tokens before it, the loop holds only what depends on the token before, and the weights' gradient is
one product over all tokens after it. Masks for dropout of h_{t-1} and padding are part of the loop.

Source: Appleyard, Kočiský & Blunsom (2016), "Optimizing performance of recurrent neural networks on
GPUs", sec. 3; the backward equations follow from those of `recurrent.py` by the chain rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED = 2**18
"""Numbers that the way back works out ahead of its steps, at most: they stay in the CPU's cache."""

_BY_SIGMOID, _BY_TANH = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward

Masks = Float[Tensor, "masks batch hidden"]
Real = Bool[Tensor, "time batch 1"]


def recurrence(
    cell: str,
    x: Float[Tensor, "time batch rows"],
    weight_h: Float[Tensor, "rows hidden"],
    state: tuple[Tensor, ...],
    masks: Masks | None,
    is_real: Real | None,
) -> tuple[Float[Tensor, "time batch hidden"], tuple[Tensor, ...]]:
    """Hidden states of all tokens and the state after the last, from W_x x_t + b of all gates.

    The state of an `lstm` is h and c, that of a `gru` or an `rnn` is h. `masks` multiply h_{t-1}:
    one for all gates, or one for each. Where `is_real` is False the state stays as it was.
    """
    passed = _PASSES[cell].apply(x, weight_h, *state, masks, is_real)  # type: ignore[no-untyped-call]
    h, *others = passed if isinstance(passed, tuple) else (passed,)
    return h, (h[-1], *others)


# --- W_h h_{t-1}, with or without masks -------------------------------------------------------


class _Product:
    """W_h (h * mask) for one mask or one a gate, its way back, and the gradient of W_h."""

    def __init__(self, weight_h: Tensor, masks: Tensor | None, batch: int) -> None:
        rows, hidden = weight_h.shape
        self.room = weight_h.new_empty(batch, hidden)  # for what a token needs for a moment
        self.weight, self.masks = weight_h, masks
        self.per_gate = masks is not None and masks.shape[0] > 1
        self.gates = weight_h.view(rows // hidden, hidden, hidden)  # (gates, hidden, hidden)

    @cached_property
    def turned(self) -> Tensor:
        """W_h^T, whose rows a product reads faster than columns of W_h; the way back wants W_h."""
        return self.weight.t().contiguous()

    def add_to(self, x: Tensor, h: Tensor, out: Tensor) -> None:
        """Write x + W_h (h * mask): (batch, rows)."""
        if not self.per_gate:
            h = h if self.masks is None else torch.mul(h, self.masks[0], out=self.room)
            torch.addmm(x, h, self.turned, out=out)
            return
        assert self.masks is not None
        products = torch.bmm(h * self.masks, self.gates.transpose(1, 2))  # (gates, batch, hidden)
        gates, batch, hidden = products.shape
        by_gate = (batch, gates, hidden)
        torch.add(x.view(by_gate), products.transpose(0, 1), out=out.view(by_gate))

    def back(self, other: Tensor, grad: Tensor) -> Tensor:
        """From the gradient of the product, (batch, rows), to that of h, (batch, hidden), to which
        the other one is added.
        """
        if self.masks is None:
            return torch.addmm(other, grad, self.weight)
        if not self.per_gate:
            return torch.addcmul(other, torch.mm(grad, self.weight, out=self.room), self.masks[0])
        by_gate = grad.view(grad.shape[0], *self.gates.shape[:2]).transpose(0, 1)
        return torch.bmm(by_gate, self.gates).mul_(self.masks).sum(dim=0).add_(other)

    def weight_gradient(self, grads: Tensor, before: Tensor) -> Tensor:
        """From all gradients of the product and all h_{t-1}, (time, batch, .): as `weight_h`."""
        if not self.per_gate:
            before = before if self.masks is None else before * self.masks[0]
            return grads.flatten(0, 1).t() @ before.flatten(0, 1)
        assert self.masks is not None
        parts = [
            part.flatten(0, 1).t() @ (before * mask).flatten(0, 1)
            for part, mask in zip(grads.chunk(len(self.masks), dim=2), self.masks, strict=True)
        ]
        return torch.cat(parts)


def _unbound(is_real: Tensor | None, time: int) -> Sequence[Tensor | None]:
    return [None] * time if is_real is None else is_real.unbind()


def _where(real: Tensor | None, back: Tensor, dh: Tensor, given: Tensor) -> Tensor:
    """The gradient of h_{t-1}: as it came back where the token is real, else that of h_t, too."""
    return back if real is None else torch.where(real, back, dh + given)


def _given(grad_h: Tensor) -> tuple[list[Tensor], Tensor]:
    """Of each token the gradient that is given of h_{t-1}, 0 of h_0, and that of the last h."""
    *given, last = grad_h.unbind()
    return [torch.zeros_like(last), *given], last


def _keep_padding(new: Tensor, old: Tensor, real: Tensor | None) -> None:
    if real is not None:
        torch.where(real, new, old, out=new)


# --- the three recurrences --------------------------------------------------------------------


class _LSTM(torch.autograd.Function):
    """Gates i, f, o and candidate g; c_t = f c_{t-1} + i g; h_t = o tanh(c_t)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_h: Tensor,
        h0: Tensor,
        c0: Tensor,
        masks: Tensor | None,
        is_real: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        time, batch, rows = x.shape
        size = rows // 4
        product = _Product(weight_h, masks, batch)
        gates = torch.empty_like(x)
        h, c = (x.new_empty(time + 1, batch, size) for _ in range(2))
        tanh_c = x.new_empty(time, batch, size)
        h[0], c[0] = h0, c0
        # views of all tokens at once: cut one by one, they would take as long as the numbers
        xs, gate, hs, cs, tanhs = (tensor.unbind() for tensor in (x, gates, h, c, tanh_c))
        sigmoids = gates[..., : 3 * size].unbind()
        i, f, o, g = (part.unbind() for part in gates.chunk(4, dim=2))
        real = _unbound(is_real, time)
        for t in range(time):
            product.add_to(xs[t], hs[t], gate[t])
            sigmoids[t].sigmoid_()
            g[t].tanh_()
            torch.mul(f[t], cs[t], out=cs[t + 1]).addcmul_(i[t], g[t])
            _keep_padding(cs[t + 1], cs[t], real[t])
            torch.tanh(cs[t + 1], out=tanhs[t])
            torch.mul(o[t], tanhs[t], out=hs[t + 1])
            _keep_padding(hs[t + 1], hs[t], real[t])
        ctx.save_for_backward(weight_h, gates, h, c, tanh_c, masks, is_real)
        return h[1:], c[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, gates, h, c, tanh_c, masks, is_real = ctx.saved_tensors
        time, batch, rows = gates.shape
        size = weight_h.shape[1]
        product = _Product(weight_h, masks, batch)
        grads = torch.empty_like(gates)
        by_gate = (time, batch, 4, size)
        parts = (gates.view(by_gate), c[:-1], tanh_c, grads.view(by_gate))
        given, dh = _given(grad_h)
        dc = grad_c.clone()
        tokens = max(1, CACHED // (batch * rows))
        for end in range(time, 0, -tokens):
            chunk = slice(max(0, end - tokens), end)
            real = None if is_real is None else is_real[chunk]
            some = _Tokens(real, given[chunk], *(part[chunk] for part in parts))
            dh, dc = _lstm_back(product, some, dh, dc)
        return grads, product.weight_gradient(grads, h[:-1]), dh, dc, None, None


@dataclass(frozen=True)
class _Tokens:
    """Some tokens of an LSTM's pass, (time, batch, ...); `grads` is written on the way back."""

    is_real: Real | None
    given: list[Float[Tensor, "batch hidden"]]  # the gradient that is given of h_{t-1}
    gates: Float[Tensor, "time batch 4 hidden"]
    before: Float[Tensor, "time batch hidden"]  # c_{t-1}
    tanh_c: Float[Tensor, "time batch hidden"]
    grads: Float[Tensor, "time batch 4 hidden"]  # of the gates' inputs


def _lstm_back(product: _Product, some: _Tokens, dh: Tensor, dc: Tensor) -> tuple[Tensor, Tensor]:
    """From what later tokens say of h and c after these to what these say of them before."""
    gates, is_real = some.gates, some.is_real
    i, f, o, g = gates.unbind(dim=2)
    # all that does not depend on later gradients, for all of the tokens at once
    by_h = _BY_TANH(o, some.tanh_c)  # dc_t from dh_t
    slope = torch.empty_like(gates)  # of the gates' inputs: by dc_t, and that of o by dh_t
    _BY_SIGMOID(g, i, grad_input=slope[:, :, 0])
    _BY_SIGMOID(some.before, f, grad_input=slope[:, :, 1])
    _BY_SIGMOID(some.tanh_c, o, grad_input=slope[:, :, 2])
    _BY_TANH(i, g, grad_input=slope[:, :, 3])
    keep = f
    if is_real is not None:
        by_h, slope = by_h * is_real, slope * is_real[..., None]
        keep = torch.where(is_real, f, 1)
    real = _unbound(is_real, len(gates))
    steps = [part.unbind() for part in (by_h, keep, slope, slope[:, :, 2])]
    steps += [part.unbind() for part in (some.grads, some.grads[:, :, 2], some.grads.flatten(2))]
    for t in range(len(gates) - 1, -1, -1):
        of_c, kept, slopes, slope_o, grad, grad_o, flat = (step[t] for step in steps)
        dc.addcmul_(dh, of_c)
        torch.mul(slopes, dc[:, None], out=grad)
        torch.mul(slope_o, dh, out=grad_o)
        dc.mul_(kept)
        back = product.back(some.given[t], flat)
        dh = _where(real[t], back, dh, some.given[t])
    return dh, dc


class _GRU(torch.autograd.Function):
    """Gates r, z; n = tanh(x_n + r h_n); h_t = (1 - z) n + z h_{t-1}."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_h: Tensor,
        h0: Tensor,
        masks: Tensor | None,
        is_real: Tensor | None,
    ) -> Tensor:
        time, batch, rows = x.shape
        size = rows // 3
        product = _Product(weight_h, masks, batch)
        gates, h_new = torch.empty_like(x), x.new_empty(time, batch, size)
        h = x.new_empty(time + 1, batch, size)
        zeros, sums = x.new_zeros(rows), x.new_empty(batch, rows)
        h[0] = h0
        zero = zeros.expand(batch, rows)
        sums_rz, sums_n = sums[:, : 2 * size], sums[:, 2 * size :]
        x_rz, x_n = x[..., : 2 * size].unbind(), x[..., 2 * size :].unbind()
        r, z, n = (part.unbind() for part in gates.chunk(3, dim=2))
        rz, hs, news = (part.unbind() for part in (gates[..., : 2 * size], h, h_new))
        real = _unbound(is_real, time)
        for t in range(time):
            product.add_to(zero, hs[t], sums)
            torch.add(x_rz[t], sums_rz, out=rz[t]).sigmoid_()
            news[t].copy_(sums_n)
            torch.addcmul(x_n[t], r[t], sums_n, out=n[t]).tanh_()
            torch.lerp(n[t], hs[t], z[t], out=hs[t + 1])
            _keep_padding(hs[t + 1], hs[t], real[t])
        ctx.save_for_backward(weight_h, gates, h_new, h, masks, is_real)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, gates, h_new, h, masks, is_real = ctx.saved_tensors
        product = _Product(weight_h, masks, h.shape[1])
        size = weight_h.shape[1]
        r, z, n = gates.split(size, dim=2)
        # slopes by dh_t of the inputs of n and z; those of r and of W_h h's part of n by that of n
        by_n = (1 - z) * (1 - n * n)
        slope = torch.cat([by_n * h_new * r * (1 - r), (h[:-1] - n) * z * (1 - z), by_n], dim=2)
        keep = z
        if is_real is not None:
            slope, keep = slope * is_real, torch.where(is_real, z, 1)
        grads_x, grads_h = torch.empty_like(gates), torch.empty_like(gates)
        given, dh = _given(grad_h)
        # of the product with h: those of the gates' inputs, but n's by r
        slope_h = slope.clone()
        slope_h[..., 2 * size :] *= r
        steps = [part.unbind() for part in (keep, grads_h)]
        by_gate = (*gates.shape[:2], 3, size)
        steps += [part.view(by_gate).unbind() for part in (slope, slope_h, grads_x, grads_h)]
        for t in range(len(gates) - 1, -1, -1):
            kept, flat, slopes_x, slopes_h, grad_x, grad_of_h = (step[t] for step in steps)
            torch.mul(slopes_x, dh[:, None], out=grad_x)
            torch.mul(slopes_h, dh[:, None], out=grad_of_h)
            dh = product.back(given[t], flat).addcmul_(dh, kept)
        return grads_x, product.weight_gradient(grads_h, h[:-1]), dh, None, None


class _RNN(torch.autograd.Function):
    """h_t = tanh(x_t + W_h h_{t-1})."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight_h: Tensor,
        h0: Tensor,
        masks: Tensor | None,
        is_real: Tensor | None,
    ) -> Tensor:
        product = _Product(weight_h, masks, x.shape[1])
        h = x.new_empty(x.shape[0] + 1, *x.shape[1:])
        h[0] = h0
        xs, hs, real = x.unbind(), h.unbind(), _unbound(is_real, len(x))
        for t in range(len(x)):
            product.add_to(xs[t], hs[t], hs[t + 1])
            hs[t + 1].tanh_()
            _keep_padding(hs[t + 1], hs[t], real[t])
        ctx.save_for_backward(weight_h, h, masks, is_real)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, h, masks, is_real = ctx.saved_tensors
        product = _Product(weight_h, masks, h.shape[1])
        slope = 1 - h[1:] * h[1:]
        if is_real is not None:
            slope = slope * is_real
        grads = torch.empty_like(slope)
        given, dh = _given(grad_h)
        slopes, grad = slope.unbind(), grads.unbind()
        real = _unbound(is_real, len(slope))
        for t in range(len(slope) - 1, -1, -1):
            torch.mul(slopes[t], dh, out=grad[t])
            back = product.back(given[t], grad[t])
            dh = _where(real[t], back, dh, given[t])
        return grads, product.weight_gradient(grads, h[:-1]), dh, None, None


_PASSES = {"rnn": _RNN, "gru": _GRU, "lstm": _LSTM}
