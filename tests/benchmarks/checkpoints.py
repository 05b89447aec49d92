"""What checkpoints cost: time of training with one every 100 updates, over time without.

Twice: by two trainings in turn in one process, from the same weights (that they end the same is
checked), and within the training that is saved, by the time that writing takes, which neighbours
on the machine disturb less. Wall time, since a checkpoint waits for the disk.

python tests/benchmarks/checkpoints.py --pairs 9
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from seqexp.build import begin, load, parts
from seqexp.callback.base import Curves, Observed
from seqexp.callback.checkpoint import Checkpoints
from seqexp.checkpoint import store
from seqexp.checkpoint.folder import RunFolder
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import check
from seqexp.tracking.none import NoTracker
from seqexp.trainer.loop import fit
from seqexp.utils.signals import Stop

CONF = Path(__file__).parents[2] / "conf"

WORK = {
    "motif, cnn1d": ("dataset=motif", "model=cnn1d", "trainer.epochs=10"),
    "chars, lstm(64)": (
        "dataset=chars",
        "model=lstm",
        "trainer=tbptt",
        "dataset.num_chars=60000",
        "trainer.epochs=4",
    ),
}


class Timed(RunFolder):
    """A folder that knows how long writing to it took."""

    seconds = 0.0

    def save(self, state: Any) -> None:
        began = time.perf_counter()
        super().save(state)
        self.seconds += time.perf_counter() - began


def train(
    config: dict[str, Any], every: int | None
) -> tuple[float, float, Mapping[str, torch.Tensor]]:
    """Seconds of a whole training and of writing checkpoints in it, and its weights."""
    checkpoint = {**config["trainer"]["checkpoint"], "every_steps": every, "every_minutes": None}
    trainer = {**config["trainer"], "checkpoint": checkpoint if every else None}
    made = parts({**config, "trainer": trainer}, only_trains=True)
    data = load(made)
    device = torch.device("cpu")
    training, _ = begin(made, data, device)
    with tempfile.TemporaryDirectory() as temporary:
        folder, run = Timed(Path(temporary)), Observed(NoTracker(), training, data)
        saving = Checkpoints(folder, {}, run, [Curves(run)], Stop())
        began = time.perf_counter()
        for report in fit(training, data):
            saving.after(report)
        seconds = time.perf_counter() - began
        assert folder.path is not None
        assert bool(store.files(folder.path / "checkpoints")) is (every is not None)
    return seconds, folder.seconds, training.model.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--every", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, overrides in WORK.items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = check(compose("config", list(overrides)))
        by_pairs, within = [], []
        for _ in range(given.pairs + 1):
            without, _, expected = train(config, None)
            seconds, writing, found = train(config, given.every)
            assert all(torch.equal(found[key], expected[key]) for key in expected)
            by_pairs.append(seconds / without)
            within.append(seconds / (seconds - writing))
        print(f"{name}: a checkpoint every {given.every} updates / none, {given.pairs} pairs")
        for how, ratios in (("two trainings in turn", by_pairs), ("within one", within)):
            low, middle, high = statistics.quantiles(ratios[1:], n=4)
            print(f"  {how:22} {middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
