"""Writes points of curves to a database on this machine, with the rows that MLflow would write.

A small model has a thousand points a second, of which MLflow makes an object each: that took as
long as a tenth of the training. What is not written here is MLflow's matter, as in `quick.py`.

Source: MLflow 3.17, `SqlAlchemyStore._log_metrics`.
"""

import math
import os
import re
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seqexp.tracking.store.address import database_file
from seqexp.tracking.store.database import MAX_KEY, TABLES, is_locked, transaction

OLDEST_SQLITE = (3, 24, 0)
"""The first one that knows `ON CONFLICT`."""

ADD = (
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

ADD_LAST = (
    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, run_uuid) DO UPDATE SET"
    " value = excluded.value, timestamp = excluded.timestamp, step = excluded.step,"
    " is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value)"
    " > (step, timestamp, value)"
)


class Row(NamedTuple):
    """A point as the tables have it."""

    key: str
    value: float
    time: int  # milliseconds since 1970
    step: int
    is_nan: bool
    run_id: str

    @property
    def order(self) -> tuple[int, int, float]:
        """The last point of a curve is the largest by this."""
        return self.step, self.time, self.value


class Curves:
    """The curves of all runs of a database.

    Args:
        file: the database's.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def add(self, run_id: str, points: Iterable[tuple[str, float, int, int]]) -> bool:
        """Add points, of name, value, time and step; a point that is there changes nothing.

        Returns whether it was done: where not, nothing was changed, and MLflow says why not.

        Raises:
            sqlite3.Error: if the database is locked for longer than a moment.
        """
        rows = [_row(run_id, *point) for point in points]
        if not all(_is_usual(key) for key in {row.key for row in rows}):
            return False
        try:
            with transaction(self._file) as database:
                return _is_open(database, run_id) and _put(database, rows)
        except sqlite3.Error as error:
            if is_locked(error):
                raise
            return False


def curves_of(uri: str) -> Curves | None:
    """The curves of a store; None where MLflow has to write them."""
    file = database_file(uri)
    has_workspaces = os.environ.get("MLFLOW_ENABLE_WORKSPACES", "false").lower()
    if file is None or "?" in uri or has_workspaces not in ("false", "0"):
        return None
    return Curves(file) if sqlite3.sqlite_version_info >= OLDEST_SQLITE else None


def _row(run_id: str, key: str, value: float, time: int, step: int) -> Row:
    """A database has no infinity, and no number that is none."""
    is_nan = math.isnan(value)
    largest = sys.float_info.max
    number = 0.0 if is_nan else min(max(float(value), -largest), largest)
    return Row(key, number, time, step, is_nan, run_id)


def _is_usual(key: str) -> bool:
    """Whether MLflow takes the name of a curve everywhere."""
    parts = key.split("/")
    is_path = all(part not in ("", ".", "..") for part in parts) and not key.startswith("..")
    return is_path and len(key) <= MAX_KEY and re.fullmatch(r"[/\w.\- ]+", key) is not None


def _is_open(database: sqlite3.Connection, run_id: str) -> bool:
    """Whether the tables are those that are known here, and the run is not deleted."""
    versions: list[Any] = database.execute("SELECT version_num FROM alembic_version").fetchall()
    query = "SELECT lifecycle_stage FROM runs WHERE run_uuid = ?"
    stage = database.execute(query, (run_id,)).fetchone()
    return versions == [(TABLES,)] and stage == ("active",)


def _put(database: sqlite3.Connection, rows: Sequence[Row]) -> bool:
    last: dict[str, Row] = {}
    for row in rows:
        if row.key not in last or row.order > last[row.key].order:
            last[row.key] = row
    database.executemany(ADD, rows)
    database.executemany(ADD_LAST, last.values())
    return True
