"""What variational dropout costs: a recurrent layer with it over PyTorch's `nn.LSTM` without.

Forward and backward, all kernels and `nn.LSTM` in turn in one process; ratios of pairs, median and
quartiles, of wall time and of CPU time. Values of the kernels are checked to be the same first. The
roofline is the rate of large float32 products by torch.mm, measured in between.

python -m tests.benchmarks.kernel
python -m tests.benchmarks.kernel --threads 1 --pairs 20 --cell gru
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqexp.model.compile import built
from seqexp.model.recurrent import CELLS, Dropout, Kernel, RecurrentLayer
from seqexp.run import keep_freed_memory

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

SLOW = 4
"""The equations, recorded by autograd, are in each so many pairs only."""


@dataclass(frozen=True)
class Work:
    """Layers on top of each other, and what they read."""

    layers: int
    size: int
    batch: int
    time: int

    def operations(self, num_gates: int) -> int:
        """Of all matrix products, forward and back."""
        # three products of [x | h] with the weights: of the sums, and for both gradients
        return self.layers * 3 * 2 * self.batch * self.time * num_gates * self.size * 2 * self.size


WORKS = {
    "layer 128 -> 128, 80 tokens, batch 32": Work(1, 128, 32, 80),
    "layer 128 -> 128, 80 tokens, batch 256": Work(1, 128, 256, 80),
    "2 x 256, 64 tokens, batch 32 (the char model)": Work(2, 256, 32, 64),
}


class Stack(nn.Module):
    """Our layers, of one kernel."""

    def __init__(self, cell: str, work: Work, dropout: Dropout, kernel: Kernel) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = nn.ModuleList(
            RecurrentLayer(cell, work.size, work.size, dropout, kernel) for _ in range(work.layers)
        )
        for part in self.parts:
            part.initialise("torch", None)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x, _ = part(x, None, part.start(x))
        return x


def seconds(model: Callable[[Tensor], Tensor], x: Tensor) -> tuple[float, float]:
    """Wall and CPU time of forward and backward."""
    wall, cpu = time.perf_counter(), time.process_time()
    model(x).sum().backward()
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


def check_same(cell: str, work: Work, dropout: Dropout, kernels: list[Kernel]) -> None:
    x, found = torch.randn(work.batch, work.time, work.size), []
    for kernel in kernels:
        stack = Stack(cell, work, dropout, kernel)
        torch.manual_seed(1)  # the masks
        found.append(stack(x))
    for values in found[1:]:
        torch.testing.assert_close(values, found[0], rtol=1e-4, atol=1e-5)


def compare(cell: str, work: Work, pairs: int, kernels: list[Kernel]) -> None:
    dropouts = {"tied": Dropout(0.2, 0.2, "tied"), "per gate": Dropout(0.2, 0.2, "per_gate")}
    x = torch.randn(work.batch, work.time, work.size, requires_grad=True)
    plain = LAYERS[cell](work.size, work.size, work.layers, batch_first=True)
    models: dict[str, Callable[[Tensor], Tensor]] = {f"nn.{cell.upper()}": lambda x: plain(x)[0]}
    for name, dropout in dropouts.items():
        check_same(cell, work, dropout, kernels)
        models |= {f"{kernel}, {name}": Stack(cell, work, dropout, kernel) for kernel in kernels}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    ratios: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    rates = []
    for number in range(pairs + 1):  # the first warms up
        base = (0.0, 0.0)
        for name, model in models.items():
            if name.startswith("reference") and number % SLOW:
                continue
            taken = seconds(model, x)
            base = base if base[0] else taken
            if number or name.startswith("reference"):
                times[name].append(taken)
                ratios[name].append((taken[0] / base[0], taken[1] / base[1]))
        rates.append(gemm_rate())
    floor = work.operations(CELLS[cell].num_gates) / statistics.median(rates)
    for name in models:
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
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cell", choices=CELLS, default="lstm")
    given = parser.parse_args()
    keep_freed_memory()
    kernels: list[Kernel] = ["reference", "python"]
    found = built(given.cell, "float")
    if found.library is None:
        print(f"compiled is left out: {found.reason}")
    else:
        print(f"compiled by {found.compiler}")
        kernels.append("compiled")
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
