"""What the compiled convolution of one-hot tokens saves, against PyTorch's.

Convolution: forward and back of filters of width 17 with ReLU, of 32 sequences of DNA, over what
`model.kernel=reference` does for it: padding, one-hot vectors, `nn.Conv1d`, ReLU; each position has
a gradient. Step: an update of our loop of the whole model. Both in turn in one process; values are
checked to be the same first. Ratios of pairs of CPU time, median and quartiles; the first ten are
not counted.

python -m tests.benchmarks.convolution
python -m tests.benchmarks.convolution --pairs 100 --threads 2
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Adam

from seqexp.build import keep_freed_memory
from seqexp.data import Batch
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.task.kinds import of
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training, Work
from seqexp.trainer.update import update

BATCH, WIDTH, WARM_UP = 32, 17, 10
FILTERS, LETTERS = (1, 8, 64), (100, 1000)
KERNELS = ("reference", "compiled")


def model_of(kernel: Any, filters: int, letters: int, readout: Any) -> CNN1D:
    torch.manual_seed(0)
    spec = TaskSpec(Vocabulary(tuple("ACGT")), 2, Output.SEQUENCE_CLASS, ("no", "yes"), letters)
    sizes = {"num_filters": filters, "filter_width": WIDTH}
    return CNN1D(spec, readout=readout, padding="same", kernel=kernel, **sizes).train()


def batch_of(letters: int) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.randint(1, 5, (BATCH, letters)), (torch.arange(BATCH) % 2)[:, None])


def convolution(kernel: Any, filters: int, letters: int) -> Callable[[], None]:
    """Forward and back, alone."""
    model, batch = model_of(kernel, filters, letters, "mean"), batch_of(letters)
    gradient = torch.randn(BATCH, letters, filters)

    def run() -> None:
        torch.autograd.backward(model.filter_activations(batch.tokens), gradient)

    return run


def step(kernel: Any, filters: int, letters: int, readout: Any) -> Callable[[], None]:
    """An update of our loop: the norm, its check, the sums of metrics."""
    model, batch = model_of(kernel, filters, letters, readout), batch_of(letters)
    optimizer = Adam(model.parameters(), lr=0.001, fused=True)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    task, cpu = of(spec_of(letters)), torch.device("cpu")
    training = Training(model, optimizer, schedule, Settings(), 0, cpu, task)

    def run() -> None:
        update(Work(training, [batch], None, BATCH, float(BATCH), 0, "the benchmark"))

    return run


def check_same(filters: int, letters: int) -> None:
    tokens = batch_of(letters).tokens
    for readout in ("max", "flatten"):
        ours, theirs = (model_of(kernel, filters, letters, readout) for kernel in KERNELS)
        torch.testing.assert_close(ours(tokens)[0], theirs(tokens)[0], rtol=1e-4, atol=1e-5)


def compare(title: str, make: Callable[..., Callable[[], None]], *given: Any, pairs: int) -> None:
    runs = [make(kernel, *given) for kernel in KERNELS]
    taken: list[list[float]] = []
    for number in range(pairs + WARM_UP):
        pair = []
        for run in runs:
            began = time.process_time()
            run()
            pair.append(time.process_time() - began)
        if number >= WARM_UP:
            taken.append(pair)
    low, middle, high = statistics.quantiles([ours / theirs for theirs, ours in taken], n=4)
    theirs, ours = (1e3 * statistics.median(times) for times in zip(*taken, strict=True))
    shown = f"{theirs:8.2f} ms {ours:8.2f} ms   {middle:.2f} ({low:.2f} to {high:.2f})"
    print(f"  {title:40}{shown}", flush=True)


def main() -> None:
    """Print all rows."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--pairs", type=int, default=40, help="at least 8")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    found = model_of("auto", 1, 100, "max").compiled()
    if found.binary is None:
        raise SystemExit(f"there is nothing to compare: {found.reason}")
    print(f"{BATCH} sequences, {given.threads} thread, {given.pairs} pairs; by {found.compiler}")
    print(f"  {'':40}{'reference':>11} {'compiled':>11}   compiled over reference, CPU time")
    for letters in LETTERS:
        for filters in FILTERS:
            check_same(filters, letters)
            sizes, name = (filters, letters), f"{filters} x {WIDTH}, {letters} letters"
            compare(f"convolution, {name}", convolution, *sizes, pairs=given.pairs)
            for readout in ("max", "flatten"):
                compare(f"step, {readout}, {name}", step, *sizes, readout, pairs=given.pairs)


if __name__ == "__main__":
    main()
