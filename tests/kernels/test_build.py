"""Compilers, and the cache of what they built: no code of others is loaded, no wait is endless."""

import logging
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from seqexp.kernels import build as building
from seqexp.kernels.build import Built, built
from seqexp.kernels.lazy_adam_rows import SOURCE

needs_a_compiler = pytest.mark.skipif(
    built(SOURCE, "REAL=float").binary is None, reason=built(SOURCE, "REAL=float").reason
)
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libraries are kept if nothing else is said."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def cache(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty cache of our own, and nothing found before."""
    (tmp_path / "above").mkdir()
    monkeypatch.setenv("SEQEXP_CACHE", str(tmp_path / "above" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(building, "_SLOW", {})
    for cached in (built, building._say_once):
        cached.cache_clear()
    yield tmp_path / "above" / "cache"
    built.cache_clear()


def build() -> Built:
    built.cache_clear()
    return built(SOURCE, "REAL=float")


def loaded_from(found: Built) -> Path:
    assert found.binary is not None, found.reason
    return Path(found.binary._name)


@needs_a_compiler
def test_a_library_is_ours_alone_and_found_again(cache: Path) -> None:
    file = loaded_from(build())
    assert file.parent == cache and stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    before = file.stat().st_mtime_ns
    assert loaded_from(build()) == file and file.stat().st_mtime_ns == before


def open_folder(cache: Path, file: Path) -> None:
    cache.chmod(0o777)


def open_folder_above(cache: Path, file: Path) -> None:
    cache.parent.chmod(0o777)


def open_file(cache: Path, file: Path) -> None:
    file.chmod(0o666)


def link_for_file(cache: Path, file: Path) -> None:
    file.rename(cache / "other.so")
    file.symlink_to(cache / "other.so")


def dangling_link(cache: Path, file: Path) -> None:
    file.unlink()
    file.symlink_to(cache.parent / "victim")


def folder_for_file(cache: Path, file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder_of_another(cache: Path, file: Path) -> None:
    os.chown(cache, 65534, 65534)


def file_of_another(cache: Path, file: Path) -> None:
    os.chown(file, 65534, 65534)


def link_of_another(cache: Path, file: Path) -> None:
    cache.rename(cache.parent / "elsewhere")
    cache.symlink_to(cache.parent / "elsewhere")
    os.chown(cache, 65534, 65534, follow_symlinks=False)


OPEN = [open_folder, open_folder_above, open_file, link_for_file, dangling_link, folder_for_file]
OTHERS = [folder_of_another, file_of_another, link_of_another]


@needs_a_compiler
@pytest.mark.parametrize(
    "change", [*OPEN, *(pytest.param(change, marks=needs_root) for change in OTHERS)]
)
def test_what_others_may_have_written_is_not_loaded(
    cache: Path, home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any, change: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("SEQEXP_CACHE")
        ours = loaded_from(build())
    assert ours.parent == home / "seqexp"
    cache.mkdir(mode=0o700)
    file = cache / ours.name
    file.write_bytes(b"of another")
    change(cache, file)
    with caplog.at_level(logging.WARNING, "seqexp"):
        found = loaded_from(build())
    assert found == ours
    assert str(cache.parent) in caplog.text and "kernels are kept in" in caplog.text
    assert not (cache.parent / "victim").exists()


@needs_a_compiler
def test_where_no_folder_is_ours_alone_the_process_has_its_own(
    cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    for folder in (cache, cache.parent / "seqexp"):
        folder.mkdir(parents=True)
        folder.chmod(0o777)
    with caplog.at_level(logging.WARNING, "seqexp"):
        found = loaded_from(build())
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
    assert cache.parent not in found.parents and "private folder" in caplog.text


@needs_a_compiler
def test_a_link_of_ours_to_a_folder_of_ours_is_followed(cache: Path) -> None:
    (cache.parent / "elsewhere").mkdir(mode=0o700)
    cache.symlink_to(cache.parent / "elsewhere")
    assert loaded_from(build()).parent == cache


# --- compilers --------------------------------------------------------------------------------


VERSION = '[ "$1" = --version ] && echo "a compiler 1.0" && exit 0\n'


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 0\n", "does not say its version"),
        ("exit 1\n", "does not say its version"),
        ("echo; exit 0\n", "does not say its version"),
        ("head -c 3000000 /dev/urandom; exit 1\n", "does not say its version"),
        (VERSION + "exit 0\n", "exit status 0, and no library"),
        (VERSION + "exit 3\n", "exit status 3, and no library"),
        (VERSION + "kill -9 $$\n", "exit status -9"),
        (VERSION + 'for a in "$@"; do out=$a; [ "$b" = -o ] && echo x > "$a"; b=$a; done\n', "OSE"),
    ],
)
def test_a_compiler_that_is_none_is_told(
    cache: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    false = cache.parent / "false-compiler"
    false.write_text("#!/bin/sh\n" + script)
    false.chmod(0o755)
    monkeypatch.setenv("CXX", str(false))
    found = build()
    assert found.binary is None and told in found.reason and "\n" not in found.reason


@needs_a_compiler
def test_a_library_without_our_functions_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    other = cache.parent / "other-compiler"
    empty = cache.parent / "empty.cpp"
    empty.write_text("int nothing;")
    other.write_text(
        "#!/bin/sh\n" + VERSION + 'while [ "$1" != -o ]; do shift; done\n'
        f'exec {real} -shared -fPIC -o "$2" {empty}\n'
    )
    other.chmod(0o755)
    monkeypatch.setenv("CXX", str(other))
    found = build()
    assert found.binary is None and "has no catch_up, step" in found.reason


@pytest.mark.parametrize("start", ["", VERSION])
def test_a_compiler_that_sleeps_is_waited_for_aloud_and_once(
    cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    sleeping = cache.parent / "sleeping"
    sleeping.write_text("#!/bin/sh\n" + start + "sleep 600 & sleep 600; wait\n")
    sleeping.chmod(0o755)
    monkeypatch.setenv("CXX", str(sleeping))
    for name, seconds in (("TIMEOUT", 2), ("ANSWER", 2), ("PATIENCE", 1)):
        monkeypatch.setattr(building, name, seconds)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "seqexp"):
        reasons = {build().reason for _ in range(3)}
    assert time.monotonic() - began < 12
    what = "to build the kernels" if start else "to say its version"
    assert reasons == {f"{sleeping} took more than 2 seconds {what}"}
    assert f"waiting for {sleeping} {what}, 2 seconds at most" in caplog.text
    assert caplog.text.count("there are no compiled kernels") == 1


def test_the_limits_are_short() -> None:
    assert building.TIMEOUT <= 40 and building.ANSWER <= 10 and building.PATIENCE <= 5
