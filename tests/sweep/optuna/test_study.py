"""A study on disk: seeded, continued, and sound after its process was killed at any moment."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from seqexp.sweep.optuna.settings import Optuna
from seqexp.sweep.optuna.space import Choice, Range, Space
from seqexp.sweep.optuna.study import Study, mend

SPACE: Space = {"model": Choice(("lstm", "rnn")), "optimizer.lr": Range(1e-4, 1e-1, log=True)}


def open_study(folder: Path, **settings: object) -> Study:
    return Study(Optuna(**settings), SPACE, folder, maximize=False, num_epochs=5)  # type: ignore[arg-type]


def run_trials(study: Study, until: int) -> list[dict[str, str]]:
    """What an endless search would do; returns the values that were tried."""
    study.take_up()
    tried = []
    while len(study.trials()) < until:
        trial, values = study.ask(["model"], lambda _: ["optimizer.lr"])
        tried.append(values)
        value = (float(values["optimizer.lr"]) - 0.03) ** 2
        study.tell(trial, value, values, {})
    return tried


def values_of(trials: list[FrozenTrial]) -> list[dict[str, str]]:
    return [trial.user_attrs["values"] for trial in trials]


def test_a_search_depends_on_its_seed_alone(tmp_path: Path) -> None:
    tried = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        tried.append(run_trials(open_study(tmp_path / name, seed=seed, startup_trials=3), 6))
    assert tried[0] == tried[1] != tried[2]
    assert len({values["optimizer.lr"] for values in tried[0]}) == 6


def test_a_study_that_goes_on_tries_what_it_would_have_tried_without_the_break(
    tmp_path: Path,
) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = run_trials(open_study(tmp_path / "whole", startup_trials=3), 8)
    first = run_trials(open_study(tmp_path / "cut", startup_trials=3), 5)
    second = run_trials(open_study(tmp_path / "cut", startup_trials=3), 8)
    assert first + second == whole


def test_a_trial_that_was_cut_off_is_tried_again_once_with_the_same_values(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    run_trials(study, 2)
    _, lost = study.ask(["model"], lambda _: ["optimizer.lr"])
    for _ in range(2):  # a second restart, before anything was tried, changes nothing
        study = open_study(tmp_path)
        taken_up = study.take_up()
    assert taken_up == 0 and len(study.trials()) == 2
    trial, again = study.ask(["model"], lambda _: ["optimizer.lr"])
    assert again == lost
    study.tell(trial, 1.0, again, {})
    _, other = study.ask(["model"], lambda _: ["optimizer.lr"])
    assert other != lost


def test_a_trial_without_a_finite_value_has_failed_and_is_not_the_best(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    for value in (None, float("nan"), float("inf"), 3.0, 2.0):
        trial, values = study.ask(["model"], lambda _: ["optimizer.lr"])
        study.tell(trial, value, values, {})
    states = [trial.state for trial in study.best_first()]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.FAIL] * 3
    assert next(study.best_first()).value == 2.0


def test_a_line_that_was_cut_off_is_taken_off_the_journal(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    tried = run_trials(study, 3)
    lines = study.path.read_bytes().splitlines(keepends=True)
    for missing in (1, 20):
        study.path.write_bytes(b"".join(lines)[:-missing])
        mend(study.path)
        assert study.path.read_bytes() == b"".join(lines[:-1])
        again = open_study(tmp_path)
        assert again.take_up() == 1  # the third, whose result was the line
        assert values_of(again.trials()) == tried[:2]
    mend(tmp_path / "nowhere")


SEARCHER = """
import sys, time
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from sweep.optuna.test_study import open_study, run_trials
study = open_study(Path(sys.argv[1]), startup_trials=3)
print("open", flush=True)
run_trials(study, 60)
print("done", flush=True)
"""


@pytest.mark.parametrize("num_kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_a_search_killed_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, num_kills: int
) -> None:
    (tmp_path / "whole").mkdir()
    began = time.monotonic()
    whole = run_trials(open_study(tmp_path / "whole", startup_trials=3), 60)
    latest = (time.monotonic() - began) / (2 if num_kills < 10 else 10)
    draw = random.Random(0)
    command = [sys.executable, "-c", SEARCHER, str(tmp_path), *sys.path]
    kills = 0
    for attempt in range(num_kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        if attempt < num_kills:
            time.sleep(draw.uniform(0.0, latest))
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
        kills += process.returncode == -signal.SIGKILL
    assert kills > 0
    study = open_study(tmp_path, startup_trials=3)
    assert values_of(study.trials()) == whole
    assert {trial.state for trial in study.trials()} == {TrialState.COMPLETE}
