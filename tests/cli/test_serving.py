"""MLflow's own commands on what is kept: its pages, and the model behind HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from seqexp.cli.subcommand import run_command

TEXTS = ["TTCTAATATGCGGAAGGAAGGAAGGAAGGAAGGCATATAC", "ACGTACGTACGTACGTACGT"]

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(
    arguments: list[str], page: str, folder: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """A command that serves pages, while it does; what it printed is in `printed`."""
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=printed,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **QUIET, **environment},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert process.poll() is None, (folder / "printed").read_text()
            try:
                if requests.get(page, timeout=5).ok:
                    break
            except requests.RequestException:
                time.sleep(0.3)
        yield (folder / "printed").read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow  # 20 s each: MLflow starts a server, or a process of its own
def test_the_pages_are_those_of_the_right_store(
    dna_runs: tuple[Path, list[str]], tmp_path: Path
) -> None:
    outputs, ids = dna_runs
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = ["seqexp", "ui", f"port={port}", f"paths.outputs={outputs}"]
    with served(arguments, f"{address}/health", tmp_path, {}) as printed:
        assert f"  motif  {address}/#/experiments/1/runs?workflowType" in printed
        url = f"{address}/api/2.0/mlflow/runs/get?run_id={ids[0]}"
        assert requests.get(url, timeout=20).json()["run"]["info"]["status"] == "FINISHED"
    assert [path.name for path in tmp_path.iterdir()] == ["printed"]


def test_a_port_that_is_taken_is_said(
    dna_runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = [f"port={port}", f"paths.outputs={dna_runs[0]}"]
        assert run_command("ui", given) == 2
    assert f"port is {port}, which cannot be used" in capsys.readouterr().err


@pytest.mark.slow
def test_mlflow_serves_the_model_and_predicts_from_raw_texts(
    dna_runs: tuple[Path, list[str]], tmp_path: Path
) -> None:
    outputs, ids = dna_runs
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{outputs}/mlflow.db"}
    model = ["--model-uri", f"runs:/{ids[0]}/model", "--env-manager", "local"]
    (tmp_path / "in.json").write_text(json.dumps({"inputs": TEXTS}))
    files = ["--input-path", "in.json", "--output-path", "out.json", "--content-type", "json"]
    subprocess.run(
        [sys.executable, "-m", "mlflow", "models", "predict", *model, *files],
        cwd=tmp_path,
        env={**os.environ, **QUIET, **store},
        check=True,
        timeout=200,
    )
    predicted = json.loads((tmp_path / "out.json").read_text())["predictions"]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = ["mlflow", "models", "serve", *model, "--port", str(port), "--workers", "1"]
    with served(arguments, f"{address}/ping", tmp_path, store):
        answer = requests.post(f"{address}/invocations", json={"inputs": TEXTS}, timeout=60)
        refused = requests.post(f"{address}/invocations", json={"inputs": ["ACGX"]}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == predicted
    for row in predicted:
        assert set(row) == {"background", "motif"} and sum(row.values()) == pytest.approx(1)
    assert predicted[0] != predicted[1]
    assert refused.status_code >= 400 and "has 'X' at position 4" in refused.text
