"""What the bar on a terminal costs: CPU time of a training with it, over time without.

The two in turn in one process, whose standard error is a terminal that is read all the time.

python -m tests.benchmarks.bar [PAIRS]
"""

import os
import pty
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from seqexp.build import begin, load, parts, total_steps
from seqexp.callback.progress import Progress
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import check
from seqexp.trainer.loop import fit

CONF = Path(__file__).parents[2] / "conf"


def train(config: dict[str, Any], wanted: bool) -> float:
    """CPU seconds of a whole training."""
    made = parts(config, only_trains=True)
    settings, data = made.settings, load(made)
    training, _ = begin(made, data, torch.device("cpu"))
    steps = total_steps(settings, data)
    per_step = len(data.train) * settings.epochs / steps
    began = time.process_time()
    with Progress(training, steps, "sequences", per_step, wanted) as progress:
        assert progress.wanted is wanted, "standard error is no terminal"
        for report in fit(training, data):
            progress.after(report)
    return time.process_time() - began


def main(pairs: int) -> None:
    """The first pair is not counted."""
    screen, keyboard = pty.openpty()
    os.dup2(keyboard, sys.stderr.fileno())
    threading.Thread(
        target=lambda: [os.read(screen, 65536) for _ in iter(int, 1)], daemon=True
    ).start()
    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", ["trainer.epochs=10"]))
    ratios = [train(config, True) / train(config, False) for _ in range(pairs + 1)][1:]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"motif, cnn1d, {pairs} pairs, with the bar / without:", end=" ")
    print(f"{middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
