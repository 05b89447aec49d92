"""Sweeps: checked as a whole, recorded together, compared, and not stopped by one failure."""

import csv
import json
import re
from pathlib import Path

import pytest
from conftest import Command
from mlflow import MlflowClient
from mlflow.entities import Run

from seqexp.errors import InputError
from seqexp.sweep.grid.sweeper import words

QUICK = ("trainer=smoke", "dataset.num_train=50", "dataset.num_test=50", "interpret=none")


def runs_of(outputs: Path, name: str = "motif") -> tuple[MlflowClient, Run, list[Run]]:
    """The client, the parent and its children."""
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    found = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} <= {parent.info.run_id}
    return client, parent, children


@pytest.fixture
def download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = tmp_path / "download"
    folder.mkdir()
    return folder


def test_a_sweep_is_one_parent_with_a_child_for_each_combination(
    seqexp: Command, tmp_path: Path, download: Path
) -> None:
    done = seqexp("-m", "model.num_filters=1,8", "seed=0,1", *QUICK)
    assert done.returncode == 0, done.stderr
    client, parent, children = runs_of(tmp_path / "outputs")
    points = {(run.data.params["model.num_filters"], run.data.params["seed"]) for run in children}
    assert len(children) == 4
    assert points == {("1", "0"), ("1", "1"), ("8", "0"), ("8", "1")}
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    table = client.download_artifacts(parent.info.run_id, "comparison.csv", str(download))
    with Path(table).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    losses = [float(row["best/valid_loss_nats"]) for row in rows]
    assert losses == sorted(losses)
    by_id = {run.info.run_id: run for run in children}
    for row in rows:  # the table says what the runs say
        metrics = by_id[row["run id"]].data.metrics
        assert float(row["test/accuracy"]) == metrics["test/accuracy"]
        assert row["model.num_filters"] == by_id[row["run id"]].data.params["model.num_filters"]
    # the parent has the best point's mean: that of its best seed would be luck
    wide = [float(row["best/valid_loss_nats"]) for row in rows if row["model.num_filters"] == "8"]
    assert parent.data.metrics["best/valid_loss_nats"] == pytest.approx(sum(wide) / 2)
    assert "| model.num_filters |" in parent.data.tags["mlflow.note.content"]
    assert "| model.num_filters | seed |" in parent.data.tags["mlflow.note.content"]
    assert re.search(r"^\| model.num_filters=8 \| 2 +\| .* \| best ", done.stdout, re.M)
    assert "model.num_filters | seed" not in done.stdout  # a terminal has a row a point


def test_a_failing_job_does_not_stop_the_others(
    seqexp: Command, tmp_path: Path, download: Path
) -> None:
    explode = ("model.activation=linear", "optimizer=sgd", "optimizer.momentum=0.99")
    done = seqexp("-m", "optimizer.lr=1000,0.01", *explode, *QUICK, "trainer.epochs=50")
    assert done.returncode == 1
    assert "1 of 2 jobs failed\n  optimizer.lr=1000: NonFiniteError: " in done.stderr
    assert "Traceback" not in done.stderr
    client, parent, children = runs_of(tmp_path / "outputs")
    assert {run.data.params["optimizer.lr"]: run.info.status for run in children} == {
        "1000": "FAILED",
        "0.01": "FINISHED",
    }
    assert parent.info.status == "FAILED"
    table = client.download_artifacts(parent.info.run_id, "comparison.json", str(download))
    content = json.loads(Path(table).read_text())
    status = content["columns"].index("status")
    assert [row[status] for row in content["data"]] == ["FINISHED", "FAILED"]

    again = seqexp("-m", "optimizer.lr=1000,0.01", *explode, *QUICK, "trainer.epochs=50")
    assert again.returncode == 1
    assert "1 finished before, 1 failed before, and tried again" in again.stdout
    assert re.findall(r"^job \d+: (\S+)", again.stdout, re.M) == ["optimizer.lr=1000"]
    (manifest,) = (tmp_path / "outputs/sweeps").glob("*/manifest.json")
    jobs = json.loads(manifest.read_text())["jobs"].values()
    (failed,) = [job for job in jobs if job["state"] == "FAILED"]
    assert "Traceback" in failed["traceback"] and "NonFiniteError" in failed["traceback"]


def test_one_wrong_job_keeps_all_from_starting(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp("-m", "model.num_filters=1,-1,x", "seed=0", *QUICK)
    assert done.returncode == 2
    assert "of the sweep (3 jobs) has 2 faults; nothing was started" in done.stderr
    assert "model.num_filters is -1; give an integer" in done.stderr
    assert "model.num_filters is 'x'; give an integer" in done.stderr
    assert "(in the job model.num_filters=-1)" in done.stderr
    assert not (tmp_path / "outputs/mlflow.db").exists()


def test_a_group_can_be_swept_and_runs_need_not_be_kept(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp("-m", "optimizer=sgd,adamw", "tracking=none", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "| optimizer |" in done.stdout and "| adamw " in done.stdout
    assert list(tmp_path.iterdir()) == []


SMALL = (
    "dataset.num_chars=2000",
    "dataset.batch_size=4",
    "trainer.epochs=1",
    "gradient_flow.max_lag=5",
    "model.hidden_size=4",
    "gradient_flow.every_epochs=1",
)


def test_an_experiments_grids_are_swept_and_their_gradient_flow_compared(
    seqexp: Command, tmp_path: Path, download: Path
) -> None:
    grids = "['model=rnn model.recurrent_norm=0.5,2','model=lstm']"
    done = seqexp("-m", "experiment=gradient-flow", f"hydra.sweeper.grids={grids}", *SMALL)
    assert done.returncode == 0, done.stderr
    client, parent, children = runs_of(tmp_path / "outputs", "chars")
    points = {
        (run.data.params["model"], run.data.params["model.recurrent_norm"]) for run in children
    }
    assert len(children) == 3
    assert points == {("rnn", "0.5"), ("rnn", "2"), ("lstm", "null")}
    assert "| model | model.recurrent_norm |" in done.stdout
    found = client.list_artifacts(parent.info.run_id, "gradient_flow")
    assert [artifact.path for artifact in found] == ["gradient_flow/comparison.png"]
    for run in children:
        history = client.get_metric_history(run.info.run_id, "gradient_flow/factor_per_token")
        assert [point.step for point in history] == [0, 1]
        found = client.list_artifacts(run.info.run_id, "gradient_flow")
        assert [artifact.path for artifact in found] == [
            "gradient_flow/gradient_flow.png",
            "gradient_flow/norms.json",
        ]
        table = client.download_artifacts(
            run.info.run_id, "gradient_flow/norms.json", str(download)
        )
        assert len(json.loads(Path(table).read_text())["data"]) == 2 * 6  # epochs and lags


def test_grids_that_the_command_line_contradicts_are_left_out(seqexp: Command) -> None:
    grids = "['model=rnn model.recurrent_norm=0.5,2','model=lstm','model.forget_bias=2']"
    given = (f"hydra.sweeper.grids={grids}", "model=lstm", "tracking=none")
    done = seqexp("-m", "experiment=gradient-flow", *given, *SMALL)
    assert done.returncode == 0, done.stderr
    jobs = re.findall(r"^job \d+: (.*) experiment=gradient-flow", done.stdout, re.M)
    assert jobs == ["model=lstm", "model.forget_bias=2"]


def test_grids_may_be_of_other_experiments(seqexp: Command) -> None:
    done = seqexp("-m", "experiment=imdb-ensemble", "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "sweep of 4 jobs, each with dataset.seed=0" in done.stdout
    assert "| experiment=imdb-wide seed=2 |" in done.stdout
    assert re.search(r"\| experiment=imdb-ngrams +\|", done.stdout)


def test_a_key_that_no_job_of_a_sweep_takes_is_refused(seqexp: Command) -> None:
    sweep = ("-m", "dataset=text", "model=ngrams", "seed=0,1", "dry_run=true")
    for key in ("model.from_run", "model.hidden_size"):
        done = seqexp(*sweep, f"{key}=3")
        assert done.returncode == 2
        assert f"{key}: no job of the sweep has a model that takes it; leave it out" in done.stderr


def test_a_grid_with_half_a_quote_is_refused_with_the_grid() -> None:
    with pytest.raises(InputError, match=r"grids has \"model=lstm seed='0\".*no closing quotation"):
        words("model=lstm seed='0")
    assert words("model=lstm 'seed=0,1'") == ["model=lstm", "seed=0,1"]
