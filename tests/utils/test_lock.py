"""A folder's lock: one process at a time, and no link is followed."""

from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.utils.files import LOCK
from seqexp.utils.lock import is_held, locked, unused, wait_for


def test_a_folder_is_locked_once_and_free_afterwards(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    with locked(tmp_path, "in use"):
        assert is_held(tmp_path)
        with unused(tmp_path) as is_unused:
            assert not is_unused
        with pytest.raises(InputError, match=f"{tmp_path}: in use"):
            locked(tmp_path, "in use").__enter__()
    wait_for(tmp_path)
    with unused(tmp_path) as is_unused:
        assert is_unused
        assert is_held(tmp_path)  # none can begin to work in it


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / LOCK).symlink_to(victim)
    for take in (lambda: locked(tmp_path, "in use").__enter__(), lambda: wait_for(tmp_path)):
        with pytest.raises(InputError, match="is a symbolic link"):
            take()
    with unused(tmp_path) as is_unused:
        assert not is_unused
    assert not is_held(tmp_path)
    assert victim.read_text() == "precious"
