"""What a sweep knows of its jobs: from their folders, and from what a launcher returned."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus

from seqexp.errors import InputError, StoppedError, SweepError
from seqexp.sweep.grid.sweeper import _raise_unfinished
from seqexp.sweep.job import Job, distinct, seeds_override, sweep_identity, sweep_name
from seqexp.sweep.manifest import MANIFEST, Manifest, held
from seqexp.sweep.table import rows_of_runs
from seqexp.utils.files import set_aside
from seqexp.utils.lock import is_held

METRIC = "best/valid_loss_nats"


def job(filters: int, seed: int = 0) -> Job:
    """One job, whose config holds only what a sweep looks at."""
    config: dict[str, Any] = {
        "optimized_metric": METRIC,
        "seed": seed,
        "dataset": {},
        "trainer": {},
        "trusted_packages": [],
        "model": {"num_filters": filters},
    }
    return Job((f"model.num_filters={filters}", f"seed={seed}"), config, "motif")


def leave(folder: Path, one: Job, name: str, content: dict[str, Any]) -> None:
    """Have a job leave a file in its folder."""
    (folder / one.name).mkdir(parents=True, exist_ok=True)
    (folder / one.name / name).write_text(json.dumps(content))


def result(status: str, loss: float = 0.5) -> dict[str, Any]:
    """As a run writes it."""
    metrics = {METRIC: loss}
    return {"status": status, "run_id": "r", "metrics": metrics, "seconds": 2.0, "error": ""}


def returned(value: Any) -> JobReturn:
    """As a launcher gives it."""
    is_error = isinstance(value, Exception)
    return JobReturn(
        status=JobStatus.FAILED if is_error else JobStatus.COMPLETED, _return_value=value
    )


def states(manifest: Manifest) -> list[str]:
    return [entry.state for entry in manifest.jobs.values()]


def test_a_jobs_folder_says_what_became_of_it(tmp_path: Path) -> None:
    jobs = [job(filters) for filters in range(1, 6)]
    leave(tmp_path, jobs[0], "result.json", result("FINISHED"))
    leave(tmp_path, jobs[1], "result.json", result("FAILED"))
    leave(tmp_path, jobs[2], "run.json", {"run_id": "r2"})  # its process is gone
    leave(tmp_path, jobs[3], "run.json", {"run_id": "r3"})
    with FileLock(tmp_path / jobs[3].name / ".lock"):
        manifest = Manifest.read(tmp_path)
        manifest.expect(jobs, ["model.num_filters"])
        assert states(manifest) == ["FINISHED", "FAILED", "KILLED", "RUNNING", "PENDING"]
    manifest.note(jobs[3:4], [])
    assert manifest.entry(jobs[3]).state == "KILLED"
    assert manifest.entry(jobs[3]).run_id == "r3"
    assert manifest.entry(jobs[0]).seconds == 2.0


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = Manifest.read(tmp_path)
    manifest.expect([job(1), job(8)], ["model.num_filters"])
    manifest.note([job(1), job(8)], [returned(0.25), returned(ValueError("no"))])
    manifest.run_id, manifest.mark, manifest.closed = "parent", 7, manifest.state_of_all()
    manifest.save()
    again = Manifest.read(tmp_path)
    assert again == manifest
    assert states(again) == ["FINISHED", "FAILED"]
    failed = again.entry(job(8))
    assert failed.error == "ValueError: no" and "ValueError: no" in failed.traceback
    assert again.entry(job(1)).metrics == {METRIC: 0.25}
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read .* remove it"):
        Manifest.read(tmp_path)


def test_the_lines_of_an_error_are_those_of_the_run_that_met_it(tmp_path: Path) -> None:
    one, manifest = job(1), Manifest.read(tmp_path)
    lines = {"error": "ValueError: no", "traceback": "  File ..., line 7\nValueError: no"}
    leave(tmp_path, one, "result.json", result("FAILED") | lines)
    manifest.expect([one], [])
    manifest.note([one], [returned(ValueError("no"))])  # as it comes back from another process
    assert manifest.entry(one).traceback == lines["traceback"]
    manifest.note([one], [returned(ValueError("other"))])
    assert "other" in manifest.entry(one).traceback


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        "[]",
        '{"jobs": {"../../elsewhere": {"fingerprint": "a", "overrides": [], "seed": 0}}}',
        '{"jobs": {"0123456789ab": {"fingerprint": "a", "overrides": [3], "seed": 0}}}',
        '{"jobs": {"0123456789ab": {"fingerprint": "a", "overrides": [], "seed": "x"}}}',
        '{"jobs": {"0123456789ab": {"fingerprint": "a", "overrides": [], "seed": 0, "state": 1}}}',
        '{"jobs": {"0123456789ab": {"fingerprint": "", "overrides": [], "seed": 0, "error": 3}}}',
        '{"jobs": {}, "swept": 3}',
        '{"jobs": {}, "more": 3}',
        '{"jobs": {}, "mark": "x"}',
    ],
    ids=lambda content: content[:60],
)
def test_a_manifest_of_others_is_looked_at_before_it_is_used(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(InputError, match=r"manifest\.json: cannot be read .* remove it"):
        Manifest.read(tmp_path)


def test_a_sweeps_folder_is_closed_to_others_and_holds_no_links(tmp_path: Path) -> None:
    with held(tmp_path / "new"):
        assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "new" / MANIFEST).symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="is a symbolic link"), held(tmp_path / "new"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_lost_manifest_is_made_again_from_the_jobs_folders(tmp_path: Path) -> None:
    leave(tmp_path, job(1), "result.json", result("FINISHED", 0.125))
    manifest = Manifest.read(tmp_path)
    manifest.expect([job(1)], [])
    assert rows_of_runs(manifest)[0][METRIC] == 0.125


def test_jobs_of_an_earlier_command_stay_in_the_table(tmp_path: Path) -> None:
    leave(tmp_path, job(1), "result.json", result("FINISHED", 0.5))
    first = Manifest.read(tmp_path)
    first.expect([job(1), job(8)], ["model.num_filters"])
    first.save()
    leave(tmp_path, job(8), "result.json", result("FINISHED", 0.25))
    second = Manifest.read(tmp_path)
    second.expect([job(16)], ["model.num_filters"])
    rows = [(row["model.num_filters"], row["status"]) for row in rows_of_runs(second)]
    assert rows == [("8", "FINISHED"), ("1", "FINISHED"), ("16", "NOT RUN")]


def test_a_sweep_ends_as_its_worst_job(tmp_path: Path) -> None:
    jobs = [job(1), job(8)]
    manifest = Manifest.read(None)
    manifest.expect(jobs, ["model.num_filters"])
    manifest.note(jobs, [returned(0.5), returned(0.5)])
    _raise_unfinished(jobs, manifest)
    manifest.note(jobs[1:], [returned(StoppedError("its time is over"))])
    with pytest.raises(StoppedError, match=r"1 of 2 jobs were stopped; the same command goes on"):
        _raise_unfinished(jobs, manifest)
    manifest.note(jobs[:1], [returned(ValueError("no"))])
    with pytest.raises(SweepError, match=r"1 of 2 jobs failed\n  model.num_filters=1: ValueError"):
        _raise_unfinished(jobs, manifest)


def test_one_process_at_a_time_has_a_sweep(tmp_path: Path) -> None:
    with held(tmp_path / "sweep"):
        assert is_held(tmp_path / "sweep")
        with pytest.raises(InputError, match="another process is running this sweep"):
            held(tmp_path / "sweep").__enter__()
    assert not is_held(tmp_path / "sweep")


def test_what_is_set_aside_is_not_lost(tmp_path: Path) -> None:
    for number in (1, 2):
        leave(tmp_path, job(1), "result.json", result("FINISHED", number))
        (tmp_path / ".lock").touch()
        set_aside(tmp_path)
        set_aside(tmp_path)  # nothing is left, and nothing is done
        kept = tmp_path / "previous" / str(number) / job(1).name / "result.json"
        assert json.loads(kept.read_text())["metrics"][METRIC] == number
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "previous"]


def test_jobs_of_one_identity_are_one_job() -> None:
    jobs = [job(1), job(8), job(1), job(1, seed=1)]
    assert distinct(jobs) == [jobs[0], jobs[1], jobs[3]]


BASE: dict[str, Any] = {"dataset": {}, "trainer": {}, "trusted_packages": [], "seed": 0}


def identity_of(*grids: str, base: dict[str, Any] = BASE) -> str:
    parser = OverridesParser.create()
    return sweep_identity(base, [parser.parse_overrides(grid.split()) for grid in grids])


def test_a_sweep_is_known_by_its_keys_and_not_by_their_values() -> None:
    one = identity_of("seed=0,1 model=rnn,lstm")
    assert identity_of("model=lstm,rnn,cnn1d seed=range(9)") == one
    assert identity_of("seed=0,1 model=rnn,lstm", base={**BASE, "seed": 3}) != one
    assert identity_of("seed=0,1") != one
    grids = identity_of("model=rnn model.norm=1,2 seed=0,1", "model=lstm seed=0,1")
    assert identity_of("model=rnn model.norm=1,2,3 seed=0", "model=lstm seed=0") != grids
    assert identity_of("model=rnn model.norm=1,2,3 seed=4,5", "model=lstm seed=4,5") == grids
    assert identity_of("model=rnn seed=0,1", "model=lstm seed=0,1") != grids


def test_a_sweeps_name_says_what_is_swept() -> None:
    chosen = {"model": "lstm", "dataset": "chars"}
    assert sweep_name(chosen, ["model.hidden_size", "seed"]) == "lstm-chars-hidden_size-seed"
    assert sweep_name(chosen, ["model"]) == "chars-model"
    assert len(sweep_name(chosen, ["x" * 300])) <= 60


def test_seeds_and_a_seed_contradict_each_other() -> None:
    parser = OverridesParser.create()
    assert seeds_override(3, parser.parse_overrides(["model=rnn,lstm"])) == ["++seed=range(3)"]
    assert seeds_override(None, parser.parse_overrides(["seed=0,1"])) == []
    with pytest.raises(InputError, match=r"seeds is 3 and seed=0,1 is given too"):
        seeds_override(3, parser.parse_overrides(["++seed=0,1"]))


def test_an_adopted_job_keeps_its_result_when_its_folder_changes_or_goes(tmp_path: Path) -> None:
    one, old, new = job(1), tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    leave(old, one, "result.json", result("FINISHED"))
    manifest = Manifest.read(new)
    manifest.expect([one], ["model.num_filters"])
    entry = manifest.entry(one)
    assert entry.state == "PENDING"
    entry.adopted = f"../old/{one.name}"
    manifest.look(one.name)
    manifest.save()
    assert (entry.state, entry.run_id, entry.metrics) == ("FINISHED", "r", {METRIC: 0.5})
    leave(old, one, "result.json", {**result("FAILED"), "run_id": "another"})  # by force=true
    for _ in range(2):
        again = Manifest.read(new)
        again.expect([one], ["model.num_filters"])
        assert again.entry(one) == entry
        shutil.rmtree(old, ignore_errors=True)
    content = json.loads((new / MANIFEST).read_text())
    content["jobs"][one.name]["adopted"] = "../../elsewhere"
    (new / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(InputError, match="adopted is '../../elsewhere'"):
        Manifest.read(new)
