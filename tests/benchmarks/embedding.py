"""What a table of token vectors costs: one step of its optimizers, and a whole step of a model.

Table: backward pass and step of 20,000 vectors of 128, from batches of 32 x 80 words with as many
distinct ones as in reviews; all optimizers in turn in one process. Step: an LSTM(128) over it with
variational dropout, 32 reviews of 80 words, against PyTorch's `nn.LSTM` without dropout and fused
Adam, as a bare loop. Ratios of pairs of CPU time, median and quartiles; the first twenty are not
counted. Trajectories: the largest distance from Adam's in double precision, and over how far Adam's
moved.

python -m tests.benchmarks.embedding [PAIRS]
"""

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer, SparseAdam

from seqexp.build import keep_freed_memory, step_lazily
from seqexp.data import Batch
from seqexp.model.layers import TokenInput
from seqexp.model.lstm import LSTM
from seqexp.optimizer.lazy_adam import LazyAdam
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training, Work
from seqexp.trainer.update import update

WORDS, SIZE, BATCH, TIME = 20_000, 128, 32, 80
VOCABULARY = Vocabulary(tuple(str(word) for word in range(WORDS - 1)))
WARM_UP = 20

EXPONENT = 1.14
"""Of the frequencies by rank: gives 800 distinct words a batch, where IMDB's batches have 796."""


@functools.cache
def words(seed: int) -> Tensor:
    """A batch."""
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.arange(1, WORDS).double() ** -EXPONENT
    drawn = torch.multinomial(frequencies, BATCH * TIME, replacement=True, generator=generator)
    return drawn.view(BATCH, TIME) + 1


def lazy(model: nn.Module, **settings: Any) -> Optimizer:
    """Ours."""
    optimizer = LazyAdam(list(model.parameters()), **settings)
    step_lazily(optimizer, model, Processes())
    return optimizer


def sparse(model: TokenInput, **settings: Any) -> Optimizer:
    """PyTorch's for sparse gradients."""
    model.on_reading = lambda rows: None
    return SparseAdam(list(model.parameters()), **settings)


def adam(**how: Any) -> Callable[..., Optimizer]:
    """PyTorch's."""
    return lambda model, **settings: Adam(model.parameters(), **how, **settings)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "Adam, fused": adam(fused=True),
    "Adam, foreach": adam(foreach=True),
    "Adam, loop": adam(foreach=False),
    "LazyAdam": lazy,
    "SparseAdam": sparse,
    "LazyAdam, catch_up: false": lambda model, **settings: lazy(model, catch_up=False, **settings),
}


def table_step(make: Callable[..., Optimizer]) -> Callable[[int], None]:
    """Backward and step of a table alone."""
    torch.manual_seed(0)
    table = TokenInput(VOCABULARY, SIZE)
    optimizer = make(table, lr=0.001)
    gradient = torch.randn(BATCH, TIME, SIZE)

    def step(number: int) -> None:
        optimizer.zero_grad()
        table(words(number)).backward(gradient)
        optimizer.step()

    return step


def bare_step() -> Callable[[int], None]:
    """PyTorch's layers, the last state read out; nothing beside the step."""
    torch.manual_seed(0)
    table, layer, head = nn.Embedding(WORDS, SIZE), nn.LSTM(SIZE, SIZE), nn.Linear(SIZE, 2)
    parameters = [p for module in (table, layer, head) for p in module.parameters()]
    optimizer = Adam(parameters, lr=0.001, fused=True)
    targets = torch.arange(BATCH) % 2

    def step(number: int) -> None:
        optimizer.zero_grad()
        states, _ = layer(table(words(number).t()))
        functional.cross_entropy(head(states[-1]), targets).backward()
        optimizer.step()

    return step


def our_step(make: Callable[..., Optimizer], masks: str) -> Callable[[int], None]:
    """An update of our loop, with dropout of x and h: the norm, its check, the sums of metrics."""
    torch.manual_seed(0)
    spec = TaskSpec(VOCABULARY, 2, Output.SEQUENCE_CLASS, ("no", "yes"), TIME)
    model = LSTM(spec, SIZE, SIZE, dropout=0.2, recurrent_dropout=0.2, dropout_masks=masks)
    model.train()
    optimizer = make(model, lr=0.001)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    training = Training(model, optimizer, schedule, Settings(), 0, torch.device("cpu"), of(spec))
    targets = (torch.arange(BATCH) % 2)[:, None]

    def step(number: int) -> None:
        batch = Batch(words(number), targets)
        update(Work(training, [batch], None, BATCH, float(BATCH), number, "the benchmark"))

    return step


def compare(title: str, steps: dict[str, Callable[[int], None]], pairs: int) -> None:
    """All in turn; ratios over the first."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(pairs + WARM_UP):
        words(number)
        for name, step in steps.items():
            began = time.process_time()
            step(number)
            times[name].append(time.process_time() - began)
    first = next(iter(times.values()))[WARM_UP:]
    print(f"{title}; {torch.get_num_threads()} thread, {pairs} pairs")
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values[WARM_UP:], first, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        shown = f"{1e3 * statistics.median(values[WARM_UP:]):8.2f} ms"
        print(f"  {name:40}{shown}   {middle:.2f} ({low:.2f} to {high:.2f})")


def trajectories(steps: int, eps: float) -> None:
    """How far each ends from Adam in double precision, given the same gradients."""

    def ended(make: Callable[..., Optimizer], dtype: torch.dtype) -> Tensor:
        torch.manual_seed(0)
        table = TokenInput(VOCABULARY, 16).to(dtype)
        optimizer = make(table, lr=0.001, eps=eps)
        for number in range(steps):
            tokens = words(number)
            gradient = (tokens[..., None] + torch.arange(16.0)).sin().to(dtype)
            optimizer.zero_grad()
            table(tokens).backward(gradient)
            optimizer.step()
        if isinstance(optimizer, LazyAdam):
            optimizer.settle()
        return table.table.detach().double()

    torch.manual_seed(0)
    start = TokenInput(VOCABULARY, 16).table.detach()
    exact = ended(OPTIMIZERS["Adam, loop"], torch.float64)
    moved = float((exact - start).norm())
    print(f"after {steps} steps, eps {eps:g}: largest distance from Adam in double precision,")
    print("and the norm of the distance over that of Adam's whole way")
    for name, dtype in (
        ("Adam, fused", torch.float32),
        ("LazyAdam", torch.float32),
        ("LazyAdam", torch.float64),
        ("SparseAdam", torch.float32),
    ):
        apart = ended(OPTIMIZERS[name], dtype) - exact
        relative = float(apart.norm()) / moved
        print(f"  {name:12}{dtype!s:15}{float(apart.abs().max()):10.1e}{relative:10.1e}")


def main(pairs: int) -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    keep_freed_memory()
    compare(
        f"a table of {WORDS:,} x {SIZE}, over fused Adam",
        {name: table_step(make) for name, make in OPTIMIZERS.items()},
        pairs,
    )
    fused = OPTIMIZERS["Adam, fused"]
    compare(
        "a step of 32 reviews of 80 words, over nn.LSTM without dropout and fused Adam",
        {
            "bare loop, nn.LSTM, no dropout": bare_step(),
            "ours, tied masks, fused Adam": our_step(fused, "tied"),
            "ours, tied masks, LazyAdam": our_step(lazy, "tied"),
            "ours, a mask a gate, fused Adam": our_step(fused, "per_gate"),
            "ours, a mask a gate, LazyAdam": our_step(lazy, "per_gate"),
            "ours, tied masks, Adam of loops": our_step(OPTIMIZERS["Adam, loop"], "tied"),
        },
        pairs,
    )
    for eps in (1e-30, 1e-8):
        trajectories(300, eps)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
