"""What an update costs in a stack of models, over what it costs in each model by itself.

The whole loop is timed: batches, losses, gradients, clipping, optimizer, schedule, reports. Updates
one by one and updates in one go take turns in one process, in short stretches, from the same
weights; that both end with the same weights, to rounding, is checked. CPU time of one thread.

python -m tests.benchmarks.replicas --replicas 16 64
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from seqexp.build import load, parts, prepare_training
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import check
from seqexp.data import Data
from seqexp.trainer.lockstep import Replica, update_together
from seqexp.trainer.loop import fit
from seqexp.trainer.replicas import JointUpdates
from seqexp.trainer.training import Report, Training, Update

CONF = Path(__file__).parents[2] / "conf"

CHARS = ("dataset=chars", "trainer=tbptt", "dataset.num_chars=400000", "trainer.bptt={k1:50,k2:50}")

WORK = {
    "notebook/motif, 1 filter": ("experiment=notebook/motif",),
    "notebook/motif, 8 filters": ("experiment=notebook/motif", "model.num_filters=8"),
    "motif (default), 8 filters": (),
    "experiment=motif, 1 filter": ("experiment=motif", "model.num_filters=1"),
    "experiment=motif, 8 filters": ("experiment=motif",),
    **{
        f"chars, {name}({size}), 50 tokens": (*CHARS, *model, f"model.hidden_size={size}")
        for name, model in {
            "rnn": ("model=rnn",),
            "gru": ("model=stacked-rnn", "model.cell=gru", "model.num_layers=1"),
            "lstm": ("model=lstm",),
        }.items()
        for size in (16, 32, 64, 128)
    },
}

Alone = tuple[Training, Iterator[Report]]
Stack = tuple[list[Training], list[Replica[None]], JointUpdates]


def begun(overrides: Sequence[str], seed: int) -> tuple[Training, Data]:
    """A training and its data; no benchmark reaches its end."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: dict[str, Any] = check(compose("config", [*overrides, f"seed={seed}"]))
    made = parts(config, only_trains=True)
    data = load(made)
    return prepare_training(made, data, torch.device("cpu")), data


def alone_of(overrides: Sequence[str]) -> Alone:
    training, data = begun(overrides, 0)
    return training, fit(training, data)


def stack_of(overrides: Sequence[str], replicas: int) -> Stack:
    pairs = [begun(overrides, seed) for seed in range(replicas)]

    def train(training: Training, data: Data, update: Update) -> None:
        for _ in fit(training, data, update):
            pass

    stack = [Replica(partial(train, *pair)) for pair in pairs]
    for replica in stack:
        replica.go_on()  # to its first update
    return [training for training, _ in pairs], stack, JointUpdates()


def seconds_alone(alone: Alone, count: int) -> float:
    began, (training, reports) = time.process_time(), alone
    end = training.step + count
    while training.step < end:
        next(reports)
    return time.process_time() - began


def seconds_together(stack: Stack, count: int) -> float:
    began, (_, replicas, joint) = time.process_time(), stack
    for _ in range(count):
        update_together(replicas, joint)
        for replica in replicas:
            replica.go_on()
    return time.process_time() - began


def ratios(overrides: Sequence[str], replicas: int, stretches: int, count: int) -> list[float]:
    """CPU time an update in the stack over that alone, of each pair of stretches."""
    alone, stack = alone_of(overrides), stack_of(overrides, replicas)
    seconds_alone(alone, 3), seconds_together(stack, 3)  # the first ones make buffers
    found = []
    for number in range(stretches):
        if number % 2:
            ours = seconds_together(stack, count)
            theirs = seconds_alone(alone, count)
        else:
            theirs = seconds_alone(alone, count)
            ours = seconds_together(stack, count)
        found.append(ours / (replicas * theirs))
    same_weights(alone[0], stack[0][0])
    return found


def same_weights(one: Training, other: Training) -> None:
    assert one.step == other.step
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--stretches", type=int, default=15)
    parser.add_argument("--updates", type=int, default=20, help="of a stretch")
    parser.add_argument("--only", default="", help="work whose name has this in it")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # as in a run
    print("| work | replicas | an update in the stack, over one alone: median (quartiles) |")
    print("|---|---|---|")
    for name, overrides in WORK.items():
        if given.only not in name:
            continue
        for replicas in given.replicas:
            found = ratios(overrides, replicas, given.stretches, given.updates)
            low, median, high = statistics.quantiles(found, n=4)
            print(f"| {name} | {replicas} | {median:.3f} ({low:.3f} to {high:.3f}) |", flush=True)


if __name__ == "__main__":
    main()
