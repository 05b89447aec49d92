"""A loss of a user's own: what it is given, what is done with it, and what it gets wrong."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from kinds import data_of
from torch import Tensor
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.spec import Output, is_scored
from seqexp.task import kinds
from seqexp.task.own_loss import with_loss

KINDS = [kind for kind in Output if kind is not Output.READ_ERRORS]


def cross_entropy(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    nats = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view_as(targets)


def of_labels(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    wanted = targets.to(outputs.dtype)
    return functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")


def of_numbers(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return 0.5 * (outputs - targets).square() + 0.5 * torch.log(torch.tensor(2 * torch.pi))


def same_as(kind: Output) -> Callable[..., Tensor]:
    """The kind's own loss, written as a user would."""
    return {Output.MULTI_LABEL: of_labels, Output.REGRESSION: of_numbers}.get(kind, cross_entropy)


@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_loss_written_by_a_user_is_the_kinds_loss(kind: Output, weights: str) -> None:
    if weights != "none" and not kinds.KINDS[kind].weighs_classes:
        pytest.skip("has no classes to weigh")
    data = data_of(kind, class_weights=weights)
    task = kinds.of(data.spec)
    own = with_loss(task, same_as(kind), "my_lab.same")
    batch = next(data.train.batches(24))
    positions = batch.targets.shape[1] if kind.per_position else 1
    logits = torch.randn(24, positions, data.spec.num_outputs, requires_grad=True)
    costs = [one.nats(logits, batch.targets) for one in (task, own)]
    torch.testing.assert_close(*costs)
    torch.testing.assert_close(*(torch.autograd.grad(cost, logits)[0] for cost in costs))
    assert (
        own.means(1.0, 2, task.extras(logits, batch.targets).double().tolist())["loss_nats"] == 0.5
    )


def test_one_output_for_two_classes_is_seen_as_two_logits() -> None:
    spec = data_of(Output.SEQUENCE_CLASS).spec
    seen = []

    def loss(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        seen.append(outputs)
        return cross_entropy(outputs, targets, mask)

    logits, targets = torch.randn(5, 1, 1), torch.tensor([[0], [1], [1], [0], [-100]])
    task = kinds.of(spec)
    found = with_loss(task, loss, "x").nats(logits, targets)
    torch.testing.assert_close(found, task.nats(logits, targets))
    assert seen[0].shape == (5, 1, 2) and not seen[0][..., 0].any()


def test_what_is_not_scored_costs_nothing_and_has_no_gradient() -> None:
    """Not even where the loss of it would be inf."""
    data = data_of(Output.REGRESSION)
    known = data.train.targets
    logits = torch.ones(len(known), 1, known.shape[1], requires_grad=True)

    def loss(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        assert mask.equal(is_scored(known)) and not targets.isnan().any()
        return torch.where(mask, outputs.square(), torch.inf)

    with_loss(kinds.of(data.spec), loss, "x").nats(logits, known).backward()
    assert logits.grad is not None
    assert logits.grad[:, 0].ne(0).equal(is_scored(known))


def failing(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    raise KeyError("no such class")


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (failing, r"raises KeyError: 'no such class' \(.*test_own_loss.py, line \d+\)"),
        (
            lambda outputs, targets, mask: outputs.sum(),
            r"returns a tensor of shape \(\); give one of shape \(24, 1\)",
        ),
        (lambda outputs, targets, mask: 1.0, "returns a float, no tensor"),
        (lambda outputs, targets, mask: targets, "returns torch.int64; give floating-point"),
        (
            lambda outputs, targets, mask: outputs.detach()[..., 0],
            "returns what does not depend on the outputs",
        ),
        (
            lambda outputs, targets, mask: outputs[..., 0] / 0.0,
            "is nan or inf of outputs that are finite",
        ),
    ],
)
def test_what_is_wrong_with_a_loss_is_said_with_its_name(loss: Any, said: str) -> None:
    data = data_of(Output.SEQUENCE_CLASS)
    logits = torch.randn(24, 1, data.spec.num_outputs, requires_grad=True)
    with pytest.raises(InputError, match=r"^task.loss \(my_lab.own\) " + said):
        with_loss(kinds.of(data.spec), loss, "my_lab.own").nats(logits, data.train.targets)


def test_outputs_that_are_not_finite_are_no_fault_of_the_loss() -> None:
    """The loop says where they come from."""
    data = data_of(Output.SEQUENCE_CLASS)
    logits = torch.full((24, 1, data.spec.num_outputs), torch.nan)
    task = with_loss(kinds.of(data.spec), cross_entropy, "x")
    assert task.nats(logits, data.train.targets).isnan()


def test_a_stack_of_models_computes_the_loss_of_each() -> None:
    data = data_of(Output.SEQUENCE_CLASS)
    task = with_loss(kinds.of(data.spec), cross_entropy, "x")
    logits = torch.randn(3, 24, 1, data.spec.num_outputs)
    with pytest.raises(RuntimeError, match="data-dependent"):  # as a stack says that it cannot
        torch.func.vmap(lambda one: task.nats(one, data.train.targets))(logits)
