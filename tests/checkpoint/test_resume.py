"""What the same command does when it is given again: nothing is lost, doubled or mixed up."""

import itertools
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killing
import pytest
import torch
from config.test_check import CONF
from conftest import Command
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient

from seqexp import run as run_module
from seqexp.callback import reads
from seqexp.callback import reads as reading
from seqexp.checkpoint import store
from seqexp.checkpoint.encode import same
from seqexp.checkpoint.folder import RunFolder, owned
from seqexp.checkpoint.result import Result, Start
from seqexp.config.check import check
from seqexp.decode.consensus.rank import Ranked
from seqexp.errors import InputError, StoppedError
from seqexp.run import run

TINY = ("dataset.num_train=60", "dataset.num_test=20", "dataset.num_valid=20", "interpret=none")
STEPWISE = (*TINY, "trainer.epochs=3", "trainer.batch_size=10", "trainer.checkpoint.every_steps=5")


# 12 updates an epoch: reports 13, 26 and 39 are of epochs, and 40 is of the test
def again(folder: Path, *overrides: str) -> Result:
    """Run in the same folder, whatever the overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = [*STEPWISE, *overrides, f"paths.outputs={folder.parent}"]
        config = check(compose("config", given))
    return run(config, Start({"model": "cnn1d", "dataset": "motif"}, folder=folder))


def stop_after(report_number: int, error: BaseException, patch: pytest.MonkeyPatch) -> None:
    """Have the loop raise after so many reports, of all trainings together."""
    numbers = itertools.count(1)

    def stopping(real: Any) -> Any:
        def reports(*arguments: Any) -> Any:
            for report in real(*arguments):
                yield report
                if next(numbers) == report_number:
                    raise error

        return reports

    # of the run's own model, and of the one the other way round
    for module in (run_module, reads):
        patch.setattr(module, "fit", stopping(module.fit))


def altered(folder: Path, change: Any) -> None:
    """Have a checkpoint hold something else, by its right checksum."""
    file = store.files(folder / "checkpoints")[-1]
    state = store.read(file)
    change(state)
    for old in store.files(folder / "checkpoints"):
        old.unlink()
    store.write(folder / "checkpoints", state)


def _moments(state: Any) -> None:
    state["training"]["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)


def _story(state: Any) -> None:
    state["parts"]["story"]["history"] = {"1": 5}


def _part(state: Any) -> None:
    del state["parts"]["story"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_moments, r"optimizer/state/0/exp_avg is float32 of shape \[3\]; expected is float32"),
        (_story, "parts/story/history .an epoch. is '1'; expected is an integer from 0 to 3"),
        (_part, "parts is .*expected is a mapping with .*story"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_stays(
    tmp_path: Path, change: Any, told: str
) -> None:
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        stop_after(7, StoppedError(), patch)
        again(folder, "tracking=none")
    altered(folder, change)
    kept = [(file.name, file.read_bytes()) for file in store.files(folder / "checkpoints")]
    with pytest.raises(InputError, match=told) as caught:
        again(folder, "tracking=none")
    assert str(folder) in str(caught.value) and "force=true" in str(caught.value)
    assert [(f.name, f.read_bytes()) for f in store.files(folder / "checkpoints")] == kept


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("outputs") / "whole"
    return again(folder, "tracking=none"), folder


def final(folder: Path) -> dict[str, Any]:
    state = store.newest(folder / "checkpoints")[0]["training"]
    del state["progress"]["seconds"]
    metrics = state["progress"]["best_metrics"]
    state["progress"]["best_metrics"] = {k: v for k, v in metrics.items() if "time" not in k}
    return dict(state)


def untimed(result: Result) -> dict[str, float]:
    return {k: v for k, v in result.metrics.items() if not k.startswith(("time/", "speed/"))}


@pytest.mark.parametrize("report", [1, 5, 6, 13, 14, 38, 39, 40])
def test_a_run_that_failed_goes_on_and_ends_as_one_that_did_not(
    whole: tuple[Result, Path], tmp_path: Path, report: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(report, RuntimeError("the machine"), patch)
        again(tmp_path / "run", "tracking=none")
    result = again(tmp_path / "run", "tracking=none")
    assert same(final(tmp_path / "run"), final(whole[1]))
    assert untimed(result) == untimed(whole[0])
    assert result.status == "FINISHED" and result.error == ""


def test_a_finished_run_is_not_trained_again_unless_forced(
    whole: tuple[Result, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, folder = whole
    monkeypatch.setattr(run_module, "fit", None)
    assert again(folder, "tracking=none").metrics == result.metrics
    monkeypatch.undo()
    forced = again(folder, "tracking=none", "force=true")
    assert untimed(forced) == untimed(result)
    assert (folder / "previous" / "1" / "result.json").is_file()
    again(folder, "tracking=none", "force=true")
    assert (folder / "previous" / "2" / "result.json").is_file()


def test_a_result_of_another_version_is_read_and_one_of_an_unknown_run_is_not(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    folder.begin("an id", {"seed": "0"}, {})
    folder.end(Result(metrics={"test/accuracy": 1.0}))
    content = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**content, "of_tomorrow": 1}))
    found = folder.result()
    assert found is not None and found.metrics == {"test/accuracy": 1.0}
    (tmp_path / "run.json").unlink()
    assert folder.result() is None


def test_a_window_without_a_target_is_not_saved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    real = RunFolder.save

    def save(self: RunFolder, state: Any) -> None:
        steps.append(state["training"]["progress"]["step"])
        real(self, state)

    monkeypatch.setattr(RunFolder, "save", save)
    windows = ("trainer.bptt.k1=8", "trainer.checkpoint.every_steps=1", "model=lstm")
    again(tmp_path / "run", "tracking=none", *windows, "trainer.epochs=1")
    assert steps == [*range(1, 13), 12]  # and one more at the end of all


def test_the_same_run_goes_on_in_mlflow_with_every_point_once(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(14, RuntimeError("the machine"), patch)  # after an epoch and an update
        again(folder, "trainer.log_every_steps=1")
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (failed,) = client.search_runs(["1"])
    assert failed.info.status == "FAILED"
    (folder / "run.json").unlink()  # its checkpoint knows the run too
    (folder / "tracking" / "run.json").unlink()
    result = again(folder, "trainer.log_every_steps=1")
    assert result.run_id == failed.info.run_id
    (recorded,) = client.search_runs(["1"])
    assert recorded.info.status == "FINISHED"
    points = client.get_metric_history(result.run_id, "step/loss_nats")
    assert [point.step for point in points] == list(range(1, 37))
    points = client.get_metric_history(result.run_id, "valid/loss_nats")
    assert [point.step for point in points] == [1, 2, 3]
    assert len(client.get_metric_history(result.run_id, "model/parameters")) == 1


def test_what_is_of_another_run_is_refused_by_key_and_left_as_it_was(
    whole: tuple[Result, Path], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(8, RuntimeError("the machine"), patch)
        again(tmp_path / "run", "tracking=none")
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    with pytest.raises(InputError, match="is of another run") as caught:
        again(tmp_path / "run", "tracking=none", "model.num_filters=3", "dataset.num_test=21")
    told = str(caught.value)
    assert "model.num_filters: was 8, is 3" in told and "dataset.num_test: was 20, is 21" in told
    assert "the data's digest: was " in told and "optimizer" not in told
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before
    # what does not change the numbers may change: how often it is saved, and where it is kept
    result = again(tmp_path / "run", "tracking=none", "trainer.checkpoint.every_steps=3")
    assert untimed(result) == untimed(whole[0])


def test_a_checkpoint_alone_is_refused_if_it_is_of_another_run(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(8, RuntimeError("the machine"), patch)
        again(tmp_path / "run", "tracking=none")
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(InputError, match=r"checkpoints: is of another run[^$]*seed: was 0, is 1"):
        again(tmp_path / "run", "tracking=none", "seed=1")


def test_a_damaged_checkpoint_is_told_and_the_one_before_used(
    whole: tuple[Result, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(16, RuntimeError("the machine"), patch)
        again(tmp_path / "run", "tracking=none")
    newest = store.files(tmp_path / "run" / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    with caplog.at_level("INFO", logger="seqexp"):
        result = again(tmp_path / "run", "tracking=none")
    assert f"{newest}: is damaged" in caplog.text
    assert "the checkpoint before it is used" in caplog.text
    assert "goes on after update 10" in caplog.text
    assert untimed(result) == untimed(whole[0])


def test_two_processes_never_run_the_same(tmp_path: Path) -> None:
    with owned(tmp_path / "run"), pytest.raises(InputError, match="another process is running"):
        again(tmp_path / "run", "tracking=none")


def test_when_the_minutes_are_over_a_run_stops_and_the_same_command_goes_on(
    whole: tuple[Result, Path], tmp_path: Path
) -> None:
    for _ in range(45):  # an update or a validation each time
        try:
            result = again(tmp_path / "run", "tracking=none", "trainer.max_minutes=0.00001")
            break
        except StoppedError as error:
            assert "trainer.max_minutes=1e-05" in str(error)
            assert '"status": "KILLED"' in (tmp_path / "run" / "result.json").read_text()
    assert untimed(result) == untimed(whole[0])


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_signal_ends_the_update_saves_and_marks_the_run(
    seqexp: Command, tmp_path: Path, number: int, status: int
) -> None:
    given = ["trainer.epochs=100000", "interpret=none", "trainer.checkpoint.every_minutes=null"]
    process = subprocess.Popen(
        [sys.executable, "-m", "seqexp", *given],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # in a shell's background Ctrl-C is ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("epoch      2/100000" in line for line in lines)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, err
    stopped = re.search(r"stopped after update ([\d,]+); the same command goes on", out)
    assert stopped and "Traceback" not in err
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (recorded,) = client.search_runs(["1"])
    assert recorded.info.status == "KILLED"
    done = seqexp(*given, "trainer.max_minutes=0.0001")
    assert done.returncode == 130, done.stderr
    assert f"goes on after update {stopped[1]}, in epoch" in done.stdout
    assert "stopped after trainer.max_minutes=0.0001; the same command goes on" in done.stderr


def test_a_sample_of_kills_all_end_as_if_nothing_had_been() -> None:
    """Seeded instants; how many it takes until a run ends by itself depends on the machine."""
    names = ("cnn1d, full", "lstm, k1 = k2", "stacked-rnn, k1 < k2")
    chosen = [case for case in killing.cases() if case.name in names]
    assert len(chosen) == len(names)
    assert killing.kill(3, seed=0, chosen=chosen) >= 3


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_200_kills_all_end_as_if_nothing_had_been() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert killing.kill(200, seed=1) >= 200


def test_the_model_that_reads_the_other_way_round_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "consensus", lambda *arguments: [])  # takes most of the time
    monkeypatch.setattr(reading, "best_join", lambda found, ranked: [Ranked(found[0], 0.0)])
    reads = ("dataset=noisy-reads", "dataset.length=30", "dataset.num_reads=6", "model=lstm")
    given = (*reads, "decode=beam", "decode.width=3", "decode.both_directions=true")
    steps = ("trainer.epochs=4", "trainer.batch_size=2", "trainer.checkpoint.every_steps=2")

    def decode(folder: Path) -> Result:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = check(compose("config", [*given, *steps, "interpret=none", "tracking=none"]))
        return run(config, Start({"model": "lstm", "dataset": "noisy-reads"}, folder=folder))

    whole = decode(tmp_path / "whole")
    reports = 4 * (3 + 1) + 1  # of the first model
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
        stop_after(reports + 5, RuntimeError("the machine"), patch)
        decode(tmp_path / "run")
    assert store.files(tmp_path / "run" / "twin" / "checkpoints")
    result = decode(tmp_path / "run")
    assert untimed(result) == untimed(whole)
