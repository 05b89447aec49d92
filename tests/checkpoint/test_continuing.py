"""More epochs after a finished run: its last state goes on, to the bit, or a line says why not."""

import logging
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from training import composed, train

from seqexp.checkpoint import store
from seqexp.checkpoint.continuing import EPOCHS, Earlier, why_not
from seqexp.checkpoint.encode import same
from seqexp.checkpoint.provenance import CODE
from seqexp.checkpoint.result import Result
from seqexp.checkpoint.store import files
from seqexp.config.check import check
from seqexp.tracking.store.address import sqlite_uri

TINY = ("dataset.num_train=60", "dataset.num_test=20", "dataset.num_valid=20")
MEASURED = ("trainer.log_every_steps=1", "trainer.batch_size=20", "trainer.average=ema")
FEW = ("interpret.num_traced=0", "interpret.num_sequences=20", "model.num_filters=1")
TIMED = ("time/", "speed/", "train/starts")


def last_state(outputs: Path, epochs: int) -> dict[str, Any]:
    """The training in the last checkpoint of the run of so many epochs."""
    found = [store.read(files(folder)[-1]) for folder in outputs.glob("runs/*/checkpoints")]
    (state,) = (s for s in found if s["origin"]["trainer.epochs"] == str(epochs))
    return {**state["training"], "progress": {**state["training"]["progress"], "seconds": 0.0}}


def curves(outputs: Path, result: Result) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(sqlite_uri(outputs / "mlflow.db"))
    names = client.get_run(str(result.run_id)).data.metrics
    return {
        name: sorted(
            (point.step, point.value)
            for point in client.get_metric_history(str(result.run_id), name)
        )
        for name in names
        if not name.startswith(TIMED)
    }


def test_forty_epochs_after_twenty_have_the_bits_of_forty_from_the_start(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    given = (*TINY, *MEASURED, "interpret=filters", "interpret.match=false", *FEW)
    first = train(one, *given, "trainer.epochs=1")
    more = train(one, *given, "trainer.epochs=2")
    whole = train(two, *given, "trainer.epochs=2")
    assert more.run_id != first.run_id and same(last_state(one, 2), last_state(two, 2))
    found = curves(one, more)
    assert found == curves(two, whole)
    assert [step for step, _ in found["step/loss_nats"]] == [*range(1, 13)]
    tags = MlflowClient(sqlite_uri(one / "mlflow.db")).get_run(str(more.run_id)).data.tags
    assert tags["seqexp.continued_from"] == first.run_id


def test_what_keeps_a_run_from_going_on_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seqexp")
    words = (*TINY, "tracking=none", "trainer.checkpoint=null")
    train(tmp_path, *words, "trainer.epochs=1")
    train(tmp_path, *words, "trainer.epochs=2")
    lines = [line for line in caplog.messages if "does not go on" in line]
    assert len(lines) == 1 and "kept no checkpoint; trains from the start" in lines[0]


@pytest.mark.parametrize(
    ("given", "change", "why"),
    [
        ("schedule=cosine", {}, "cosine plans the learning rate for all epochs"),
        ("trainer.starts=2", {}, "its initial weights were chosen by 1 epochs"),
        ("seed=0", {CODE: "other"}, "the code that computes is another one now"),
        ("schedule=plateau", {}, None),
        ("trainer.patience=3", {}, None),
    ],
)
def test_schedules_starts_and_code_decide(
    tmp_path: Path, given: str, change: dict[str, str], why: str | None
) -> None:
    origin = {EPOCHS: "1", CODE: "this", **change}
    earlier = Earlier(tmp_path, origin, Result())
    config = check(composed(tmp_path, given))
    assert why_not(config, earlier, {EPOCHS: "2", CODE: "this"}) == why


def test_other_settings_and_force_begin_anew_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seqexp")
    words = (*TINY, "tracking=none")
    train(tmp_path, *words, "trainer.epochs=1")
    train(tmp_path, *words, "trainer.epochs=2", "seed=1")
    train(tmp_path, *words, "trainer.epochs=2", "force=true")
    assert not any("go on from" in line or "goes on from" in line for line in caplog.messages)
