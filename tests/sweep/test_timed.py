"""`dry_run=timed` times a few updates, and leaves no trace of them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import composed, train

from seqexp import build
from seqexp.config.check import check
from seqexp.sweep import timed as timing
from seqexp.sweep.dry_run import Planner, say_plans
from seqexp.sweep.timed import Timed, timed
from seqexp.utils.progress import in_words

SMALL = ("dataset.num_train=60", "dataset.num_test=30", "tracking=none")
KINDS = (
    ("model=cnn1d", *SMALL),
    ("dataset=chars", "model=lstm", "tracking=none", "decode=none"),
    ("model=ngrams", *SMALL),
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.01)


def config_of(folder: Path, *overrides: str) -> Any:
    return check(composed(folder, *overrides))


def states() -> tuple[Any, ...]:
    numbers: Any = np.random.get_state()
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        numbers[1].tolist(),
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
    )


@pytest.mark.parametrize("overrides", KINDS)
def test_updates_are_timed_and_leave_data_and_random_streams_as_they_were(
    overrides: tuple[str, ...], tmp_path: Path
) -> None:
    parts = build.parts(config_of(tmp_path, *overrides), only_trains=True)
    data = build.load(parts)
    digest, before = data.digest(), states()
    found = timed(parts, data)
    assert states() == before and data.digest() == digest
    assert found.total(100, 2.0) > found.total(50, 1.0) > 0 and found.test > 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_with_the_same_bits_after_a_timed_plan(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", *SMALL)
    config = config_of(tmp_path / "after", *SMALL, "dry_run=timed")
    plan = Planner().plan("", config, None)
    assert plan.steps and plan.seconds is not None and plan.seconds > 0
    after = train(tmp_path / "after", *SMALL)
    names = [name for name in alone.metrics if not name.startswith(("time/", "speed/"))]
    assert len(names) > 5
    assert {n: after.metrics[n] for n in names} == {n: alone.metrics[n] for n in names}
    folders = [tmp_path / name / "runs" for name in ("alone", "after")]
    first, second = ([one.name for one in folder.iterdir()] for folder in folders)
    assert first == second  # and the plan has left no folder


def test_runs_that_differ_in_their_seed_are_timed_once_and_workers_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def of_an_hour(*_: Any) -> Timed:
        asked.append(1)
        return Timed(0.0, 0.0, test=3600.0)

    monkeypatch.setattr("seqexp.sweep.dry_run.timed", of_an_hour)
    more = (*SMALL, "dry_run=timed", "launcher=parallel", "launcher.jobs=2")
    runs = [(f"seed={s}", config_of(tmp_path, *more, f"seed={s}"), None) for s in range(3)]
    say_plans(runs)
    told = capsys.readouterr().out
    assert len(asked) == 1
    assert told.count("| 60 min |") == 3
    assert "about 3.0 h one after the other, 1.5 h by 2 workers" in " ".join(told.split())


def test_a_solver_is_timed_for_its_fits_and_not_for_the_epochs_of_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqexp.sweep.dry_run.timed", lambda *_: Timed(0.0, 1.0, test=0.0))
    more = (*SMALL, "dry_run=timed", "trainer.epochs=40", "model=ngrams")
    several, one = (
        Planner().plan("", config_of(tmp_path, *more, f"model.strength={strength}"), None)
        for strength in ("null", "3.0")
    )
    assert one.seconds == 1 and several.seconds is not None and 1 < several.seconds < 40


def test_a_time_is_told_in_the_unit_that_fits() -> None:
    given = (0.1, 89, 100, 5000, 6000, 180_000)
    assert [in_words(one) for one in given] == [
        *("1 s", "89 s", "2 min", "83 min", "1.7 h", "2.1 days")
    ]
