"""A sweep with a worker of one thread on each core, against its jobs one by one with all cores.

The same jobs by `launcher=parallel trainer.num_threads=1` and by `launcher=local` with as many
threads as there are cores, in turn. Of the whole commands, with imports and the start of processes:
wall time, and CPU time, all processes together. Of the training alone: the sum over jobs, over the
workers that share it.

python -m tests.benchmarks.sweep
"""

import argparse
import contextlib
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from seqexp.sweep.launcher import cores
from tests.benchmarks.compare import ROOT

WORK = {
    "LSTM(128), experiment=chars": (4, ("experiment=chars",)),
    "tiny, the default cnn1d": (16, ("interpret=none", "trainer.epochs=60")),
}
"""Seeds of a sweep, so that it takes a minute or half of one, and what it trains."""

Seconds = tuple[float, float, float]
"""Of a whole command, of its training, and of CPU time."""

SUBREAPER = 36
"""Linux' `PR_SET_CHILD_SUBREAPER`: processes whose parent has ended become this one's."""


def cpu_seconds() -> float:
    """CPU time of all processes that have ended below this one."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    times = os.times()
    return times.children_user + times.children_system


def sweep(overrides: Sequence[str], workers: int, jobs: int) -> Seconds:
    """Time of a sweep over seeds, by one worker with all cores or by several with one thread."""
    launcher = ["launcher=local", f"trainer.num_threads={cores()}"]
    if workers > 1:
        launcher = ["launcher=parallel", f"launcher.jobs={workers}", "trainer.num_threads=1"]
    seeds = "seed=" + ",".join(map(str, range(jobs)))
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with tempfile.TemporaryDirectory() as outputs:
        told = [*overrides, *launcher, seeds, f"paths.outputs={outputs}"]
        before, began = cpu_seconds(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "seqexp", "-m", *told],
            cwd=ROOT,
            env=env,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        whole = time.perf_counter() - began
        cpu = cpu_seconds() - before
        results = [json.loads(file.read_text()) for file in Path(outputs).rglob("result.json")]
    assert len(results) == jobs, f"{len(results)} of {jobs} jobs have a result"
    training = sum(result["metrics"]["time/train_seconds"] for result in results)
    return whole, training / workers, cpu


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--pairs", type=int, default=3, help="at least 2")
    parser.add_argument("--only", help="the first letters of the work")
    parser.add_argument("--jobs", type=int, help="seeds of a sweep")
    given = parser.parse_args()
    workers = cores()
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    for name, (usual, overrides) in WORK.items():
        if given.only and not name.startswith(given.only):
            continue
        jobs, one_by_one, together = given.jobs or usual, [], []
        for number in range(given.pairs):
            for workers_now in (1, workers) if number % 2 else (workers, 1):
                times = together if workers_now > 1 else one_by_one
                times.append(sweep(overrides, workers_now, jobs))
        print(f"{name}: {jobs} jobs, {workers} workers of one thread, {given.pairs} pairs")
        for index, what in enumerate(("whole command", "training alone", "CPU time")):
            pairs = zip(one_by_one, together, strict=True)
            ratios = [alone[index] / shared[index] for alone, shared in pairs]
            alone, shared = (
                statistics.median(t[index] for t in times) for times in (one_by_one, together)
            )
            print(
                f"  {what:15} {alone:6.1f} s with all cores each, {shared:6.1f} s together:"
                f" {statistics.median(ratios):.2f} times faster"
                f" ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
