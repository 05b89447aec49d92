"""Several trainings whose updates are done as one: weights side by side, one pass for all.

A step of a small model costs what it costs to call PyTorch's operations, whatever they work on; a
stack of models makes one call where each would have made its own. Each training stays whole: its
weights and its optimizer's state become views of the stack's, so that all that looks at a model,
saves it or goes on with it alone need know nothing of it.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from seqexp.data import Batch
from seqexp.spec import Carry, HasPenalty, is_scored, scores_targets
from seqexp.trainer.losses import Losses
from seqexp.trainer.score import Score
from seqexp.trainer.training import Training, Updates, Work

Result = tuple[Updates, Carry]
"""What came of an update: its sums, and the state after its first part."""


class JointUpdates:
    """Does the updates of several trainings, as many as can be as one.

    What cannot is left undone, and is what each training then does by itself: the first update,
    which makes the optimizer's state; batches of another shape than most have; updates without a
    target; and all of a step in which one has no finite loss, so that it alone stops. Nothing is
    done of models that `torch.func.vmap` has no rule for; `refused` says why.
    """

    def __init__(self) -> None:
        self.stack: Stack | None = None
        self.done = self.left = 0  # updates
        self.refused = ""

    def do(self, works: Sequence[Work]) -> list[Result | None]:
        """Do what can be done together of the next update of each of some trainings.

        Returns what came of each; None where it is left undone.
        """
        if any(part.context is not None for work in works for part in work.parts[:1]):
            self.refused = "sequences with a context have states of different sizes"
        if any(scores_targets(work.training.model) for work in works):
            self.refused = "each model scores other outputs in training"
        alike: dict[Any, list[int]] = defaultdict(list)
        for index, work in enumerate(works):
            if work.training.step > 0:
                alike[_shape(work)].append(index)
        most = max(alike.values(), key=len, default=[])
        results: list[Result | None] = [None] * len(works)
        done: Sequence[Result] = ()
        if len(most) > 1 and not self.refused:
            done = self._update([works[index] for index in most])
            for index, result in zip(most, done, strict=bool(done)):
                results[index] = result
        self.done, self.left = self.done + len(done), self.left + len(works) - len(done)
        if not done:  # those of the stack go on alone
            self._part()
        return results

    def _update(self, works: Sequence[Work]) -> Sequence[Result]:
        """What came of each; nothing where none of them was done."""
        stack = self._stack_of(works)
        try:
            return stack.update(works)
        except DisagreeError:
            return ()
        except RuntimeError as error:
            if self.done:  # it is not for want of a rule
                raise
            self.refused = str(error).partition("\n")[0]
            return ()

    def _stack_of(self, works: Sequence[Work]) -> "Stack":
        trainings = [work.training for work in works]
        if self.stack is None or not self.stack.fits(trainings):
            self._part()
            self.stack = Stack(trainings)
        return self.stack

    def _part(self) -> None:
        if self.stack is not None:
            self.stack.part()
        self.stack = None


class Stack:
    """Trainings of one kind, their weights and their optimizers' states side by side.

    Args:
        trainings: that have taken a step.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = list(trainings)
        self.objective = _Objective(trainings[0])
        self.weights: dict[str, nn.Parameter] = {}
        for columns in zip(*(t.model.named_parameters() for t in trainings), strict=True):
            name, first = columns[0]
            stacked = _side_by_side([parameter for _, parameter in columns])
            self.weights[name] = nn.Parameter(stacked, requires_grad=first.requires_grad)
        self.shared: list[Tensor] = []
        self.optimizers = list(self._optimizers())

    def fits(self, trainings: Sequence[Training]) -> bool:
        """Whether these are the trainings, and are still to be stepped as they were."""
        if [id(training) for training in trainings] != [id(ours) for ours in self.trainings]:
            return False
        rules = [_rule(training) for training in trainings]
        return all(rule == rules[rows.start] for rows, _ in self.optimizers for rule in rules[rows])

    def part(self) -> None:
        """Give each training a step count of its own again, so that it can go on alone."""
        for tensor in self.shared:
            tensor.data = tensor.data.clone()

    def _optimizers(self) -> Any:
        """One for each run of trainings that are stepped alike, on its part of the stacks."""
        rules = [_rule(training) for training in self.trainings]
        start = 0
        for stop in range(1, len(rules) + 1):
            if stop < len(rules) and rules[stop] == rules[start]:
                continue
            yield slice(start, stop), self._optimizer(self.trainings[start:stop], start, stop)
            start = stop

    def _optimizer(self, trainings: Sequence[Training], start: int, stop: int) -> Optimizer:
        weights = self.weights.values()
        parts = [nn.Parameter(w.data[start:stop], requires_grad=w.requires_grad) for w in weights]
        optimizer = copy.copy(trainings[0].optimizer)  # its settings; no state of its own
        optimizer.param_groups = [{**trainings[0].optimizer.param_groups[0], "params": parts}]
        optimizer.state = defaultdict(dict)
        by_place = zip(*(training.model.parameters() for training in trainings), strict=True)
        for part, parameters in zip(parts, by_place, strict=True):
            states = [
                t.optimizer.state.get(p, {}) for t, p in zip(trainings, parameters, strict=True)
            ]
            for key in states[0]:
                column = [state[key] for state in states]
                optimizer.state[part][key] = self._stacked(column, parameters[0])
        return optimizer

    def _stacked(self, values: Sequence[Any], weight: Tensor) -> Any:
        """Moments side by side; a count of steps, the same for all, once."""
        if not isinstance(values[0], Tensor):
            return values[0]
        if values[0].shape == weight.shape:
            return _side_by_side(values)
        for value in values:
            value.data = values[0].data
        self.shared += values
        return values[0]

    # --- one update -----------------------------------------------------------------------------

    def update(self, works: Sequence[Work]) -> Sequence[Result]:
        """One step of each; of none, if one's loss or gradient is not finite."""
        nats, extras, scored, kept = self._backward(works)
        gradients = [w.grad for w in self.weights.values() if w.grad is not None]
        norms = _norms(gradients)
        # one transfer for all that is needed from the device
        columns = torch.stack([nats.double(), norms.double(), scored.double()], dim=1)
        rows = torch.cat([columns, extras.double()], dim=1).tolist()
        if any(not math.isfinite(row[0] + row[1]) or row[2] == 0 for row in rows):
            return ()
        after, clipped = _clip(gradients, norms, works)
        self._step()
        results = []
        for index, (work, row) in enumerate(zip(works, rows, strict=True)):
            work.training.step_schedule()
            work.training.step += 1
            score = Score(row[0], int(row[2]), tuple(row[3:]))
            updates = Updates(
                score,
                count=1,
                norms=row[1],
                clipped_norms=after[index],
                norm_max=row[1],
                clipped=int(clipped[index]),
            )
            results.append((updates, tuple(tensor[index] for tensor in kept)))
        return results

    def _backward(self, works: Sequence[Work]) -> tuple[Tensor, Tensor, Tensor, Carry]:
        """Losses in nats, the kind's other sums, scored targets, the states after the first
        part.
        """
        columns = list(zip(*(work.parts for work in works), strict=True))
        parts = tuple(
            (_stack([part.tokens for part in column]), _stack([part.targets for part in column]))
            for column in columns
        )
        self.objective.per_position = columns[0][0].per_position
        carries = [work.carry or () for work in works]
        carry = tuple(_stack(column) for column in zip(*carries, strict=True))
        scales = next(iter(self.weights.values())).new_tensor([work.scale for work in works])
        for weight in self.weights.values():
            weight.grad = None
        named = {f"losses.model.{name}": weight for name, weight in self.weights.items()}
        loss, nats, extras, kept = vmap(self._loss)(named, parts, carry, scales)
        torch.autograd.backward(loss.sum())
        scored = torch.stack([is_scored(targets).flatten(1).sum(1) for _, targets in parts]).sum(0)
        return nats.detach(), extras, scored, kept

    def _loss(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Carry]:
        weights, *rest = arguments
        found: tuple[Tensor, Tensor, Tensor, Carry]
        with _AsEachAlone():
            found = functional_call(self.objective, weights, tuple(rest))
        return found

    def _step(self) -> None:
        for rows, optimizer in self.optimizers:
            group = optimizer.param_groups[0]
            given = self.trainings[rows.start].optimizer.param_groups[0]
            group.update({key: value for key, value in given.items() if key != "params"})
            for part, weight in zip(group["params"], self.weights.values(), strict=True):
                part.grad = None if weight.grad is None else weight.grad[rows]
            optimizer.step()


class _Objective(nn.Module):
    """What one update of a model makes smaller, as a function of its weights."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        bf16 = training.settings.precision == "bf16"
        self.losses = Losses(training.model, training.task, training.device, bf16)
        self.per_position: bool | None = None

    def forward(
        self, parts: Sequence[tuple[Tensor, Tensor]], carry: Carry, scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Carry]:
        batches = [Batch(*part, per_position=self.per_position) for part in parts]
        nats, extras, kept = self.losses(batches, carry or None, 0)
        loss = nats / scale
        if isinstance(self.losses.model, HasPenalty):
            loss = loss + self.losses.model.penalty()
        return loss, nats, extras, kept


class DisagreeError(RuntimeError):
    """The models of a stack would compute differently, as one has padding and another has not."""


class _AsEachAlone(TorchFunctionMode):
    """What vmap leaves out: conditions, and embeddings whose padding learns nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is Tensor.__bool__:
            return _agreed(args[0])
        if func is functional.embedding and given.get("padding_idx") is not None:
            is_padding = args[0] == given.pop("padding_idx")
            vectors = func(*args, **given)
            return torch.where(is_padding[..., None], vectors.detach(), vectors)
        # a function of ours may have another one for vmap
        return getattr(func, "for_stacks", func)(*args, **given)


@dataclass
class _Seen:
    """A condition's values in the models of a stack."""

    values: list[bool] = field(default_factory=list)


class _Look(torch.autograd.Function):
    """Notes a condition's values."""

    @staticmethod
    def forward(condition: Tensor, seen: _Seen) -> Tensor:
        seen.values.append(bool(condition))
        return condition.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None: ...

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], condition: Tensor, seen: _Seen) -> Any:
        seen.values += condition.bool().tolist()
        return condition.clone(), in_dims[0]


def _agreed(condition: Tensor) -> bool:
    """What a condition is in all models of a stack."""
    seen = _Seen()
    _Look.apply(condition, seen)  # type: ignore[no-untyped-call]
    if len(set(seen.values)) != 1:
        raise DisagreeError("a condition does not hold in all models alike")
    return seen.values[0]


# --- parts of it --------------------------------------------------------------------------------


def _shape(work: Work) -> Any:
    """What has to be the same for works that are done as one."""
    parts = tuple(part.tokens.shape + part.targets.shape for part in work.parts)
    carry = None if work.carry is None else tuple(tensor.shape for tensor in work.carry)
    return work.training.kind, work.training.settings.precision, parts, carry


def _rule(training: Training) -> Any:
    """What has to be the same for weights that one optimizer steps."""
    group = training.optimizer.param_groups[0]
    values = {key: value for key, value in group.items() if key not in ("params", "initial_lr")}
    return type(training.optimizer), training.step, values


def _side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """A stack; the tensors become views of it."""
    stacked = _stack([tensor.detach() for tensor in tensors])
    for tensor, view in zip(tensors, stacked.unbind(), strict=True):
        tensor.data = view
    return stacked


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(tensors))  # (replicas, ...)


def _norms(gradients: Sequence[Tensor]) -> Tensor:
    """The L2 norm of each replica's whole gradient: (replicas,)."""
    by_weight = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    norms: Tensor = torch.linalg.vector_norm(torch.stack(by_weight), dim=0)
    return norms


def _clip(
    gradients: Sequence[Tensor], norms: Tensor, works: Sequence[Work]
) -> tuple[list[float], list[bool]]:
    """As the loop does for one: by value and then by norm; norms after it, and what was changed."""
    settings = [work.training.settings for work in works]
    clipped = torch.zeros_like(norms, dtype=torch.bool)
    if any(setting.clip_value is not None for setting in settings):
        limits = _limits([setting.clip_value for setting in settings], norms)
        largest = torch.stack([g.abs().flatten(1).amax(dim=1) for g in gradients]).amax(dim=0)
        clipped = largest > limits
        for gradient in gradients:
            limit = _as_wide(limits, gradient)
            gradient.copy_(gradient.clamp(-limit, limit))
        norms = _norms(gradients)
    if any(setting.clip_norm is not None for setting in settings):
        limits = _limits([setting.clip_norm for setting in settings], norms)
        is_long = norms > limits
        factors = torch.where(is_long, limits / norms, 1)
        for gradient in gradients:
            gradient.mul_(_as_wide(factors, gradient))
        clipped, norms = clipped | is_long, torch.where(is_long, limits, norms)
    return norms.tolist(), clipped.tolist()


def _limits(values: Sequence[float | None], like: Tensor) -> Tensor:
    return like.new_tensor([math.inf if value is None else value for value in values])


def _as_wide(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.dim() - 1))  # (replicas, 1, ...)
