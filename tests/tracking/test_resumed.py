"""Runs that are cut off, go on, or meet a store that is away: every point is there, once."""

import contextlib
import io
import itertools
import json
import logging
import math
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child import last_words, start_child
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image
from serving import Server

from seqexp.cli import deliver
from seqexp.errors import InputError
from seqexp.tracking.journal.items import Files, Inputs, Item, Points, Tags
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.server import ServerTracker
from seqexp.tracking.store import delivery
from seqexp.tracking.store.client import StoredRun
from seqexp.tracking.store.delivery import prepare
from seqexp.tracking.store.orphans import close_orphans
from seqexp.tracking.store.points import curves_of
from seqexp.tracking.store.start import Beginning
from seqexp.tracking.tracker import DataFacts, RunFacts
from seqexp.utils.companion import has_room
from seqexp.utils.files import LOCK


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.kill()


@pytest.fixture(params=["file", "server"])
def uri(request: pytest.FixtureRequest) -> str:
    found = request.getfixturevalue("database" if request.param == "file" else "server")
    return str(getattr(found, "uri", found))


def tracker(uri: str, patience: float = 60.0) -> MlflowTracker:
    if uri.startswith("http"):
        return ServerTracker(uri, patience_seconds=patience)
    artifacts = Path(uri.removeprefix("sqlite:///")).with_name("artifacts")
    return MlflowTracker(uri, str(artifacts), patience_seconds=patience)


def facts(folder: Path | None, **more: Any) -> RunFacts:
    return RunFacts("experiment", "run", {"a": "1"}, {"x": "y"}, folder=folder, **more)


def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    """Step and value, in the order of steps."""
    points = MlflowClient(uri).get_metric_history(run_id, key)
    return sorted((point.step, point.value) for point in points)


def interrupted(begun: MlflowTracker) -> None:
    """As a kill leaves it, in a process that goes on: its thread sends nothing more."""
    begun._outbox._send = lambda items: time.sleep(1000) or []
    begun._postman.close = lambda patience: True  # type: ignore[method-assign]


# --- what repetition does to a store ----------------------------------------------------------


def test_sending_everything_twice_leaves_it_once(uri: str, tmp_path: Path) -> None:
    values = {"a": 0.1 + 0.2, "tiny": 5e-324, "nan": math.nan, "inf": math.inf, "neg": -math.inf}
    begun = tracker(uri)
    run_id = begun.start(facts(tmp_path))
    folder = tmp_path / "tracking" / "files" / "000000000031"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "x.png").write_bytes(b"image")
    items: list[Item] = [
        *(Points(values, step, 1000 + step) for step in range(30)),
        Tags({"tag": "value"}),
        Inputs("motif", "ab" * 32, {"num_train": 3}),
        Files("000000000031", image=("k", 3), table="t.json"),
    ]
    files = tmp_path / "tracking" / "files"
    by_mlflow = StoredRun(begun.client, run_id, files)
    for run in (by_mlflow, StoredRun(begun.client, run_id, files, curves_of(uri)), by_mlflow):
        assert run.send(items[:20]) == run.send(items[10:30]) == []  # with an overlap
        assert [run.send([item]) for item in items[30:]] == [[]] * 3
    found = MlflowClient(uri).get_run(run_id)
    for key in values:
        assert [step for step, _ in history(uri, run_id, key)] == list(range(30))
    assert {value for _, value in history(uri, run_id, "a")} == {0.1 + 0.2}
    assert {value for _, value in history(uri, run_id, "tiny")} == {5e-324}
    assert all(math.isnan(value) for _, value in history(uri, run_id, "nan"))
    assert {value for _, value in history(uri, run_id, "inf")} == {1.7976931348623157e308}
    assert len(found.inputs.dataset_inputs) == 1
    assert json.loads(found.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "t.json", "type": "table"}
    ]
    begun.finish("FINISHED")


def test_each_artifact_is_in_the_store_and_no_longer_in_the_journal(
    uri: str, tmp_path: Path
) -> None:
    begun = tracker(uri)
    run_id = begun.start(facts(tmp_path))
    begun.text("text", "a/b.txt")
    begun.table([{"n": 1, "x": math.nan}, {"n": np.int64(2), "x": np.float32(0.5)}], "t.json")
    begun.table([{"n": 3}], "u.json")
    begun.image(picture(600, 300), "filters/one", 2)
    begun.finish("FINISHED")
    client = MlflowClient(uri)
    found = client.get_run(run_id)
    text, table = (
        Path(client.download_artifacts(run_id, path, str(tmp_path))).read_text()
        for path in ("a/b.txt", "t.json")
    )
    assert text == "text"
    assert json.loads(table) == {"columns": ["n", "x"], "data": [[1, None], [2, 0.5]]}
    tables = json.loads(found.data.tags["mlflow.loggedArtifacts"])
    assert [table["path"] for table in tables] == ["t.json", "u.json"]
    images = sorted(item.path.split("+") for item in client.list_artifacts(run_id, "images"))
    assert [name[:4] for name in images] == [["images/filters~one", "step", "2", "timestamp"]] * 2
    assert images[0][6:] == ["compressed.webp"] and images[1][5] == f"{images[0][5]}.png"
    assert found.data.tags["mlflow.loggedImages"] == "True"
    assert list((tmp_path / "tracking" / "files").iterdir()) == []


def test_a_point_that_is_refused_does_not_keep_the_others_back(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = tracker(uri)
    run_id = begun.start(facts(tmp_path))
    for step in range(8):
        begun.metrics({"good": step, "no[t]": 1.0} if step == 5 else {"good": step}, step)
    begun.tags({"long": "x" * 20_000, "": "a tag without a name"})
    begun.finish("FINISHED")
    assert history(uri, run_id, "good") == [(step, float(step)) for step in range(8)]
    assert MlflowClient(uri).get_run(run_id).info.status == "FINISHED"
    assert caplog.text.count("the store refuses no[t] at step 5") == 1
    assert len((tmp_path / "tracking" / "refused.txt").read_text().splitlines()) == 2


def test_a_run_that_is_deleted_meanwhile_goes_on(tmp_path: Path, database: str) -> None:
    begun = tracker(database)
    run_id = begun.start(facts(tmp_path))
    MlflowClient(database).delete_run(run_id)
    for step in range(2000):
        begun.metrics({"x": 1.0}, step)
    begun.finish("FINISHED")
    with pytest.raises(InputError, match=f"run {run_id} cannot be continued"):
        tracker(database).start(facts(tmp_path, run_id=run_id))


def picture(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("P", (width, height)).save(file, format="png")
    return file.getvalue()


# --- cut off, and resumed ---------------------------------------------------------------------


def test_what_comes_again_after_a_mark_is_recorded_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MLflow takes rows that agree to the millisecond for one
    monkeypatch.setattr("seqexp.tracking.mlflow._milliseconds", itertools.count(1).__next__)
    image = picture(8, 8)
    begun = tracker(database)
    run_id = begun.start(facts(tmp_path))
    begun.metrics({"x": 0.0}, 0)
    mark = begun.mark()
    for step in (1, 2, 2):
        begun.metrics({"x": float(step), "seconds": 5.0}, step)
    begun.image(image, "k", 2)
    interrupted(begun)
    again = tracker(database)
    assert again.start(facts(tmp_path, run_id=run_id, mark=mark)) == run_id
    assert MlflowClient(database).get_run(run_id).info.status == "RUNNING"
    again.metrics({"x": 1.0, "seconds": 6.0}, 1)
    second = again.mark()  # two of step 2 are still to come
    interrupted(again)
    last = tracker(database)
    last.start(facts(tmp_path, run_id=run_id, mark=second))
    for step in (2, 2, 2, 3):
        last.metrics({"x": float(step), "seconds": 7.0}, step)
    for step in (2, 3):
        last.image(image, "k", step)
    last.finish("FINISHED")
    assert [step for step, _ in history(database, run_id, "x")] == [0, 1, 2, 2, 2, 3]
    assert history(database, run_id, "seconds")[0] == (1, 5.0)
    assert len(MlflowClient(database).list_artifacts(run_id, "images")) == 4
    assert MlflowClient(database).get_run(run_id).info.status == "FINISHED"


def test_without_its_journal_a_run_records_nothing_again_that_the_store_has(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun = tracker(database)
    run_id = begun.start(facts(tmp_path / "a"))
    begun.metrics({"x": 0.0}, 0)
    begun.metrics({"x": 1.0}, 1)
    begun.finish("KILLED")
    again = tracker(database)
    again.start(facts(tmp_path / "b", run_id=run_id, mark=12))
    for step in range(1, 4):
        again.metrics({"x": float(step)}, step)
    assert again.mark() > 12
    again.finish("FINISHED")
    assert history(database, run_id, "x") == [(step, float(step)) for step in range(4)]
    assert "does not hold what was told up to the checkpoint" in caplog.text


def _write(uri: str, folder: Path, steps: int) -> None:
    """Tells a point a step, with a checkpoint every 7, and resumes from there."""
    state = {"step": 0, "mark": 0, "run_id": None}
    checkpoint = folder / "checkpoint.json"
    if checkpoint.is_file():
        state = json.loads(checkpoint.read_text())
    begun = tracker(uri)
    run_id = begun.start(facts(folder, run_id=state["run_id"], mark=state["mark"]))
    for step in range(state["step"], steps):
        begun.metrics({"loss": step / 3, "seconds": time.monotonic()}, step)
        if step % 10 == 0:
            begun.text(str(step), f"texts/{step}.txt")
        time.sleep(0.002)
        if step % 7 == 6:
            new = {"step": step + 1, "mark": begun.mark(), "run_id": run_id}
            (folder / "new.json").write_text(json.dumps(new))
            (folder / "new.json").replace(checkpoint)
    begun.finish("FINISHED")
    (folder / "done").touch()


def told(folder: Path) -> bytes:
    """The end of a journal."""
    with contextlib.suppress(FileNotFoundError, ValueError):  # none yet, or dropped just now
        return max((folder / "tracking").glob("*.jsonl")).read_bytes()
    return b""


def test_a_run_killed_at_random_moments_has_every_point_once(database: str, tmp_path: Path) -> None:
    steps, moments, kills = 600, random.Random(1), 0
    while not (tmp_path / "done").exists():
        before = told(tmp_path)
        writer = start_child(tmp_path / "said.log", _write, database, tmp_path, steps)
        while kills < 5 and writer.is_alive() and told(tmp_path) == before:
            time.sleep(0.005)
        writer.join(moments.uniform(0, 0.3) if kills < 5 else 100)
        if writer.is_alive():
            assert kills < 5
            writer.kill()
            kills += 1
        writer.join()
        assert writer.exitcode in (0, -signal.SIGKILL), last_words(tmp_path / "said.log")
    assert kills == 5
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("experiment")
    wanted = f"tags.`seqexp.checkpoint.folder` = '{tmp_path}'"
    (run,) = client.search_runs([experiment.experiment_id], wanted)
    run_id = run.info.run_id
    assert run.info.status == "FINISHED" and run.data.params == {"a": "1"}
    assert history(database, run_id, "loss") == [(step, step / 3) for step in range(steps)]
    assert [step for step, _ in history(database, run_id, "seconds")] == list(range(steps))
    texts = {item.path for item in client.list_artifacts(run_id, "texts")}
    assert texts == {f"texts/{step}.txt" for step in range(0, steps, 10)}


def test_a_run_killed_before_its_id_was_noted_is_the_one_that_goes_on(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Beginning, "_log_params", die)
        with pytest.raises(Killed):  # after its id was noted
            tracker(database).start(facts(tmp_path / "a"))
        create = Beginning._create
        patched.setattr(Beginning, "_create", lambda *arguments: die(create(*arguments)))
        with pytest.raises(Killed):  # before
            tracker(database).start(facts(tmp_path / "b"))
    client = MlflowClient(database)
    experiment = client.get_experiment_by_name("experiment")
    for name in "ab":
        again = tracker(database)
        run_id = again.start(facts(tmp_path / name))
        again.finish("FINISHED")
        wanted = f"tags.`seqexp.checkpoint.folder` = '{tmp_path / name}'"
        found = client.search_runs([experiment.experiment_id], wanted)
        assert [run.info.run_id for run in found] == [run_id]
        assert found[0].data.params == {"a": "1"}


def test_a_run_that_was_not_noted_is_found_under_another_experiment_and_is_one(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def twice(begin: Beginning, *arguments: Any) -> None:  # a request that was sent again
        create(begin, *arguments)
        create(begin, *arguments)
        raise Killed

    create = Beginning._create
    with monkeypatch.context() as patched:
        patched.setattr(Beginning, "_create", twice)
        with pytest.raises(Killed):
            tracker(database).start(facts(tmp_path))
    again = tracker(database)
    run_id = again.start(RunFacts("renamed", "run", {"a": "1"}, folder=tmp_path))
    again.finish("FINISHED")
    client = MlflowClient(database)
    experiments = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.`seqexp.checkpoint.folder` = '{tmp_path}'")
    states = {run.info.run_id: run.info.status for run in found}
    assert states.pop(run_id) == "FINISHED" and list(states.values()) == ["KILLED"]


def test_a_run_begun_by_other_words_keeps_its_first(database: str, tmp_path: Path) -> None:
    first = tracker(database)
    run_id = first.start(facts(tmp_path))
    interrupted(first)
    again = tracker(database)  # it was killed before its own folder knew of it
    assert again.start(RunFacts("experiment", "run", {"a": "2"}, folder=tmp_path)) == run_id
    again.finish("FINISHED")
    assert MlflowClient(database).get_run(run_id).data.params == {"a": "1"}


# --- runs whose process is gone ---------------------------------------------------------------


def test_only_abandoned_runs_of_this_machine_are_closed(database: str, tmp_path: Path) -> None:
    names = ("free", "held", "gone", "parent", "other", "nowhere")
    runs = {}
    for name in names:
        folder = tmp_path / name
        begun = tracker(database)
        runs[name] = begun.start(facts(None if name == "nowhere" else folder))
        interrupted(begun)
        (folder / LOCK).parent.mkdir(exist_ok=True)
        (folder / LOCK).touch()
    client = MlflowClient(database)
    client.set_tag(runs["other"], "seqexp.host", "another")
    for file in sorted((tmp_path / "gone").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (tmp_path / "gone").rmdir()
    # a start closes what was abandoned before, so that all but the last folders are as they were
    for name in names:
        client.update_run(runs[name], status="RUNNING")
    with FileLock(tmp_path / "held" / LOCK):
        closed = close_orphans(client, (runs["parent"], None))
    assert {runs["free"], runs["gone"]} <= set(closed)
    states = {name: client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert states == {
        "free": "KILLED",
        "held": "RUNNING",
        "gone": "KILLED",
        "parent": "RUNNING",
        "other": "RUNNING",
        "nowhere": "RUNNING",
    }


# --- a server that is away --------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named_within_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match="tracking.uri is http://127.0.0.1:9, where no MLflow"):
        tracker("http://127.0.0.1:9").start(facts(None))
    assert time.monotonic() - began < 10


def test_deliver_knows_a_running_run_and_a_missing_folder(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = tracker(database)
    begun.start(facts(tmp_path))
    with FileLock(tmp_path / LOCK):
        assert deliver.main([str(tmp_path), f"tracking.uri={database}"]) == 1
    assert "is still running" in capsys.readouterr().out
    begun.finish("FINISHED")
    assert deliver.main([str(tmp_path / "none")]) == 2
    assert deliver.main([str(tmp_path), f"tracking.uri={database}"]) == 0


def test_a_server_killed_and_started_again_has_everything_once(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    runs, named = {}, f"tracking.uri={server.uri}"
    patient = tracker(server.uri)
    runs["patient"] = patient.start(facts(tmp_path / "patient"))
    hurried = tracker(server.uri, patience=0)
    runs["hurried"] = hurried.start(facts(tmp_path / "hurried"))
    passing = tracker(server.uri, patience=0)
    runs["passing"] = passing.start(facts(None))
    told = (patient, hurried, passing)
    for begun in told:
        begun.data(DataFacts("motif", "ab" * 32, {}))
    tell(told, range(0, 150))
    server.kill()
    tell(told, range(150, 300))
    for begun in (hurried, passing):
        with caplog.at_level(logging.WARNING):
            begun.finish("FINISHED")
    assert caplog.text.count("NOT YET in") == 2
    assert f"python -m seqexp deliver {tmp_path / 'hurried'}" in caplog.text
    assert deliver.main([str(tmp_path / "hurried"), named]) == 1
    assert "items NOT delivered" in capsys.readouterr().out
    server.start()
    tell((patient,), range(300, 400))
    patient.finish("FINISHED")
    assert "is back" in caplog.text
    assert deliver.main([str(tmp_path), str(passing._folder), named]) == 0
    assert "is FINISHED" in capsys.readouterr().out
    assert deliver.main([str(tmp_path), named]) == 0
    client = MlflowClient(server.uri)
    for name, run_id in runs.items():
        count = 400 if name == "patient" else 300
        assert history(server.uri, run_id, "x") == [(step, step / 7) for step in range(count)]
        assert client.get_run(run_id).info.status == "FINISHED"
        texts = {item.path for item in client.list_artifacts(run_id, "texts")}
        assert texts == {f"texts/{step}.txt" for step in range(0, count, 50)}


def tell(trackers: tuple[MlflowTracker, ...], steps: range) -> None:
    for step in steps:
        for begun in trackers:
            begun.metrics({"x": step / 7}, step)
            if step % 50 == 0:
                begun.text(str(step), f"texts/{step}.txt")


def test_the_store_refuses_what_the_tests_think_it_refuses(database: str) -> None:
    """The codes that tell a refusal from an absence are MLflow's."""
    client = MlflowClient(database)
    with pytest.raises(MlflowException) as refused:
        client.log_metric(client.search_runs(["1"])[0].info.run_id, "no[t]", 1.0)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


# --- a process beside the run ------------------------------------------------------------------

needs_a_core = pytest.mark.skipif(not has_room(), reason="no core for a process of its own")


def accompanied(uri: str, folder: Path, patience: float = 60.0) -> MlflowTracker:
    """A run whose process sends by another one, as where MLflow is not imported."""
    begun = tracker(uri, patience)
    begun.start(facts(folder))
    begun._accompany()
    assert begun._companion is not None
    return begun


@needs_a_core
def test_a_run_goes_on_where_the_process_that_sends_is_killed(
    database: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("seqexp"), "propagate", True)
    begun = accompanied(database, tmp_path)
    beside = begun._companion
    assert beside is not None
    begun.metrics({"loss": 1.0}, 1)
    begun.text("first", "first.txt")
    beside.begin(int).result()  # it is at work
    beside._process.kill()
    begun.metrics({"loss": 2.0}, 2)
    begun.text("second", "second.txt")
    begun.finish("FINISHED")
    assert history(database, begun.run_id, "loss") == [(1, 1.0), (2, 2.0)]
    client = MlflowClient(database)
    assert {one.path for one in client.list_artifacts(begun.run_id)} == {"first.txt", "second.txt"}
    assert client.get_run(begun.run_id).info.status == "FINISHED"
    assert "ended (-9); what it did is done here" in caplog.text


def test_a_database_that_goes_away_while_it_is_opened_is_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    for _ in range(2):  # the second time as SQLite leaves it
        with pytest.raises(InputError, match=str(file)):
            delivery._opened(f"sqlite:///{file}", 1)
        assert not file.exists() or not file.stat().st_size
        file.touch()


@needs_a_core
def test_a_database_that_goes_away_meanwhile_is_not_made_anew_and_nothing_is_lost(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("seqexp"), "propagate", True)
    file, kept = tmp_path / "mlflow.db", tmp_path / "kept.db"
    begun = accompanied(f"sqlite:///{file}", tmp_path / "run", patience=0.5)
    beside = begun._companion
    assert beside is not None
    beside.begin(prepare, begun.uri).result()  # it has the database open
    while begun._journal.delivered < begun._journal.told:  # no write is under way
        time.sleep(0.01)
    file.rename(kept)
    begun.metrics({"loss": 1.0}, 1)
    begun.finish("FINISHED")
    assert beside._process.poll() is not None
    assert f"{file} is not there" in caplog.text and "NOT YET in" in caplog.text
    assert not file.exists()
    file.touch()  # as SQLite makes one that goes away while it is opened
    with pytest.raises(InputError, match="is not there"):
        prepare(begun.uri)
    kept.rename(file)
    assert deliver.main([str(tmp_path / "run"), f"tracking.uri={begun.uri}"]) == 0
    assert "is FINISHED" in capsys.readouterr().out
    assert history(begun.uri, begun.run_id, "loss") == [(1, 1.0)]
