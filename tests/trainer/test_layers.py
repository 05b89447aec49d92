"""Which weights are trained, when, and how fast."""

from typing import Any

import pytest
import torch
from config.test_check import composed
from torch import nn
from trainer.test_loop import CPU, same, weights

from seqexp.build import build_optimizer, step_lazily
from seqexp.config.check import check
from seqexp.data import Data, Sequences
from seqexp.errors import ConfigError, InputError
from seqexp.model.recurrent import RecurrentNetwork
from seqexp.optimizer.schedule import constant
from seqexp.spec import TaskSpec
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.layers import freeze, grouped, layers_of
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import Settings
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

ADAM = {"_target_": "torch.optim.Adam", "lr": 0.01, "fused": True}
LAZY = {"_target_": "seqexp.optimizer.lazy_adam.LazyAdam", "lr": 0.01}


@pytest.fixture
def data(dna_spec: TaskSpec) -> Data:
    tokens = torch.randint(1, 5, (40, 10), generator=torch.Generator().manual_seed(0))
    split = Sequences(tokens, (tokens[:, :1] > 2).long())
    return Data(dna_spec, split, split, split)


def training(
    data: Data, optimizer: Any = None, groups: dict[str, float] | None = None, **settings: Any
) -> Training:
    torch.manual_seed(0)
    model = RecurrentNetwork(data.spec, embedding_size=3, hidden_size=4, bidirectional=True)
    made = Settings(**{"epochs": 3, "test_weights": "last", "batch_size": 8, **settings})
    freeze(model, made.freeze)
    built = build_optimizer(optimizer or ADAM, model, CPU, groups)
    if optimizer is LAZY:
        step_lazily(built, model, Processes())
    return Training(model, built, constant(built), made, 0, CPU, of(data.spec))


def moved(before: dict[str, torch.Tensor], now: dict[str, torch.Tensor]) -> set[str]:
    return {
        name.split(".weight")[0].split(".bias")[0]
        for name in before
        if not torch.equal(before[name], now[name])
    }


def test_layers_are_told_from_the_input_to_the_head(data: Data) -> None:
    model = RecurrentNetwork(data.spec, embedding_size=3, hidden_layers=[2], bidirectional=True)
    names = [name for name, _ in model.named_parameters()]
    first = [{name.split(".")[0] for name in layer} for layer in layers_of(names)]
    assert first == [{"input"}, {"forwards", "backwards"}, {"forwards", "backwards"}, {"head"}]
    assert layers_of(["head.a", "x.0.b", "encoder.input.c", "attention.d"]) == [
        ["encoder.input.c"],
        ["x.0.b"],
        ["attention.d"],
        ["head.a"],
    ]


@pytest.mark.parametrize("optimizer", [ADAM, LAZY, {**ADAM, "weight_decay": 0.1}])
def test_frozen_weights_keep_their_bits_and_all_others_are_trained(
    optimizer: Any, data: Data
) -> None:
    given = training(data, optimizer, freeze=["input", "*.0.weight_h"])
    before = weights(given)
    list(fit(given, data))
    still = {name for name, tensor in before.items() if torch.equal(tensor, weights(given)[name])}
    assert still == {"input.table", "forwards.0.weight_h", "backwards.0.weight_h"}


@pytest.mark.parametrize("optimizer", [ADAM, LAZY])
def test_layers_are_thawed_from_the_head_down(optimizer: Any, data: Data) -> None:
    given = training(data, optimizer, epochs=4, unfreeze_every=1, freeze=["forwards.1.bias"])
    before, seen = weights(given), []
    for report in fit(given, data):
        if report.kind == "epoch":
            now = weights(given)
            seen.append(moved(before, now))
            before = now
    tops = {"forwards.1", "backwards.1"}
    assert seen == [
        {"head.output"},
        {"head.output", *tops},
        {"head.output", *tops, "forwards.0", "backwards.0"},
        {"head.output", *tops, "forwards.0", "backwards.0", "input.table"},
    ]


@pytest.mark.parametrize("optimizer", [ADAM, LAZY])
@pytest.mark.parametrize("stop", [2, 9, 14])
def test_a_resumed_training_thaws_as_one_that_never_stopped(
    optimizer: Any, stop: int, data: Data
) -> None:
    settings: dict[str, Any] = {"groups": {"depth": 0.5, "input": 0.1}, "unfreeze_every": 1}
    whole, cut, resumed = (training(data, optimizer, epochs=4, **settings) for _ in range(3))
    list(fit(whole, data))
    for number, _ in enumerate(fit(cut, data), 1):
        if number == stop:
            break
    restore(resumed, state_of(cut))
    list(fit(resumed, data))
    assert same(weights(whole), weights(resumed))


def test_each_group_is_stepped_at_its_rate(data: Data) -> None:
    """One step of plain SGD: the way of a weight is its gradient times its rate."""
    sgd = {"_target_": "torch.optim.SGD", "lr": 0.5}
    shares = {"depth": 0.5, "input": 0.1, "head.output.bias": 0.0}
    ways = []
    for groups in (None, shares):
        given = training(data, sgd, groups, epochs=1, batch_size=40)
        before = weights(given)
        list(fit(given, data))
        ways.append({name: now - before[name] for name, now in weights(given).items()})
    expected = {"input.table": 0.1, "forwards.0.bias": 0.25, "backwards.1.bias": 0.5}
    expected |= {"head.output.weight": 1.0, "head.output.bias": 0.0}
    for name, share in expected.items():
        torch.testing.assert_close(ways[1][name], ways[0][name] * share, atol=1e-7, rtol=1e-4)


def test_the_highest_rate_is_the_first_groups(data: Data) -> None:
    model = RecurrentNetwork(data.spec, embedding_size=3)
    groups = list(grouped(model, {"input": 1.0, "depth": 0.3}, 0.1))
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.03, 0.009])
    chosen = [id(p) for group in groups for p in group["params"]]  # type: ignore[attr-defined]
    assert sorted(chosen) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (
            ["inptu"],
            "trainer.freeze names 'inptu', which no weight of the model has; did you mean i",
        ),
        (["qq*"], "trainer.freeze names 'qq.', which no weight of the model has; there are input"),
        (["*"], "which freezes every weight"),
    ],
)
def test_names_that_no_weight_has_are_refused(names: list[str], fault: str, data: Data) -> None:
    model: nn.Module = RecurrentNetwork(data.spec, embedding_size=3)
    with pytest.raises(InputError, match=fault):
        freeze(model, names)
    if "qq*" in names:
        with pytest.raises(InputError, match="optimizer.groups names 'haed'.* did you mean head"):
            list(grouped(model, {"haed": 0.1}, 1.0))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["trainer.replicas=2", "optimizer.groups={head: 0.5}"], "optimizer.groups is .*replicas"),
        (["trainer.replicas=2", "trainer.unfreeze_every=1"], "trainer.unfreeze_every is 1, but"),
        (["optimizer.groups={head: 3}"], "a number from 0 to 1 each"),
        (["++optimizer.groups={}"], "optimizer.groups is {}; give shares"),
        (
            ["dataset=text", "model=ngrams", "+model.from_run=3f"],
            "model=ngrams is fitted by a solver",
        ),
        (["dataset=text", "model.from_run=3f", "dataset.vectors=x"], "give one of them"),
    ],
)
def test_what_cannot_go_together_is_refused(given: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check(composed(*given))
