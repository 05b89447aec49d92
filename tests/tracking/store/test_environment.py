"""Variables of MLflow that name another place are said not to be followed."""

import pytest

from seqexp.tracking.store.environment import PLACES, unfollowed

URI = "sqlite:////outputs/mlflow.db"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_said_where_nothing_is_set_or_it_is_the_same_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert unfollowed(URI) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    assert unfollowed(URI) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000/")
    assert unfollowed("http://host:5000") is None


def test_a_command_that_looks_for_runs_names_stores_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert unfollowed(URI, only_looks=True) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    told = "MLFLOW_TRACKING_URI is not followed, runs are looked for in"
    assert str(unfollowed(URI, only_looks=True)).startswith(told)


def test_each_variable_is_named_with_the_key_that_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@host:5000")
    assert unfollowed(URI) == (
        f"MLFLOW_TRACKING_URI is not followed, runs are kept in {URI};"
        " give tracking.uri=... instead"
    )
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("MLFLOW_RUN_ID", "x")
    told = str(unfollowed(URI))
    assert told.startswith("MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_ID are not")
    assert told.endswith("give tracking.uri=... and experiment_name=... instead")
