"""Runs as an older seqexp left them, kept small enough for the tests' data.

    python -m tests.tools.old_runs CHECKOUT tests/data/runs_01e766d

CHECKOUT is a working tree of the older commit (`git worktree add CHECKOUT 01e766d`), with the same
packages installed. It trains two seeds of a small run and keeps, for each, what MLflow knows and
the artifacts that later commands read. `restored` makes a store of that.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

RUN = ("trainer=smoke", "dataset.num_train=100", "dataset.num_test=100", "gradient_flow=none")

SEEDS = (0, 1)

KEPT = ("config.json", "model/MLmodel", "model/data/model")
"""Artifacts that later commands read."""

OF_A_MACHINE = ("mlflow.user", "seqexp.host", "seqexp.pid", "seqexp.token")
"""Tags that say where a run was made."""

ELSEWHERE = "/elsewhere"
"""Stands for the folder in which the runs were made."""


def keep(checkout: Path, folder: Path) -> None:
    """Train with an older checkout, and write what is kept of each run."""
    with tempfile.TemporaryDirectory() as made:
        for seed in SEEDS:
            command = [sys.executable, "-m", "seqexp", *RUN, f"seed={seed}"]
            env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
            subprocess.run(command, cwd=made, env=env, check=True)
        client = MlflowClient(f"sqlite:///{made}/outputs/mlflow.db")
        found = client.search_runs([one.experiment_id for one in client.search_experiments()])
        for run in found:
            place = folder / f"seed{run.data.params['seed']}"
            place.mkdir(parents=True, exist_ok=True)
            text = json.dumps(facts(client, run), indent=1, sort_keys=True)
            (place / "run.json").write_text(text.replace(made, ELSEWHERE) + "\n")
            root = Path(str(run.info.artifact_uri).removeprefix("file://"))
            for file in (file for name in KEPT for file in files(root / name)):
                there = place / "artifacts" / file.relative_to(root)
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(file.read_bytes().replace(made.encode(), ELSEWHERE.encode()))


def files(path: Path) -> list[Path]:
    """A file, or all below a folder."""
    return [path] if path.is_file() else sorted(path.iterdir())


def facts(client: MlflowClient, run: Any) -> dict[str, Any]:
    """Params, tags and points of a run."""
    names = sorted(run.data.metrics)
    return {
        "name": run.info.run_name,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key not in OF_A_MACHINE},
        "points": [
            [point.key, point.value, point.timestamp, point.step]
            for name in names
            for point in client.get_metric_history(run.info.run_id, name)
        ],
    }


def restored(kept: Path, outputs: Path) -> list[str]:
    """Make a store below `outputs` with the runs that are kept; returns their ids, by seed."""
    client = MlflowClient(f"sqlite:///{outputs / 'mlflow.db'}")
    experiment = client.create_experiment("old", str(outputs / "mlartifacts"))
    ids = []
    for place in sorted(kept.iterdir()):
        told = json.loads((place / "run.json").read_text())
        run = client.create_run(experiment, told["start"], told["tags"], told["name"])
        ids.append(run.info.run_id)
        client.log_batch(
            run.info.run_id,
            [Metric(*point) for point in told["points"]],
            [Param(key, value) for key, value in told["params"].items()],
            [RunTag("mlflow.runName", told["name"])],
        )
        root = Path(str(run.info.artifact_uri).removeprefix("file://"))
        shutil.copytree(place / "artifacts", root)
        client.set_terminated(run.info.run_id, "FINISHED", told["end"])
    return ids


if __name__ == "__main__":
    keep(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
