"""Sides in turn, each in a process of its own, and the table of their ratios.

Ratios are of CPU time, which neighbours on the machine disturb less than wall time, between
stretches of training next to each other in time; the table has medians and quartiles. Before that,
each side trains without dropout from the same weights on the same batches, and says its losses.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqexp.errors import InputError
from tests.benchmarks.sides import SIDES, refuse_missing
from tests.benchmarks.work import CHECKED, Work

ROOT = Path(__file__).parents[2]

TOLERANCE = 1e-3
"""Of a loss after some updates, relative: sums are taken in other orders."""

Times = list[tuple[float, float]]
"""CPU and wall seconds of each stretch."""


def shown(ratios: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def paired(times: Times, others: Times) -> list[float]:
    """Ratios of CPU time, stretch by stretch."""
    return [mine[0] / theirs[0] for mine, theirs in zip(times, others, strict=True)]


def is_same(losses: Sequence[float], others: Sequence[float]) -> bool:
    """Whether two trainings without dropout do the same, to rounding."""
    pairs = zip(losses, others, strict=True)
    return all(abs(mine - theirs) <= TOLERANCE * abs(theirs) for mine, theirs in pairs)


@dataclass
class Child:
    """A side's process, which has warmed up."""

    name: str
    work: Work
    losses: list[float] = field(default_factory=list)
    times: Times = field(default_factory=list)

    def __post_init__(self) -> None:
        threads = str(self.work.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        env = {**os.environ, **dict.fromkeys(names, threads), "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "tests.benchmarks.child", self.name, self.work.folder]
        self.log = self.work.folder / f"{self.name}.log"
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
        )
        self.losses = self._heard()["losses"]
        self._heard()  # the first stretch compiles, fills caches and starts the record

    def stretch(self) -> None:
        """Train on, and note the time."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        heard = self._heard()
        self.times.append((heard["cpu"], heard["wall"]))

    def end(self) -> None:
        """Without waiting for what it would still do."""
        self.process.kill()
        self.process.wait()

    def _heard(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended:\n{self.log.read_text()[-3000:]}")
        return dict(json.loads(line))


def in_turn(work: Work, names: Sequence[str], pairs: int) -> tuple[list[Child], list[float]]:
    """The sides' processes after so many rounds, and the rate of products after each.

    Each other round is in the opposite order.
    """
    children: list[Child] = []
    rates: list[float] = []
    try:
        for name in names:
            children.append(Child(name, work))
        for number in range(pairs):
            for child in children[:: 1 if number % 2 else -1]:
                child.stretch()
            rates.append(rate(work.threads))
    finally:
        for child in children:
            child.end()
    return children, rates


def print_table(work: Work, children: Sequence[Child]) -> None:
    """A line a side: milliseconds, ratios over the bare loop and over ours, loss."""
    by_name = {child.name: child for child in children}
    bases = {"a bare loop": by_name.get("bare"), "seqexp": by_name.get("ours")}
    header = f"{'':26}{'CPU ms':>9}{'wall ms':>9}"
    header += "".join(f"   {f'CPU over {name}':24}" for name in bases)
    print(header + f"   loss after {CHECKED} updates")
    for child in children:
        cpu, wall = (
            1000 * statistics.median(times) / work.updates
            for times in zip(*child.times, strict=True)
        )
        line = f"  {SIDES[child.name].title:24}{cpu:9.3f}{wall:9.3f}"
        for base in bases.values():
            is_there = base is not None and base is not child
            ratio = shown(paired(child.times, base.times)) if is_there else "1" if base else ""
            line += f"   {ratio:24}"
        same = is_same(child.losses, children[0].losses)
        print(line + f"   {child.losses[-1]:.5f}{'' if same else '  NOT THE SAME WORK'}")


Make = Callable[[Path, int, list[str]], Work]
"""Of a folder, a number of threads, and what our command has beside."""


def compare(
    title: str,
    make: Make,
    given: argparse.Namespace,
    operations: float | None = None,
) -> None:
    """Run the comparison for each number of threads, and print it.

    `operations` are those of an update's matrix products, for the roofline.
    """
    for threads in given.threads:
        with tempfile.TemporaryDirectory() as folder:
            work = make(Path(folder), threads, given.ours)
            print(
                f"\n{title}\n{threads} {'thread' if threads == 1 else 'threads'}, {given.pairs}"
                f" rounds of {work.updates:,} updates on each side; time of an update",
                flush=True,
            )
            children, rates = in_turn(work, given.sides, given.pairs)
        print_table(work, children)
        if operations is not None:
            print_roofline(work, children, operations, statistics.median(rates))
        sys.stdout.flush()


def rate(threads: int, size: int = 1024) -> float:
    """Operations of large matrix products a second of CPU time, on so many threads; the best."""
    import torch

    torch.set_num_threads(threads)
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)
    times = []
    for _ in range(7):
        began = time.process_time()
        torch.mm(a, b, out=out)
        times.append(time.process_time() - began)
    return 2 * size**3 / min(times)


def print_roofline(
    work: Work, children: Sequence[Child], operations: float, per_second: float
) -> None:
    """CPU time of an update over that of its matrix products at the rate of large ones."""
    floor = operations / per_second
    print(
        f"  roofline: {operations / 1e9:.2f} GFLOP of matrix products an update, at"
        f" {per_second / 1e9:.0f} GFLOP a CPU second: {1000 * floor:.2f} ms; CPU time over that:"
    )
    for child in children:
        ratio = statistics.median(cpu for cpu, _ in child.times) / work.updates / floor
        print(f"    {SIDES[child.name].title:24}{ratio:.2f}")


def arguments(
    doc: str | None,
    sides: Sequence[str],
    pairs: int,
    parents: Sequence[argparse.ArgumentParser] = (),
) -> argparse.Namespace:
    """What a benchmark is told; ends with status 2 where packages are missing.

    Args:
        doc: of the benchmark.
        sides: that take turns unless told otherwise.
        pairs: rounds, unless told otherwise.
        parents: with options of the benchmark's own, and without help.
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=doc, formatter_class=layout, parents=list(parents))
    parser.add_argument("--pairs", type=int, default=pairs, help="rounds, at least 2")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(sides))
    parser.add_argument(
        "--ours",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of our command beside, as optimizer=adamw or trainer.precision=bf16",
    )
    given = parser.parse_args()
    try:
        refuse_missing(given.sides)
    except InputError as error:
        print(f"seqexp: {error}", file=sys.stderr)
        sys.exit(2)
    return given
