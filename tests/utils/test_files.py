"""Files that are whole or not there, in folders that others may have written to."""

import errno
import logging
import os
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from seqexp.errors import InputError
from seqexp.utils.files import (
    LogFile,
    full_disk,
    inside,
    open_own,
    read_json,
    refuse_links_below,
    write_whole,
)


def test_a_file_is_written_in_place_of_a_link_and_never_through_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "run.json").symlink_to(victim)
    (tmp_path / "run.json.new").symlink_to(victim)
    (tmp_path / "run.json.unfinished").symlink_to(victim)
    write_whole(tmp_path / "run.json", b"content")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "run.json").is_symlink()
    assert (tmp_path / "run.json").read_bytes() == b"content"


def test_two_writers_of_one_file_have_each_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = Path.replace
    monkeypatch.setattr(Path, "replace", lambda s, to: seen.append(s.name) or real(s, to))
    for _ in range(2):
        write_whole(tmp_path / "a", b"x")
    assert len({*seen}) == 2 and all(name.startswith("a.") for name in seen)


def test_a_file_that_finds_no_room_leaves_nothing_and_names_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a", b"before")

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError) as refused:
        write_whole(tmp_path / "a", b"after")
    assert refused.value.filename == str(tmp_path / "a")
    assert "the disk is full" in str(full_disk(refused.value))
    assert full_disk(OSError(errno.EACCES, "no")) is None
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"before"


def test_what_a_killed_writer_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, new = tmp_path / "a.0f.unfinished", tmp_path / "a.1f.unfinished"
    for left in (old, new):
        left.touch()
    os.utime(old, (1, 1))
    write_whole(tmp_path / "a", b"x")
    assert not old.exists() and new.exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "..", "../x", "a/../../x", "", ".", "a\0b"])
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="not inside it"):
        inside(tmp_path, name)


def test_a_link_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert inside(tmp_path, "real/deep") == tmp_path / "real" / "deep"
    for name in ("link", "link/deep"):
        with pytest.raises(InputError, match="link: is a symbolic link"):
            inside(tmp_path, name)
    with pytest.raises(InputError, match="is a symbolic link"):
        refuse_links_below(tmp_path)
    with pytest.raises(InputError, match="is a symbolic link"):
        open_own(tmp_path / "link", os.O_WRONLY | os.O_CREAT)


def test_a_tree_with_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: is neither a file nor a folder"):
        refuse_links_below(tmp_path)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"{", b"\xff", b"", b"9" * 5000], ids=lambda c: repr(c[:8])
)
def test_json_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InputError, match=r"run\.json: is (damaged|nested too deeply)"):
        read_json(tmp_path / "run.json")


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "seqexp.log").symlink_to(victim)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").symlink_to(victim)
    log = LogFile(str(tmp_path / "seqexp.log"), delay=True)
    with pytest.raises(InputError, match=r"seqexp\.log: is a symbolic link"):
        log.emit(logging.makeLogRecord({"msg": "x"}))
    assert not (tmp_path / ".hydra" / "config.yaml").exists()  # Hydra would write through it
    assert victim.read_text() == "precious"


def test_a_log_that_finds_no_room_says_so_once_and_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LogFile(str(tmp_path / "seqexp.log"))
    assert log.stream is not None
    log.stream.close()

    class Full:
        def write(self, text: str) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self) -> None:
            pass

    log.stream = Full()  # type: ignore[assignment]
    for _ in range(3):
        log.emit(logging.makeLogRecord({"msg": "x"}))
    log.stream = None
    log.close()
    said = capsys.readouterr().err
    assert said.count("the disk is full") == 1 and "Traceback" not in said


def test_hydra_writes_its_log_by_ours() -> None:
    config = yaml.safe_load((ROOT / "conf/config.yaml").read_text())
    handler = config["hydra"]["job_logging"]["handlers"]["file"]
    assert handler["class"] == f"{LogFile.__module__}.{LogFile.__name__}"
