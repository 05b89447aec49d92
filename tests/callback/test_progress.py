"""After its first updates a run says how long it will take."""

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from seqexp.callback.console import say_stopped
from seqexp.callback.progress import TIMED, Progress
from seqexp.trainer.training import Report


def training_of(**changes: Any) -> Any:
    settings = SimpleNamespace(
        epochs=20, patience=3, monitor="valid/loss_nats", test_weights="best"
    )
    given = {"step": 0, "epoch": 20, "best_epoch": 20, "best_value": 0.5, "settings": settings}
    given["solver"] = None
    return SimpleNamespace(**{**given, **changes})


@pytest.mark.parametrize(("rate", "told"), [(2.0, ["14 min"]), (100.0, [])])
def test_a_long_training_is_said_once_with_its_validation(
    rate: float,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, "seqexp")
    training = training_of(step=100)  # of a run that goes on
    progress = Progress(training, 1112, "sequences", 1.0, wanted=True, scored=2400)
    progress.before()
    for _ in range(int(4 * TIMED * rate)):
        training.step += 1
        now[0] += 60.0 if training.step == 101 else 1 / rate  # the first one compiles
        progress.after(Report("update", training.step))
    assert len(caplog.records) == len(told)
    for record, words in zip(caplog.records, told, strict=True):
        # of 1112 updates 1000 are left, and of 2400 thirds of one for validation: two a second
        assert f"about {words} for 1,000 updates, of 20 epochs" in record.message


def test_why_a_training_stopped_early_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seqexp")
    say_stopped(training_of())
    assert caplog.messages == []
    say_stopped(training_of(epoch=9, best_epoch=6))
    assert caplog.messages == [
        "stopped early after epoch 9: valid/loss_nats is not better than 0.5000 of epoch 6 for 3"
        " epochs (trainer.patience=3)",
        "tested are the weights of epoch 6",
    ]


def test_neither_an_epoch_without_a_value_nor_an_unset_patience_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "seqexp")
    say_stopped(training_of(epoch=3, best_epoch=0, best_value=None))
    say_stopped(training_of(epoch=7, best_epoch=6, solver=object()))
    assert caplog.messages == [
        "stopped early after epoch 3: valid/loss_nats has had no value for 3 epochs"
        " (trainer.patience=3)",
        "stopped early after epoch 7: valid/loss_nats is not better than 0.5000 of epoch 6 for 1"
        " epoch",
        "tested are the weights of epoch 6",
    ]
