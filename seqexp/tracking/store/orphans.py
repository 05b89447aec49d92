"""Runs that say RUNNING though their process is gone."""

import socket
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp.utils.lock import unused

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOST, FOLDER, PID = "seqexp.host", "seqexp.checkpoint.folder", "seqexp.pid"
"""Tags that say where a run is at work."""


def close_orphans(client: "MlflowClient", own: Collection[str | None]) -> list[str]:
    """Set to KILLED the runs of this machine in whose folder no process works; returns their ids.

    Args:
        own: ids of runs that are left alone; so are those of other machines and programs.
    """
    experiments = [found.experiment_id for found in client.search_experiments()]
    wanted = f"attributes.status = 'RUNNING' and tags.`{HOST}` = '{socket.gethostname()}'"
    closed = []
    for run in client.search_runs(experiments, wanted, max_results=1000):
        folder = run.data.tags.get(FOLDER)
        if folder is None or run.info.run_id in own:
            continue
        # held while we write: its command, started again, must not find itself KILLED
        with unused(Path(folder)) as is_abandoned:
            if is_abandoned:
                client.set_terminated(run.info.run_id, "KILLED")
                closed.append(str(run.info.run_id))
    return closed
