"""Which run a command is about: `latest` and `best`, of an experiment or of a sweep."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import KEYS, Which, which
from seqexp.errors import InputError
from seqexp.tracking.store.address import sqlite_uri
from seqexp.tracking.store.runs import SAME_AS

LOSS = "best/valid_loss_nats"


class Kept:
    """A store with runs that trained nothing."""

    def __init__(self, folder: Path) -> None:
        self.uri = sqlite_uri(folder / "mlflow.db")
        self.client = MlflowClient(self.uri)
        self.number = 0

    def run(
        self,
        experiment: str,
        metrics: dict[str, float],
        parent: str | None = None,
        status: str = "FINISHED",
        **tags: str,
    ) -> str:
        known = self.client.get_experiment_by_name(experiment)
        place = known.experiment_id if known else self.client.create_experiment(experiment)
        own: dict[str, Any] = {"seqexp.fingerprint": str(self.number)}
        own |= {"mlflow.parentRunId": parent} if parent else {}
        own |= {"seqexp." + key: value for key, value in tags.items()}
        own = {key: value for key, value in own.items() if value}
        self.number += 1
        begun: Run = self.client.create_run(place, start_time=self.number, tags=own)
        id = str(begun.info.run_id)
        for key, value in metrics.items():
            self.client.log_metric(id, key, value)
        self.client.log_param(id, "optimized_metric", LOSS)
        self.client.set_terminated(id, status, end_time=self.number)
        return id

    @property
    def store(self) -> Store:
        return Store(Place(Path(), Path(), {"uri": self.uri}))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    mlflow.set_tracking_uri(sqlite_uri(tmp_path / "mlflow.db"))
    return Kept(tmp_path)


def test_words_find_runs_of_an_experiment_and_of_a_sweep(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = kept.run("motif", {}, sweep="folder", fingerprint="")
    worse = kept.run("motif", {LOSS: 0.5, "test/accuracy": 0.9}, sweep)
    best = kept.run("motif", {LOSS: 0.25, "test/accuracy": 0.8}, sweep)
    tied = kept.run("motif", {LOSS: 0.25}, sweep)
    kept.run("motif", {LOSS: 0.01}, sweep, "FAILED")
    kept.run("motif", {LOSS: 0.01}, sweep, pruned="after epoch 2")
    alone = kept.run("motif", {LOSS: 0.125})
    other = kept.run("imdb", {LOSS: float("nan")})
    grown = kept.run("motif", {}, sweep="folder", fingerprint="")
    kept.run("motif", {}, grown, fingerprint="", **{SAME_AS.removeprefix("seqexp."): worse})
    store = kept.store

    def found(**given: str) -> str:
        return str(which("one", given).one(store).info.run_id)

    assert found(run="latest") == other and found(run="latest", experiment="motif") == alone
    assert found(run="best", experiment="motif") == alone
    assert found(run="best", sweep=sweep) == best
    told = capsys.readouterr().err
    assert f"best is the lowest {LOSS} of 3 finished runs" in told and "2 runs have 0.25" in told
    assert found(run="best", sweep=sweep[:9], metric="test/accuracy") == worse
    assert "1 finished runs do not report it" in capsys.readouterr().err
    assert found(run="best", sweep="latest") == worse  # which it has adopted
    assert [run.info.run_id for run in store.jobs(store.find_sweep(sweep))][:3] == [
        *(worse, best, tied)
    ]
    parent = Which(sweep="latest").parent(store)
    assert parent is not None and [run.info.run_id for run in store.jobs(parent)] == [worse]
    for given, told in (
        ({}, "add experiment=NAME, one of imdb, motif"),
        ({"experiment": "imdb"}, "which none of the 1 finished runs reports"),
        ({"experiment": "motfi"}, "did you mean motif?"),
        ({"experiment": "motif", "metric": "train/learning_rate"}, "neither more nor less"),
        ({"experiment": "motif", "metric": "test/acuracy"}, "did you mean test/accuracy?"),
    ):
        with pytest.raises(InputError) as error:
            found(run="best", **given)
        assert told in str(error.value), given


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("either", {}, "give run=ID, or of several runs"),
        ("either", {"run": "3f", "runs": ["77"]}, "give one run by run=ID"),
        ("either", {"run": "3f", "sweep": "b0"}, "give run=best, the best of the sweep"),
        ("one", {"run": "3f", "experiment": "motif"}, "experiment is motif, which is for latest"),
        ("one", {"run": "latest", "metric": "test/mse"}, "metric is test/mse, which is for"),
        ("several", {"runs": ["3f", "77"], "sweep": "b0"}, "give either runs=ID,ID,..."),
    ],
)
def test_too_much_and_too_little_is_refused(kind: str, given: dict[str, Any], told: str) -> None:
    assert {*given} <= {*KEYS[kind]}
    with pytest.raises(InputError) as error:
        which(kind, given)
    assert told in str(error.value)
