"""The same sweep again: what is done is skipped, what was cut off goes on, what is new is added."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from filelock import FileLock
from stopping import stopped

from seqexp.cli.subcommand import run_command

QUICK = ("trainer=smoke", "dataset.num_train=50", "dataset.num_test=50", "interpret=none")


def runs(outputs: Path) -> dict[str, list[tuple[str, str]]]:
    """Status and name of the runs in the database, by the id of their parent."""
    query = """SELECT coalesce(tags.value, ''), status, name FROM runs LEFT JOIN tags
               ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.parentRunId'"""
    found: dict[str, list[tuple[str, str]]] = {}
    with sqlite3.connect(outputs / "mlflow.db") as database:
        for parent, status, name in database.execute(query).fetchall():
            found.setdefault(parent, []).append((status, name))
    database.close()
    return found


def job_lines(text: str) -> list[str]:
    """What a command said of each job that it started."""
    return re.findall(r"^job \d+: (.*?) trainer=smoke", text, re.M)


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_sweep_trains_only_what_is_missing(seqexp: Command, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    done = seqexp("-m", "model.num_filters=1,8,8", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "1 of 3 jobs are the same as others" in done.stdout
    (parent,) = {*runs(outputs)} - {""}
    before, runs_before = content(outputs / "sweeps"), runs(outputs)

    # the same command: nothing is trained, the table is the same
    again = seqexp("-m", "model.num_filters=1,8,8", *QUICK)
    assert again.returncode == 0, again.stderr
    assert "2 finished before" in again.stdout and job_lines(again.stdout) == []
    assert runs(outputs) == runs_before and content(outputs / "sweeps") == before
    table = done.stdout[done.stdout.index("| model.num_filters") :]
    assert again.stdout.endswith(table)

    # a value more: only its job, below the same parent, with all in one table
    more = seqexp("-m", "model.num_filters=4,1,8", *QUICK)
    assert more.returncode == 0, more.stderr
    assert job_lines(more.stdout) == ["model.num_filters=4"]
    assert [*runs(outputs)] == ["", parent] and len(runs(outputs)[""]) == 1
    assert [status for status, _ in runs(outputs)[parent]] == ["FINISHED"] * 3
    (folder,) = (outputs / "sweeps").iterdir()
    kept = outputs / "mlartifacts" / parent / "artifacts"
    assert len(json.loads((kept / "comparison.json").read_text())["data"]) == 3
    assert {path.name for path in kept.iterdir()} == {
        *("comparison.json", "comparison.csv", "comparison.png", "curves.png"),
        *("ensemble.json", "ensemble_weights.json"),
    }

    # what is there is known to a dry run, which changes nothing
    before = content(outputs)
    plan = seqexp("-m", "model.num_filters=1,2", *QUICK, "dry_run=true")
    assert plan.returncode == 0, plan.stderr
    rows = {row.split("|")[1].strip(): row for row in plan.stdout.splitlines() if "|" in row}
    assert re.search(r"\| done +\| 81 +\| 100 +\| 8 ", rows["model.num_filters=1"])
    assert re.search(r"\| to run +\| 160 +\| 100 +\| 8 ", rows["model.num_filters=2"])
    assert "2 runs, 1 done; 8 steps to train" in plan.stdout
    assert content(outputs) == before

    # by force: all again, in a run of its own; the old one is not lost
    forced = seqexp("-m", "model.num_filters=8,4,1", *QUICK, "force=true")
    assert forced.returncode == 0, forced.stderr
    assert len(job_lines(forced.stdout)) == 3
    assert len(runs(outputs)) == 3 and len(runs(outputs)[""]) == 2
    assert json.loads((folder / "previous/1/manifest.json").read_text())["run_id"] == parent


def test_a_dry_run_writes_nothing(seqexp: Command, tmp_path: Path) -> None:
    sweep = seqexp("-m", "model=rnn,lstm", "dataset=chars", "seeds=2", "dry_run=true")
    assert sweep.returncode == 0, sweep.stderr
    assert sweep.stdout.count("to run") == 4 and "0 done" in sweep.stdout
    single = seqexp("experiment=imdb", "dry_run=true")
    assert single.returncode == 0, single.stderr
    assert "data not here" in single.stdout and "1 whose steps are not known" in single.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_a_run_that_is_only_to_be_reported_again(
    seqexp: Command, tmp_path: Path
) -> None:
    quick = ("trainer=smoke", "dataset.num_train=50", "dataset.num_test=50", "tracking=none")
    kept = f"hydra.run.dir={tmp_path / 'mine'}"
    assert seqexp(*quick, "interpret=none", kept, "hydra.output_subdir=.hydra").returncode == 0
    known = ("hydra.output_subdir=.hydra", kept, "dry_run=true")
    assert "1 run, 1 done; 0 steps" in seqexp(*quick, "interpret=none", *known).stdout
    other = seqexp(*quick, "interpret.max_shown=1", *known)
    assert "to report again" in other.stdout and "0 done; 0 steps to train" in other.stdout


def test_seeds_are_for_a_sweep_and_not_beside_a_seed(seqexp: Command, tmp_path: Path) -> None:
    alone = seqexp("seeds=5", "tracking=none")
    assert alone.returncode == 2 and "seeds is 5, which is for a sweep; add -m" in alone.stderr
    both = seqexp("-m", "seeds=5", "seed=0,1")
    assert both.returncode == 2 and "seeds is 5 and seed=0,1 is given too" in both.stderr
    wrong = seqexp("-m", "seeds=0")
    assert wrong.returncode == 2 and "seeds is 0; give an integer from 1" in wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_seeds_repeat_each_point_and_are_one_row(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp("-m", "model.num_filters=1,8", "seeds=2", *QUICK, "tracking=none")
    assert done.returncode == 0, done.stderr
    assert len(job_lines(done.stdout)) == 4
    assert re.search(r"^\| model.num_filters=1 \| 2 .*\(weak: 2 seeds\)", done.stdout, re.M)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "status", "state", "line"),
    [
        (signal.SIGKILL, -9, "RUNNING", "epoch  1/40"),
        (signal.SIGTERM, 143, "KILLED", "parameters, on motif"),
    ],
)
def test_a_sweep_that_was_killed_goes_on(
    seqexp: Command, tmp_path: Path, number: int, status: int, state: str, line: str
) -> None:
    outputs = tmp_path / "outputs"
    arguments = ("-m", "model.num_filters=1,2,8", *QUICK, "trainer.epochs=40")
    assert stopped(tmp_path, arguments, number, line, nth=2) == status
    (parent,) = {*runs(outputs)} - {""}
    assert [status for status, _ in runs(outputs)[""]] == [state]

    again = seqexp(*arguments)
    assert again.returncode == 0, again.stderr
    assert re.search(r"sweep of 3 jobs: 1 finished before", again.stdout)
    assert [*runs(outputs)] == ["", parent]
    assert [status for status, _ in runs(outputs)[""]] == ["FINISHED"]
    finished = [name for status, name in runs(outputs)[parent] if status == "FINISHED"]
    assert len(finished) == len({*finished}) == 3


def test_jobs_whose_time_is_over_go_on(seqexp: Command, tmp_path: Path) -> None:
    arguments = ("-m", "model.num_filters=1,2", *QUICK, "trainer.epochs=40")
    done = seqexp(*arguments, "trainer.max_minutes=0.000001")
    assert done.returncode == 130
    assert "2 of 2 jobs were stopped; the same command goes on" in done.stderr
    plan = seqexp(*arguments, "dry_run=true")
    assert len(re.findall(r"to continue at step [1-9]", plan.stdout)) == 2, plan.stdout
    again = seqexp(*arguments)
    assert again.returncode == 0, again.stderr
    assert "sweep of 2 jobs: 2 to be continued" in again.stdout
    (parent,) = {*runs(tmp_path / "outputs")} - {""}
    found = runs(tmp_path / "outputs")[parent]
    assert [status for status, _ in found] == ["FINISHED"] * 2


COUNTING = """
import os
import torch

class Counting(torch.optim.SGD):
    def __init__(self, params, **options) -> None:
        super().__init__(params, **options)
        self.counter = os.open(os.environ["COUNTER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def step(self, closure=None):
        os.write(self.counter, b".")
        return super().step(closure)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_killed_three_times_trains_hardly_more(tmp_path: Path, seed: int) -> None:
    """Twelve jobs of 210 updates, a checkpoint every 20."""
    counter = tmp_path / "counter"
    counter.touch()
    (tmp_path / "counting.py").write_text(COUNTING)
    arguments = ["-m", "model.num_filters=1,2,4,8", "seeds=3", "trainer=smoke", "interpret=none"]
    arguments += ["trainer.epochs=30", "trainer.checkpoint.every_steps=20"]
    arguments += ["trainer.checkpoint.every_minutes=null", "trusted_packages=[counting]"]
    arguments += ["optimizer=sgd", "optimizer._target_=counting.Counting"]
    command = [sys.executable, "-m", "seqexp", *arguments]
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "COUNTER": str(counter), "PYTHONPATH": path}
    steps, kills = 12 * 210, 0
    for moment in sorted(np.random.default_rng(seed).integers(1, steps, 3).tolist()):
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)
        while counter.stat().st_size < moment + 20 * kills and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills == 3
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (parent,) = {*runs(tmp_path / "outputs")} - {""}
    assert [status for status, _ in runs(tmp_path / "outputs")[""]] == ["FINISHED"]
    found = runs(tmp_path / "outputs")[parent]
    assert [status for status, _ in found] == ["FINISHED"] * 12
    assert len({name for _, name in found}) == 12
    trained = counter.stat().st_size
    print(f"seed {seed}: {trained} updates, {trained - steps} more than without kills")
    assert steps <= trained <= steps + 3 * 20


def test_two_processes_never_run_one_sweep(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with FileLock(tmp_path / "mine/.lock"):
        done = seqexp("-m", "seed=0,1", *QUICK, "hydra.sweep.dir=mine")
    assert done.returncode == 2
    assert "mine: another process is running this sweep" in done.stderr
    assert not (tmp_path / "outputs/mlflow.db").exists()


def test_a_run_of_another_sweep_is_adopted_and_stays_where_it_is(
    seqexp: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = tmp_path / "outputs"
    assert seqexp("-m", "model.num_filters=1,2", *QUICK).returncode == 0
    ((first, [*trained]),) = ((k, v) for k, v in runs(outputs).items() if k)
    before = content(outputs / "sweeps")
    grown = ("-m", "model.num_filters=2", "optimizer.lr=0.001,0.01", *QUICK)
    plan = seqexp(*grown, "dry_run=true")
    assert "2 runs, 1 done" in plan.stdout, plan.stdout
    done = seqexp(*grown)
    assert done.returncode == 0, done.stderr
    assert "optimizer.lr=0.01: finished in " in done.stdout and "not trained again" in done.stdout
    assert job_lines(done.stdout) == ["model.num_filters=2 optimizer.lr=0.001"]
    assert "ensemble of 2 runs" in done.stdout

    # the run is where it was, and a light one stands for it below the new sweep
    after, found = content(outputs / "sweeps"), runs(outputs)
    assert {name: after[name] for name in before} == before and found[first] == trained
    (second,) = {*found} - {"", first}
    states, names = zip(*sorted(found[second]), strict=True)
    assert states == ("FINISHED",) * 2 and "optimizer.lr=0.01" in names

    # the same again trains and records nothing; compare finds the run itself
    again = seqexp(*grown)
    assert job_lines(again.stdout) == [] and runs(outputs) == found
    given = [f"sweep={second}", f"paths.outputs={outputs}", f"output={tmp_path / 'out'}"]
    assert run_command("compare", given) == 0
    said = capsys.readouterr()
    assert said.err.count("\nrun ") == 2 and "| optimizer.lr" in said.out
