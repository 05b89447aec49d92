"""Tables of sweeps show and compare what the kind of task is judged by."""

from types import SimpleNamespace
from typing import Any

import pytest

from seqexp.metrics import HEADLINE, METRICS, OF_KIND
from seqexp.sweep import table
from seqexp.sweep.figures import curve_of
from seqexp.sweep.manifest import Entry, Manifest
from seqexp.sweep.statistics import Point
from seqexp.sweep.table import headline, shown
from seqexp.tracking.store.view import view_of_runs

LOSS = "best/valid_loss_nats"


def reported(kind: str) -> set[str]:
    return {f"test/{name}" for name in OF_KIND[kind]} | {LOSS}


def beside(metric: str, names: set[str]) -> str | None:
    return table.test_metric(metric, [Point("a", {0: dict.fromkeys(names, 0.5)}, 1)])


@pytest.mark.parametrize("kind", HEADLINE)
def test_the_kind_is_told_by_what_runs_report(kind: str) -> None:
    assert headline(reported(kind)) == HEADLINE[kind]
    columns = shown(reported(kind))
    assert [f"test/{name}" for name in HEADLINE[kind]] == columns[: len(HEADLINE[kind])]
    assert {*columns} <= {*METRICS}


@pytest.mark.parametrize("kind", HEADLINE)
def test_beside_the_loss_the_headline_of_the_test_is_compared(kind: str) -> None:
    assert beside(LOSS, reported(kind)) == f"test/{HEADLINE[kind][0]}"


def test_beside_another_measure_the_same_of_the_test_is_compared() -> None:
    found = reported("regression")
    assert beside("best/valid_mae", found) == "test/mae"
    assert beside("test/mse", found) == "test/r2"  # itself is no news
    assert beside(LOSS, {LOSS, "test/loss_nats"}) == "test/loss_nats"


def test_a_curve_is_of_the_measure_that_is_compared() -> None:
    assert curve_of("best/valid_mse") == "valid/mse" == curve_of("test/mse")
    assert curve_of("best/valid_accuracy_max") == "valid/accuracy"
    assert curve_of("motif/correlation") == "valid/loss_nats"


def test_the_page_of_runs_has_the_columns_of_the_kind() -> None:
    key, value = view_of_runs(LOSS, False, HEADLINE["regression"])
    assert key == "mlflow.sharedViewState.seqexp-best-valid-loss-nats"
    for name in HEADLINE["regression"]:
        assert f"metrics.`test/{name}`" in value
    assert "accuracy" not in value


def test_what_no_run_reports_compares_none() -> None:
    jobs = {f"{n}": Entry(f"{n}", [f"seed={n}"], n, metrics={LOSS: 1.0 + n}) for n in (0, 1)}
    manifest = Manifest(None, swept=["seed"], metric="test/auroc", jobs=jobs)
    assert manifest.by == LOSS
    assert [row[LOSS] for row in table.rows_of_runs(manifest)] == [1.0, 2.0]
    assert "No run reports test/auroc" in table.page(manifest)
    jobs["1"].metrics["test/auroc"] = 0.9
    assert manifest.by == "test/auroc"


@pytest.mark.parametrize(
    ("swept", "repeats"),
    [
        (("model", "seed"), "seeds"),
        (("model", "dataset.fold"), "folds"),
        (("seed", "dataset.fold"), "seeds and folds"),
    ],
)
def test_the_method_names_what_the_runs_of_a_point_differ_in(
    swept: tuple[str, ...], repeats: str
) -> None:
    manifest: Any = SimpleNamespace(
        metric=LOSS, by=LOSS, swept=swept, has_folds="dataset.fold" in swept, jobs={}
    )
    said = table._method(manifest)
    assert f"deviation over {repeats}." in said and f"over the {repeats} that both have" in said
    assert ("Nadeau" in said) == manifest.has_folds
