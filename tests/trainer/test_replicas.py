"""Trainings whose updates are done as one: each is what it would be by itself."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from together import Pair, as_one, told, weights
from torch import Tensor

from seqexp.dataset.motif import Motif
from seqexp.errors import NonFiniteError
from seqexp.kernels.recurrence_cpp import built
from seqexp.model.cnn1d import CNN1D
from seqexp.model.convolution import Convolution
from seqexp.model.rnn import RNN
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.optimizer.schedule import constant, inverse_time
from seqexp.seeding import stream_seed
from seqexp.task.kinds import of
from seqexp.trainer.layers import freeze
from seqexp.trainer.lockstep import Replica, train_in_lockstep
from seqexp.trainer.loop import fit
from seqexp.trainer.replicas import JointUpdates
from seqexp.trainer.settings import Settings
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training, Update

CPU = torch.device("cpu")

TOLERANCE = 1e-12
"""Of float64 sums whose order differs, after some dozen updates."""


def made(seed: int, settings: Settings, num_train: int = 60, **choices: Any) -> Pair:
    """A training with data, initial weights and an order of its own."""
    optimizer_class = choices.pop("optimizer", torch.optim.Adam)
    given = {key: choices.pop(key) for key in ("lr", "momentum", "weight_decay") if key in choices}
    scheduled = choices.pop("schedule", constant)
    build = choices.pop("model", CNN1D)
    if build is CNN1D:
        choices = {"num_filters": 2, "filter_width": 19, **choices}
    data = Motif(num_train=num_train, num_valid=20, num_test=20, seed=seed).load()
    torch.manual_seed(stream_seed(seed, "initial weights"))
    model = build(data.spec, **choices).double()
    optimizer = optimizer_class(model.parameters(), **given)
    return (
        Training(
            model,
            optimizer,
            scheduled(optimizer),
            settings,
            seed,
            CPU,
            of(data.spec),
            kind=repr(choices),
        ),
        data,
    )


def assert_equal_to_separate(make: Callable[[], list[Pair]], num_left: int) -> None:
    """`num_left` updates are done by one training alone, the others as one."""
    separate, stacked = make(), make()
    expected = [list(fit(*pair)) for pair in separate]
    found, _, together = as_one(stacked)
    for before, after in zip(expected, found, strict=True):
        assert told(after) == pytest.approx(told(before), rel=1e-9, abs=1e-11)
        assert [(r.kind, r.step, r.is_best) for r in after] == [
            (r.kind, r.step, r.is_best) for r in before
        ]
    for (one, _), (other, _) in zip(separate, stacked, strict=True):
        torch.testing.assert_close(weights(other), weights(one), rtol=0, atol=TOLERANCE)
        assert not torch.equal(weights(one), weights(separate[0][0])) or one is separate[0][0]
    assert together.left == num_left
    assert together.done + together.left == sum(training.step for training, _ in stacked)


SGD = {"optimizer": torch.optim.SGD, "lr": 0.05}
GRU = {
    "cell": "gru",
    "num_layers": 2,
    "hidden_size": 4,
    "bidirectional": True,
    "kernel": "compiled",
}

CONVOLVED = {"hidden_size": 5, "convolution": Convolution(4, 5, padding="causal")}

NEEDS_COMPILER = pytest.mark.skipif(
    built("gru", "double").binary is None, reason=built("gru", "double").reason
)


@pytest.mark.parametrize(
    "choices",
    [
        {"lr": 0.01},
        {"lr": 0.01, "strands": "both", "positive_readout": True, "filter_l1": 3e-3},
        {"lr": 0.01, "readout": "mean", "hidden_layers": [4]},
        {"lr": 0.01, "readout": "last", "padding": "causal"},
        {**SGD, "readout": "flatten", "filter_width": 17, "padding": "valid"},
        {**SGD, "momentum": 0.9, "weight_decay": 0.01},
        {"lr": 0.01, "num_layers": 2, "readout": "flatten", "filter_width": 5},
        {"lr": 0.01, "num_layers": 2, "readout": "last", "padding": "causal", "filter_width": 5},
        {"lr": 0.01, "embedding_size": 3, "optimizer": torch.optim.AdamW},
        {"lr": 0.01, "schedule": lambda optimizer: inverse_time(optimizer, decay=0.1)},
        *({"lr": 0.01, "optimizer": getattr(torch.optim, name)} for name in ("RMSprop", "NAdam")),
        *({"lr": 0.01, "optimizer": getattr(torch.optim, name)} for name in ("Adagrad", "Adamax")),
        {"optimizer": torch.optim.Adadelta},
        pytest.param({"lr": 0.01, "model": RNN, "hidden_size": 5}, marks=NEEDS_COMPILER),
        pytest.param({"lr": 0.01, "model": StackedRNN, **GRU}, marks=NEEDS_COMPILER),
        pytest.param({"lr": 0.01, "model": RNN, **CONVOLVED}, marks=NEEDS_COMPILER),
    ],
)
def test_each_of_a_stack_is_what_it_is_by_itself(choices: dict[str, Any]) -> None:
    settings = Settings(epochs=2, batch_size=16, log_every_steps=3)
    # the first update of each makes its optimizer's state
    assert_equal_to_separate(lambda: [made(seed, settings, **choices) for seed in range(3)], 3)


@pytest.mark.parametrize("limits", [{"clip_norm": 0.05}, {"clip_value": 0.02, "clip_norm": 0.05}])
def test_each_gradient_is_clipped_by_itself(limits: dict[str, float]) -> None:
    free, clipped = Settings(epochs=2), Settings(epochs=2, **limits)
    assert_equal_to_separate(
        lambda: [made(seed, free if seed == 1 else clipped, lr=0.01) for seed in range(3)], 3
    )
    _, _, together = as_one([made(0, free, lr=0.01), made(0, clipped, lr=0.01)])
    assert together.done > 0


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_each_has_its_own_average_and_what_is_frozen_stays(kind: Any) -> None:
    settings = Settings(epochs=2, batch_size=16, average=kind)

    def make() -> list[Pair]:
        pairs = [made(seed, settings, lr=0.01) for seed in range(3)]
        for training, _ in pairs:
            freeze(training.model, ["conv.bias"])  # type: ignore[arg-type]
        return pairs

    def bias(pair: Pair) -> Tensor:
        return pair[0].model.state_dict()["conv.bias"].clone()

    before = bias(make()[0])
    assert_equal_to_separate(make, 3)
    stacked = make()
    as_one(stacked)
    assert torch.equal(bias(stacked[0]), before)


def test_learning_rates_and_schedules_may_differ() -> None:
    def decaying(optimizer: torch.optim.Optimizer) -> Any:
        return inverse_time(optimizer, decay=0.3)

    def make() -> list[Pair]:
        settings = Settings(epochs=2)
        rates = [(0.1, constant), (0.01, constant), (0.01, decaying), (0.01, decaying)]
        return [made(seed, settings, lr=lr, schedule=s) for seed, (lr, s) in enumerate(rates)]

    assert_equal_to_separate(make, 4)


def test_one_that_stops_early_leaves_the_others_going() -> None:
    def make() -> list[Pair]:
        late, early = Settings(epochs=5), Settings(epochs=5, patience=1, min_delta=10.0)
        return [made(seed, early if seed == 1 else late, lr=0.01) for seed in range(3)]

    assert_equal_to_separate(make, 3)
    pairs = make()
    as_one(pairs)
    assert [training.epoch for training, _ in pairs] == [5, 2, 5]


def test_data_of_another_length_are_trained_too() -> None:
    def make() -> list[Pair]:
        settings = Settings(epochs=2)
        return [made(seed, settings, 60 if seed else 50, lr=0.01) for seed in range(3)]

    # 100 and 120 sequences: the last batches of an epoch have 4 and 24
    assert_equal_to_separate(make, 3 + 2)


def test_a_model_that_diverges_stops_alone_and_changes_no_other() -> None:
    explode = {"activation": "linear", "optimizer": torch.optim.SGD, "momentum": 0.99}

    def make(rates: Sequence[float]) -> list[Pair]:
        settings = Settings(epochs=8, batch_size=8)
        return [made(seed, settings, lr=lr, **explode) for seed, lr in enumerate(rates)]

    pairs = make([0.001, 1e6, 0.001])
    _, errors, together = as_one(pairs)
    assert errors[0] is None and errors[2] is None
    assert isinstance(errors[1], NonFiniteError) and "the step was not taken" in str(errors[1])
    assert math.isfinite(weights(pairs[1][0]).sum())
    assert together.done > 100 and 0 < pairs[1][0].step < pairs[0][0].step
    expected = make([0.001, 1e6, 0.001])
    for index in (0, 2):
        list(fit(*expected[index]))
        torch.testing.assert_close(
            weights(pairs[index][0]), weights(expected[index][0]), rtol=0, atol=TOLERANCE
        )


def test_a_model_without_a_rule_for_stacks_is_trained_alone() -> None:
    class Measuring(CNN1D):
        def forward(self, tokens: Tensor, carry: Any = None) -> Any:
            logits, carry = super().forward(tokens, carry)
            return logits * float(logits.detach().abs().max()), carry

    def make() -> list[Pair]:
        pairs = [made(seed, Settings(epochs=1), lr=0.01) for seed in range(2)]
        for training, _ in pairs:
            training.model.__class__ = Measuring
        return pairs

    pairs = make()
    _, errors, together = as_one(pairs)
    assert errors == [None, None]
    assert together.done == 0 and ".item()" in together.refused
    (one, data), *_ = make()
    list(fit(one, data))
    assert torch.equal(weights(one), weights(pairs[0][0]))


def test_the_state_of_each_is_an_ordinary_one_that_goes_on_alone() -> None:
    settings = Settings(epochs=2)
    pairs = [made(seed, settings, lr=0.01) for seed in range(2)]

    def state_after_five(pair: Pair, update: Update) -> Any:
        reports = fit(*pair, update)
        while pair[0].step < 5:
            next(reports)
        return copy.deepcopy(state_of(pair[0]))  # it shares memory

    joint = JointUpdates()
    replicas = [Replica(partial(state_after_five, pair)) for pair in pairs]
    train_in_lockstep(replicas, joint)
    assert (joint.done, joint.left) == (8, 2)
    states = [replica.outcome for replica in replicas]
    assert [int(state["optimizer"]["state"][0]["step"]) for state in states] == [5, 5]
    for seed, state in enumerate(states):
        training, data = made(seed, settings, lr=0.01)
        restore(training, state)
        list(fit(training, data))
        expected, _ = made(seed, settings, lr=0.01)
        list(fit(expected, data))
        torch.testing.assert_close(weights(training), weights(expected), rtol=0, atol=TOLERANCE)


def test_models_without_a_rule_for_stacks_are_trained_one_by_one() -> None:
    def make() -> list[Pair]:
        python = {"model": RNN, "hidden_size": 5, "kernel": "python", "lr": 0.01}
        return [made(seed, Settings(epochs=1), **python) for seed in range(2)]

    separate, stacked = make(), make()
    for pair in separate:
        list(fit(*pair))
    _, errors, together = as_one(stacked)
    assert errors == [None, None] and together.done == 0 and "vmap" in together.refused
    for (one, _), (other, _) in zip(separate, stacked, strict=True):
        assert torch.equal(weights(one), weights(other))
