"""Run folders, notes, databases and servers of others: nothing is sent, deleted or followed that
the caller did not name."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from seqexp.cli import deliver
from seqexp.errors import InputError, RunError
from seqexp.tracking.journal.items import End, Files, Points, from_line, to_line
from seqexp.tracking.journal.journal import Journal
from seqexp.tracking.journal.note import Note
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.store import answers
from seqexp.tracking.store import client as store
from seqexp.tracking.store.address import absolute, default_uri, fault, sqlite_uri
from seqexp.tracking.tracker import RunFacts

RUN_ID = "0" * 32


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sqlite_uri(tmp_path_factory.mktemp("store") / "mlflow.db")


@pytest.fixture(scope="module")
def run_id(uri: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run in the store of the one who delivers."""
    artifacts = str(tmp_path_factory.mktemp("artifacts"))
    tracker = MlflowTracker(uri, artifacts)
    found = tracker.start(RunFacts("x", "y", folder=tmp_path_factory.mktemp("own")))
    tracker.finish("KILLED")
    return found


def shared(folder: Path, uri: str, run_id: str, *lines: bytes) -> Path:
    """A run's folder as another hands it over; returns its journal's."""
    journal = folder / "tracking"
    (journal / "files").mkdir(parents=True)
    Note(uri, "a" * 32, run_id).write(journal)
    (journal / "journal-000000000000.jsonl").write_bytes(b"".join(lines))
    return journal


def never(*arguments: Any) -> Any:
    raise AssertionError("no store is to be opened")


# --- journals ---------------------------------------------------------------------------------

FOLDERS = ["/victim", "../../victim", "..", ".", "", "00000000000", "０" * 12, "000000000000/.."]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_journal_names_no_folder_but_its_own(
    tmp_path: Path, uri: str, run_id: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("mine")
    named = str(victim) if name == "/victim" else name
    line = json.dumps({"kind": "Files", "folder": named}).encode() + b"\n"
    shared(tmp_path / "run", uri, run_id, line)
    assert deliver.main([str(tmp_path / "run"), f"tracking.uri={uri}"]) == 1
    assert "holds what no run of seqexp tells" in capsys.readouterr().out
    assert (victim / "precious").read_text() == "mine"
    with pytest.raises(InputError):  # and the same where its command goes on
        Journal(tmp_path / "run" / "tracking")
    assert "precious" not in str(MlflowClient(uri).list_artifacts(run_id))


def test_a_link_among_the_files_of_a_journal_is_not_sent(
    tmp_path: Path, uri: str, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text("mine")
    journal = shared(
        tmp_path / "run",
        uri,
        run_id,
        to_line(Files("000000000000")),
        to_line(Files("000000000001")),
    )
    for number in range(2):
        (journal / "files" / f"{number:012d}").mkdir()
    (journal / "files" / f"{0:012d}" / "bad.txt").symlink_to(tmp_path / "secret")
    (journal / "files" / f"{1:012d}" / "good.txt").write_text("told")
    assert deliver.main([str(tmp_path / "run"), f"tracking.uri={uri}"]) == 0
    assert "2 items delivered, 1 refused" in capsys.readouterr().out
    assert "is a symbolic link" in (journal / "refused.txt").read_text()
    kept = [item.path for item in MlflowClient(uri).list_artifacts(run_id)]
    assert "good.txt" in kept and "bad.txt" not in kept
    assert (tmp_path / "secret").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["tracking", "tracking/files", "tracking/delivered", "tracking/journal-000000000000.jsonl"],
)
def test_a_link_in_place_of_a_part_of_a_journal_is_refused(
    tmp_path: Path, uri: str, run_id: str, name: str
) -> None:
    shared(tmp_path / "run", uri, run_id, to_line(Files("000000000000")))
    part = tmp_path / "run" / name
    if not part.exists():
        part.touch()
    victim = tmp_path / "victim"
    part.rename(victim)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    part.symlink_to(victim)
    assert deliver.main([str(tmp_path / "run"), f"tracking.uri={uri}"]) == 1
    with pytest.raises(InputError, match="is a symbolic link"):
        Journal(tmp_path / "run" / "tracking")
    part.unlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) in (before, [*before, "delivered"])


LINES = [
    b"[]",
    b'"x"',
    b"7",
    b"{}",
    b'{"kind": "Other"}',
    b'{"kind": []}',
    b'{"kind": "Files"}',
    b'{"kind": "Files", "folder": 7}',
    b'{"kind": "Files", "folder": "000000000000", "image": 3}',
    b'{"kind": "Files", "folder": "000000000000", "more": 3}',
    b'{"kind": "Points", "values": {"x": "y"}, "step": 1, "time": 1}',
    b'{"kind": "Points", "values": {"x": 1.0}, "step": 1.5, "time": 1}',
    b'{"kind": "Points", "values": {"x": 1.0}, "step": 99999999999999999999, "time": 1}',
    b'{"kind": "Points", "values": {"x": 1' + b"0" * 400 + b'}, "step": 1, "time": 1}',
    b'{"kind": "Points", "values": [], "step": 1, "time": 1}',
    b'{"kind": "Tags", "values": {"x": 3}}',
    b'{"kind": "Inputs", "name": "a", "digest": 3, "profile": {}}',
    b'{"kind": "End", "status": "GREAT", "time": 1}',
    b'{"kind": "Mark", "again": [[1, 2, 3, 4]]}',
    b'{"kind": "Mark", "again": 3}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:60].decode())
def test_a_line_that_is_no_item_is_refused_in_words(tmp_path: Path, line: bytes) -> None:
    content = to_line(Points({"x": 1.0}, 1, 1)) + line + b"\n" + to_line(End("FINISHED", 5))
    file = tmp_path / "journal-000000000000.jsonl"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"journal-000000000000\.jsonl: holds what no run"):
        Journal(tmp_path)
    assert file.read_bytes() == content  # nothing of it is cut off
    with pytest.raises(InputError):
        from_line(line)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"uri": 3, "token": "a"}',
        b'{"uri": "x", "token": "a\' or 1=1"}',
        b'{"uri": "x", "token": "a", "run_id": "../x"}',
        b'{"uri": "x", "token": "a", "more": 1}',
    ],
    ids=lambda content: content[:30].decode(),
)
def test_a_note_that_is_none_is_refused_in_words(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tracking").mkdir()
    (tmp_path / "tracking" / "run.json").write_bytes(content)
    assert deliver.main([str(tmp_path)]) == 1
    assert "run.json: is " in capsys.readouterr().out


# --- stores that a note names -----------------------------------------------------------------


@pytest.mark.parametrize("named", ["http://127.0.0.1:9", "sqlite:////elsewhere/mlflow.db"])
def test_a_note_does_not_say_where_a_run_is_sent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    named: str,
) -> None:
    monkeypatch.setattr(store, "connect", never)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    shared(tmp_path, named, RUN_ID, to_line(Points({"x": 1.0}, 1, 1)))
    assert deliver.main([str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert f"it was told to {named}" in told and f"tracking.uri={named}" in told


def test_a_run_goes_to_the_store_that_the_caller_names(
    tmp_path: Path, uri: str, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shared(tmp_path, "http://127.0.0.1:9", run_id, to_line(Points({"door": 1.0}, 1, 1)))
    assert deliver.main([str(tmp_path), f"tracking.uri={uri}"]) == 0
    assert "and is sent to" in capsys.readouterr().out
    assert len(MlflowClient(uri).get_metric_history(run_id, "door")) == 1


def test_without_a_name_it_is_the_store_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, run_id: str
) -> None:
    monkeypatch.setattr(deliver, "default_uri", lambda: uri)
    shared(tmp_path, uri, run_id, to_line(Points({"default": 1.0}, 1, 1)))
    assert deliver.main([str(tmp_path)]) == 0
    monkeypatch.setenv("SEQEXP_OUTPUTS", "50%/x")
    assert default_uri() == absolute(sqlite_uri(Path("50%/x/mlflow.db")))


def test_what_is_given_to_deliver_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert deliver.main(["tracking.uri=http://x:1", "tracking.uri=http://y:1", "."]) == 2
    assert deliver.main(["tracking.uri=nothing", "."]) == 2
    assert deliver.main(["tracking.uri=http://x:1"]) == 2
    told = capsys.readouterr().err
    assert "stands twice" in told and "give sqlite" in told and "no folder is given" in told


# --- what logs in -----------------------------------------------------------------------------


def test_a_token_goes_to_no_host_that_only_a_database_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    monkeypatch.setattr(answers, "_named", set())
    answers.guard("http://named:5000")

    def sent(uri: str) -> str | None:
        token: str | None = HttpArtifactRepository(uri)._host_creds.token
        return token

    assert sent("http://named:5000/api/2.0/mlflow-artifacts/artifacts/1/x") == "secret"
    for other in ("http://evil:5000/x", "http://named:5001/x", "https://named:5000/x", "http://n/"):
        assert sent(other) is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://TOKEN@host:5000",
        "http://me:TOKEN@host",
        "https://TOKEN:@host",
        "http://:TOKEN@host",
        "http://host:5000/?token=TOKEN",
        "http://host:5000/#TOKEN",
        "http://TOKEN@host:99999",
        "http://TOKEN@[host",
        "TOKEN@host:5000",
        "postgresql://TOKEN@host/db",
        "sqlite://TOKEN@/x.db",
    ],
)
def test_an_address_that_holds_who_logs_in_is_refused_and_never_shown(uri: str) -> None:
    told = fault(uri)
    assert (
        told is not None and "TOKEN@" not in told and "=TOKEN" not in told and "#TOKEN" not in told
    )
    assert "MLFLOW_TRACKING_TOKEN" in told or "something after" in told or "is no address" in told


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/mlflow", "sqlite:////a@b/m.db"])
def test_an_address_without_a_user_is_sound(uri: str) -> None:
    assert fault(uri) is None


def test_an_artifact_is_not_read_from_above_its_run(uri: str, run_id: str, tmp_path: Path) -> None:
    for name in ("../secret", "a/../../secret", "/etc/passwd"):
        with pytest.raises((MlflowException, OSError)):
            MlflowClient(uri).download_artifacts(run_id, name, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


# --- a server that takes its time -------------------------------------------------------------


@pytest.fixture
def slow() -> Iterator[str]:
    """A server that sends a byte at a time, and never ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        stop = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(1)
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        stop.set()
        thread.join()


def test_a_server_that_never_ends_its_answer_is_given_up(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PROBE_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(InputError, match="where no MLflow server answers"):
        store.connect(slow)
    assert time.monotonic() - began < 10


def test_mlflows_own_requests_have_a_limit_for_the_whole_answer(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "ANSWER_SECONDS", 0.5)
    answers.guard(slow)
    began = time.monotonic()
    with pytest.raises(MlflowException, match="no whole answer within 0.5 s"):
        MlflowClient(slow).get_run(RUN_ID)
    assert time.monotonic() - began < 10


# --- a disk that is full ----------------------------------------------------------------------


class Full:
    """Lets no artifact be written beside the journal while it is on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_on = True
        real = Journal.new_files

        def new_files(journal: Journal) -> Path:
            if self.is_on and "undelivered" not in str(journal.folder):
                raise OSError(28, "No space left on device")
            return real(journal)

        monkeypatch.setattr(Journal, "new_files", new_files)


def begun(uri: str, folder: Path, patience: float = 0.0) -> tuple[MlflowTracker, str]:
    tracker = MlflowTracker(uri, None, patience_seconds=patience)
    return tracker, tracker.start(RunFacts("x", "y", folder=folder))


def names(uri: str, run_id: str, path: str = "") -> list[str]:
    return [item.path for item in MlflowClient(uri).list_artifacts(run_id, path)]


def test_an_artifact_that_found_no_room_is_written_when_there_is(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = Full(monkeypatch)
    tracker, run_id = begun(uri, tmp_path, patience=60)
    with caplog.at_level(logging.WARNING):
        tracker.text("one", "texts/1.txt")
        tracker.text("two", "texts/2.txt")
        full.is_on = False
        tracker.text("three", "texts/3.txt")
        tracker.finish("FINISHED")
    assert caplog.text.count("cannot be written") == 1
    assert names(uri, run_id, "texts") == [f"texts/{n}.txt" for n in (1, 2, 3)]
    assert MlflowClient(uri).get_run(run_id).info.status == "FINISHED"


def test_a_run_whose_artifacts_found_no_room_is_not_finished_and_can_be_delivered(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    full = Full(monkeypatch)
    tracker, run_id = begun(uri, tmp_path / "run")
    tracker.text("one", "texts/1.txt")
    tracker.table([{"a": 1}], "t.json")
    with pytest.raises(RunError) as told:
        tracker.finish("FINISHED")
    assert "texts/1.txt" in str(told.value) and "t.json" in str(told.value)
    assert MlflowClient(uri).get_run(run_id).info.status == "KILLED"
    assert names(uri, run_id) == []
    named = f"tracking.uri={uri}"
    assert deliver.main([str(tmp_path / "run"), named]) == 1
    assert "2 artifacts are MISSING" in capsys.readouterr().out
    full.is_on = False
    (elsewhere,) = tmp_path.glob("seqexp-undelivered-*")
    assert str(elsewhere) in str(told.value)
    assert deliver.main([str(elsewhere), named]) == 0
    assert names(uri, run_id) == ["t.json", "texts"]


def test_lines_of_a_journal_that_found_no_room_are_not_said_to_be_kept(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tracker, run_id = begun(uri, tmp_path / "run")
    real, own = os.write, tracker._journal._descriptor

    def write(descriptor: int, content: bytes) -> int:
        if descriptor == own:
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        tracker.metrics({"late": 1.0}, 1)
        with pytest.raises(RunError, match="the last metrics and tags"):
            tracker.finish("FINISHED")
    (elsewhere,) = tmp_path.glob("seqexp-undelivered-*")
    assert deliver.main([str(elsewhere), f"tracking.uri={uri}"]) == 0
    assert len(MlflowClient(uri).get_metric_history(run_id, "late")) == 1


def test_an_address_with_a_token_is_refused_before_anything_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqexp.cli import main as cli

    monkeypatch.chdir(tmp_path)
    for uri in ("http://TOKEN@host:1", "'http://me:TOKEN@host'"):
        given = ["seqexp", "tracking=server", f"tracking.uri={uri}", "hydra.run.dir=here"]
        monkeypatch.setattr("sys.argv", given)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 2
    told = capsys.readouterr()
    assert "TOKEN@" not in told.out + told.err and "MLFLOW_TRACKING_TOKEN" in told.err
    assert list(tmp_path.iterdir()) == []
