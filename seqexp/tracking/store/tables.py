"""The tables of MLflow's database as far as they are written without it.

Source: MLflow 3.17.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

TABLES = "dc11669786a5"
"""Version of the tables that are written: that of MLflow 3.17."""

BUSY_SECONDS = 20.0
"""How long SQLite itself waits for a lock, as MLflow has it."""

MAX_KEY = 250
"""Characters of a name; MLflow looks at what is longer."""


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
