"""Where a run can be looked at."""

import shlex
import sys
from pathlib import Path
from urllib.parse import quote

from seqexp.tracking.store.address import is_served
from seqexp.tracking.store.view import key_of_view


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
    found["their curves"] = f"{found['all runs']}&compareRunsMode=CHART"
    return found


def table_of_runs(address: str, experiment_id: str, metric: str) -> str:
    """The page of an experiment's runs, sorted by a metric, with the columns of `view_of_runs`.

    `address` is the server's. Nothing else may stand in it: MLflow's page reads no shared view
    where the address says how to sort.
    """
    return f"{_runs(address, experiment_id)}&viewStateShareKey={key_of_view(metric)}"


def sorted_runs(address: str, experiment_id: str, metric: str, descending: bool) -> str:
    """The same page of an experiment that has no such view, without the columns."""
    order = quote(f"metrics.`{metric}`")
    ascending = str(not descending).lower()
    return f"{_runs(address, experiment_id)}&orderByKey={order}&orderByAsc={ascending}"


def _runs(address: str, experiment_id: str) -> str:
    return f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
