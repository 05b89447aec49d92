"""How long one waits for help, a plan, a first update, a prediction: over `import torch`.

python -m tests.benchmarks.startup [ROUNDS]

CPU time and wall time of whole processes, as multiples of `import torch` in the same round: medians
with quartiles. The last row is the default command, warm, over `import torch` and its training.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.compare import ROOT

TORCH = ["-c", "import torch"]

FIRST_UPDATE = [str(ROOT / "tests/tools/first_update.py")]

QUICK = ("dataset.num_train=100", "dataset.num_valid=100", "dataset.num_test=100")

Seconds = tuple[float, float]
"""CPU time and wall time."""

WHOLE = "default command"


def commands(folder: Path) -> dict[str, list[str]]:
    """The commands, after two runs that they find."""
    store = json.loads((folder / "runs.json").read_text())
    seqexp = ["-m", "seqexp"]
    predict = [*seqexp, "predict", f"input={folder / 'records.fa'}"]
    return {
        "--help": [*seqexp, "--help"],
        "an error": [*seqexp, "modle=lstm"],
        "dry_run=true": [*seqexp, "dry_run=true"],
        "first update, tracking=none": [*FIRST_UPDATE, "tracking=none", "seed=7"],
        "first update": [*FIRST_UPDATE, "seed=8", "force=true"],
        "predict run=ID": [*predict, f"run={store[0]}"],
        "predict run=best": [*predict, "run=best"],
        "compare": [*seqexp, "compare", f"runs={','.join(store)}"],
    }


def seconds(arguments: Sequence[str], folder: Path) -> Seconds:
    """Of one process and those that it waits for."""
    env = {**os.environ, "SEQEXP_OUTPUTS": str(folder / "outputs")}
    before, began = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, env=env, cwd=folder)
    wall, after = time.perf_counter() - began, os.times()
    assert done.returncode in (0, 2), done.stderr.decode()
    cpu = after.children_user - before.children_user + after.children_system
    return cpu - before.children_system, wall


def make_runs(folder: Path) -> None:
    """Two small runs, a file to predict, and compiled kernels: all that a warm machine has."""
    (folder / "records.fa").write_text(">one\n" + "ACGT" * 25 + "\n")
    for seed in (0, 1):
        seconds(["-m", "seqexp", *QUICK, f"seed={seed}", "trainer.epochs=2"], folder)
    results = sorted((folder / "outputs/runs").glob("*/result.json"))
    ids = [json.loads(file.read_text())["run_id"] for file in results]
    assert len(ids) == 2
    (folder / "runs.json").write_text(json.dumps(ids))


def whole(folder: Path, torch: Seconds, number: int) -> float:
    """Wall time of the default command over that of `import torch` and its training."""
    found = seconds(["-m", "seqexp", f"seed={100 + number}"], folder)
    (file,) = (folder / "outputs/runs").glob(f"*seed{100 + number}-*/result.json")
    training = json.loads(file.read_text())["metrics"]["time/train_seconds"]
    return found[1] / (torch[1] + training)


def shown(values: Sequence[float]) -> str:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main(rounds: int) -> None:
    """Interleaved, so that other work on the machine meets all alike."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_runs(folder)
        ratios: dict[str, list[Seconds]] = {}
        alone: list[Seconds] = []
        wholes: list[float] = []
        for number in range(rounds):
            for what, arguments in commands(folder).items():
                torch, found = seconds(TORCH, folder), seconds(arguments, folder)
                alone.append(torch)
                pair = found[0] / torch[0], found[1] / torch[1]
                ratios.setdefault(what, []).append(pair)
            one = whole(folder, seconds(TORCH, folder), number)
            wholes.append(one)
    print(f"{'':30}{'CPU time':24}wall time, {rounds} pairs")
    for what, pairs in ratios.items():
        cpu, wall = zip(*pairs, strict=True)
        print(f"{what:30}{shown(cpu):24}{shown(wall)}")
    print(f"{WHOLE:54}{shown(wholes)}")
    cpu, wall = zip(*alone, strict=True)
    print(f"import torch itself: {shown(cpu)} s of CPU time, {shown(wall)} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
