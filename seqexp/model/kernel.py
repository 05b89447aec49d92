"""The recurrence over time, fast: one pass forward and one back, in buffers that are made once.

Autograd would record some ten small operations a token. Here the pass through a whole sequence is
one operation with a backward pass of its own: the products W_x x_t are one matrix product over all
tokens before it, the loop holds only what depends on the token before, and the weights' gradient is
one product over all tokens after it. Masks for dropout of h_{t-1} and padding are part of the loop.

Source: Appleyard, Kočiský & Blunsom (2016), "Optimizing performance of recurrent neural networks on
GPUs", sec. 3; the backward equations follow from those of `recurrent.py` by the chain rule.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Masks = Float[Tensor, "masks batch hidden"]
Real = Bool[Tensor, "time batch 1"]


def lstm(
    x: Float[Tensor, "time batch rows"],
    weight_h: Float[Tensor, "rows hidden"],
    state: tuple[Tensor, ...],
    masks: Masks | None,
    is_real: Real | None,
) -> tuple[Float[Tensor, "time batch hidden"], tuple[Tensor, ...]]:
    """Hidden states of all tokens and the state after the last, from W_x x_t + b of all gates.

    `masks` multiply h_{t-1}: one for all gates, or one for each. Where `is_real` is False the state
    stays as it was.
    """
    h, c = _LSTM.apply(x, weight_h, *state, masks, is_real)  # type: ignore[no-untyped-call]
    return h, (h[-1], c)


def gru(
    x: Float[Tensor, "time batch rows"],
    weight_h: Float[Tensor, "rows hidden"],
    state: tuple[Tensor, ...],
    masks: Masks | None,
    is_real: Real | None,
) -> tuple[Float[Tensor, "time batch hidden"], tuple[Tensor, ...]]:
    """As `lstm`."""
    h = _GRU.apply(x, weight_h, *state, masks, is_real)  # type: ignore[no-untyped-call]
    return h, (h[-1],)


def rnn(
    x: Float[Tensor, "time batch rows"],
    weight_h: Float[Tensor, "rows hidden"],
    state: tuple[Tensor, ...],
    masks: Masks | None,
    is_real: Real | None,
) -> tuple[Float[Tensor, "time batch hidden"], tuple[Tensor, ...]]:
    """As `lstm`."""
    h = _RNN.apply(x, weight_h, *state, masks, is_real)  # type: ignore[no-untyped-call]
    return h, (h[-1],)


KERNELS: dict[str, Callable[..., tuple[Tensor, tuple[Tensor, ...]]]] = {
    "rnn": rnn,
    "gru": gru,
    "lstm": lstm,
}


# --- W_h h_{t-1}, with or without masks -------------------------------------------------------


class _Product:
    """W_h (h * mask) for one mask or one a gate, its way back, and the gradient of W_h."""

    def __init__(self, weight_h: Tensor, masks: Tensor | None) -> None:
        rows, hidden = weight_h.shape
        self.weight, self.masks = weight_h, masks
        self.per_gate = masks is not None and masks.shape[0] > 1
        self.gates = weight_h.view(rows // hidden, hidden, hidden)  # (gates, hidden, hidden)

    def add_to(self, x: Tensor, h: Tensor, out: Tensor) -> None:
        """Write x + W_h (h * mask): (batch, rows)."""
        if not self.per_gate:
            h = h if self.masks is None else h * self.masks[0]
            torch.addmm(x, h, self.weight.t(), out=out)
            return
        assert self.masks is not None
        products = torch.bmm(h * self.masks, self.gates.transpose(1, 2))  # (gates, batch, hidden)
        gates, batch, hidden = products.shape
        by_gate = (batch, gates, hidden)
        torch.add(x.view(by_gate), products.transpose(0, 1), out=out.view(by_gate))

    def back(self, grad: Tensor) -> Tensor:
        """From the gradient of the product, (batch, rows), to that of h, (batch, hidden)."""
        if not self.per_gate:
            back = torch.mm(grad, self.weight)
            return back if self.masks is None else back.mul_(self.masks[0])
        assert self.masks is not None
        by_gate = grad.view(grad.shape[0], *self.gates.shape[:2]).transpose(0, 1)
        return torch.bmm(by_gate, self.gates).mul_(self.masks).sum(dim=0)

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
        product = _Product(weight_h, masks)
        gates = torch.empty_like(x)
        h, c = (x.new_empty(time + 1, batch, size) for _ in range(2))
        tanh_c = x.new_empty(time, batch, size)
        h[0], c[0] = h0, c0
        for t in range(time):
            gate = gates[t]
            product.add_to(x[t], h[t], gate)
            gate[:, : 3 * size].sigmoid_()
            gate[:, 3 * size :].tanh_()
            i, f, o, g = gate.chunk(4, dim=1)
            torch.mul(f, c[t], out=c[t + 1]).addcmul_(i, g)
            _keep_padding(c[t + 1], c[t], None if is_real is None else is_real[t])
            torch.tanh(c[t + 1], out=tanh_c[t])
            torch.mul(o, tanh_c[t], out=h[t + 1])
            _keep_padding(h[t + 1], h[t], None if is_real is None else is_real[t])
        ctx.save_for_backward(weight_h, gates, h, c, tanh_c, masks, is_real)
        return h[1:], c[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, gates, h, c, tanh_c, masks, is_real = ctx.saved_tensors
        product = _Product(weight_h, masks)
        size = weight_h.shape[1]
        i, f, o, g = gates.split(size, dim=2)
        # all that does not depend on later gradients, for all tokens at once
        by_h = o * (1 - tanh_c * tanh_c)  # dc_t from dh_t
        slope = torch.cat(  # of the four gates' inputs: by dc_t, and that of o by dh_t
            [g * i * (1 - i), c[:-1] * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], dim=2
        )
        keep = f
        if is_real is not None:
            by_h, slope = by_h * is_real, slope * is_real
            keep = torch.where(is_real, f, 1)
        grads = torch.empty_like(gates)
        dh, dc = torch.zeros_like(h[0]), grad_c
        for t in range(len(gates) - 1, -1, -1):
            dh = dh + grad_h[t]
            dc = torch.addcmul(dc, dh, by_h[t])
            grad = grads[t]
            torch.mul(slope[t, :, : 2 * size], dc.repeat(1, 2), out=grad[:, : 2 * size])
            torch.mul(slope[t, :, 2 * size : 3 * size], dh, out=grad[:, 2 * size : 3 * size])
            torch.mul(slope[t, :, 3 * size :], dc, out=grad[:, 3 * size :])
            dc = dc * keep[t]
            back = product.back(grad)
            dh = back if is_real is None else torch.where(is_real[t], back, dh)
        return grads, product.weight_gradient(grads, h[:-1]), dh, dc, None, None


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
        product = _Product(weight_h, masks)
        gates, h_new = torch.empty_like(x), x.new_empty(time, batch, size)
        h = x.new_empty(time + 1, batch, size)
        zeros, sums = x.new_zeros(rows), x.new_empty(batch, rows)
        h[0] = h0
        for t in range(time):
            product.add_to(zeros.expand(batch, rows), h[t], sums)
            gate = gates[t]
            torch.add(x[t, :, : 2 * size], sums[:, : 2 * size], out=gate[:, : 2 * size])
            gate[:, : 2 * size].sigmoid_()
            r, z, n = gate.chunk(3, dim=1)
            h_new[t] = sums[:, 2 * size :]
            torch.addcmul(x[t, :, 2 * size :], r, h_new[t], out=n).tanh_()
            torch.lerp(n, h[t], z, out=h[t + 1])
            _keep_padding(h[t + 1], h[t], None if is_real is None else is_real[t])
        ctx.save_for_backward(weight_h, gates, h_new, h, masks, is_real)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, gates, h_new, h, masks, is_real = ctx.saved_tensors
        product = _Product(weight_h, masks)
        size = weight_h.shape[1]
        r, z, n = gates.split(size, dim=2)
        # slopes by dh_t of the inputs of n and z; those of r and of W_h h's part of n by that of n
        by_n = (1 - z) * (1 - n * n)
        slope = torch.cat([by_n * h_new * r * (1 - r), (h[:-1] - n) * z * (1 - z), by_n], dim=2)
        keep = z
        if is_real is not None:
            slope, keep = slope * is_real, torch.where(is_real, z, 1)
        grads_x, grads_h = torch.empty_like(gates), torch.empty_like(gates)
        dh = torch.zeros_like(h[0])
        for t in range(len(gates) - 1, -1, -1):
            dh = dh + grad_h[t]
            torch.mul(slope[t], dh.repeat(1, 3), out=grads_x[t])
            grads_h[t] = grads_x[t]
            grads_h[t, :, 2 * size :] *= r[t]
            dh = product.back(grads_h[t]).addcmul_(dh, keep[t])
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
        product = _Product(weight_h, masks)
        h = x.new_empty(x.shape[0] + 1, *x.shape[1:])
        h[0] = h0
        for t in range(x.shape[0]):
            product.add_to(x[t], h[t], h[t + 1])
            h[t + 1].tanh_()
            _keep_padding(h[t + 1], h[t], None if is_real is None else is_real[t])
        ctx.save_for_backward(weight_h, h, masks, is_real)
        return h[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        weight_h, h, masks, is_real = ctx.saved_tensors
        product = _Product(weight_h, masks)
        slope = 1 - h[1:] * h[1:]
        if is_real is not None:
            slope = slope * is_real
        grads = torch.empty_like(slope)
        dh = torch.zeros_like(h[0])
        for t in range(len(slope) - 1, -1, -1):
            dh = dh + grad_h[t]
            torch.mul(slope[t], dh, out=grads[t])
            back = product.back(grads[t])
            dh = back if is_real is None else torch.where(is_real[t], back, dh)
        return grads, product.weight_gradient(grads, h[:-1]), dh, None, None
