"""Begins runs in a database on this machine without MLflow: its import takes as long as PyTorch's.

A run is begun before it trains, so this is done by SQLite, with the rows that MLflow would write.
Only tables of a version that is known here are written; for others, for new databases, for servers
and for whatever goes wrong, MLflow is imported and does it.

Source: MLflow 3.17, `SqlAlchemyStore`.
"""

import contextlib
import functools
import inspect
import math
import os
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from seqexp.errors import InputError
from seqexp.tracking.store.address import database_file, fault, local_path
from seqexp.tracking.store.database import (
    MAX_KEY,
    TABLES,
    connected,
    is_locked,
    one_at_a_time,
    refuse_unsound,
    transaction,
    version_of,
)

MAX_VALUE, MAX_EXPERIMENT_VALUE = 6000, 20_000
"""Characters; MLflow looks at what is longer."""

CONDITION = r"(attributes|tags)\.`?([\w. ]+?)`?\s*(=|LIKE)\s*'([^']*)'"
"""One of a query, as `attributes.status = 'RUNNING'`."""

ORDER = r"attributes\.start_time (ASC|DESC)"

ATTRIBUTES = {"run_id": "run_uuid", "status": "status"}


class Pair(NamedTuple):
    """A parameter or a tag of a run."""

    key: str
    value: str


def opened(uri: str, is_written: bool = True) -> Any:
    """A client of a store, as `client.connect`; a quick one where that can be.

    Raises:
        InputError: if the store is not there or not sound.
    """
    file = database_file(uri)
    if file is None or not _has_tables(file) or "?" in uri or fault(uri) is not None:
        return _mlflows(uri, is_written)
    if os.environ.get("MLFLOW_ENABLE_WORKSPACES", "false").lower() not in ("false", "0"):
        return _mlflows(uri, is_written)
    with one_at_a_time(file):
        refuse_unsound(file, is_written)
    if version_of(file) != TABLES:
        return _mlflows(uri, is_written)
    return QuickClient(uri, file, is_written)


def _has_tables(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _mlflows(uri: str, is_written: bool) -> Any:
    """MLflow's own client, and its import."""
    from seqexp.tracking.store.client import connect

    return connect(uri, is_written)


@contextlib.contextmanager
def input_errors(uri: str) -> Iterator[None]:
    """Say which store failed, instead of how, as `client.input_errors`."""
    try:
        yield
    except InputError:
        raise
    except Exception:
        from seqexp.tracking.store import client

        with client.input_errors(uri):
            raise


def is_of_mlflow(error: BaseException) -> bool:
    """Whether an error is an `MlflowException`; imports nothing to know it."""
    return any(kind.__name__ == "MlflowException" for kind in type(error).__mro__)


Method = Callable[..., Any]


class Page(list[Any]):
    """Runs, and the token of those that follow; None: there are no more."""

    def __init__(self, runs: Sequence[Any], token: str | None) -> None:
        super().__init__(runs)
        self.token = token


_NOT_HERE = object()
"""What a method returns that leaves its work to MLflow."""


def _or_by_mlflow(method: Method) -> Method:
    """Have MLflow do what this client does not, and what fails, so that its errors are the same."""

    parameters = inspect.signature(method)

    @functools.wraps(method)
    def do(self: "QuickClient", *args: Any, **options: Any) -> Any:
        if self.is_imported:
            return getattr(self.mlflows(), method.__name__)(*args, **options)
        try:
            given = parameters.bind(self, *args, **options)
        except TypeError:  # arguments that MLflow's has, and ours has not
            return getattr(self.mlflows(), method.__name__)(*args, **options)
        try:
            found = method(*given.args, **given.kwargs)
        except sqlite3.Error as error:
            if is_locked(error):
                raise  # it is waited for
            found = _NOT_HERE
        if found is _NOT_HERE:
            return getattr(self.mlflows(), method.__name__)(*args, **options)
        return found

    return do


class QuickClient:
    """A client that has the methods of `MlflowClient`, of which it does the first itself.

    Args:
        uri: of the store.
        file: its database.
        is_written: whether it is, or only read.
    """

    def __init__(self, uri: str, file: Path, is_written: bool = True) -> None:
        self._uri, self._file, self._is_written = uri, file, is_written
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def is_imported(self) -> bool:
        """Whether MLflow's client is there, which then does all."""
        return self._client is not None

    def mlflows(self) -> Any:
        """MLflow's client of the same store."""
        with self._lock:
            if self._client is None:
                self._client = _mlflows(self._uri, self._is_written)
            return self._client

    def __getattr__(self, name: str) -> Any:
        """Whatever else MLflow's client can."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.mlflows(), name)

    @contextlib.contextmanager
    def _database(self, is_written: bool = False) -> Iterator[sqlite3.Connection]:
        """The database, and a transaction where it is written."""
        with transaction(self._file) if is_written else connected(self._file) as database:
            yield database

    # --- experiments --------------------------------------------------------------------------

    @_or_by_mlflow
    def get_experiment_by_name(self, name: str) -> Any:
        """The experiment of a name, also one that was deleted; None where there is none."""
        with self._database() as database:
            found = _experiments(database, "name = ?", (name,))
        return found[0] if found else None

    @_or_by_mlflow
    def get_experiment(self, experiment: str) -> Any:
        """The experiment of an id."""
        with self._database() as database:
            found = _experiments(database, "experiment_id = ?", (int(experiment),))
        return found[0] if found else _NOT_HERE

    @_or_by_mlflow
    def search_experiments(self) -> Any:
        """All that are not deleted."""
        with self._database() as database:
            return _experiments(database, "lifecycle_stage = 'active'")

    @_or_by_mlflow
    def set_experiment_tag(self, experiment: str, key: str, value: str) -> Any:
        """Give an experiment a tag."""
        if not _fits(key, value, MAX_EXPERIMENT_VALUE):
            return _NOT_HERE
        put = "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, ?)"
        with self._database(is_written=True) as database:
            if not _is_active(database, experiment):
                return _NOT_HERE
            database.execute(put, (key, value, int(experiment)))
        return None

    # --- runs ---------------------------------------------------------------------------------

    @_or_by_mlflow
    def create_run(self, experiment: str, tags: Mapping[str, str], run_name: str) -> Any:
        """Begin a run."""
        if not run_name or not all(_fits(key, value) for key, value in tags.items()):
            return _NOT_HERE
        run_id = uuid.uuid4().hex
        row = {
            **{"run_uuid": run_id, "name": run_name, "experiment_id": int(experiment)},
            **{"source_type": "UNKNOWN", "source_name": "", "entry_point_name": ""},
            **{"user_id": tags.get("mlflow.user", "unknown"), "source_version": ""},
            **{"status": "RUNNING", "start_time": _now(), "lifecycle_stage": "active"},
        }
        with self._database(is_written=True) as database:
            query = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
            (place,) = database.execute(query, (int(experiment),)).fetchone() or (None,)
            if not _is_active(database, experiment) or place is None or re.search(r"[?#]", place):
                return _NOT_HERE
            row["artifact_uri"] = f"{place.rstrip('/')}/{run_id}/artifacts"
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(row.values()))
            _put_tags(database, run_id, {**tags, "mlflow.runName": run_name})
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    @_or_by_mlflow
    def get_run(self, run_id: str) -> Any:
        """A run: its id, experiment, status and tags."""
        with self._database() as database:
            found = _runs(database, "run_uuid = ?", (run_id,))
        return found[0] if found else _NOT_HERE

    @_or_by_mlflow
    def search_runs(
        self,
        experiments: Sequence[str],
        query: str = "",
        max_results: int = 1000,
        order_by: Sequence[str] = ("attributes.start_time DESC",),
        page_token: str | None = None,
    ) -> Any:
        """Runs that all conditions of a query hold for; a page's token is the number before it."""
        parts = re.split(r"\s+and\s+", query, flags=re.IGNORECASE)
        found = [re.fullmatch(CONDITION, part.strip()) for part in parts]
        order = re.fullmatch(ORDER, order_by[0]) if len(order_by) == 1 else None
        if order is None or not all(found):
            return _NOT_HERE
        conditions = [match.groups() for match in found if match is not None]
        if any(where == "attributes" and key not in ATTRIBUTES for where, key, *_ in conditions):
            return _NOT_HERE
        texts, values = zip(*(_condition(*one) for one in conditions), strict=True)
        marks = ", ".join("?" * len(experiments))
        where = f"lifecycle_stage = 'active' AND experiment_id IN ({marks}) AND "
        where += " AND ".join(texts)
        where += f" ORDER BY start_time {order[1]}, run_uuid LIMIT ? OFFSET ?"
        before = int(page_token or 0)
        given = [*map(int, experiments), *(item for some in values for item in some)]
        with self._database() as database:
            runs = _runs(database, where, [*given, max_results + 1, before])
        is_last = len(runs) <= max_results
        return Page(runs[:max_results], None if is_last else str(before + max_results))

    @_or_by_mlflow
    def list_artifacts(self, run_id: str, path: str = "") -> Any:
        """The names below a folder of artifacts on this machine."""
        with self._database() as database:
            query = "SELECT artifact_uri FROM runs WHERE run_uuid = ?"
            row = database.execute(query, (run_id,)).fetchone()
        root = None if row is None else local_path(str(row[0]))
        if root is None:
            return _NOT_HERE
        files = (root / path).iterdir() if (root / path).is_dir() else ()
        names = sorted(file.relative_to(root).as_posix() for file in files)
        return [SimpleNamespace(path=name) for name in names]

    @_or_by_mlflow
    def update_run(self, run_id: str, status: str) -> Any:
        """Give a run another status."""
        return self._set(run_id, status, None)

    @_or_by_mlflow
    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> Any:
        """End a run."""
        return self._set(run_id, status, _now() if end_time is None else end_time)

    def _set(self, run_id: str, status: str, end: int | None) -> Any:
        change = "UPDATE runs SET status = ?, end_time = coalesce(?, end_time) WHERE run_uuid = ?"
        with self._database(is_written=True) as database:
            if not _is_active_run(database, run_id):
                return _NOT_HERE
            database.execute(change, (status, end, run_id))
        return None

    @_or_by_mlflow
    def set_tag(self, run_id: str, key: str, value: str) -> Any:
        """Give a run a tag."""
        return self._add(run_id, [], [Pair(key, value)])

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Any] = (),
        params: Sequence[Any] = (),
        tags: Sequence[Any] = (),
    ) -> None:
        """Give a run parameters and tags; points are MLflow's matter."""
        with contextlib.suppress(sqlite3.IntegrityError):  # MLflow says which value is another
            if not metrics and not self.is_imported and self._add(run_id, params, tags) is None:
                return
        from mlflow.entities import Param, RunTag

        self.mlflows().log_batch(
            run_id,
            metrics=metrics,
            params=[Param(one.key, one.value) for one in params],
            tags=[RunTag(one.key, one.value) for one in tags],
        )

    def _add(self, run_id: str, params: Sequence[Any], tags: Sequence[Any]) -> Any:
        if not all(_fits(*one) for one in _plain([*params, *tags])):
            return _NOT_HERE
        with self._database(is_written=True) as database:
            if not _is_active_run(database, run_id):
                return _NOT_HERE
            known = dict(
                database.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,))
            )
            if any(known.get(key, value) != value for key, value in _plain(params)):
                return _NOT_HERE
            put = "INSERT OR IGNORE INTO params (key, value, run_uuid) VALUES (?, ?, ?)"
            database.executemany(put, ((*one, run_id) for one in _plain(params)))
            _put_tags(database, run_id, dict(_plain(tags)))
        return None


def _plain(pairs: Iterable[Any]) -> list[tuple[str, str]]:
    return [(one.key, one.value) for one in pairs]


def _fits(key: str, value: str, most: int = MAX_VALUE) -> bool:
    """Whether MLflow takes a tag or parameter as it is; it has more rules for other keys."""
    is_usual = re.fullmatch(r"[\w.\-`~ /]+", key) is not None and ".." not in key
    return is_usual and key != "mlflow.runName" and len(key) <= MAX_KEY and len(value) <= most


def _put_tags(database: sqlite3.Connection, run_id: str, tags: Mapping[str, str]) -> None:
    put = "INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)"
    database.executemany(put, ((key, value, run_id) for key, value in tags.items()))


def _is_active(database: sqlite3.Connection, experiment: str) -> bool:
    query = "SELECT lifecycle_stage FROM experiments WHERE experiment_id = ?"
    return bool(database.execute(query, (int(experiment),)).fetchone() == ("active",))


def _is_active_run(database: sqlite3.Connection, run_id: str) -> bool:
    query = "SELECT lifecycle_stage FROM runs WHERE run_uuid = ?"
    return bool(database.execute(query, (run_id,)).fetchone() == ("active",))


def _condition(where: str, key: str, sign: str, value: str) -> tuple[str, list[str]]:
    """A condition in SQL, and the values of its marks."""
    if where == "attributes":
        return f"{ATTRIBUTES[key]} {sign} ?", [value]
    has = f"SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND key = ? AND value {sign} ?"
    return f"EXISTS ({has})", [key, value]


def _experiments(
    database: sqlite3.Connection, where: str, given: Sequence[Any] = ()
) -> list[SimpleNamespace]:
    """Experiments, with the names that MLflow gives to their facts."""
    query = f"SELECT experiment_id, name, lifecycle_stage FROM experiments WHERE {where}"
    of_one = "SELECT key, value FROM experiment_tags WHERE experiment_id = ?"
    return [
        SimpleNamespace(
            **{"experiment_id": str(number), "name": name, "lifecycle_stage": stage},
            tags=dict(database.execute(of_one, (number,)).fetchall()),
        )
        for number, name, stage in database.execute(query, given).fetchall()
    ]


INFO = (
    "run_uuid",
    "name",
    "experiment_id",
    "status",
    "lifecycle_stage",
    "artifact_uri",
    "start_time",
    "end_time",
)


def _runs(database: sqlite3.Connection, where: str, given: Sequence[Any]) -> list[SimpleNamespace]:
    """Runs as far as they are needed, with the names that MLflow gives to their facts."""
    found = []
    query = f"SELECT {', '.join(INFO)} FROM runs WHERE {where}"
    for run_id, name, experiment, status, stage, uri, start, end in database.execute(query, given):
        info = SimpleNamespace(
            **{"run_id": run_id, "run_name": name, "experiment_id": str(experiment)},
            **{"status": status, "lifecycle_stage": stage, "artifact_uri": uri},
            **{"start_time": start, "end_time": end},
        )
        facts = {}
        for table in ("tags", "params"):
            rows = database.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,))
            facts[table] = dict(rows.fetchall())
        last = "SELECT key, value, is_nan FROM latest_metrics WHERE run_uuid = ?"
        facts["metrics"] = {
            key: math.nan if is_nan else value
            for key, value, is_nan in database.execute(last, (run_id,))
        }
        found.append(SimpleNamespace(info=info, data=SimpleNamespace(**facts)))
    return found


def _now() -> int:
    return int(time.time() * 1000)
