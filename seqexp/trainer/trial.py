"""Tries a model and an optimizer before a training begins, and says in words what they lack.

Everything is done on a copy, with random numbers of its own: a training that follows is the one
that it would have been.
"""

import copy
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqexp.data import Batch, Data
from seqexp.errors import InputError
from seqexp.spec import (
    PAD,
    Carry,
    HasPenalty,
    Model,
    ReadsContext,
    ScoresTargets,
    TaskSpec,
    first_carry,
    scores_targets,
)
from seqexp.task import kinds
from seqexp.trainer.settings import Settings

MAX_TOKENS = 5000
"""Of a row of the first batch."""

ROWS = 4
"""Of the batch, for what can be seen on few."""


@contextmanager
def own_numbers(device: torch.device) -> Iterator[None]:
    """Random numbers that are given back afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def refuse_other_things(model: object, name: str) -> nn.Module:
    """A model that can be trained at all.

    Raises:
        InputError: if it is no module of PyTorch's, or has nothing to learn.
    """
    if not isinstance(model, nn.Module):
        kind = "None" if model is None else f"a {type(model).__module__}.{type(model).__qualname__}"
        raise InputError(f"model {name} is {kind}; give a subclass of torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        count = sum(parameter.numel() for parameter in model.parameters())
        raise InputError(
            f"model {name} has no parameter to train ({count:,} in all, none with requires_grad);"
            " give at least one nn.Parameter with requires_grad=True"
        )
    return model


def try_model(
    model: nn.Module, data: Data, settings: Settings, device: torch.device, name: str
) -> None:
    """Have a copy of a model read the first batch as the training will, and a few tokens more.

    Raises:
        InputError: naming the model's class, if it breaks what `seqexp.spec.Model` promises.
    """
    window = settings.bptt.k1 if settings.bptt is not None else None
    _refuse_later_tokens(model, data.spec, window, name)
    _refuse_context(model, data.spec, name)
    batch = next(data.train.batches(settings.batch_size, length_pool=settings.length_pool))
    part = batch.part(0, min(window or MAX_TOKENS, batch.tokens.shape[1]))
    context = None if part.context is None else part.context.to(device)
    tokens, targets = part.tokens.to(device), part.targets.to(device)
    part = replace(part, tokens=tokens, targets=targets, context=context)
    with own_numbers(device):
        try:
            twin = copy.deepcopy(model)
        except RuntimeError:  # a tensor that is no leaf: the model itself has to do
            twin = model
        _Trial(twin.train(), data.spec, name).all(part, sees_all=window is None)


def _refuse_later_tokens(model: nn.Module, spec: TaskSpec, window: int | None, name: str) -> None:
    if not spec.causal and window is None:
        return
    causal = getattr(model, "causal", None)
    if isinstance(causal, bool) and causal:
        return
    why = "the dataset wants the next token predicted"
    if not spec.causal:
        why = f"trainer.bptt.k1={window} cuts sequences into windows"
    has = "has no attribute causal" if causal is None else f"has causal = {causal!r}"
    raise InputError(
        f"model {name} {has}, but {why}; where its logits are free of later tokens, set"
        " causal = True in the class, else choose another model"
    )


def _refuse_context(model: nn.Module, spec: TaskSpec, name: str) -> None:
    if spec.context is not None and not isinstance(model, ReadsContext):
        raise InputError(
            f"model {name} has no method read(context), but each sequence of the dataset has a"
            " context; define one that returns the carry that a sequence begins with, or choose"
            " another model"
        )


class _Trial:
    """A copy of a model that is tried.

    Args:
        model: the copy.
        spec: the task.
        name: dotted name of the model's class.
    """

    def __init__(self, model: nn.Module, spec: TaskSpec, name: str) -> None:
        self.model, self.spec, self.name = model, spec, name
        self.task = kinds.of(spec)
        self.context: Tensor | None = None

    def all(self, batch: Batch, sees_all: bool) -> None:
        """All trials, the first that fails raises."""
        self.context = batch.context
        logits, carry = self._learn(batch)
        self.model.eval()
        with torch.no_grad():
            tokens = batch.tokens
            self._read(tokens[:1], None, "one row")
            if carry and not sees_all:
                first = tuple(tensor.detach() for tensor in carry)
                self._read(tokens, first, "a second window, with the carry of the first")
            if self.spec.features is None:
                self._read_all_ids(tokens[:ROWS])
            if self.spec.causal and tokens.shape[1] > 1:
                self._look_for_later_tokens(tokens[:ROWS])

    def _learn(self, batch: Batch) -> tuple[Tensor, Carry]:
        """Read the first batch in training, and go back through it."""
        logits, carry = self._read(batch.tokens, None, "the first batch")
        if not logits.requires_grad:
            self._refuse(
                "logits of the first batch depend on no parameter (requires_grad is False); compute"
                " them without detach() and no_grad()"
            )
        loss = self.task.nats(logits, batch.targets)
        if torch.isnan(logits).any() or not torch.isfinite(loss):
            what = "nan" if torch.isnan(logits).any() else "a loss that is not finite"
            self._refuse(f"logits of the first batch, untrained, give {what}; give finite logits")
        with self._telling("the loss of the first batch", batch.tokens):
            if isinstance(self.model, HasPenalty):
                loss = loss + self.model.penalty()
            torch.autograd.backward(loss)
        if all(parameter.grad is None for parameter in self.model.parameters()):
            self._refuse("no parameter has a gradient after the first batch")
        if scores_targets(self.model):
            self._look_at_cost(self.model, batch)
        return logits, carry

    def _look_at_cost(self, model: ScoresTargets, batch: Batch) -> None:
        """What a model says that the targets of the first batch cost."""
        with self._telling("the targets of the first batch", batch.tokens):
            start = first_carry(cast(Model, model), batch.context)
            found: Any = model.target_nats(batch.tokens, batch.targets, start)
        is_pair = isinstance(found, tuple | list) and len(found) == 2
        cost = found[0] if is_pair else None
        if not isinstance(cost, Tensor) or cost.shape or not cost.requires_grad:
            self._refuse(
                f"target_nats of the first batch returns {found!s:.200}; give two values: a number"
                " as a tensor without dimensions, which depends on a parameter, and the carry"
            )
        elif not torch.isfinite(cost):
            self._refuse(f"target_nats of the first batch is {float(cost.detach())}; give nats")

    def _read_all_ids(self, tokens: Tensor) -> None:
        """The vocabulary's last id, which the first batch may lack."""
        last = len(self.spec.vocabulary) - 1
        with_last = tokens.clone()
        with_last[0, torch.nonzero(tokens[0] != PAD)[:1, 0]] = last
        where = (
            f"token id {last}, the last of the vocabulary's {last + 1} (padding among them; give an"
            " embedding of len(spec.vocabulary) rows)"
        )
        self._read(with_last, None, where)

    def _look_for_later_tokens(self, tokens: Tensor) -> None:
        """Whether logits change with a token that comes later."""
        changed = tokens.clone()
        size = len(self.spec.vocabulary)
        if self.spec.features is not None:
            changed[:, -1] = tokens[:, -1].nan_to_num(0.0) + 1.0
        elif size < 3:  # of one symbol: there is no other
            return
        else:
            changed[:, -1] = tokens[:, -1] % (size - 1) + 1
        logits, others = (self._read(rows, None, "a batch")[0] for rows in (tokens, changed))
        before, after = logits[:, :-1], others[:, :-1]
        difference = (before - after).abs().nan_to_num(0.0)
        row, place = divmod(int(difference.amax(dim=2).argmax()), before.shape[1])
        if float(difference[row, place].max()) > 1e-4 * (1 + float(before[row, place].abs().max())):
            self._refuse(
                f"logits at position {place} change by {float(difference[row, place].max()):.3g}"
                f" with the token at position {tokens.shape[1] - 1}, but causal is True; let no"
                " position see later ones"
            )

    def _read(self, tokens: Tensor, carry: Carry | None, where: str) -> tuple[Tensor, Carry]:
        """Logits and carry, of the form that the loop needs."""
        with self._telling(where, tokens):
            if carry is None and self.context is not None:
                carry = first_carry(cast(Model, self.model), self.context[: len(tokens)])
            found: Any = self.model(tokens, carry)
        if isinstance(found, Tensor) or not isinstance(found, tuple | list) or len(found) != 2:
            what = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else found
            what = f"{len(found)} values" if isinstance(found, tuple | list) else what
            self._refuse(
                f"forward returns {what!s:.200}, but has to return two values: logits and"
                " the carry, which is () where there is nothing to carry on"
            )
        logits, kept = found
        self._look_at_logits(logits, tokens, where)
        if not isinstance(kept, tuple | list) or not all(isinstance(t, Tensor) for t in kept):
            kind = type(kept).__name__
            self._refuse(
                f"forward returns a carry that is a {kind}, or holds other things than tensors;"
                " give a tuple of tensors, as (h,), or () where there is nothing to carry on"
            )
        return logits, tuple(kept)

    def _look_at_logits(self, logits: Any, tokens: Tensor, where: str) -> None:
        rows, time = tokens.shape[:2]
        expected = (rows, time if self.spec.per_position else 1, self.spec.num_outputs)
        of = f"{time} tokens" if self.spec.per_position else "1 prediction a sequence"
        wanted = f"give {expected}: {rows} rows, {of}, {self.spec.num_outputs} outputs"
        if not isinstance(logits, Tensor):
            self._refuse(f"logits are a {type(logits).__name__}, no tensor; {wanted}")
        if not logits.dtype.is_floating_point:
            self._refuse(f"logits are of {logits.dtype}; give floating-point numbers")
        if tuple(logits.shape) != expected:
            self._refuse(
                f"logits of {where} have shape {tuple(logits.shape)} for tokens of shape"
                f" {tuple(tokens.shape)}; {wanted}"
            )

    @contextmanager
    def _telling(self, where: str, tokens: Tensor) -> Iterator[None]:
        """Name the model, what it was given and the line of its code, if it raises."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            line = _line(error)
            said = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
            hint = ""
            if isinstance(error, TypeError) and "argument" in said:
                hint = "; forward takes (tokens, carry), where carry may be None"
            of = "features" if self.spec.features is not None else "tokens"
            ids = f", ids up to {int(tokens.max())}" if self.spec.features is None else ""
            raise InputError(
                f"model {self.name} cannot read {where}: {of} of shape"
                f" {tuple(tokens.shape)}{ids}: {said}{line}{hint}"
            ) from error

    def _refuse(self, what: str) -> None:
        raise InputError(f"model {self.name}: {what}")


def _line(error: Exception) -> str:
    """Where an error was raised, outside of PyTorch and of this module."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/torch/" not in f.filename and f.filename != __file__]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def try_optimizer(make: Callable[[list[nn.Parameter]], Optimizer], device: torch.device) -> None:
    """Have an optimizer of the same settings take a step on a weight of its own.

    Raises:
        InputError: if it cannot, as one that is for GPUs only.
    """
    weight = nn.Parameter(torch.zeros(2, 2, device=device))
    weight.grad = torch.zeros_like(weight)
    try:
        with own_numbers(device):
            make([weight]).step()
    except InputError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]
        raise InputError(f"optimizer: it cannot take a step on {device.type}: {said}") from error
