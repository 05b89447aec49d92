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


def last_states(outputs: Path, epochs: int) -> list[dict[str, Any]]:
    """The trainings in the last checkpoints of the runs of so many epochs, without their time."""
    found = [store.read(files(folder)[-1]) for folder in outputs.glob("runs/*/checkpoints")]
    trained = [s["training"] for s in found if s["origin"][EPOCHS] == str(epochs)]
    return [{**one, "progress": {**one["progress"], "seconds": 0.0}} for one in trained]


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
    given = (*TINY, *MEASURED, "interpret=filters", "interpret.match=false", *FEW)
    first = train(tmp_path, *given, "trainer.epochs=1")
    more = train(tmp_path, *given, "trainer.epochs=2")
    whole = train(tmp_path, *given, "trainer.epochs=2", "force=true")
    one, other = last_states(tmp_path, 2)
    assert len({first.run_id, more.run_id, whole.run_id}) == 3 and same(one, other)
    found = curves(tmp_path, more)
    assert found == curves(tmp_path, whole)
    assert [step for step, _ in found["step/loss_nats"]] == [*range(1, 13)]
    client = MlflowClient(sqlite_uri(tmp_path / "mlflow.db"))
    tags = [client.get_run(str(one.run_id)).data.tags for one in (more, whole)]
    assert [one.get("seqexp.continued_from") for one in tags] == [first.run_id, None]


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
