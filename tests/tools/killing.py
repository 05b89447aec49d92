"""Kills runs with SIGKILL at random instants, and says whether they end as if nothing had been.

The slow test runs it 200 times; by hand: python tests/tools/killing.py --kills 200 --seed 0
"""

import argparse
import hashlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from child import last_words, start_child
from conftest import ROOT
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient

from seqexp.checkpoint import store
from seqexp.checkpoint.encode import encode
from seqexp.checkpoint.result import Start
from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import check
from seqexp.config.groups import Config
from seqexp.run import run

MODELS = {
    "cnn1d": ("model=cnn1d", "model.num_filters=4", "model.dropout=0.2"),
    "lstm": ("model=lstm", "model.hidden_size=12", "model.dropout=0.3"),
    "lstm, lazy-adam": (
        "model=lstm",
        "model.hidden_size=12",
        "model.embedding_size=4",
        "model.dropout=0.3",
        "optimizer=lazy-adam",
    ),
    "stacked-rnn": ("model=stacked-rnn", "model.hidden_size=8", "model.dropout=0.2"),
}

TRUNCATIONS = {
    "full": ("dataset=motif", "dataset.num_train=250", "trainer.patience=2", "interpret=none"),
    "k1 = k2": ("dataset=chars", "dataset.num_chars=6000", "trainer=tbptt"),
    "k1 < k2": (
        "dataset=noisy-reads",
        "dataset.length=90",
        "dataset.num_reads=12",
        "trainer=tbptt",
        "trainer.bptt.k1=7",
        "trainer.bptt.k2=25",
    ),
}

KINDS = {
    "labels": ("dataset=motif", "dataset.task=multi_label", "dataset.num_train=100", "model=cnn1d"),
    "positions": ("dataset=tagging", "dataset.num_made=150", "model=rnn"),
    "frames": ("dataset=frames", "dataset.num_made=60", "model=lstm", "model.hidden_size=8"),
    "pairs": (
        *("dataset=pairs", "dataset.num_made=150", "model=lstm", "model.hidden_size=8"),
        "model.attention=dot",
    ),
}
"""Of other kinds of task, one with a context."""

COMMON = (
    "trainer.epochs=4",
    "trainer.batch_size=8",
    "trainer.log_every_steps=3",
    "trainer.checkpoint.every_steps=7",
    "schedule=cosine",
    "decode=none",
    "tracking.log_model=false",
)

TIMED = ("time/", "speed/")
"""Metrics that no two runs share."""


@dataclass
class Case:
    """One composition, and how it ended when it was left alone."""

    name: str
    overrides: tuple[str, ...]
    seconds: float = 0.0
    expected: tuple[str, str] = ("", "")


def cases() -> list[Case]:
    """Every model with every truncation, and the kinds of task with a schedule that waits."""
    follows = ("schedule=plateau", "schedule.patience=0", "schedule.min_delta=0.5")
    given = [o for o in COMMON if not o.startswith("schedule")]
    return [
        *(
            Case(f"{model}, {truncation}", (*MODELS[model], *TRUNCATIONS[truncation], *COMMON))
            for model in MODELS
            for truncation in TRUNCATIONS
        ),
        *(Case(kind, (*KINDS[kind], *given, *follows)) for kind in KINDS),
    ]


def config_of(case: Case, outputs: Path) -> Config:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        # groups first, so that what is set of them is known
        given = sorted(case.overrides, key=lambda o: "." in o.partition("=")[0])
        return check(compose("config", [*given, f"paths.outputs={outputs}"]))


def start(case: Case, outputs: Path, name: str) -> ForkServerProcess:
    """A process that runs it."""
    folder = outputs / name
    said = outputs / f"{name}.log"
    return start_child(said, train, config_of(case, outputs), folder)


def train(config: Config, folder: Path) -> None:
    """What the process does."""
    run(config, Start({"model": "model", "dataset": "kill"}, folder=folder))


def ends_within(child: ForkServerProcess, seconds: float | None, said: Path) -> bool:
    """Wait for a child; kill it if it takes longer. Whether it ended by itself.

    Raises:
        AssertionError: if it failed, with what it said.
    """
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
    assert child.exitcode in (0, -signal.SIGKILL), f"status {child.exitcode}: {last_words(said)}"
    return child.exitcode == 0


def ending(folder: Path, outputs: Path) -> tuple[str, str]:
    """SHA-256 of all that a finished run has come to: of its state, and of its metric rows."""
    (file,) = store.files(folder / "checkpoints")
    state = store.read(file)["training"]
    del state["progress"]["seconds"]
    tensors, text = encode({**state, "progress": without_times(state["progress"])})
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].numpy().tobytes())
    found = hashlib.sha256(repr(list(rows(folder, outputs))).encode())
    return sha.hexdigest(), found.hexdigest()


def without_times(progress: dict[str, Any]) -> dict[str, Any]:
    best = {k: v for k, v in progress["best_metrics"].items() if not k.startswith(TIMED)}
    return {**progress, "best_metrics": best}


def rows(folder: Path, outputs: Path) -> Iterator[tuple[str, int, str]]:
    """Every point of the one run that MLflow has for a folder; of timed curves, only that it is."""
    import json

    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    run_id = json.loads((folder / "result.json").read_text())["run_id"]
    recorded = client.get_run(run_id)
    assert recorded.info.status == "FINISHED"
    for key in sorted(recorded.data.metrics):
        for point in sorted(client.get_metric_history(run_id, key), key=lambda p: p.step):
            yield key, point.step, "" if key.startswith(TIMED) else repr(point.value)


def left_alone(case: Case, outputs: Path, name: str) -> None:
    """Note how a case ends, and how long it takes."""
    (outputs / name).mkdir(parents=True)
    began = time.monotonic()
    assert ends_within(start(case, outputs, name), None, outputs / f"{name}.log")
    case.seconds = time.monotonic() - began
    case.expected = ending(outputs / name, outputs)


def kill_until_done(case: Case, outputs: Path, name: str, draw: random.Random) -> int:
    """Start and kill until it has ended by itself; returns how often it was killed.

    Raises:
        AssertionError: if it ended otherwise than the one that was left alone.
    """
    folder = outputs / name
    folder.mkdir()
    kills, said = 0, outputs / f"{name}.log"
    while not ends_within(start(case, outputs, name), instant(case, draw), said):
        kills += 1
    state, points = ending(folder, outputs)
    assert state == case.expected[0], f"{case.name}: the state differs: {folder}"
    assert points == case.expected[1], f"{case.name}: the points differ: {folder}"
    return kills


def instant(case: Case, draw: random.Random) -> float:
    """Seconds until the kill; some are after the end, or it would never end by itself."""
    return draw.uniform(0.05, 1.2) * case.seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    kill(arguments.kills, arguments.seed)


def kill(wanted: int, seed: int, chosen: list[Case] | None = None) -> int:
    """Kill that often at least, all cases in turn; returns how often it was."""
    draw = random.Random(seed)
    chosen = cases() if chosen is None else chosen
    kills, ends = 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        outputs = Path(temporary)
        for index, case in enumerate(chosen):
            left_alone(case, outputs, f"alone{index}")
        while kills < wanted:
            for case in chosen:
                found = kill_until_done(case, outputs, f"run{ends}", draw)
                kills, ends = kills + found, ends + 1
                print(f"{case.name:24} killed {found} times, ended the same", flush=True)
    print(f"{kills} kills, {ends} runs, all ended the same")
    return kills


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    main()
