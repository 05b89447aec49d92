"""A run's folder, as others may have left it."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqexp.checkpoint import store
from seqexp.checkpoint.folder import STATE, RunFolder, owned
from seqexp.errors import InputError

ODD = [b"", b"{", b"[]", b'"x"', b"7", b"[" * 100_000, b"9" * 5000, b"\xff"]


@pytest.mark.parametrize("content", ODD, ids=lambda content: repr(content[:8]))
def test_a_note_or_result_that_is_none_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    for name in ("run.json", "result.json"):
        (tmp_path / name).write_bytes(content)
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"run\.json: is .*force=true starts anew"):
        folder.run_id({})
    with pytest.raises(InputError, match=r"result\.json: is .*force=true starts anew"):
        folder.result()


@pytest.mark.parametrize(
    "note", [{}, {"origin": 3}, {"origin": {"a": 3}}, {"origin": {}, "run_id": 3}]
)
def test_a_note_of_other_types_is_refused_in_words(tmp_path: Path, note: Any) -> None:
    (tmp_path / "run.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match="is not what seqexp writes there"):
        RunFolder(tmp_path).run_id({})


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": [1]},
        {"metrics": {"a": "x"}},
        {"run_id": 3},
        {"summary": {"a": 1}},
        {"seconds": ""},
    ],
    ids=str,
)
def test_a_result_of_other_types_is_refused_in_words(tmp_path: Path, wrong: Any) -> None:
    (tmp_path / "run.json").write_text('{"origin": {}, "run_id": null}')
    (tmp_path / "result.json").write_text(json.dumps({"status": "FINISHED", **wrong}))
    with pytest.raises(InputError, match="is not what seqexp writes there"):
        RunFolder(tmp_path).result()


@pytest.mark.parametrize("content", [[1], 3, {"origin": 3}, {"origin": {"a": 1}}, {}], ids=str)
def test_a_checkpoint_of_another_form_is_refused_in_words(tmp_path: Path, content: Any) -> None:
    store.write(tmp_path / "checkpoints", content)
    with pytest.raises(InputError, match="force=true starts anew"):
        RunFolder(tmp_path).checkpoint({})


@pytest.mark.parametrize("name", [*STATE, ".lock"])
def test_a_link_in_a_runs_folder_is_refused_before_anything_is_done(
    tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    (victim if name in ("checkpoints", "twin", "tracking") else tmp_path).mkdir(exist_ok=True)
    if not victim.exists():
        victim.write_text("precious")
    run = tmp_path / "run"
    run.mkdir()
    (run / name).symlink_to(victim)
    with pytest.raises(InputError, match="is a symbolic link, which is not followed"), owned(run):
        pass
    assert victim.is_dir() or victim.read_text() == "precious"
    assert not victim.is_dir() or list(victim.iterdir()) == []
