"""A shared MLflow server on PostgreSQL that goes away for a minute while runs write to it.

Needs Debian's `postgresql` (its programs are enough: a database of its own is made in a temporary
folder, on this machine only, and removed) and `pip install psycopg2-binary`. Prints what was told
and what is there afterwards; exits with 1 if they differ. About two minutes:

    python tests/tools/outage.py [--away 60] [--runs 4]
"""

import argparse
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mlflow import MlflowClient
from serving import Server

from seqexp.tracking.server import ServerTracker
from seqexp.tracking.tracker import RunFacts

KEYS = ("a", "b", "c", "d")
STEPS_A_SECOND = 40


class Database:
    """A PostgreSQL of its own; the system's superuser runs it as `postgres`."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.programs = programs[-1] if programs else Path(shutil.which("initdb") or "/").parent
        self.folder = folder / "database"
        self.folder.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.call("initdb", "-D", str(self.folder), "-U", "mlflow", "--auth=trust")
        self.uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{self.port}/postgres"

    def call(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = str(self.folder / "log")
        self.call("pg_ctl", "-D", str(self.folder), "-o", options, "-l", log, "-w", "start")

    def kill(self) -> None:
        self.call("pg_ctl", "-D", str(self.folder), "-m", "immediate", "stop")


def train(uri: str, folder: Path, seconds: float, results: "multiprocessing.Queue[tuple]") -> None:
    """Stands for a training: tells points at a steady pace, and what that took."""
    tracker = ServerTracker(uri)
    run_id = tracker.start(RunFacts("outage", folder.name, {"a": "1"}, folder=folder))
    began, slowest, steps = time.monotonic(), 0.0, 0
    while time.monotonic() - began < seconds:
        before = time.monotonic()
        tracker.metrics({key: steps / 7 for key in KEYS}, steps)
        if steps % 200 == 0:
            tracker.text(str(steps), f"texts/{steps}.txt")
        slowest = max(slowest, time.monotonic() - before)
        steps += 1
        time.sleep(1 / STEPS_A_SECOND)
    before = time.monotonic()
    tracker.finish("FINISHED")
    results.put((run_id, steps, slowest, time.monotonic() - before))


def check(client: MlflowClient, run_id: str, steps: int) -> tuple[int, int, int]:
    """Points that are there, that are there more than once, and that are missing."""
    there = lost = doubled = 0
    for key in KEYS:
        counts = Counter((p.step, p.value) for p in client.get_metric_history(run_id, key))
        wanted = {(step, step / 7) for step in range(steps)}
        there += sum(counts.values())
        doubled += sum(count - 1 for count in counts.values()) + len(counts.keys() - wanted)
        lost += len(wanted - counts.keys())
    texts = {item.path for item in client.list_artifacts(run_id, "texts")}
    lost += len({f"texts/{step}.txt" for step in range(0, steps, 200)} - texts)
    return there, doubled, lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--away", type=float, default=60, help="seconds without server")
    parser.add_argument("--runs", type=int, default=4, help="that write at once")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="outage-"))
    folder.chmod(0o755)  # the database's user looks into it
    database = Database(folder)
    database.start()
    server = Server(folder, database.uri)
    try:
        server.start()
        print(f"server on PostgreSQL: {server.uri}; {given.runs} runs", flush=True)
        context = multiprocessing.get_context("spawn")
        results = context.Queue()
        arguments = [(server.uri, folder / f"run{i}", given.away + 30, results) for i in range(99)]
        runs = [context.Process(target=train, args=arguments[i]) for i in range(given.runs)]
        for run in runs:
            run.start()
        client = MlflowClient(server.uri)
        while (begun := client.get_experiment_by_name("outage")) is None or len(
            client.search_runs([begun.experiment_id])
        ) < given.runs:
            time.sleep(0.5)
        time.sleep(10)
        server.kill()
        database.kill()
        print(f"server and database killed; away for {given.away:g} s", flush=True)
        time.sleep(given.away)
        database.start()
        server.start()
        print("both are back", flush=True)
        failed = 0
        for _ in runs:
            run_id, steps, slowest, closing = results.get(timeout=300)
            there, doubled, lost = check(client, run_id, steps)
            status = client.get_run(run_id).info.status
            failed += doubled + lost + (status != "FINISHED")
            print(
                f"{run_id}: told {steps * len(KEYS):,} points, there {there:,}, doubled or wrong"
                f" {doubled}, lost {lost}; {status}; slowest call {slowest * 1000:.1f} ms,"
                f" finish {closing:.1f} s"
            )
        return 1 if failed else 0
    finally:
        server.kill()
        database.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
