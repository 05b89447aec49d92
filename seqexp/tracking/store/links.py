"""Where a run can be looked at."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from seqexp.tracking.store.address import is_served


def links(uri: str, experiment_id: str, run_id: str, optimized_metric: str) -> dict[str, str]:
    """The command for a local store, and the pages of the run and its experiment."""
    page = f"/#/experiments/{experiment_id}"
    found = {}
    address = uri.rstrip("/")
    if not is_served(uri):
        address = "http://127.0.0.1:5000"
        python = Path(sys.executable)
        if python.is_relative_to(Path.cwd()):
            python = python.relative_to(Path.cwd())
        # the default starts four workers and a job runner, which a single user never needs
        found["open the UI"] = (
            f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {shlex.quote(str(python))} -m mlflow ui"
            f" --workers 1 --backend-store-uri {shlex.quote(uri)}"
        )
    found["this run"] = f"{address}{page}/runs/{run_id}?workflowType=machine_learning"
    found["all runs"] = table_of_runs(address, experiment_id, optimized_metric)
    return found


MORE_COLUMNS = (
    "metrics.`time/train_seconds`",
    "params.`model`",
    "params.`dataset`",
    "params.`seed`",
    "params.`optimizer.lr`",
)
"""Of the table of runs, after the metric that it is sorted by and those of the test."""


def table_of_runs(address: str, experiment_id: str, metric: str) -> str:
    """The page of an experiment's runs, sorted by a metric, with the columns of `view_of_runs`.

    `address` is the server's. Nothing else may stand in it: MLflow's page reads no shared view
    where the address says how to sort.
    """
    return f"{_runs(address, experiment_id)}&viewStateShareKey={_key(metric)}"


def sorted_runs(address: str, experiment_id: str, metric: str, descending: bool) -> str:
    """The same page of an experiment that has no such view, without the columns."""
    order = quote(f"metrics.`{metric}`")
    ascending = str(not descending).lower()
    return f"{_runs(address, experiment_id)}&orderByKey={order}&orderByAsc={ascending}"


def _runs(address: str, experiment_id: str) -> str:
    return f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def view_of_runs(
    metric: str, descending: bool, headline: Sequence[str] = ("accuracy",)
) -> tuple[str, str]:
    """A tag of an experiment, and its value, by which that page shows the columns that matter.

    `headline` names the measures of the test that the kind of task is judged by.

    Source: MLflow's pages write the same when a view is shared; without it the table has no
    metrics and no parameters.
    """
    sorted_by = f"metrics.`{metric}`"
    tests = [f"metrics.`test/{name}`" for name in (*headline, "loss_nats")]
    columns = list(dict.fromkeys([sorted_by, *tests, *MORE_COLUMNS]))
    state = {"selectedColumns": columns, "orderByKey": sorted_by, "orderByAsc": not descending}
    return f"mlflow.sharedViewState.{_key(metric)}", json.dumps(state)


def _key(metric: str) -> str:
    return "seqexp-" + re.sub(r"[^a-zA-Z0-9]+", "-", metric)
