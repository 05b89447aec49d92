"""Makes a new SQLite store whole: its tables are there, or there is no file.

MLflow makes the tables in some sixty steps, and SQLite waits for the disk after each. In a file
that nobody knows yet nothing can be lost, so here the disk is waited for once.
"""

import contextlib
import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy
from mlflow.store.db import utils

from seqexp.errors import InputError
from seqexp.tracking.store.address import sqlite_uri


def make_database(file: Path) -> None:
    """Make a database with MLflow's tables; leave one that is there as it is.

    Where this MLflow is not as those known to us, none is made: MLflow does it when it is opened.

    Args:
        file: where it will be; its folder is there.

    Raises:
        InputError: if it cannot be written.
    """
    content = None if file.exists() or file.is_symlink() else _tables()
    if content is None:
        return
    try:
        _write(file, content)
    except OSError as error:
        raise InputError(
            f"{file}: cannot be made ({error.strerror}); make room, or give another file with"
            " tracking.uri, or another folder with paths.outputs"
        ) from error


def _write(file: Path, content: bytes) -> None:
    made = file.with_name(f".{file.name}.new")  # of the one process that may make it
    with contextlib.suppress(FileNotFoundError):
        made.unlink()
    with made.open("xb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(made, file)  # unlike a new name, it replaces nothing that came meanwhile
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        made.rename(file)
    with contextlib.suppress(FileNotFoundError):
        made.unlink()


@functools.cache
def _tables() -> bytes | None:
    """A database in which nothing is recorded yet; None if it could not be made."""
    make = getattr(utils, "_initialize_tables", None)
    if make is None:
        return None
    with tempfile.TemporaryDirectory(prefix="seqexp-") as folder:
        file = Path(folder, "new.db")
        engine = sqlalchemy.create_engine(sqlite_uri(file))
        sqlalchemy.event.listen(engine, "connect", _wait_for_no_disk)
        try:
            make(engine)
        except Exception:  # MLflow says what, when it does it
            return None
        finally:
            engine.dispose()
        return file.read_bytes()


def _wait_for_no_disk(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")
