"""A state that was saved: of a training like this one, or refused before any of it is loaded."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import Tensor, optim
from torch.optim import lr_scheduler

from seqexp.build import step_lazily
from seqexp.checkpoint.encode import decode, encode, same
from seqexp.data import Data, Sequences
from seqexp.model.lstm import LSTM
from seqexp.optimizer.lazy_adam import LazyAdam
from seqexp.optimizer.schedule import constant, cosine, inverse_time, plateau
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.sound import UnsoundError
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "adam": lambda p: optim.Adam(p, fused=True),
    "adam, amsgrad": lambda p: optim.Adam(p, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, fused=True),
    "sgd": lambda p: optim.SGD(p, fused=True),
    "sgd, momentum": lambda p: optim.SGD(p, momentum=0.9, fused=True),
    "rmsprop": lambda p: optim.RMSprop(p),
    "rmsprop, centered": lambda p: optim.RMSprop(p, centered=True, momentum=0.5),
    "adagrad": lambda p: optim.Adagrad(p, fused=True),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p),
    "nadam": lambda p: optim.NAdam(p),
    "radam": lambda p: optim.RAdam(p),
    "asgd": lambda p: optim.ASGD(p),
    "rprop": lambda p: optim.Rprop(p),
    "lazy-adam": lambda p: LazyAdam(p),
    "lazy-adam, no catching up": lambda p: LazyAdam(p, catch_up=False),
}

SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "constant": constant,
    "cosine": lambda o: cosine(o, 20, 0.2),
    "inverse-time": lambda o: inverse_time(o, 0.1),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 3]),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.1, 50),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 2),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
    "plateau": lambda o: plateau(o, higher_is_better=False, patience=0, min_delta=1.0),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
}


def stream(spec: TaskSpec) -> Data:
    """A text as 3 rows of 12 tokens: 3 windows of 4 in each of 2 batches."""
    tokens = torch.randint(1, 5, (3, 13), generator=torch.Generator().manual_seed(0))
    rows = Sequences(tokens[:, :-1], tokens[:, 1:], is_stream=True)
    return Data(spec, rows, rows, rows)


@pytest.fixture
def data(next_token_spec: TaskSpec) -> Data:
    """What all are trained on."""
    return stream(next_token_spec)


def training(
    data: Data, optimizer: str = "adam", schedule: str = "constant", **settings: Any
) -> Training:
    torch.manual_seed(0)
    model = LSTM(data.spec, embedding_size=3, hidden_size=5)
    made = OPTIMIZERS[optimizer](list(model.parameters()))
    if isinstance(made, LazyAdam):
        step_lazily(made, model, Processes())
    given: dict[str, Any] = {"epochs": 3, "batch_size": 2, "bptt": BPTT(4, 6), **settings}
    scheduler = SCHEDULES[schedule](made)
    cpu = torch.device("cpu")
    return Training(
        model, made, scheduler, Settings(**given), 0, cpu, of(data.spec), extent=(2, 12)
    )


def saved(of: Training, data: Data, reports: int) -> dict[str, Any]:
    """Its state after so many reports: 7 are an epoch; as a checkpoint gives it back."""
    if reports:
        for number, _ in enumerate(fit(of, data), start=1):
            if number == reports:
                break
    state: dict[str, Any] = decode(*encode(state_of(of)))
    return state


def loaded(state: Any, data: Data, *names: str, **settings: Any) -> Training:
    fresh = training(data, *names, **settings)
    restore(fresh, state)
    return fresh


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_sound_state_of_each_optimizer_is_loaded(data: Data, optimizer: str) -> None:
    for reports in (0, 8):
        state = saved(training(data, optimizer), data, reports)
        assert same(state_of(loaded(state, data, optimizer)), state)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_sound_state_of_each_schedule_is_loaded(data: Data, schedule: str) -> None:
    name = "sgd, momentum" if schedule == "CyclicLR" else "adam"
    for reports in (0, 5, 9):
        state = saved(training(data, name, schedule), data, reports)
        found = loaded(state, data, name, schedule)
        assert found.step == state["progress"]["step"]


def leaves(state: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all tensors."""
    if isinstance(state, Tensor):
        return [path]
    items = state.items() if isinstance(state, dict) else ()
    items = enumerate(state) if isinstance(state, list | tuple) else items
    return [found for key, item in items for found in leaves(item, (*path, key))]


def changed(state: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The state with another value at a path."""
    if not path:
        return value(state) if callable(value) else value
    key, *rest = path
    if isinstance(state, list | tuple):
        items = [changed(v, tuple(rest), value) if i == key else v for i, v in enumerate(state)]
        return type(state)(items)
    return {**state, key: changed(state.get(key), tuple(rest), value)}


OTHERS: list[Callable[[Tensor], Any]] = [
    lambda t: torch.cat([t.flatten(), t.flatten(), t.flatten()[:1]]),
    lambda t: t.flatten()[:-1].clone(),
    lambda t: t.to(torch.float16),
    lambda t: None,
    lambda t: t.bool(),
    lambda t: 1e300,
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_tensor_of_another_shape_or_type_is_refused_before_anything_is_loaded(
    data: Data, optimizer: str
) -> None:
    state = saved(training(data, optimizer), data, 5)
    paths = [p for p in leaves(state) if p[0] == "optimizer" or optimizer == "adam"]
    assert paths or optimizer == "sgd"
    fresh = training(data, optimizer)
    before = copy.deepcopy(state_of(fresh))
    for number, path in enumerate(paths):
        for other in OTHERS if optimizer == "adam" else [OTHERS[number % len(OTHERS)]]:
            with pytest.raises(UnsoundError, match="expected is") as caught:
                restore(fresh, changed(state, path, other))
            assert str(path[-1]) in str(caught.value) or str(path[-2]) in str(caught.value)
    assert same(state_of(fresh), before)


@pytest.fixture(scope="module")
def fifth() -> dict[str, Any]:
    """The state of an Adam's training after its fifth update, within a batch."""
    spec = TaskSpec(Vocabulary(tuple("ACGT")), 5, Output.NEXT_TOKEN, ("padding", *"ACGT"))
    state = saved(training(stream(spec)), stream(spec), 5)
    assert state["progress"]["step"] == 5 and state["place"]["carry"][0] is not None
    return state


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("progress", "epoch"), -1),
        (("progress", "epoch"), 4),
        (("progress", "epoch"), 1.0),
        (("progress", "epoch"), True),
        (("progress", "step"), -3),
        (("progress", "step"), 2**70),
        (("progress", "step"), 7),
        (("progress", "seconds"), math.nan),
        (("progress", "seconds"), -1.0),
        (("progress", "best_epoch"), 2),
        (("progress", "best_value"), "low"),
        (("progress", "best_metrics"), {"a": []}),
        (("progress", "best_weights"), {"other": torch.ones(1)}),
        (("progress",), {}),
        (("place", "batch"), 3),
        (("place", "batch"), -1),
        (("place", "token"), 13),
        (("place", "start"), 9),
        (("place", "carry"), []),
        (("place", "carry", 0), (torch.zeros(2, 5),)),
        (("place", "carry", 0), (torch.zeros(2, 6), torch.zeros(2, 6))),
        (("place", "carry", 0), (torch.zeros(3, 5), torch.zeros(3, 5))),
        (("place", "carry", 0), (torch.zeros(2, 5), torch.zeros(1, 5))),
        (("place", "carry", 0), (torch.zeros(2, 5), torch.full((2, 5), math.nan))),
        (("place", "total", "count"), -1),
        (("place", "recent", "score", "nats"), math.inf),
        (("place", "more"), 1),
        (("generators",), {}),
        (("generators", "cpu"), lambda t: torch.full_like(t, 255)),
        (("scheduler", "step"), 1),
        (("scheduler", "optimizer"), 1),
        (("scheduler", "base_lrs"), [0.1, 0.1]),
        (("scheduler", "base_lrs"), [math.inf]),
        (("scheduler", "last_epoch"), 10**12),
        (("scheduler", "last_epoch"), -5),
        (("optimizer", "param_groups"), []),
        (("optimizer", "param_groups", 0, "params"), [0]),
        (("optimizer", "param_groups", 0, "lr"), math.nan),
        (("optimizer", "param_groups", 0, "lr"), -1.0),
        (("optimizer", "param_groups", 0, "betas"), (0.9, 2.0)),
        (("optimizer", "param_groups", 0, "betas"), (0.9,)),
        (("optimizer", "param_groups", 0, "fused"), False),
        (("optimizer", "param_groups", 0, "amsgrad"), True),
        (("optimizer", "param_groups", 0, "more"), True),
        (("optimizer", "state"), {}),
        (("optimizer", "state"), []),
        (("optimizer", "state", 99), {}),
        (("optimizer", "state", 0, "more"), torch.zeros(3)),
        (("optimizer", "state", 0), {}),
        (("optimizer", "state", 0, "step"), torch.tensor(1e9)),
        (("optimizer", "state", 0, "step"), torch.tensor(-1.0)),
        (("optimizer", "state", 0, "step"), torch.tensor(math.nan)),
        (("optimizer", "state", 0, "exp_avg"), lambda t: t * math.nan),
        (("optimizer",), []),
        (("model",), {}),
        (("model", "more"), torch.zeros(1)),
        ((), {}),
        ((), []),
    ],
)
def test_what_is_out_of_range_is_refused_by_its_key(
    data: Data, fifth: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    state, fresh = fifth, training(data)
    before = copy.deepcopy(state_of(fresh))
    with pytest.raises(UnsoundError, match="expected is") as caught:
        restore(fresh, changed(state, path, value))
    assert not path or str(path[0]) in str(caught.value)
    assert same(state_of(fresh), before)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_weights_that_are_no_numbers_are_refused_in_words(data: Data, value: float) -> None:
    state = saved(training(data), data, 9)
    for key in ("model", "best_weights"):
        weights = state["model"] if key == "model" else state["progress"][key]
        name = list(weights)[-1]
        path = ("model", name) if key == "model" else ("progress", key, name)
        bad = changed(state, path, lambda t: t.clone().fill_(value))
        with pytest.raises(UnsoundError, match=f"{name} is .*inf or nan.*finite numbers"):
            loaded(bad, data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("last", lambda t: t + 10**9),
        ("last", lambda t: t - 1),
        ("missed", lambda t: t[:1]),
        ("missed", lambda t: torch.zeros(2**20, dtype=torch.float64)),
        ("missed", lambda t: t * math.nan),
        ("settled", 10**6),
        ("settled", -1),
        ("step", 10**6),
        ("step", torch.tensor(3.0)),
        ("compiled", 1),
        ("moved", lambda t: t * math.nan),
    ],
)
def test_rows_of_lazy_adam_stay_within_its_tables(data: Data, key: str, value: Any) -> None:
    state = saved(training(data, "lazy-adam"), data, 10)
    number = next(n for n, s in state["optimizer"]["state"].items() if "missed" in s)
    with pytest.raises(UnsoundError, match=f"optimizer/state/{number}/{key} is"):
        loaded(changed(state, ("optimizer", "state", number, key), value), data, "lazy-adam")


class Own(optim.SGD):
    """An optimizer of somebody's own, whose state comes and whose numbers move as they like."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Remember something now and then."""
        super().step()
        for group in self.param_groups:
            group["dampening"] = group["dampening"] + 0.001
            for parameter in group["params"]:
                state = self.state[parameter]
                state["seen"] = state.get("seen", 0) + 1
                if state["seen"] == 3:
                    state["slow"] = parameter.detach().clone()


def test_an_optimizer_of_ones_own_may_hold_more_of_the_same_shapes(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPTIMIZERS, "own", lambda p: Own(p, momentum=0.5))
    state = saved(training(data, "own"), data, 6)
    assert "slow" in state["optimizer"]["state"][0]
    assert same(state_of(loaded(state, data, "own")), state)
    for value in (torch.zeros(77), torch.zeros(1, 1, 1, 1, 1)):
        with pytest.raises(UnsoundError, match="optimizer/state/0/slow is float32 of shape"):
            loaded(changed(state, ("optimizer", "state", 0, "slow"), value), data, "own")


def test_every_optimizer_that_conf_offers_is_tried() -> None:
    offered = {file.stem for file in (ROOT / "conf" / "optimizer").glob("*.yaml")}
    assert offered <= set(OPTIMIZERS) and len(offered) > 3
