"""Points that are written without MLflow are the rows that it would have written."""

import math
import random
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from seqexp.tracking.store import points
from seqexp.tracking.store.address import sqlite_uri
from seqexp.tracking.store.points import Curves, curves_of

Point = tuple[str, float, int, int]

ODD = (0.1 + 0.2, 5e-324, -0.0, math.nan, math.inf, -math.inf, 7)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store that has an experiment."""
    found = sqlite_uri(tmp_path / "mlflow.db")
    MlflowClient(found).create_experiment("motif", (tmp_path / "artifacts").as_uri())
    return found


@pytest.fixture
def curves(uri: str) -> Curves:
    found = curves_of(uri)
    assert found is not None
    return found


def rows(uri: str, run_id: str) -> list[list[str]]:
    """All rows of both tables of points, without the run's id."""
    columns = "key, value, timestamp, step, is_nan"
    tables = ("metrics", "latest_metrics")
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        found = [
            connection.execute(f"SELECT {columns} FROM {table} WHERE run_uuid = ?", (run_id,))
            for table in tables
        ]
        texts = [sorted(map(repr, cursor.fetchall())) for cursor in found]
    connection.close()
    return texts


def drawn(count: int) -> list[Point]:
    """Points that come again, go back in time, and have values that no database has."""
    draw = random.Random(0)
    names = ("valid/loss_nats", "step/loss_nats", "a b", "x.y-z")
    return [
        (draw.choice(names), draw.choice(ODD), draw.choice((5, 6)), draw.randrange(4))
        for _ in range(count)
    ]


def test_they_are_the_rows_of_mlflow_however_they_come(uri: str, curves: Curves) -> None:
    client = MlflowClient(uri)
    runs = [client.create_run("1").info.run_id for _ in range(2)]
    told = drawn(300)
    for begin, end in ((0, 40), (20, 200), (200, 201), (0, 300)):
        client.log_batch(runs[0], metrics=[Metric(*point) for point in told[begin:end]])
        assert curves.add(runs[1], told[begin:end])
    theirs, ours = (rows(uri, run_id) for run_id in runs)
    assert ours == theirs and len(ours[0]) > 100 and len(ours[1]) == 4
    facts = [client.get_run(run_id).data.metrics for run_id in runs]
    assert repr(facts[0]) == repr(facts[1])
    histories = [client.get_metric_history(run_id, "a b") for run_id in runs]
    assert len(histories[0]) == len(histories[1]) > 10


def test_names_that_mlflow_has_rules_for_are_left_to_it(uri: str, curves: Curves) -> None:
    run_id = MlflowClient(uri).create_run("1").info.run_id
    for name in ("a//b", "../a", "/a", "a/", "a:b", "a\n", "", "a" * 251, "a/./b"):
        assert not curves.add(run_id, [("fine", 1.0, 1, 1), (name, 1.0, 1, 1)]), name
    assert rows(uri, run_id) == [[], []]


def test_nothing_is_written_where_mlflow_would_refuse(
    uri: str, curves: Curves, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, point = MlflowClient(uri), ("a", 1.0, 1, 1)
    run_id = client.create_run("1").info.run_id
    client.delete_run(run_id)
    assert not curves.add(run_id, [point]) and not curves.add("0" * 32, [point])
    client.restore_run(run_id)
    monkeypatch.setattr(points, "TABLES", "another")
    assert not curves.add(run_id, [point])
    monkeypatch.undo()
    assert rows(uri, run_id) == [[], []] and curves.add(run_id, [point])
    assert curves_of("http://here:5000") is curves_of(f"{uri}?timeout=5") is None
    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    assert curves_of(uri) is None


def test_a_locked_database_is_tried_again(
    uri: str, curves: Curves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqexp.tracking.store.database.BUSY_SECONDS", 0.01)
    run_id = MlflowClient(uri).create_run("1").info.run_id
    other = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        curves.add(run_id, [("a", 1.0, 1, 1)])
    other.execute("ROLLBACK")
    other.close()
    assert curves.add(run_id, [("a", 1.0, 1, 1)])
