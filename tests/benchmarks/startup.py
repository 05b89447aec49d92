"""How long one waits: for help, for an error, for the first step; against imports alone.

python -m tests.benchmarks.startup [ROUNDS]
"""

import os
import statistics
import subprocess
import sys
import time

FIRST_STEP = """
import os, sys
from seqexp.trainer import update
def stop(*arguments): sys.stdout.flush(); os._exit(0)
update.update = stop  # before the loop takes it
sys.argv = ["seqexp", "tracking=none", "trainer=smoke", "interpret=none"]
from seqexp.__main__ import main
main()
"""

COMMANDS = {
    "import torch": ["-c", "import torch"],
    "import torch, hydra, mlflow": ["-c", "import torch, hydra, mlflow"],
    "--help": ["-m", "seqexp", "--help"],
    "an error": ["-m", "seqexp", "modle=lstm"],
    "first step": ["-c", FIRST_STEP],
}


def seconds(arguments: list[str]) -> float:
    """Of one process."""
    began = time.perf_counter()
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, *arguments], capture_output=True, env=env)
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Interleaved, so that other work on the machine meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    for name, values in times.items():
        print(
            f"{name:28} {statistics.median(values):.2f} s, {min(values):.2f} to {max(values):.2f}"
        )
    for above, below in (
        ("--help", "import torch, hydra, mlflow"),
        ("first step", "import torch"),
    ):
        ratios = [a / b for a, b in zip(times[above], times[below], strict=True)]
        print(f"{above} / {below}: {statistics.median(ratios):.2f}, median of {rounds} pairs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
