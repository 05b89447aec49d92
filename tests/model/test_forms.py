"""Laws of every model on every kind of prediction, with tokens or features, and with a context."""

from typing import Any

import pytest
import torch
from forms import FORMS, MODELS, Form, logits_of, model_of, shifted
from torch import Tensor

from seqexp.data import Batch
from seqexp.kernels.recurrence_cpp import built as library
from seqexp.model.convolution import Convolution
from seqexp.model.layers import padded

NO_LIBRARY = library("lstm", "double").binary is None

STACKED = {"layers": 2, "filters": 4, "width": 4}


def variants(name: str, form: Form) -> list[dict[str, Any]]:
    """Keys with which a model has the most parts that this form allows, and those by default."""
    if name == "cnn1d":
        return [{}, {"num_layers": 2}]
    most: dict[str, Any] = {"convolution": Convolution(**STACKED), "position_features": 2}
    if not form.spec.causal:
        most["bidirectional"] = True
    if form.context is not None:
        most |= {"attention": "additive", "encoder_bidirectional": True}
    return [{}, most]


def built(name: str, form: Form) -> list[Any]:
    return [model_of(name, form.spec, **keys) for keys in variants(name, form)]


def gradients_of(model: Any, logits: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(logits.square().sum(), list(model.parameters()))


def test_there_are_forms_and_models() -> None:
    assert len(FORMS) == 18 and len(MODELS) >= 4 and len(CASES) >= 48


# rnn and lstm are stacked-rnn with one layer: for them, the forms with the most in them
CASES = [
    pytest.param(name, form, id=f"{name}-{form}")
    for name in MODELS
    for form in FORMS
    if name not in ("rnn", "lstm") or form.context not in (None, form.made_of)
]


@pytest.mark.parametrize(("name", "form"), CASES)
class TestEveryForm:
    def test_logits_and_carry_follow_the_task(self, name: str, form: Form) -> None:
        tokens, context = form.tokens(), form.read()
        for model in built(name, form):
            carry = None if context is None else model.read(context)
            logits, after = model(tokens, carry)
            assert logits.shape == (4, 9 if form.spec.per_position else 1, form.spec.num_outputs)
            assert torch.isfinite(logits).all()
            assert isinstance(after, tuple) and all(isinstance(t, Tensor) for t in after)
            assert all(len(tensor) == 4 for tensor in after)

    def test_padding_on_either_side_changes_nothing(self, name: str, form: Form) -> None:
        tokens, context = form.tokens(), form.read()
        contexts = [context] if context is None else [context, *(c for c, _ in shifted(context))]
        for model in built(name, form):
            plain = logits_of(model, tokens, context)
            for longer, start in shifted(tokens):
                for read in contexts:
                    logits = logits_of(model, longer, read)
                    if form.spec.per_position:
                        logits = logits[:, start : start + 9]
                    torch.testing.assert_close(logits, plain, rtol=0, atol=1e-12)

    def test_gradients_reach_every_weight(self, name: str, form: Form) -> None:
        for model in built(name, form):
            logits_of(model, form.tokens(), form.read()).square().sum().backward()
            without = [key for key, weight in model.named_parameters() if weight.grad is None]
            assert not without
            assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())

    def test_every_kernel_computes_the_same(self, name: str, form: Form) -> None:
        """Weights, too, of an encoder over padded contexts, and what flows back into a picture."""
        tokens, context = form.tokens(), form.read()
        context = None if context is None else padded(context, 1, 2)
        kernels = ("reference", "auto") if name == "cnn1d" else ("reference", "python", "compiled")
        reference: tuple[Tensor, ...] = ()
        for kernel in kernels:
            if kernel == "compiled" and NO_LIBRARY:
                continue
            model = model_of(name, form.spec, kernel=kernel)
            found = gradients_of(model, logits_of(model, tokens, context))
            reference = reference or found
            for one, other in zip(found, reference, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)

    def test_a_carry_can_be_repeated_and_reordered(self, name: str, form: Form) -> None:
        """As beam search does: rows of the carry are rows of the batch."""
        tokens, context = form.tokens(), form.read()
        rows = torch.tensor([2, 0, 0, 3, 1])
        for model in built(name, form):
            if not model.causal:
                continue
            carry = None if context is None else model.read(context)
            _, carry = model(tokens[:, :4], carry)
            whole, _ = model(tokens[rows][:, 4:], tuple(tensor[rows] for tensor in carry))
            plain, _ = model(tokens[:, 4:], carry)
            torch.testing.assert_close(whole, plain[rows], rtol=0, atol=1e-12)

    def test_windows_equal_one_pass_where_a_model_is_causal(self, name: str, form: Form) -> None:
        tokens, context = form.tokens(), form.read()
        for model in built(name, form):
            if not (model.causal and form.spec.per_position):
                continue
            whole = logits_of(model, tokens, context)
            gradients = gradients_of(model, whole)
            for size in (1, 2, 4):
                carry = None if context is None else model.read(context)
                parts = []
                for window in Batch(tokens, torch.ones(4, 9, dtype=torch.long)).windows(size):
                    logits, carry = model(window.tokens, carry)
                    parts.append(logits)
                joined = torch.cat(parts, dim=1)
                torch.testing.assert_close(joined, whole, rtol=0, atol=1e-12)
                for found, expected in zip(gradients_of(model, joined), gradients, strict=True):
                    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)

    def test_a_model_that_says_causal_sees_nothing_later(self, name: str, form: Form) -> None:
        tokens, context = form.tokens(), form.read()
        changed = tokens.clone()
        changed[:, 5:] = tokens[:, 5:] % 4 + 1
        for model in built(name, form):
            if not form.spec.per_position:
                continue
            before, after = (logits_of(model, rows, context)[:, :5] for rows in (tokens, changed))
            if model.causal:
                assert torch.equal(before, after)
            else:
                assert not torch.allclose(before, after)
            assert model.causal or not form.spec.causal

    def test_products_in_bfloat16_give_what_full_precision_gives(
        self, name: str, form: Form
    ) -> None:
        tokens, context = form.tokens(), form.read()
        for model in built(name, form):
            model.float().train()
            plain = logits_of(model, tokens, context)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = logits_of(model, tokens, context)
            rounded.float().square().sum().backward()
            assert all(torch.isfinite(w.grad).all() for w in model.parameters())
            error = (rounded.float() - plain).abs().max()
            assert error < 0.1 * (1 + plain.abs().max())

    def test_the_context_matters(self, name: str, form: Form) -> None:
        tokens, context = form.tokens(), form.read()
        if context is None:
            return
        for model in built(name, form):
            rolled = logits_of(model, tokens, context.roll(1, dims=0))
            assert not torch.allclose(logits_of(model, tokens, context), rolled)
