"""A new store is there whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.tracking.store.client import connect
from seqexp.tracking.store.new_database import make_database
from seqexp.tracking.store.quick import opened


def test_mlflow_takes_a_new_database_as_its_own(tmp_path: Path) -> None:
    (tmp_path / ".mlflow.db.new").write_bytes(b"of a process that was killed")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = connect(uri)
    made = client.create_experiment("mine")
    assert client.get_experiment(made).name == "mine"
    assert opened(uri).get_experiment_by_name("mine").experiment_id == made  # read without MLflow
    assert {file.name for file in tmp_path.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}


def test_what_is_there_stays(tmp_path: Path) -> None:
    there, link = tmp_path / "there.db", tmp_path / "link.db"
    there.write_bytes(b"somebody's")
    link.symlink_to(tmp_path / "elsewhere.db")
    for file in (there, link):
        make_database(file)
    assert there.read_bytes() == b"somebody's" and not (tmp_path / "elsewhere.db").exists()


def test_a_full_disk_is_said_and_leaves_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"mlflow\.db: cannot be made \(No space left"):
        connect(f"sqlite:///{tmp_path}/mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
