"""Tables of a new MLflow store that are copied, not made by MLflow's sixty migrations once more.

The migrations of an empty SQLite file take over a second of a core and 300 writes to the disk. The
first store of a process is made by them. Each later one begins as a copy of it, page by page,
before anything was recorded. A process that was not forked from such a process makes its own.
"""

import contextlib
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

_tables: bytes | None = None
"""The first store, as SQLite writes it, when its tables were made."""


def copied() -> None:
    """From now on copy the tables of new stores, if MLflow was imported."""
    utils: Any = sys.modules.get("mlflow.store.db.utils")
    if utils is None or hasattr(utils._initialize_tables, "migrate"):
        return
    migrate = utils._initialize_tables

    def initialize(engine: Any) -> None:
        global _tables
        if engine.dialect.name != "sqlite":
            migrate(engine)
            return
        with contextlib.closing(engine.raw_connection()) as pooled:
            file: sqlite3.Connection = pooled.driver_connection
            is_empty = not file.execute("SELECT name FROM sqlite_master").fetchall()
            if is_empty and _tables is not None:
                with contextlib.closing(sqlite3.connect(":memory:")) as first:
                    first.deserialize(_tables)
                    first.backup(file)
                return
        migrate(engine)
        if is_empty:
            with contextlib.closing(engine.raw_connection()) as pooled:
                _tables = pooled.driver_connection.serialize()

    initialize.migrate = migrate  # type: ignore[attr-defined]
    utils._initialize_tables = initialize


def make_first() -> None:
    """Make the store that later ones are copied from, also those of forks."""
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    copied()
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'mlflow.db'}")
        utils._initialize_tables(engine)
        engine.dispose()
    assert _tables is not None
