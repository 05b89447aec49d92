"""What variational dropout costs: recurrent layers with it over PyTorch's `nn.LSTM` without.

A layer forward and back, and the whole update of a character model by truncated backpropagation
through time; all kernels and `nn.LSTM` in turn in one process; ratios of pairs, median and
quartiles, of wall time and of CPU time. `bf16` is the compiled kernel under autocast, with products
in bfloat16. Values of the kernels are checked to be the same first. The roofline is the time of the
layers' matrix products at the rate of large ones by torch.mm, in float32, measured in between.

python -m tests.benchmarks.kernel
python -m tests.benchmarks.kernel --threads 1 --pairs 20 --cell gru
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqexp.build import keep_freed_memory
from seqexp.kernels.recurrence_cpp import available, built
from seqexp.model.cells import CELLS
from seqexp.model.recurrent_layer import Dropout, Kernel, RecurrentLayer

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

NUM_SYMBOLS = 65
"""Of the character model."""

FLOAT, BF16 = 1e-5, 2e-2
"""How near values of the kernels are to each other: bfloat16 has 8 bits, and roundings add up."""

SLOW = 4
"""The equations, recorded by autograd, are in each so many pairs only."""


@dataclass(frozen=True)
class Work:
    """Layers on top of each other, and what they read."""

    layers: int
    size: int
    batch: int
    time: int
    writes: bool = False  # as a character model, whose state is carried from window to window

    def operations(self, num_gates: int) -> int:
        """Of all matrix products, forward and back."""
        # three products of [x | h] with the weights: of the sums, and for both gradients
        return self.layers * 3 * 2 * self.batch * self.time * num_gates * self.size * 2 * self.size


WORKS = {
    "layer 128 -> 128, 80 tokens, batch 32": Work(1, 128, 32, 80),
    "layer 128 -> 128, 80 tokens, batch 256": Work(1, 128, 256, 80),
    "char model 2 x LSTM(256), 32 streams, k = 64": Work(2, 256, 32, 64, writes=True),
}

Contestant = Kernel | Literal["bf16"]
"""A kernel, or the compiled one with products in bfloat16."""

States = Any
"""What a layer carries: tensors, or tuples of them."""


class Stack(nn.Module):
    """Our layers, of one kernel; called as PyTorch's."""

    def __init__(self, cell: str, work: Work, dropout: Dropout, kernel: Contestant) -> None:
        super().__init__()
        self.is_bf16 = kernel == "bf16"
        kernel = "compiled" if kernel == "bf16" else kernel
        torch.manual_seed(0)
        self.parts = nn.ModuleList(
            RecurrentLayer(cell, work.size, work.size, dropout, kernel) for _ in range(work.layers)
        )
        for part in self.parts:
            part.initialise("torch", None)

    def forward(self, x: Tensor, carry: States = None) -> tuple[Tensor, States]:
        after = []
        carry = carry or tuple(part.start(x) for part in self.parts)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16):
            for part, state in zip(self.parts, carry, strict=True):
                x, last = part(x, None, state)
                after.append(last)
        return x, tuple(after)


class Layers:
    """Forward and backward of layers alone."""

    def __init__(self, layers: nn.Module, work: Work) -> None:
        self.layers = layers
        self.x = torch.randn(work.batch, work.time, work.size, requires_grad=True)

    def __call__(self) -> None:
        self.layers(self.x)[0].sum().backward()


class CharModel:
    """An update of a network that predicts the next character, from window to window."""

    def __init__(self, layers: nn.Module, work: Work) -> None:
        embedding = nn.Embedding(NUM_SYMBOLS, work.size)
        self.parts = nn.ModuleList([embedding, layers, nn.Linear(work.size, NUM_SYMBOLS)])
        self.optimizer = torch.optim.Adam(self.parts.parameters(), fused=True)
        self.tokens = torch.randint(NUM_SYMBOLS, (work.batch, work.time + 1))
        self.carry: States = None

    def __call__(self) -> None:
        embedding, layers, output = self.parts
        hidden, carry = layers(embedding(self.tokens[:, :-1]), self.carry)
        self.carry = detached(carry)
        loss = nn.functional.cross_entropy(
            output(hidden).flatten(0, 1), self.tokens[:, 1:].flatten()
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def detached(carry: States) -> States:
    return carry.detach() if isinstance(carry, Tensor) else tuple(map(detached, carry))


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def gemm_rate(size: int = 1024) -> float:
    """Operations a second of a large product."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out, best = torch.empty(size, size), float("inf")
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def check_same(cell: str, work: Work, dropout: Dropout, kernels: list[Contestant]) -> None:
    x, found = torch.randn(work.batch, work.time, work.size), []
    for kernel in kernels:
        stack = Stack(cell, work, dropout, kernel)
        torch.manual_seed(1)  # the masks
        found.append(stack(x)[0])
    for kernel, values in zip(kernels, found, strict=True):
        near = BF16 if kernel == "bf16" else FLOAT
        torch.testing.assert_close(values, found[0], rtol=near, atol=near)


def contestants(cell: str, work: Work, kernels: list[Contestant]) -> dict[str, Callable[[], None]]:
    """What is timed, by name; the first is PyTorch's."""
    dropouts = {"tied": Dropout(0.2, 0.2, "tied"), "per gate": Dropout(0.2, 0.2, "per_gate")}
    plain = LAYERS[cell](work.size, work.size, work.layers, batch_first=True)
    layers: dict[str, nn.Module] = {f"nn.{cell.upper()}": plain}
    for name, dropout in dropouts.items():
        check_same(cell, work, dropout, kernels)
        layers |= {f"{kernel}, {name}": Stack(cell, work, dropout, kernel) for kernel in kernels}
    wrapped = CharModel if work.writes else Layers
    return {name: wrapped(module, work) for name, module in layers.items()}


def compare(cell: str, work: Work, pairs: int, kernels: list[Contestant]) -> None:
    timed = contestants(cell, work, kernels)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    rates = []
    for number in range(pairs + 1):  # the first warms up
        base = (0.0, 0.0)
        for name, run in timed.items():
            if name.startswith("reference") and number % SLOW:
                continue
            taken = seconds(run)
            base = taken if base == (0.0, 0.0) else base
            if number:
                times[name].append(taken)
                ratios[name].append((taken[0] / base[0], taken[1] / base[1]))
        rates.append(gemm_rate())
    floor = work.operations(CELLS[cell].num_gates) / statistics.median(rates)
    for name in timed:
        wall, cpu = zip(*ratios[name], strict=True)
        middle = statistics.median(taken[0] for taken in times[name])
        print(
            f"  {name:20} {1000 * middle:8.2f} ms   wall {shown(wall)}   CPU {shown(cpu)}"
            f"   {middle / floor:.2f} x roofline"
        )


def shown(ratios: tuple[float, ...]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--pairs", type=int, default=20, help="at least 8")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    given = parser.parse_args()
    keep_freed_memory()
    kernels: list[Contestant] = ["reference", "python"]
    found = built(given.cell, "float")
    if found.binary is None:
        print(f"compiled is left out: {found.reason}")
    else:
        print(f"compiled by {found.compiler}")
        kernels.append("compiled")
        bf16 = available(given.cell, torch.empty(0), is_bf16=True)
        if bf16.binary is None:
            print(f"bf16 is left out: {bf16.reason}")
        else:
            kernels.append("bf16")
    for name, work in WORKS.items():
        for threads in given.threads:
            torch.set_num_threads(threads)
            rate = gemm_rate()
            print(
                f"{name}, {threads} threads, {given.pairs} pairs: over nn.{given.cell.upper()}"
                f" without dropout; products at {rate / 1e9:.0f} GFLOP/s",
                flush=True,
            )
            compare(given.cell, work, given.pairs, kernels)


if __name__ == "__main__":
    main()
