"""Where a run can be looked at."""

import sys
from pathlib import Path
from urllib.parse import quote

from seqexp.tracking.address import is_served


def links(
    uri: str, experiment_id: str, run_id: str, optimized_metric: str, descending: bool
) -> dict[str, str]:
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
            f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {python} -m mlflow ui --workers 1"
            f" --backend-store-uri {uri}"
        )
    found["this run"] = f"{address}{page}/runs/{run_id}?workflowType=machine_learning"
    found["all runs"] = table_of_runs(address, experiment_id, optimized_metric, descending)
    return found


def table_of_runs(address: str, experiment_id: str, metric: str, descending: bool) -> str:
    """The page of an experiment's runs, sorted by a metric; `address` is the server's."""
    order = quote(f"metrics.`{metric}`")
    return (
        f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"
        f"&orderByKey={order}&orderByAsc={str(not descending).lower()}"
    )
