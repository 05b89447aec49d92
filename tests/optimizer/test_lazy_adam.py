"""Adam that steps tables where they are read: its trajectory, and who may look at a table."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.optim import SparseAdam

from seqexp.build import begin, load, parts, step_lazily
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import ConfigError, check
from seqexp.errors import InputError, NonFiniteError
from seqexp.kernels import lazy_adam_rows as rows
from seqexp.kernels.build import Built
from seqexp.model.layers import TokenInput
from seqexp.optimizer.lazy_adam import LazyAdam
from seqexp.spec import PAD, Vocabulary
from seqexp.trainer.distributed import Processes
from seqexp.trainer.loop import fit
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

WORDS = 300


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


class Reader(nn.Module):
    """A table, and something dense after it."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.input = TokenInput(Vocabulary(tuple(f"w{i}" for i in range(WORDS))), 8)
        self.dense = nn.Linear(8, 3)
        self.to(dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """A loss whose gradients are large for some rows and small for others."""
        scores: Tensor = self.dense(self.input(tokens)).tanh()
        return (scores * (tokens[..., None] + 1).sin()).sum()


def batches(count: int) -> Iterator[Tensor]:
    """Rows of Zipf's frequencies, with padding: few rows are read often, most seldom."""
    generator = torch.Generator().manual_seed(1)
    weights = 1 / torch.arange(1, WORDS + 2).double()
    for _ in range(count):
        yield torch.multinomial(weights, 24, replacement=True, generator=generator).view(4, 6)


def trained(model: Reader, optimizer: torch.optim.Optimizer, steps: int) -> None:
    halving = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 ** (step / 200))
    for tokens in batches(steps):
        optimizer.zero_grad()
        model(tokens).backward()
        optimizer.step()
        halving.step()


def lazy(model: Reader, **settings: Any) -> LazyAdam:
    optimizer = LazyAdam(list(model.parameters()), **{"lr": 0.01, **settings})
    step_lazily(optimizer, model, Processes())
    return optimizer


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.fixture(params=["compiled", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to step a table."""
    if request.param == "torch":
        monkeypatch.setattr(rows, "available", no_compiler)
    elif rows.available(torch.empty(1)).binary is None:
        pytest.skip("there is no C++ compiler here")
    return str(request.param)


def no_compiler(table: Tensor) -> Built:
    return Built(None, "there is no C++ compiler")


@pytest.mark.usefixtures("way")
def test_without_eps_the_trajectory_is_that_of_adam() -> None:
    start, dense, ours = (Reader(torch.float64) for _ in range(3))
    # of this eps nothing is left in a sum, but 0 / 0 stays 0
    trained(dense, torch.optim.Adam(dense.parameters(), lr=0.01, eps=1e-30), 600)
    optimizer = lazy(ours, eps=1e-30)
    trained(ours, optimizer, 600)
    assert distance(ours, dense) > 1e-3  # what has not been read for long is behind
    optimizer.settle()
    assert distance(start, dense) > 0.1
    assert distance(ours, dense) < 1e-12


def table_after(make: Callable[..., torch.optim.Optimizer], dtype: torch.dtype) -> Tensor:
    """After 600 steps whose gradients do not depend on the weights."""
    model = Reader(dtype)
    optimizer = make(model, lr=0.001, eps=1e-30)
    for tokens in batches(600):
        optimizer.zero_grad()
        gradient = (tokens[..., None] + torch.arange(8.0)).sin().to(dtype)
        (model.input(tokens) * gradient).sum().backward()
        optimizer.step()
    if isinstance(optimizer, LazyAdam):
        optimizer.settle()
    return model.input.table.detach().double()


@pytest.mark.usefixtures("way")
def test_in_single_precision_it_rounds_less_than_adam_does() -> None:
    def dense(model: Reader, **settings: Any) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), **settings)

    exact = table_after(dense, torch.float64)
    assert (exact - Reader().input.table).abs().max() > 0.3
    ours, theirs = ((table_after(make, torch.float32) - exact).abs() for make in (lazy, dense))
    assert ours.max() < theirs.max() < 1e-5
    assert ours.mean() < theirs.mean()


def test_with_the_usual_eps_the_trajectories_stay_close() -> None:
    dense, ours = Reader(), Reader()
    trained(dense, torch.optim.Adam(dense.parameters(), lr=0.01), 600)
    optimizer = lazy(ours)
    trained(ours, optimizer, 600)
    optimizer.settle()
    assert distance(ours, dense) < 1e-5


def test_rows_are_caught_up_before_they_are_read() -> None:
    dense, ours = Reader(torch.float64), Reader(torch.float64)
    trained(dense, torch.optim.Adam(dense.parameters(), lr=0.01, eps=1e-30), 50)
    trained(ours, lazy(ours, eps=1e-30), 50)
    tokens = torch.arange(WORDS + 1)[None]
    assert not torch.allclose(ours.input.table, dense.input.table, atol=1e-9)
    torch.testing.assert_close(ours(tokens), dense(tokens), atol=1e-9, rtol=1e-9)


@pytest.mark.usefixtures("way")
def test_without_catching_up_it_is_sparse_adam() -> None:
    ours, theirs = Reader(torch.float64), Reader(torch.float64)
    trained(ours, lazy(ours, catch_up=False, eps=1e-30), 100)
    theirs.input.on_reading = lambda rows: None
    sparse = SparseAdam([theirs.input.table], lr=0.01, eps=1e-30)
    dense = torch.optim.Adam(theirs.dense.parameters(), lr=0.01, eps=1e-30)
    for step, tokens in enumerate(batches(100)):
        for optimizer in (sparse, dense):
            optimizer.zero_grad()
            optimizer.param_groups[0]["lr"] = 0.01 * 0.5 ** (step / 200)
        theirs(tokens).backward()
        sparse.step()
        dense.step()
    assert distance(ours, theirs) < 1e-12


@pytest.mark.usefixtures("way")
def test_padding_and_rows_that_are_never_read_stay_where_they_are() -> None:
    model = Reader()
    before = model.input.table.detach().clone()
    optimizer = lazy(model)
    trained(model, optimizer, 20)
    optimizer.settle()
    read = torch.cat([tokens.flatten() for tokens in batches(20)]).unique()
    unread = [row for row in range(WORDS + 1) if row == PAD or row not in read]
    assert len(unread) > 10
    assert torch.equal(model.input.table[unread], before[unread])


@pytest.mark.parametrize("betas", [(0.95, 0.9), (0.9, 0.8100001)])
def test_a_betas_pair_whose_missed_steps_never_fade_is_refused(betas: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=f"betas are {betas[0]} and {betas[1]}, .* at most 0.9999"):
        lazy(Reader(), betas=betas)
    given = ("optimizer=lazy-adam", f"optimizer.betas={list(betas)}")
    with pytest.raises(ConfigError, match=rf"optimizer.betas is \[{betas[0]}, {betas[1]}\]"):
        check(composed(*given))
    assert lazy(Reader(), betas=betas, catch_up=False)
    assert check(composed(*given, "optimizer.catch_up=false"))


@pytest.mark.usefixtures("way")
def test_rows_may_be_any_integers_and_those_that_are_not_there_are_refused() -> None:
    dense, ours = Reader(torch.float64), Reader(torch.float64)
    optimizers = (torch.optim.Adam(dense.parameters(), lr=0.01, eps=1e-30), lazy(ours, eps=1e-30))
    for tokens in batches(20):
        for model, optimizer in zip((dense, ours), optimizers, strict=True):
            optimizer.zero_grad()
            model(tokens.int()).backward()
            optimizer.step()
    everything = torch.arange(WORDS + 1)[None]
    torch.testing.assert_close(ours(everything), dense(everything), atol=1e-9, rtol=1e-9)
    for row in (WORDS + 1, -1):  # what is compiled would write beside the table
        with pytest.raises((IndexError, RuntimeError), match=r"not among|out of (bounds|range)"):
            ours(torch.tensor([[1, row]]))


def test_what_padding_gets_does_not_matter_even_if_it_is_not_finite() -> None:
    model = Reader()
    lazy(model)
    gradient = torch.ones(1, 3, 8)
    gradient[0, 0] = torch.nan
    model.input(torch.tensor([[PAD, 1, 2]])).backward(gradient)
    found = model.input.table.grad
    assert found is not None and found.is_sparse
    expected = torch.zeros(WORDS + 1, 8)
    expected[1:3] = 1
    assert torch.equal(found.to_dense(), expected)


def test_several_processes_are_refused() -> None:
    model = Reader()
    optimizer = LazyAdam(list(model.parameters()))
    with pytest.raises(InputError, match="optimizer is lazy-adam, but there are 2 processes"):
        step_lazily(optimizer, model, Processes(rank=0, count=2))


# --- in the loop ------------------------------------------------------------------------------

TEXTS = ("dataset=text", "dataset.num_made=120")

STREAM = ("dataset=chars", "dataset.num_chars=3000", "trainer.bptt={k1:9,k2:25}")
"""Of updates that read parts of a batch one after the other."""

SMALL = (
    "model=lstm",
    "model.embedding_size=6",
    "model.hidden_size=5",
    "model.dropout=0.2",
    "model.token_dropout=0.1",
    "trainer.epochs=3",
    "trainer.batch_size=8",
    "interpret=none",
)


def training(*overrides: str, source: tuple[str, ...] = TEXTS) -> tuple[Training, Any]:
    config = check(composed(*source, *SMALL, *overrides))
    made = parts(config, only_trains=True)
    data = load(made)
    return begin(made, data, torch.device("cpu"))[0], data


def reports(*overrides: str, source: tuple[str, ...]) -> list[Mapping[str, float]]:
    going, data = training(*overrides, source=source)
    kept = [report.metrics for report in fit(going, data)]
    return [{k: v for k, v in m.items() if not k.startswith(("time", "speed"))} for m in kept]


@pytest.mark.parametrize("source", [TEXTS, STREAM], ids=["texts", "stream"])
@pytest.mark.parametrize(
    "clip", [(), ("trainer.clip_norm=0.05",), ("trainer.clip_value=0.001", "trainer.clip_norm=1.0")]
)
def test_a_training_reports_what_it_reports_with_adam(
    clip: tuple[str, ...], source: tuple[str, ...]
) -> None:
    same = ("optimizer.lr=0.01", "optimizer.eps=1e-30", "trainer.log_every_steps=1", *clip)
    both = (reports(f"optimizer={name}", *same, source=source) for name in ("lazy-adam", "adam"))
    ours, adams = both
    assert len(ours) == len(adams) > 30
    for our, theirs in zip(ours, adams, strict=True):
        assert our == pytest.approx(theirs, rel=2e-4, abs=2e-6)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("stop", [1, 17, 24, 25, 30])
@pytest.mark.parametrize("source", [TEXTS, STREAM], ids=["texts", "stream"])
def test_a_training_that_goes_on_from_any_update_ends_with_the_same_bits(
    stop: int, source: tuple[str, ...]
) -> None:
    whole, data = training("optimizer=lazy-adam", source=source)
    for _ in fit(whole, data):
        pass
    first, _ = training("optimizer=lazy-adam", source=source)
    for _, _ in zip(range(stop), fit(first, data), strict=False):
        pass
    second, _ = training("optimizer=lazy-adam", source=source)
    restore(second, copy.deepcopy(state_of(first)))
    for _ in fit(second, data):
        pass
    weights = whole.model.state_dict()
    assert all(torch.equal(w, weights[name]) for name, w in second.model.state_dict().items())
    ours, expected = (t.optimizer.state_dict()["state"] for t in (second, whole))
    for parameter in expected:
        for name, value in expected[parameter].items():
            assert torch.equal(torch.as_tensor(ours[parameter][name]), torch.as_tensor(value))


def test_a_run_goes_on_the_way_it_was_begun_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    if rows.available(torch.empty(1)).binary is None:
        pytest.skip("there is no C++ compiler here")
    began, _ = training("optimizer=lazy-adam")
    compiled = copy.deepcopy(state_of(began))
    with monkeypatch.context() as patch:
        patch.setattr(rows, "available", no_compiler)
        slow, data = training("optimizer=lazy-adam")
        plain = copy.deepcopy(state_of(slow))
        with pytest.raises(InputError, match="begun with compiled steps .* no C.. compiler.*force"):
            restore(slow, compiled)
    restore(began, plain)
    assert [s["compiled"] for s in began.optimizer.state.values() if "compiled" in s] == [False]
    for _ in fit(began, data):
        pass


def test_a_long_epoch_has_room_for_what_rows_miss() -> None:
    dense, ours = Reader(torch.float64), Reader(torch.float64)
    trained(dense, torch.optim.Adam(dense.parameters(), lr=0.01, eps=1e-30), 2500)
    optimizer = lazy(ours, eps=1e-30)
    trained(ours, optimizer, 2500)
    assert len(optimizer.state[ours.input.table]["missed"]) == 4096
    optimizer.settle()
    assert distance(ours, dense) < 1e-9


def test_the_table_is_up_to_date_after_each_epoch() -> None:
    going, data = training("optimizer=lazy-adam")
    seen = 0
    for report in fit(going, data):
        if report.kind == "epoch":
            state = next(s for s in going.optimizer.state.values() if "last" in s)
            assert (state["last"] == state["step"]).all()
            seen += 1
    assert seen == 3


def test_a_gradient_of_a_row_that_is_not_finite_is_named_and_changes_nothing() -> None:
    going, data = training("optimizer=lazy-adam")
    table = next(m.table for m in going.model.modules() if isinstance(m, TokenInput))
    steps = fit(going, data)
    next(steps)
    before = table.detach().clone()
    table.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(NonFiniteError, match="gradient of input.table is nan at epoch 1, batch 2"):
        next(steps)
    # rows of the batch are caught up, by what Adam would have moved them: not by the gradient
    assert torch.isfinite(table).all()
    assert (table - before).abs().max() < 0.01


def test_a_stack_of_models_is_refused() -> None:
    with pytest.raises(ConfigError, match="optimizer._target_ is 'seqexp.optimizer.lazy_adam"):
        check(composed("optimizer=lazy-adam", "trainer.replicas=4"))


def test_a_model_without_a_table_is_stepped_as_by_adam() -> None:
    ended = []
    for name in ("lazy-adam", "adam"):
        going, data = training("model.embedding_size=null", f"optimizer={name}")
        for _ in fit(going, data):
            pass
        ended.append(going.model)
    assert distance(*ended) == 0


# --- what goes by addresses looks at rows and sizes first ---------------------------------------


def rows_state() -> tuple[Tensor, rows.State]:
    table = torch.zeros(10, 4)
    state = rows.begun(table)
    state["step"] = 5
    return table, state


STEP = rows.Step(6, (0.9, 0.999), 1e-8, 0.1, True)

needs_rows = pytest.mark.skipif(
    rows.available(torch.zeros(1)).binary is None, reason="needs a compiler"
)


@needs_rows
@pytest.mark.parametrize("row", [10, -1, 2**40, -(2**62)])
def test_rows_that_are_not_there_are_neither_read_nor_written(row: int) -> None:
    table, state = rows_state()
    read = torch.tensor([1, row])
    with pytest.raises(IndexError, match="is not among the table's 10"):
        rows.catch_up(table, state, read)
    with pytest.raises(IndexError, match="is not among the table's 10"):
        rows.take_step(table, state, read, torch.zeros(2, 4), STEP)


@needs_rows
@pytest.mark.parametrize("last", [10**9, -1, -(2**62)])
def test_steps_that_were_not_made_are_not_looked_up(last: int) -> None:
    table, state = rows_state()
    state["last"][3] = last
    with pytest.raises(IndexError, match="last step"):
        rows.catch_up(table, state, torch.tensor([3]))
    with pytest.raises(IndexError, match="last step"):
        rows.take_step(table, state, torch.tensor([3]), torch.zeros(1, 4), STEP)


@needs_rows
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("moments", torch.zeros(10, 3, 3)),
        ("moments", torch.zeros(10, 3, 4, dtype=torch.float64)),
        ("moments", torch.zeros(3, 10, 4).transpose(0, 1)),
        ("last", torch.zeros(9, dtype=torch.int64)),
        ("last", torch.zeros(10, dtype=torch.int32)),
        ("moved", torch.zeros(10)),
        ("missed", torch.zeros(1024)),
    ],
)
def test_a_state_of_other_sizes_is_refused_at_the_door(name: str, value: Tensor) -> None:
    table, state = rows_state()
    state[name] = value
    with pytest.raises(ValueError, match=f"{name} is "):
        rows.catch_up(table, state, torch.tensor([3]))
    with pytest.raises(ValueError, match=f"{name} is "):
        rows.take_step(table, state, torch.tensor([3]), torch.zeros(1, 4), STEP)


@needs_rows
def test_rows_and_gradients_of_other_sizes_are_refused_at_the_door() -> None:
    table, state = rows_state()
    for read in (torch.tensor([3], dtype=torch.int32), torch.tensor([[3]]), torch.arange(4)[::2]):
        with pytest.raises((ValueError, IndexError), match="rows are"):
            inspect.unwrap(rows.catch_up)(table, state, read)
    for gradient in (torch.zeros(2, 4), torch.zeros(1, 3), torch.zeros(1, 4).double()):
        with pytest.raises(ValueError, match="gradients are"):
            inspect.unwrap(rows.take_step)(table, state, torch.tensor([3]), gradient, STEP)
