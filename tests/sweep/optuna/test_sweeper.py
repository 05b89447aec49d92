"""`sweeper=optuna` as a person runs it: checked, continued, pruned, recorded."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Command
from mlflow import MlflowClient

FAKE = ROOT / "tests" / "tools" / "fake_runs.py"
UNTRACKED = (
    *("~tracking.uri", "~tracking.artifacts", "~tracking.log_model"),
    # Hydra deletes nothing that is null
    *("tracking.register=x", "~tracking.register", "~tracking.system_metrics"),
    "tracking._target_=seqexp.tracking.none.NoTracker",
)
"""Records nothing, but keeps the folder, which `tracking=none` would not."""

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def fake(tmp_path: Path) -> Start:
    """Start a search whose runs train nothing."""

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        env = {**os.environ, "FAKE_LOG": str(tmp_path / "log"), **environment}
        command = [sys.executable, str(FAKE), "-m", "sweeper=optuna", *UNTRACKED, *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=tmp_path, env=env, text=True, **pipes)

    return start


def started(folder: Path) -> list[dict[str, Any]]:
    """Runs in the order in which they started."""
    log = folder / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []


def test_a_search_killed_in_the_middle_goes_on_and_a_larger_one_adds_trials(
    fake: Start, tmp_path: Path
) -> None:
    slow = fake(LR, "sweeper.n_trials=6", "sweeper.startup_trials=2", FAKE_SECONDS="0.3")
    while len(started(tmp_path)) < 3 and slow.poll() is None:
        time.sleep(0.02)
    slow.send_signal(signal.SIGKILL)
    slow.communicate()
    assert len(started(tmp_path)) == 3  # the third was running
    again = fake(LR, "sweeper.n_trials=6", "sweeper.startup_trials=2", FAKE_FAILS="0.01")
    output, errors = again.communicate(timeout=100)
    assert again.returncode == 0, errors  # that a trial failed is a result, too
    assert "2 trials are there; 1 were cut off, and are tried again" in output
    runs = [run["lr"] for run in started(tmp_path)]
    assert len(runs) == 7 and runs[2] == runs[3]
    assert len(set(runs)) == 6
    failed = [lr for lr in runs[3:] if lr > 0.01]
    assert output.count("| FAILED") == len(failed) > 0
    assert "gradient of w is inf" in output
    assert len(list((tmp_path / "outputs/sweeps").iterdir())) == 1
    table = [line.split("|")[2:5] for line in output.splitlines() if "| FINISHED" in line]
    losses = [float(loss) for _, _, loss in table]
    assert losses == sorted(losses) and len(losses) == 6 - len(failed)


def test_keys_that_only_some_models_have_are_searched_with_those_and_no_values_are_run_twice(
    fake: Start, tmp_path: Path
) -> None:
    space = ("model=lstm,cnn1d", "model.hidden_size=int(interval(2,3))", "model.num_filters=4,5")
    settings = ("sweeper.n_trials=20", "sweeper.startup_trials=20", "sweeper.n_jobs=3")
    done = fake(*space, *settings)
    output, errors = done.communicate(timeout=100)
    assert done.returncode == 0, errors
    runs = started(tmp_path)
    keys = {"lstm": "hidden_size", "cnn1d": "num_filters"}
    found = [(run["model"], run["model_keys"][keys[run["model"]]]) for run in runs]
    assert len(found) == len(set(found))
    assert set(found) == {("lstm", 2), ("lstm", 3), ("cnn1d", 4), ("cnn1d", 5)}
    assert len(re.findall(r"^trial \d+: ", output, re.M)) == 20


def test_runs_that_are_worse_than_others_are_stopped_and_no_failures(
    seqexp: Command, tmp_path: Path
) -> None:
    search = "sweeper.search={optimizer.lr: {low: 0.0001, high: 0.1, log: true}}"
    settings = ("sweeper.sampler=random", "sweeper.pruner=median", "sweeper.startup_trials=2")
    quick = ("trainer.epochs=8", "dataset.num_train=50", "dataset.num_test=50", "interpret=none")
    light = ("tracking.log_model=false", "sweeper.n_trials=8")
    done = seqexp("-m", "sweeper=optuna", search, *settings, *light, *quick)
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("motif").experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert len(children) == 8 and {run.info.status for run in runs} == {"FINISHED"}
    stopped = [run for run in children if "seqexp.pruned" in run.data.tags]
    assert 0 < len(stopped) < 6  # two are never stopped
    for run in children:
        points = client.get_metric_history(run.info.run_id, "valid/loss_nats")
        is_whole = "seqexp.pruned" not in run.data.tags
        assert (len(points) == 8) == is_whole == ("test/loss_nats" in run.data.metrics)
        if not is_whole:
            assert run.data.tags["seqexp.pruned"] == f"after epoch {len(points)}"
            best = min(point.value for point in points)
            assert run.data.metrics["best/valid_loss_nats"] == best
    losses = [run.data.metrics["best/valid_loss_nats"] for run in children if run not in stopped]
    assert parent.data.metrics["best/valid_loss_nats"] == min(losses)
    artifacts = tmp_path / "outputs/mlartifacts" / parent.info.run_id / "artifacts"
    assert (artifacts / "search/history.png").is_file()
    with (artifacts / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows].count("PRUNED") == len(stopped)
    assert "| PRUNED" in done.stdout and done.stdout.count("stopped after epoch") >= len(stopped)


def test_a_timed_plan_says_how_long_a_trial_takes_and_all_of_them(seqexp: Command) -> None:
    given = ("dataset.num_train=20", "dataset.num_valid=20", "dataset.num_test=20")
    done = seqexp("-m", "sweeper=optuna", "trainer=smoke", LR, "dry_run=timed", *given)
    assert done.returncode == 0, done.stderr
    assert re.search(r"a trial takes about \d+ s.*, 20 trials at most \d+ (s|min)", done.stdout)
    assert "of 2 of the outermost settings" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sweeper.n_trials=3"], "sweeper.search: there is nothing to search"),
        (
            ["optimizer.lr=interval(1,2000)", "model.num_filter=1,2"],
            "model.num_filter: unknown; did you mean num_filters?",
        ),
        (
            [LR, "sweeper.pruner=median", "optimized_metric=motif/correlation"],
            "sweeper.pruner is median, but optimized_metric is motif/correlation",
        ),
    ],
)
def test_an_unsound_search_ends_with_status_2_before_anything_starts(
    seqexp: Command, tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = seqexp("-m", "sweeper=optuna", "trainer=smoke", *arguments)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()
