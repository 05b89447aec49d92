"""An epoch of the notebook's first experiment, the CNN that finds a motif in DNA, against others.

Updates and validation; our loop as the command runs it, with all that it keeps: curves in MLflow,
gradient norms, checkpoints, images of the filters; and again without. `--default` is the command
without arguments: 8 filters, Adam.

python -m tests.benchmarks.motif
python -m tests.benchmarks.motif --default
"""

import argparse
from functools import partial
from pathlib import Path

from tests.benchmarks.compare import arguments, compare
from tests.benchmarks.work import Work, prepared

SIDES = ("bare", "ours", "ours-quiet", "lightning", "lightning-logging", "keras", "keras-xla")

COMMANDS = {
    "experiment=notebook/motif": ["experiment=notebook/motif"],
    "the default": ["dataset=motif", "model=cnn1d"],
}

EPOCHS = 10
"""Of a stretch: images of filters are drawn every five."""


def make(command: list[str], folder: Path, threads: int, ours: list[str]) -> Work:
    overrides = [*command, f"trainer.num_threads={threads}"]
    return prepared(folder, overrides, ours, None, "epoch", EPOCHS, threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--default", action="store_true", help="of `dataset=motif model=cnn1d`")
    given = arguments(__doc__, SIDES, pairs=12, parents=[parser])
    name = "the default" if given.default else "experiment=notebook/motif"
    compare(f"a motif in DNA, {name}", partial(make, COMMANDS[name]), given)
