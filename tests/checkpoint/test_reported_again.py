"""A finished run whose reports alone have changed is reported again from its weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoint.test_resume import again, final, untimed
from mlflow import MlflowClient
from training import composed

from seqexp.callback import checkpoint as saving
from seqexp.callback import filters
from seqexp.checkpoint import identity, provenance
from seqexp.checkpoint.encode import same
from seqexp.cli.resolvers import folder_name
from seqexp.config.check import check
from seqexp.errors import InputError
from seqexp.trainer import loop

FEW = ("interpret=filters", "interpret.every_epochs=null", "interpret.max_shown=1")


def no_update(*arguments: Any) -> Any:
    raise AssertionError("an update was taken")


def points(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, key)]


def test_filters_are_shown_afterwards_in_the_same_run_and_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "outputs" / "run"
    first = again(folder)
    assert first.run_id is not None and "motif/correlation" not in first.metrics
    state = final(folder)
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    before = {key: points(client, first.run_id, key) for key in first.metrics}
    monkeypatch.setattr(loop, "update", no_update)
    with caplog.at_level("INFO", logger="seqexp"):
        second = again(folder, *FEW)
    assert "finished before; not trained, but reported again from its weights" in caplog.text
    assert "interpret.max_shown: was not there, is 1" in caplog.text
    assert second.run_id == first.run_id and second.status == "FINISHED"
    assert untimed(first).items() <= untimed(second).items()
    assert 0 <= second.metrics["motif/correlation"] <= 1
    assert same(final(folder), state)
    (recorded,) = client.search_runs(["1"])
    assert recorded.info.status == "FINISHED"
    assert {key: points(client, first.run_id, key) for key in before} == before
    assert len(points(client, first.run_id, "motif/correlation")) == 1
    kept = tmp_path / "outputs/mlartifacts" / first.run_id / "artifacts"
    assert (kept / "filters/filters.png").is_file()
    assert json.loads((kept / "config.json").read_text())["interpret"]["max_shown"] == 1
    assert "interpret.max_shown" in recorded.data.tags["seqexp.reported_again"]
    # and once more, as it is: nothing at all
    monkeypatch.setattr(saving.Checkpoints, "resume", no_update)
    caplog.clear()
    with caplog.at_level("INFO", logger="seqexp"):
        assert again(folder, *FEW).metrics == second.metrics
    assert "finished before, and nothing is trained" in caplog.text


def test_a_metric_that_is_another_now_is_a_new_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for drawn in ("_keep_filters", "_keep_motifs"):  # takes most of the time
        monkeypatch.setattr(filters.LearnedFilters, drawn, lambda *arguments: None)
    folder = tmp_path / "outputs" / "run"
    first = again(folder, *FEW)
    assert first.run_id is not None
    monkeypatch.setattr(loop, "update", no_update)
    second = again(folder, *FEW, "interpret.num_sequences=20")
    assert second.metrics["motif/correlation"] != first.metrics["motif/correlation"]
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    latest = client.get_run(first.run_id).data.metrics
    assert latest["motif/correlation"] == pytest.approx(second.metrics["motif/correlation"])
    assert len(points(client, first.run_id, "test/loss_nats")) == 1


def test_other_code_of_a_room_that_reports_reports_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = again(tmp_path / "run", "tracking=none")
    monkeypatch.setattr(loop, "update", no_update)
    monkeypatch.setattr(provenance, "reporting_digest", lambda: "of today")
    with caplog.at_level("INFO", logger="seqexp"):
        second = again(tmp_path / "run", "tracking=none")
    assert f"{identity.REPORTING_CODE}: was " in caplog.text and "is of today" in caplog.text
    assert untimed(second) == untimed(first)


def test_without_a_checkpoint_another_report_is_refused_and_the_result_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = ("tracking=none", "trainer.checkpoint=null")
    first = again(tmp_path / "run", *given)
    before = (tmp_path / "run" / "result.json").read_bytes()
    with pytest.raises(InputError, match=r"no checkpoint was kept; force=true(?s:.*)max_shown: wa"):
        again(tmp_path / "run", *given, *FEW)
    assert (tmp_path / "run" / "result.json").read_bytes() == before
    monkeypatch.setattr(provenance, "reporting_digest", lambda: "of today")
    assert again(tmp_path / "run", *given).metrics == first.metrics
    assert "its report is of other code" in caplog.text


def test_what_only_reports_does_not_move_a_run_and_what_computes_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(*overrides: str) -> str:
        return folder_name({}, check(composed(tmp_path, *overrides)))

    usual = name()
    for same_weights in (FEW, ("decode=greedy",), ("tracking=none",)):
        assert name(*same_weights) == usual, same_weights
    for other in (
        *("model.num_filters=3", "dataset.num_test=7", "trainer.batch_size=7", "seed=1"),
        *("optimizer.lr=0.5", "schedule=cosine", "gradient_flow=none"),
    ):
        assert name(other) != usual, other
    monkeypatch.setattr(identity, "code_digest", lambda trusted: "of another compiler's flags")
    assert name() != usual


def test_the_rooms_that_compute_and_those_that_report_are_there_and_apart() -> None:
    assert not {*identity.COMPUTES} & {*identity.REPORTS}
    for name in (*identity.COMPUTES, *identity.REPORTS):
        assert identity.sources(Path(identity.__file__).parent.parent / name), name
