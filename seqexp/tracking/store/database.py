"""An SQLite store, looked at before MLflow opens it: MLflow tries what is wrong for minutes.

Nothing is changed by a look. A database that another process has locked is waited for.
"""

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from filelock import FileLock, Timeout

from seqexp.errors import InputError
from seqexp.tracking.store.address import sqlite_uri
from seqexp.utils.files import link_error

log = logging.getLogger("seqexp")

T = TypeVar("T")

TABLES = "dc11669786a5"
"""Version of the tables that are written without MLflow: that of MLflow 3.17."""

MAX_KEY = 250
"""Characters of a name that MLflow takes."""

BUSY_SECONDS = 20.0
"""How long SQLite itself waits for a lock where a run is written, as MLflow has it."""

WAIT_SECONDS = 90.0
"""How long a locked database is waited for: other jobs write for moments, an upgrade for longer."""

CREATE_SECONDS = 600.0
"""How long to wait for the processes that open a database one after the other."""

_BUSY_SECONDS, _SAY_SECONDS = 1.0, 15.0
"""A try of SQLite's own, and the time between two lines that tell of waiting."""

_GIVE = "give another file with tracking.uri, or another folder with paths.outputs"


def is_locked(error: BaseException | None) -> bool:
    """Whether an error, or one that it follows from, says that a database is in use."""
    while error is not None:
        text = str(error)
        if "database is locked" in text or "database table is locked" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def patiently(file: Path, work: Callable[[], T]) -> T:
    """Do what a lock may keep from being done, as soon as it is gone.

    Args:
        file: the database's.
        work: what is done; a repetition must change nothing.

    Raises:
        InputError: saying what holds the lock, if it is still there after `WAIT_SECONDS`.
    """
    began = time.monotonic()
    told = 0.0  # seconds at the last line
    while True:
        try:
            found = work()
            if told:
                log.warning(f"tracking: {file} is free again, after {_since(began):.0f} s")
            return found
        except Exception as error:
            if not is_locked(error):
                raise
            if _since(began) >= WAIT_SECONDS:
                raise InputError(
                    f"{file}: is locked by another process, and was for {_since(began):.0f} s;"
                    f" {holders(file)}. Nothing was changed, and the database is not damaged: try"
                    f" again when that has ended, or {_GIVE}"
                ) from error
        if not told or _since(began) - told >= _SAY_SECONDS:
            log.warning(
                f"tracking: {file} is locked by another process; waiting for it, so far"
                f" {_since(began):.0f} s of at most {WAIT_SECONDS:.0f}"
            )
            told = max(_since(began), 0.001)
        time.sleep(0.5)


def _since(began: float) -> float:
    return time.monotonic() - began


def holders(file: Path) -> str:
    """The processes that have a database open, in words, as far as this machine tells."""
    names = {str(file.resolve()) + ending for ending in ("", "-journal", "-wal", "-shm")}
    found = [_shown(pid) for pid in _processes() if _has_open(pid, names)]
    others = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    journal = file.with_name(f"{file.name}-journal")
    with_journal = f"; {journal.name} beside it says that a write has begun" * journal.exists()
    if found:
        return f"it is open in {others}{with_journal}"
    return (
        "no process that can be seen on this machine has it open; is it open on another, or in"
        f" another container?{with_journal}"
    )


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in sorted(found) if pid != os.getpid()]
    return []


def _has_open(pid: int, names: set[str]) -> bool:
    with contextlib.suppress(OSError):
        folder = Path("/proc", str(pid), "fd")
        for one in folder.iterdir():
            with contextlib.suppress(OSError):
                if str(one.readlink()) in names:
                    return True
    return False


def _shown(pid: int) -> str:
    command = ""
    with contextlib.suppress(OSError):
        given = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        command = " ".join(part.decode(errors="replace") for part in given).strip()
    shown = "".join(sign if sign.isprintable() else "?" for sign in command[:80])
    return f"process {pid} ({shown})" if shown else f"process {pid}"


@contextlib.contextmanager
def one_at_a_time(file: Path) -> Iterator[None]:
    """Two processes that create the tables of a database at once break it for good.

    Raises:
        InputError: if others take too long, or the lock's file is a link.
    """
    lock = file.with_name(f".{file.name}.lock")
    if lock.is_symlink():
        raise link_error(lock)
    if not os.access(file.parent, os.W_OK):  # of others, and only read: nothing is made in it
        yield
        return
    waiting = FileLock(lock)
    try:
        waiting.acquire(timeout=5)
    except Timeout:
        log.warning(
            f"tracking: another process opens {file}; waiting for it, at most"
            f" {CREATE_SECONDS:.0f} s"
        )
        try:
            waiting.acquire(timeout=CREATE_SECONDS)
        except Timeout as error:
            raise InputError(
                f"{file}: another process has been opening it for {CREATE_SECONDS:.0f} s (it holds"
                f" {lock}; {holders(lock)}); try again when that has ended, or {_GIVE}"
            ) from error
    try:
        yield
    finally:
        waiting.release()


def refuse_unsound(file: Path, is_written: bool) -> None:
    """Look at a database as it is.

    Args:
        file: where it is, or will be made if it is to be written.
        is_written: whether it is, or only read.

    Raises:
        InputError: saying what is the matter, if MLflow cannot use it.
    """
    if file.is_dir():
        raise InputError(
            f"tracking.uri names {file}, which is no file but a folder; name the database in it, as"
            f" {file / 'mlflow.db'}"
        )
    if file.exists() and not file.is_file():
        raise InputError(f"{file}: is no file; give a path for a database with tracking.uri")
    is_empty = not file.exists() or file.stat().st_size == 0
    if is_written:
        _refuse_unwritable(file)
    if is_empty:
        if not is_written:
            raise InputError(f"{file}: is empty, so no run is known; {_GIVE}")
        return
    if not os.access(file, os.R_OK):
        raise InputError(f"{file}: may not be read by you; {_GIVE}")
    _refuse_other_format(file)
    tables, version = patiently(file, lambda: _looked_at(file))
    _refuse_other_tables(file, tables, version)


def _refuse_unwritable(file: Path) -> None:
    place = file if file.exists() else next(p for p in file.absolute().parents if p.exists())
    for path in dict.fromkeys((place, file.parent if file.exists() else place)):
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: may not be written by you, and runs are kept in it; {_GIVE}")


def _refuse_other_format(file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(16)
    if start != b"SQLite format 3\0":
        raise InputError(
            f"{file}: is not a sound MLflow database (it begins with {start!r}). Nothing was"
            f" changed. Move it away and seqexp starts a new one, or {_GIVE}"
        )


def _looked_at(file: Path) -> tuple[set[str], list[str]]:
    """Names of the tables, and the version of their making."""
    # never made by a look; written where a process was killed in a write, which SQLite takes back
    address = f"file:{quote(str(file.absolute()))}?mode=rw"
    try:
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)
        ) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {str(name) for (name,) in rows}
            if "alembic_version" not in tables:
                return tables, []
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            if "experiments" in tables:
                connection.execute("SELECT count(*) FROM experiments").fetchone()
            return tables, [str(version) for (version,) in found]
    except sqlite3.DatabaseError as error:
        if is_locked(error):
            raise
        raise InputError(_told(file, error)) from error


def _told(file: Path, error: sqlite3.Error) -> str:
    """The meaning of an error of SQLite."""
    text = str(error)
    if "malformed" in text or "not a database" in text or "disk image" in text:
        return (
            f"{file}: is not a sound MLflow database ({text}). Nothing was changed. Move it away"
            f" and seqexp starts a new one, or {_GIVE}"
        )
    if "readonly" in text or "unable to open" in text:
        return f"{file}: cannot be opened ({text}); may you write in its folder? Or {_GIVE}"
    return f"{file}: cannot be read ({text}). Nothing was changed; try again, or {_GIVE}"


def _refuse_other_tables(file: Path, tables: set[str], version: list[str]) -> None:
    if tables and "alembic_version" not in tables:
        raise InputError(
            f"{file}: is a database, but not one of MLflow's (its tables: "
            f"{', '.join(sorted(tables)[:5])}); give another file with tracking.uri"
        )
    if not tables:
        return
    if len(version) != 1:
        raise InputError(
            f"{file}: is a database of MLflow's whose making was cut off: it does not say of which"
            f" version it is. Nothing was changed. If it holds no runs, move it away; or {_GIVE}"
        )
    known, latest, mlflow_version = _known_versions()
    if version[0] not in known:
        raise InputError(
            f"{file}: was written by a newer MLflow (its tables are of version {version[0]}, which"
            f" MLflow {mlflow_version} here does not know). Nothing was changed. Use the newer one"
            f" (pip install --upgrade mlflow), or {_GIVE}"
        )
    if version[0] != latest:
        from shlex import quote as shell_quote

        command = f"python -m mlflow db upgrade {shell_quote(sqlite_uri(file))}"
        raise InputError(
            f"{file}: was written by an older MLflow (its tables are of version {version[0]}, those"
            f" of MLflow {mlflow_version} here are {latest}). Nothing was changed. Copy the file,"
            f" then have MLflow bring it up to date:\n    {command}\n  or {_GIVE}"
        )


def _known_versions() -> tuple[set[str], str, str]:
    """Versions of the tables that the installed MLflow knows, the latest, and MLflow's own.

    They stand in its files; the import of MLflow would take as long as PyTorch's.
    """
    found = importlib.util.find_spec("mlflow")
    assert found is not None and found.origin is not None
    scripts = Path(found.origin).parent / "store" / "db_migrations" / "versions"
    texts = [script.read_text(encoding="utf-8") for script in scripts.glob("*.py")]
    known, before = (
        {name for text in texts for name in re.findall(rf"^{key} = [\"'](\w+)[\"']", text, re.M)}
        for key in ("revision", "down_revision")
    )
    (latest,) = known - before
    return known, latest, importlib.metadata.version("mlflow")


def version_of(file: Path) -> str | None:
    """The version of a database's tables; None where it has none."""
    _, version = patiently(file, lambda: _looked_at(file))
    return version[0] if len(version) == 1 else None


@contextlib.contextmanager
def connected(file: Path) -> Iterator[sqlite3.Connection]:
    """A database, as MLflow looks at it."""
    address = f"file:{quote(str(file.absolute()))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA case_sensitive_like = true")
        yield connection


@contextlib.contextmanager
def transaction(file: Path) -> Iterator[sqlite3.Connection]:
    """A database, of which all that is written is kept, or nothing."""
    with connected(file) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
