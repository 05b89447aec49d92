"""Checkpoints: whole or not there, known by their checksum, the same to the bit when read."""

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from seqexp.checkpoint.encode import decode, encode, same
from seqexp.checkpoint.store import files, newest, read, write
from seqexp.errors import InputError

STATE = {
    "weights": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "half": torch.tensor([1.5, -2.25], dtype=torch.bfloat16),
    "counts": {0: torch.tensor(3), "exp_avg": [torch.ones(2), (1, 2.5, None)]},
    "numbers": [0.1 + 0.2, 1e-310, math.inf, -math.inf, math.nan, 2**70, True, "text"],
    "$odd": {"empty": {}, "nothing": None, "none": (), "tensor": torch.zeros(0, 4)},
}


def numbered(number: int) -> dict[str, Any]:
    return {"number": number, "weights": torch.full((100,), float(number))}


def test_a_state_is_read_as_it_was_written_to_the_bit(tmp_path: Path) -> None:
    found = read(write(tmp_path, STATE))
    assert same(found, STATE)
    assert type(found["counts"][0]) is torch.Tensor and 0 in found["counts"]
    assert type(found["counts"]["exp_avg"][1]) is tuple and type(found["numbers"][6]) is bool
    assert not same(found, {**STATE, "numbers": [0.3, *STATE["numbers"][1:]]})
    assert not same(found, {**STATE, "weights": STATE["weights"].double()})


def test_tensors_that_share_memory_are_kept_each(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    found = read(write(tmp_path, {"whole": whole, "part": whole[1:3], "again": whole}))
    assert found["part"].tolist() == [1.0, 2.0] and torch.equal(found["again"], whole)


def test_what_runs_code_when_read_is_refused_by_path() -> None:
    with pytest.raises(TypeError, match=r"/optimizer/0/function is a function"):
        encode({"optimizer": [{"function": lambda: 1}]})
    tensors, text = encode({"a": {"$tensor": "no path of ours"}})
    assert decode(tensors, text) == {"a": {"$tensor": "no path of ours"}}


def test_the_last_two_are_kept_and_the_newest_is_read(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, numbered(number))
    assert len(files(tmp_path)) == 2
    assert newest(tmp_path)[0]["number"] == 4
    assert read(files(tmp_path)[0])["number"] == 3


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest(tmp_path) == (None, [])
    assert newest(tmp_path / "not there") == (None, [])


def test_a_file_cut_or_changed_at_any_byte_is_told_and_the_one_before_used(tmp_path: Path) -> None:
    write(tmp_path, numbered(1))
    file = write(tmp_path, numbered(2))
    content = file.read_bytes()
    for place in range(len(content)):
        changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        for damaged in (content[:place], changed):
            file.write_bytes(damaged)
            state, (fault,) = newest(tmp_path)
            assert state["number"] == 1
            assert str(file) in fault and "damaged" in fault
    file.write_bytes(content)
    assert newest(tmp_path)[0]["number"] == 2


def test_if_all_are_damaged_nothing_is_started_and_nothing_deleted(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path, numbered(number)).write_bytes(b"torn")
    with pytest.raises(InputError, match="no checkpoint can be used") as caught:
        newest(tmp_path)
    assert all(str(file) in str(caught.value) for file in files(tmp_path))
    assert len(files(tmp_path)) == 2


def named_by_sum(folder: Path, content: bytes) -> Path:
    file = folder / f"00000001-{hashlib.sha256(content).hexdigest()}.safetensors"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "told",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a": ' * 100_000 + "1" + "}" * 100_000,
        '{"$tensor": "not there"}',
        '{"$tensor": []}',
        '{"$tuple": 5}',
        '{"$items": [1, 2]}',
        '{"$items": [[{}, 1]]}',
        "9" * 5000,
        "no JSON",
    ],
)
def test_content_that_has_its_checksum_and_another_form_is_refused(
    tmp_path: Path, told: str
) -> None:
    file = named_by_sum(tmp_path, save({"a": torch.ones(2)}, {"state": told}))
    with pytest.raises(InputError, match="is no checkpoint of seqexp"):
        read(file)


def test_files_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    header = {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}
    over = {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}
    whole = [json.dumps(h).encode() for h in (header, over, {"a": {"dtype": "F8"}}, [])]
    contents = [len(text).to_bytes(8, "little") + text + bytes(8) for text in whole]
    for content in (b"", b"\xff" * 8, (2**60).to_bytes(8, "little"), *contents):
        with pytest.raises(InputError, match="is no checkpoint of seqexp"):
            read(named_by_sum(tmp_path, content))


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "00000001-00.safetensors")
    (tmp_path / "00000002-00.safetensors").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="no checkpoint can be used(.|\n)*is no plain file"):
        newest(tmp_path)


class Cut(BaseException):
    """The process is gone: nothing after it has an effect."""


CALLS = ("open", "write", "fsync", "replace", "unlink")


def dying_at(
    call: int, monkeypatch: pytest.MonkeyPatch, bytes_written: int | None = None
) -> list[str]:
    """Let no system call from this one on have an effect; returns the list of those made."""
    made: list[str] = []

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(*arguments: Any, **named: Any) -> Any:
            if len(made) >= call:
                if name == "write" and len(made) == call and bytes_written is not None:
                    real(arguments[0], bytes(arguments[1])[:bytes_written])
                made.append(name)
                raise Cut
            made.append(name)
            return real(*arguments, **named)

        return replaced

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(name, getattr(os, name)))
    return made


def test_writing_cut_after_any_system_call_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path / "whole"
        for number in range(3):
            write(folder, numbered(number))
        calls = dying_at(10**6, patch)
        write(folder, numbered(3))
    # made, written, synced, renamed, its folder synced; and only then the oldest removed
    assert [name for name in calls if name != "open"] == [
        "write",
        "fsync",
        "replace",
        "fsync",
        "unlink",
    ]
    seen = set()
    for call in range(len(calls)):
        folder = tmp_path / str(call)
        for number in range(3):
            write(folder, numbered(number))
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
            dying_at(call, patch)
            write(folder, numbered(3))
        state, faults = newest(folder)
        assert faults == [] and state["number"] in (2, 3)
        seen.add(state["number"])
        write(folder, numbered(4))  # and it goes on from there, and cleans up
        assert newest(folder)[0]["number"] == 4
        assert len(list(folder.iterdir())) == 2
    assert seen == {2, 3}


def test_writing_cut_inside_the_bytes_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, numbered(1))
    with pytest.MonkeyPatch.context() as patch:
        calls = dying_at(10**6, patch)
        file = write(tmp_path / "other", numbered(2))
    size, place = file.stat().st_size, calls.index("write")
    for length in range(0, size, 37):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
            dying_at(place, patch, length)
            write(tmp_path, numbered(2))
        unfinished = [path for path in tmp_path.iterdir() if path.name.endswith("unfinished")]
        assert [path.stat().st_size for path in unfinished] == [length]
        assert newest(tmp_path)[0]["number"] == 1
        unfinished[0].unlink()  # each has a name of its own; the next checkpoints remove it


def test_a_full_disk_is_an_error_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, numbered(1))

    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path, numbered(2))
    assert newest(tmp_path)[0]["number"] == 1
