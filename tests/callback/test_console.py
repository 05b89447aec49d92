"""What a run says: its kind of task, its headline, and beside it what knows nothing."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from seqexp.callback import console
from seqexp.callback.console import number, summary_names, what_is_predicted
from seqexp.metrics import HEADLINE, METRICS, OF_KIND
from seqexp.spec import NO_SYMBOLS, Features, Output, Scoring, TaskSpec, Vocabulary

DNA = Vocabulary(tuple("ACGT"))


def spec(output: Output, *names: str, **more: object) -> TaskSpec:
    return TaskSpec(DNA, max(1, len(names)), output, names, **more)  # type: ignore[arg-type]


def test_each_kind_is_said_with_its_outputs() -> None:
    said = {
        "one of 2 classes a sequence: no, yes": spec(Output.SEQUENCE_CLASS, "no", "yes"),
        "2 labels a sequence, each there or not: a, b": spec(Output.MULTI_LABEL, "a", "b"),
        "regression of 1 number (huber loss): strength": spec(
            Output.REGRESSION, "strength", scoring=Scoring("huber")
        ),
        "regression of 3 numbers (gaussian loss): x, y, z": spec(Output.REGRESSION, "x", "y", "z"),
        "one of 3 labels at each position: H, E, C": spec(Output.TOKEN_CLASS, *"HEC"),
        "the next of 4 symbols at each position; with a context of 2 symbols": spec(
            Output.NEXT_TOKEN, context=Vocabulary(("x", "y"))
        ),
    }
    assert {what_is_predicted(one): one for one in said.values()} == said
    frames = TaskSpec(NO_SYMBOLS, 2, Output.SEQUENCE_CLASS, ("a", "b"), features=Features(18))
    assert what_is_predicted(frames).endswith("; from 18 numbers a position")
    many = spec(Output.SEQUENCE_CLASS, *map(str, range(30)))
    assert what_is_predicted(many).endswith("0, 1, 2, 3, 4, 5, ... (30)")


@pytest.mark.parametrize("kind", Output)
def test_a_summary_shows_the_headline_of_its_kind_first(kind: Output) -> None:
    names = [f"test/{name}" for name in OF_KIND[kind]]
    constant = [f"baseline/constant_{name}" for name in HEADLINE[kind]]
    constant = [name for name in constant if name in METRICS]
    shown = summary_names([*names, *constant, "time/train_seconds"], kind)
    assert shown[: len(HEADLINE[kind])] == [f"test/{name}" for name in HEADLINE[kind]]
    assert set(shown) >= {*names, *constant, "time/train_seconds"}


def test_no_kind_shows_an_accuracy_that_it_has_not() -> None:
    found = ["test/mse", "test/loss_nats", "best/valid_mse", "baseline/constant_mse"]
    assert summary_names(found, Output.REGRESSION) == [
        *("test/mse", "baseline/constant_mse", "test/loss_nats", "best/valid_mse")
    ]


def test_of_several_numbers_each_is_shown() -> None:
    found = ["test/mse", "test/mse.x", "test/mse.y", "test/mae.x"]
    assert summary_names(found, Output.REGRESSION) == ["test/mse", "test/mse.x", "test/mse.y"]


def test_numbers_of_any_size_can_be_read() -> None:
    assert [number(v) for v in (0.25, 0.0, 0.0000123, 1234567.0)] == [
        *("0.2500", "0.0000", "1.23e-05", "1.235e+06")
    ]


def test_a_metric_that_the_run_lacks_is_said_and_the_experiments_view_is_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("seqexp"), "propagate", True)
    for name in ("description", "summary_rows"):
        monkeypatch.setattr(console, name, lambda *given: {})
    asked: list[str] = []
    tracker = SimpleNamespace(describe=lambda text: None, links=lambda m: asked.append(m) or {})
    data = SimpleNamespace(spec=SimpleNamespace(output="regression"))
    run: Any = SimpleNamespace(tracker=tracker, data=data)
    filters: Any = SimpleNamespace(found=None, families=None)
    result: Any = SimpleNamespace(metrics={"best/valid_loss_nats": 1.0}, run_id=None)
    console.Summary("test/auroc", run, filters, has_parent=False).at_end(result)
    assert "test/auroc, which this run does not report; it is compared by best/valid_loss" in (
        caplog.text
    )
    assert asked == ["test/auroc"]  # MLflow's page has no view of another
