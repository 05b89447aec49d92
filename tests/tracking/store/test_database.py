"""SQLite stores that are locked, older, newer, damaged, or none; and addresses of odd folders."""

import logging
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from seqexp.errors import InputError
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.store import database
from seqexp.tracking.store.address import absolute, database_file, fault, sqlite_uri
from seqexp.tracking.store.links import links
from seqexp.tracking.tracker import RunFacts

ODD = (
    "feature%2Fmotifs",
    "a b",
    "50%",
    "wie?",
    "#1",
    "a&b=c",
    "ä é",
    "$HOME",
    "it's",
    'a"b',
    "%3F",
)


def of_mlflow(file: Path, *versions: str) -> bytes:
    """A database as MLflow has it, as far as a look goes; returns its content."""
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE experiments (name TEXT)")
        made.execute("CREATE TABLE alembic_version (version_num TEXT)")
        made.executemany("INSERT INTO alembic_version VALUES (?)", [(one,) for one in versions])
    made.close()
    return file.read_bytes()


@contextmanager
def locked(file: Path) -> Iterator[int]:
    """Another process has it locked; gives its id."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(file)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"locked\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.8)


def test_a_lock_that_stays_is_told_with_who_has_it_and_nothing_is_moved_away(
    tmp_path: Path, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "mlflow.db"
    before = of_mlflow(file, database._known_versions()[1])
    with locked(file) as pid, pytest.raises(InputError) as refused:
        database.refuse_unsound(file, is_written=True)
    told = str(refused.value)
    assert "is locked by another process, and was for" in told and f"process {pid} (" in told
    assert "not damaged" in told and "ove it away" not in told and "not a sound" not in told
    assert "so far 0 s of at most 1" in caplog.text or "so far 1 s of at most 1" in caplog.text
    assert file.read_bytes() == before


def test_a_lock_that_goes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    file = tmp_path / "mlflow.db"
    of_mlflow(file, database._known_versions()[1])
    with locked(file) as pid, caplog.at_level(logging.WARNING):
        threading.Timer(0.6, os.kill, (pid, 9)).start()
        database.refuse_unsound(file, is_written=True)
    assert (
        caplog.text.count("waiting for it, so far") == 1 and "is free again, after" in caplog.text
    )


def test_what_is_repeated_while_it_is_locked_is_done_once_it_is_not(tmp_path: Path) -> None:
    tries = []

    def work() -> str:
        tries.append(time.monotonic())
        if len(tries) < 2:
            raise sqlite3.OperationalError("database is locked")
        return "done"

    assert database.patiently(tmp_path / "x.db", work) == "done" and len(tries) == 2
    with pytest.raises(KeyError):  # anything else at once
        database.patiently(tmp_path / "x.db", lambda: {}["x"])


def test_a_database_of_a_newer_mlflow_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    before = of_mlflow(tmp_path / "m.db", "ffffffffffff")
    with pytest.raises(InputError, match=r"m\.db: was written by a newer MLflow .*ffffffffffff"):
        database.refuse_unsound(tmp_path / "m.db", is_written=True)
    assert (tmp_path / "m.db").read_bytes() == before


def test_a_database_of_an_older_mlflow_is_told_with_the_command_that_upgrades_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "it's 50%.db"
    before = of_mlflow(file, "451aebb31d03")  # MLflow 1.0's
    with pytest.raises(InputError, match=r"was written by an older MLflow .*451aebb31d03") as told:
        database.refuse_unsound(file, is_written=True)
    command = next(line for line in str(told.value).splitlines() if "db upgrade" in line)
    assert database_file(shlex.split(command)[-1]) == file
    assert file.read_bytes() == before


def test_a_database_whose_making_was_cut_off_is_told(tmp_path: Path) -> None:
    of_mlflow(tmp_path / "m.db")
    with pytest.raises(InputError, match="whose making was cut off"):
        database.refuse_unsound(tmp_path / "m.db", is_written=True)


def test_an_empty_file_is_a_new_database_and_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "m.db").touch()
    database.refuse_unsound(tmp_path / "m.db", is_written=True)
    with pytest.raises(InputError, match="is empty, so no run is known"):
        database.refuse_unsound(tmp_path / "m.db", is_written=False)


def test_what_may_not_be_written_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_mlflow(tmp_path / "m.db", database._known_versions()[1])
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    database.refuse_unsound(tmp_path / "m.db", is_written=False)  # to read it is enough
    with pytest.raises(InputError, match="may not be written by you"):
        database.refuse_unsound(tmp_path / "m.db", is_written=True)


def test_a_pipe_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.db")
    with pytest.raises(InputError, match="is no file"):
        database.refuse_unsound(tmp_path / "m.db", is_written=True)


def test_the_lock_of_the_database_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".m.db.lock").symlink_to(tmp_path / "victim")
    with (
        pytest.raises(InputError, match="is a symbolic link"),
        database.one_at_a_time(tmp_path / "m.db"),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("name", ODD)
def test_the_address_of_an_odd_folder_opens_the_database_in_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    file = folder / "mlflow.db"
    uri = sqlite_uri(file)
    assert fault(uri) is None and database_file(uri) == file and absolute(uri) == uri
    line = links(uri, "1", "2", "x")["open the UI"]
    words = shlex.split(line)
    engine = create_engine(words[words.index("--backend-store-uri") + 1])
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE here (x INT)"))
    engine.dispose()
    assert file.is_file() and [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_below_odd_folders_is_there_with_its_artifacts(tmp_path: Path) -> None:
    outputs = tmp_path / "/".join(ODD)
    uri = sqlite_uri(outputs / "mlflow.db")
    tracker = MlflowTracker(uri, str(outputs / "mlartifacts"))
    run_id = tracker.start(RunFacts("x", "y", folder=outputs / "run"))
    tracker.text("content", "a/b.txt")
    tracker.finish("FINISHED")
    assert [path.name for path in tmp_path.iterdir()] == [ODD[0]]
    (kept,) = (outputs / "mlartifacts").rglob("b.txt")
    assert kept.read_text() == "content"
    copy = MlflowClient(uri).download_artifacts(run_id, "a/b.txt", str(tmp_path))
    assert Path(copy).read_text() == "content"


@pytest.mark.parametrize(
    "uri",
    ["sqlite:////a/wie?/m.db", "sqlite:///", "sqlite:////", "sqlite:////a?x", "sqlite:////a%00b"],
)
def test_an_address_of_a_file_that_would_open_another_is_refused(uri: str) -> None:
    assert "tracking.uri is" in str(fault(uri))


def test_options_of_sqlites_driver_stay(tmp_path: Path) -> None:
    uri = f"{sqlite_uri(tmp_path / 'm.db')}?timeout=30"
    assert fault(uri) is None and absolute(uri) == uri
    assert database_file(uri) == tmp_path / "m.db"
