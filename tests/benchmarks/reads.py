"""An epoch of the notebook's last experiment, the LSTM on windows of noisy reads, against others.

experiment=notebook/noisy-reads: LSTM(32) and two dense layers of 12 predict the letter after 50.

python -m tests.benchmarks.reads
"""

from pathlib import Path

from tests.benchmarks.compare import arguments, compare
from tests.benchmarks.work import Work, prepared

SIDES = ("bare", "ours", "ours-quiet", "lightning", "lightning-logging", "keras", "keras-xla")


def make(folder: Path, threads: int, ours: list[str]) -> Work:
    overrides = ["experiment=notebook/noisy-reads", f"trainer.num_threads={threads}"]
    return prepared(folder, overrides, ours, None, "epoch", 1, threads)


if __name__ == "__main__":
    given = arguments(__doc__, SIDES, pairs=12)
    compare("noisy reads, experiment=notebook/noisy-reads", make, given)
