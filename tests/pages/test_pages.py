"""What a person sees in MLflow's pages, in a real browser.

The screenshots are for people to look at: SEQEXP_SCREENSHOTS=DIR keeps them there.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, missing, served
from conftest import ROOT
from mlflow import MlflowClient

from seqexp.tracking.store.links import table_of_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"no {missing()}"),
]

VIEW = table_of_runs("", "1", "best/valid_loss_nats").partition("?")[2]
"""In the addresses that a run prints."""

SWEEP = ("-m", "model.num_filters=1,4", "seeds=2", "trainer.epochs=6", "dataset.num_train=400")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a sweep over two points with two seeds."""
    folder = tmp_path_factory.mktemp("pages") / "outputs"
    command = [sys.executable, "-m", "seqexp", *SWEEP, f"paths.outputs={folder}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, check=True, capture_output=True, timeout=240, env=env)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pictures = Path(os.environ.get("SEQEXP_SCREENSHOTS", tmp_path_factory.mktemp("screenshots")))
    pictures.mkdir(parents=True, exist_ok=True)
    opened = Browser(tmp_path_factory.mktemp("profile"), pictures)
    yield opened
    opened.driver.quit()


@pytest.fixture(scope="module")
def pages(outputs: Path) -> Iterator[str]:
    with served(outputs) as address:
        yield f"{address}/#/experiments/1"


@pytest.fixture(scope="module")
def parent(outputs: Path) -> str:
    (run,) = MlflowClient(f"sqlite:///{outputs}/mlflow.db").search_runs(
        ["1"], "tags.mlflow.runName LIKE 'sweep%'"
    )
    return str(run.info.run_id)


@pytest.fixture(scope="module")
def child(outputs: Path, parent: str) -> str:
    found = MlflowClient(f"sqlite:///{outputs}/mlflow.db").search_runs(
        ["1"], f"tags.mlflow.parentRunId = '{parent}'"
    )
    assert len(found) == 4
    return str(found[0].info.run_id)


def test_the_table_has_the_sweep_and_its_jobs_sorted(browser: Browser, pages: str) -> None:
    browser.open(f"{pages}/runs?{VIEW}", "5 matching runs", "Metrics", "best/valid_loss_nats")
    # of the columns only those that have room are drawn, once what hides a quarter is closed
    shown = browser.wait("test/accuracy", "test/loss_nats", "model.num_filters", "seed")
    browser.picture("table")
    assert browser.cut_heads() == []
    assert "Sort: best/valid_loss_nats" in shown
    for seed in (0, 1):
        for filters in (1, 4):
            assert f"model.num_filters={filters} seed={seed}\n" in shown
    assert "sweep model.num_filters seed" in shown


def test_a_sweeps_jobs_are_nested_where_runs_are_sorted_by_time(
    browser: Browser, pages: str
) -> None:
    shown = browser.open(f"{pages}/runs?workflowType=machine_learning", "sweep model.num_filters")
    browser.picture("nested")
    assert "model.num_filters=4 seed=0" not in shown
    assert browser.count("[data-testid='expander-cell'], .is-expander, [class*='xpander']") >= 1


def test_a_sweeps_page_says_which_is_better(browser: Browser, pages: str, parent: str) -> None:
    shown = browser.open(f"{pages}/runs/{parent}?workflowType=machine_learning", "behind the best")
    browser.picture("sweep")
    assert "model.num_filters=1" in shown and "model.num_filters=4" in shown
    assert "standard deviation over seeds" in shown
    browser.open(f"{pages}/runs/{parent}/artifacts/comparison.png", "comparison.png")
    assert browser.count("img[src^='blob:']")
    browser.picture("comparison")


def test_a_runs_curves_are_drawn(browser: Browser, pages: str, child: str) -> None:
    browser.open(f"{pages}/runs/{child}/model-metrics?workflowType=machine_learning", "grad")
    browser.scroll_to("grad")  # below baselines, which are single values
    assert browser.count(".js-plotly-plot .scatterlayer .trace") >= 1
    browser.picture("curves")


def test_charts_begin_with_training_beside_validation_and_with_images(
    browser: Browser, pages: str
) -> None:
    browser.open(f"{pages}/runs?compareRunsMode=CHART&{VIEW}", "curves", "images", "baseline")
    shown = browser.wait("train/loss_nats vs valid/loss_nats")
    assert shown.index("curves\n") < shown.index("images\n") < shown.index("baseline\n")
    browser.picture("charts")
    browser.scroll_to("images")
    assert browser.count("[role='slider']") == 1  # over the epochs, for all runs together
    browser.picture("filters")
    assert "No image logged at this step" not in browser.text()


def test_the_models_page_has_the_metrics_of_its_test(
    browser: Browser, pages: str, child: str, outputs: Path
) -> None:
    run = MlflowClient(f"sqlite:///{outputs}/mlflow.db").get_run(child)
    (model,) = run.outputs.model_outputs
    page = f"{pages}/models/{model.model_id}?workflowType=machine_learning"
    shown = browser.open(page, "Ready", "test/accuracy")
    browser.picture("model")
    assert "Source run" in shown and "motif (#" in shown


def test_the_report_is_read_in_the_artifacts(browser: Browser, pages: str, child: str) -> None:
    browser.open(f"{pages}/runs/{child}/artifacts/report.html", "report.html")
    assert browser.count("iframe")
    browser.driver.switch_to.frame(0)
    shown = browser.wait("filter")
    assert "accuracy" in shown
    browser.driver.switch_to.default_content()
    browser.picture("report")
