"""Each module works by what it imports itself; commands import things when they need them."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import seqexp
from seqexp.tracking.store.address import sqlite_uri
from seqexp.utils.beside import can_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


def test_each_module_can_be_imported_alone_and_imports_what_it_names() -> None:
    found = pkgutil.walk_packages(seqexp.__path__, "seqexp.")
    names = [module.name for module in found]
    assert {"seqexp.cli.main", "seqexp.interpret.filters.tomtom", "seqexp.tracking.mlflow"} <= {
        *names
    }
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests/tools/importing.py"), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


SECONDS = (
    *("mlflow", "sqlalchemy", "alembic", "pandas", "matplotlib", "scipy", "sklearn", "numba"),
    *("Bio", "PIL", "torchtext", "memelite", "requests", "optuna", "joblib", "cloudpickle"),
    *("sympy", "torch._dynamo", "torch._inductor", "torch.distributed.tensor", "torch.onnx"),
    *("torch.utils.tensorboard", "captum", "onnx", "ray"),
)
"""Packages of which each takes a tenth of a second or more; none is needed for a first update."""


def imported(tmp_path: Path, *words: str) -> set[str]:
    """The modules that a command has imported when it ends, or before its first update."""
    tool = ROOT / "tests/tools/first_update.py"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "PYTEST"))}
    command = [sys.executable, str(tool), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stdout.rpartition("modules: ")[2].split())


def test_help_imports_neither_pytorch_nor_what_takes_as_long(tmp_path: Path) -> None:
    found = imported(tmp_path, "--help")
    assert "hydra" in found
    assert not found & {*SECONDS, "torch", "numpy"}


def test_a_plan_imports_pytorch_alone(tmp_path: Path) -> None:
    found = imported(tmp_path, "dry_run=true")
    assert "torch" in found
    assert not found & {*SECONDS}


def test_the_first_update_comes_before_mlflow_and_figures(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    outputs = tmp_path / "outputs"
    outputs.mkdir()
    store = MlflowClient(sqlite_uri(outputs / "mlflow.db"))
    experiment = store.create_experiment("motif", (outputs / "mlartifacts").as_uri())
    found = imported(tmp_path)
    assert {"torch", "seqexp.run"} <= found
    assert not found & {*SECONDS}
    (run,) = store.search_runs([experiment])  # which the command has begun by then
    assert run.info.status == "RUNNING" and run.data.params["model.num_filters"] == "8"


@pytest.mark.skipif(not can_fork(), reason="no process with a core to itself")
def test_a_run_that_reads_filters_draws_without_figures_of_matplotlib(tmp_path: Path) -> None:
    small = [f"dataset.num_{split}=100" for split in ("train", "valid", "test")]
    found = imported(tmp_path, "--to-the-end", *small, "trainer.epochs=2")
    assert len(list(tmp_path.rglob("artifacts/filters/filters.png"))) == 1
    assert len(list(tmp_path.rglob("artifacts/predictions/*.png"))) == 4  # of another process
    assert "seqexp.interpret.filters.report" in found
    assert not found & {"matplotlib.figure", "matplotlib.axes", "matplotlib.backends.backend_agg"}
