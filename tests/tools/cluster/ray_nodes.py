"""A sweep on a Ray cluster of two nodes, of which one is lost in the middle.

Both nodes are on this machine, one core each. When all jobs that run have ended some epochs, every
process of the second node is killed at once, as where a machine loses its power. Its job has to run
again on the other node from its checkpoint: no point twice, none lost, and the same numbers as
without the loss. Needs `pip install -e '.[ray]'`. Takes two to five minutes and 3 GB.

    python -m tests.tools.cluster.ray_nodes
"""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[3]

SEEDS = 4
EPOCHS = 60
LATE = 20
"""The epoch that the jobs have passed when a node is lost."""

LONGEST = 1200
"""Seconds that a sweep may take, also on a machine with other work."""

JOBS = (
    *(f"seed=range({SEEDS})", f"trainer.epochs={EPOCHS}", "interpret=none"),
    *("dataset.num_train=4000", "trainer.patience=null", "trainer.checkpoint.every_epochs=5"),
)


def command(outputs: Path, *launcher: str) -> tuple[list[str], dict[str, str]]:
    """The sweep, and the environment that it runs in."""
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(ROOT),
    }
    # not by a variable, which would not reach the nodes
    place = f"paths.outputs={outputs}"
    return [sys.executable, "-m", "seqexp", "-m", *launcher, *JOBS, place], environment


def epochs_of_jobs(outputs: Path) -> list[int]:
    """The last epoch that each job that has begun has told."""
    logs = [file.read_text() for file in outputs.glob("sweeps/*/*/seqexp.log")]
    told = [re.findall(r"^.*epoch +(\d+)/", log, re.MULTILINE) for log in logs]
    return [int(numbers[-1]) for numbers in told if numbers]


def lose(node: Any) -> int:
    """Kill a node's processes all at once; their number."""
    (raylet,) = node.all_processes["raylet"]
    found = [psutil.Process(raylet.process.pid)]
    found += found[0].children(recursive=True)
    for process in found:
        process.suspend()
    for process in found:
        process.kill()
    return len(found)


def points(outputs: Path) -> tuple[dict[str, int], dict[str, list[tuple[int, float]]]]:
    """Runs by status; of each seed, step and value of the points of the validation loss."""
    with sqlite3.connect(outputs / "mlflow.db") as database:
        runs = dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status"))
        rows = database.execute(
            "SELECT p.value, m.step, m.value FROM metrics m JOIN params p USING (run_uuid)"
            " WHERE m.key = 'valid/loss_nats' AND p.key = 'seed' ORDER BY p.value, m.step"
        ).fetchall()
    database.close()
    found: dict[str, list[tuple[int, float]]] = {}
    for seed, step, value in rows:
        found.setdefault(seed, []).append((step, value))
    return runs, found


def main() -> None:
    """Run the sweep twice, by Ray with a loss and by one process after the other, and compare."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    work = Path(tempfile.mkdtemp(prefix="seqexp-ray-"))
    one_core = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=one_core)
    second = cluster.add_node(num_cpus=1)
    try:
        launcher = ("launcher=ray", f"launcher.address={cluster.address}")
        line, environment = command(work / "lost", *launcher)
        began = time.monotonic()
        with (work / "said").open("w") as said:
            sweep = subprocess.Popen(line, env=environment, cwd=work, stdout=said, stderr=said)
        while len(running := epochs_of_jobs(work / "lost")) < 2 or min(running) < LATE:
            assert sweep.poll() is None, f"ended too early: {work}/said"
            assert time.monotonic() - began < LONGEST, f"no two jobs at once: {work}/said"
            time.sleep(0.2)
        print(f"{time.monotonic() - began:.0f} s: jobs are in epochs {running}", flush=True)
        print(f"killed {lose(second)} processes of the second node", flush=True)
        status = sweep.wait(LONGEST)
        print(f"{time.monotonic() - began:.0f} s: exit status {status}", flush=True)
        assert status == 0, f"{work}/said"
    finally:
        cluster.shutdown()
    line, environment = command(work / "alone")
    subprocess.run(line, env=environment, cwd=work, check=True, capture_output=True)
    runs, found = points(work / "lost")
    print(f"runs: {runs}; points of valid/loss_nats: {[len(of) for of in found.values()]}")
    assert runs == {"FINISHED": SEEDS + 1}, "the jobs and their parent"
    assert all([step for step, _ in of] == [*range(1, EPOCHS + 1)] for of in found.values())
    logs = [file.read_text() for file in (work / "lost").glob("sweeps/*/*/seqexp.log")]
    begun = [len(re.findall(r"^job \d+: ", log, re.MULTILINE)) for log in logs]
    print(f"how often each job began: {begun}")
    assert max(begun) > 1
    assert found == points(work / "alone")[1], "the numbers are those without the loss"
    print(f"sound; the files are in {work}")


if __name__ == "__main__":
    main()
