"""MLflow's pages of all runs, in a browser.

python -m seqexp ui [port=PORT]

  port           of this machine; 5000

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Prints the address of each experiment's table of runs, and serves them until Ctrl-C. Of a shared
server, only the addresses are printed.

  python -m seqexp ui port=5001 paths.outputs=other_outputs
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

from annotated_types import Interval

from seqexp.cli.run_lookup import OURS, Store
from seqexp.cli.store_location import Place
from seqexp.errors import InputError
from seqexp.metrics import declare_logged, higher_is_better
from seqexp.tracking.store.address import is_served
from seqexp.tracking.store.links import sorted_runs, table_of_runs
from seqexp.tracking.store.view import view_of_runs
from seqexp.utils.names import one_line
from seqexp.utils.signals import sigterm_raises
from seqexp.utils.table import pairs

HOST = "127.0.0.1"

PATIENCE_SECONDS = 5
"""For the server to end by itself."""

MAX_EXPERIMENTS = 8
"""Of which the address is printed."""


def ui(place: Place, port: Annotated[int, Interval(ge=1, le=65535)] = 5000) -> int:
    """Print the addresses of the tables of runs, and run the server until Ctrl-C.

    Raises:
        InputError: if there is no store, or the port is taken.
    """
    store = Store(place)
    if is_served(place.uri):
        print("a server keeps these runs; its pages are")
        _say(store, place.uri.rstrip("/"))
        return 0
    _refuse_taken(port)
    print("MLflow is starting, for some seconds; then open, in a browser on this machine")
    _say(store, f"http://{HOST}:{port}")
    print("Ctrl-C ends it.", flush=True)
    # the default starts four workers and a job runner, which a single user never needs
    # nor what logs in to servers: a database of others says where its artifacts are
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING_")}
    environment = {**kept, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--host", HOST, "--port", str(port), "--backend-store-uri", place.uri]
    return served(command, environment)


def served(command: list[str], environment: dict[str, str]) -> int:
    """Run the server until it ends, or this process is told to; its workers end with it."""
    with sigterm_raises():
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            return process.wait()
        finally:
            ended(process)


def ended(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
            return


def _say(store: Store, address: str) -> None:
    rows = [(one_line(name), page) for name, page in _tables(store, address)]
    if rows:
        print(pairs(rows[:MAX_EXPERIMENTS]))
    if len(rows) > MAX_EXPERIMENTS:
        print(f"  and {len(rows) - MAX_EXPERIMENTS} more experiments, in the list on the left")
    if not rows:
        print(f"  {address}, which has no runs of seqexp yet")


def _tables(store: Store, address: str) -> Iterator[tuple[str, str]]:
    """Name and table of each experiment that has runs, the last used first."""
    newest: dict[str, Any] = {}
    for run in store.search(OURS):
        newest.setdefault(run.info.experiment_id, run)
    for experiment, run in newest.items():
        metric = run.data.params.get("optimized_metric", "best/valid_loss_nats")
        declare_logged(run.data.params)
        descending = higher_is_better(metric)
        view, _ = view_of_runs(metric, descending)
        if view in store.client.get_experiment(experiment).tags:
            page = table_of_runs(address, experiment, metric)
        else:  # of an earlier seqexp; MLflow's page has only an error for a view that is not there
            page = sorted_runs(address, experiment, metric, descending)
        yield store.experiments[experiment], page


def _refuse_taken(port: int) -> None:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            tried.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"port is {port}, which cannot be used ({error.strerror}); is it open already, at"
                f" http://{HOST}:{port}? Or give another, as port={min(port + 1, 65535)}"
            ) from error
