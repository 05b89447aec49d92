"""Runs that are begun without MLflow's client are those that it would have begun."""

import math
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from seqexp.errors import InputError
from seqexp.tracking.store import database, quick
from seqexp.tracking.store.address import sqlite_uri
from seqexp.tracking.store.quick import Pair, QuickClient, opened

TAGS = {"mlflow.user": "ana", "seqexp.host": "here", "seqexp.fingerprint": "f" * 64}

PARAMS = {"model.num_filters": "8", "seed": "0", "name": "naïve ✓"}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store that has an experiment."""
    found = sqlite_uri(tmp_path / "mlflow.db")
    MlflowClient(found).create_experiment("motif", (tmp_path / "artifacts").as_uri())
    return found


def rows(uri: str, run_id: str) -> dict[str, Any]:
    """All that a database says of a run, without its id and times."""
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        connection.row_factory = sqlite3.Row
        found = {
            table: sorted(
                str({k: v for k, v in dict(row).items() if k not in ("run_uuid", "start_time")})
                for row in connection.execute(
                    f"SELECT * FROM {table} WHERE run_uuid = ?", (run_id,)
                )
            )
            for table in ("runs", "tags", "params")
        }
    connection.close()
    return {key: [text.replace(run_id, "ID") for text in texts] for key, texts in found.items()}


def facts(run: Any) -> list[Any]:
    """What commands read of a run; a number that is none is not equal to itself."""
    names = ("run_id", "run_name", "experiment_id", "status", "lifecycle_stage", "artifact_uri")
    found = [getattr(run.info, name) for name in (*names, "start_time", "end_time")]
    tags, params, metrics = run.data.tags, run.data.params, run.data.metrics
    return [*found, dict(tags), dict(params), {key: str(value) for key, value in metrics.items()}]


def test_it_writes_the_rows_that_mlflow_writes(uri: str) -> None:
    found = []
    for client, make in ((MlflowClient(uri), Param), (opened(uri), Pair)):
        experiment = client.get_experiment_by_name("motif").experiment_id
        run_id = client.create_run(experiment, tags=TAGS, run_name="a run").info.run_id
        client.log_batch(run_id, params=[make(key, value) for key, value in PARAMS.items()])
        client.update_run(run_id, status="RUNNING")
        client.set_tag(run_id, "seqexp.pid", "7")
        client.set_tag(run_id, "seqexp.pid", "8")
        client.set_experiment_tag(experiment, "shown", f"by {type(client).__name__}")
        found.append(rows(uri, run_id))
    assert isinstance(client, QuickClient) and not client.is_imported
    assert found[0] == found[1]
    assert len(found[1]["tags"]) == 5 and len(found[1]["params"]) == 3
    tags = MlflowClient(uri).get_experiment_by_name("motif").tags
    assert tags["shown"] == "by QuickClient" and client.get_experiment("1").tags == tags


def test_it_finds_the_runs_that_mlflow_finds(uri: str) -> None:
    client, theirs = opened(uri), MlflowClient(uri)
    for number in range(4):
        tags = {**TAGS, "seqexp.host": "here" if number % 2 else "There"}
        run_id = client.create_run("1", tags=tags, run_name=f"{number}").info.run_id
        if number < 2:
            client.set_terminated(run_id, "FINISHED", 1000 + number)
    theirs.delete_run(run_id)
    theirs.log_batch(
        client.search_runs(["1"], "tags.`seqexp.host` = 'here'")[0].info.run_id,
        metrics=[Metric("loss", value, 1, step) for step, value in enumerate((0.5, math.nan))],
        params=[Param("seed", "0")],
    )
    queries = (
        "attributes.status = 'RUNNING' and tags.`seqexp.host` = 'There'",
        "attributes.status = 'FINISHED' AND tags.`seqexp.fingerprint` LIKE '%'",
        f"attributes.run_id LIKE '{run_id[:2]}%'",
        "tags.`seqexp.host` LIKE 'h%'",
    )
    for query in queries:
        for order in ("attributes.start_time ASC", "attributes.start_time DESC"):
            lists = [
                [*map(facts, one.search_runs(["1"], query, order_by=[order]))]
                for one in (client, theirs)
            ]
            assert lists[0] == lists[1], query
    assert not client.is_imported
    first = client.search_runs(["1"], queries[1], max_results=1)
    rest = client.search_runs(["1"], queries[1], max_results=9, page_token=first.token)
    assert len(first) == 1 and rest.token is None
    assert [*map(facts, [*first, *rest])] == [*map(facts, theirs.search_runs(["1"], queries[1]))]
    assert [one.experiment_id for one in client.search_experiments()] == ["0", "1"]


def test_all_else_is_done_by_mlflow_with_its_own_errors(uri: str) -> None:
    client = opened(uri)
    run_id = client.create_run("1", tags=TAGS, run_name="a run").info.run_id
    client.log_batch(run_id, params=[Pair("seed", "0")])
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        client.log_batch(run_id, params=[Pair("seed", "1")])
    assert client.is_imported
    client.log_batch(run_id, metrics=[Metric("loss", 0.5, 1, 2)], params=[Pair("lr", "0.1")])
    data = client.get_run(run_id).data
    assert data.metrics == {"loss": 0.5} and data.params == {"seed": "0", "lr": "0.1"}
    with pytest.raises(MlflowException, match="not found") as caught:
        opened(uri).get_run("0" * 32)
    assert quick.is_of_mlflow(caught.value)


def test_tables_of_another_version_are_left_to_mlflow(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "TABLES", "another")
    assert isinstance(opened(uri), MlflowClient)
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    connection.close()
    with pytest.raises(InputError, match="written by a newer MLflow"):
        opened(uri)


def test_versions_of_tables_are_read_from_mlflows_files() -> None:
    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    known = {script.revision for script in scripts.walk_revisions()}
    expected = (known, scripts.get_current_head(), mlflow.__version__)
    assert database._known_versions() == expected
