"""Jobs in other processes: every run and point is there, and cores are shared out."""

import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Command
from omegaconf import OmegaConf

import seqexp.cli.resolvers  # noqa: F401  (what configs compute)
from seqexp.cli.job import portable
from seqexp.errors import ConfigError, InputError, NonFiniteError, RunError
from seqexp.sweep.launcher import Local, Parallel, Ray, Slurm, refuse_unlaunchable, share
from seqexp.utils.workers import cores

QUICK = (
    *("trainer=smoke", "dataset.num_train=50", "dataset.num_test=50", "interpret=none"),
    "tracking.log_model=false",
)


def counts(outputs: Path) -> tuple[dict[str, int], list[int]]:
    """Runs by status, and points of the validation loss of each run."""
    with sqlite3.connect(outputs / "mlflow.db") as database:
        runs = dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status"))
        query = "SELECT count(*) FROM metrics WHERE key = 'valid/loss_nats' GROUP BY run_uuid"
        points = [count for (count,) in database.execute(query)]
    database.close()
    return runs, points


def test_parallel_jobs_lose_nothing_and_one_that_fails_stops_no_other(
    seqexp: Command, tmp_path: Path
) -> None:
    explode = ("model.activation=linear", "optimizer=sgd", "optimizer.momentum=0.99")
    workers = ("launcher=parallel", "launcher.jobs=2")
    rates = "optimizer.lr=0.01,1000,0.02,0.03"
    done = seqexp("-m", *workers, rates, *explode, *QUICK, "trainer.epochs=9")
    assert done.returncode == 1
    assert "1 of 4 jobs failed\n  optimizer.lr=1000: NonFiniteError: " in done.stderr
    runs, points = counts(tmp_path / "outputs")
    assert runs == {"FINISHED": 3, "FAILED": 2}  # one job, and the parent
    assert sorted(points)[-3:] == [9, 9, 9]
    (log,) = [
        file.read_text()
        for file in (tmp_path / "outputs/sweeps").rglob("seqexp.log")
        if "failed" in file.read_text()
    ]
    assert "gradient" in log


def test_submitit_jobs_lose_nothing(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp("-m", "hydra/launcher=submitit_local", "seed=0,1", *QUICK)
    assert done.returncode == 0, done.stderr
    assert counts(tmp_path / "outputs") == ({"FINISHED": 3}, [2, 2])


@pytest.mark.slow
def test_sixteen_processes_at_once_on_a_fresh_database_lose_nothing() -> None:
    script = ROOT / "tests/tools/cluster/many.sh"
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        ["bash", script], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "runs: {'FINISHED': 17}" in done.stdout


def test_a_ray_cluster_has_its_own_number_of_jobs_and_has_to_answer() -> None:
    launcher = {"_target_": f"{Ray.__module__}.Ray", "address": "127.0.0.1:1", "jobs": 2}
    with pytest.raises(InputError, match="launcher.jobs is 2, but the cluster 127.0.0.1:1 has its"):
        refuse_unlaunchable(launcher)
    with pytest.raises(InputError, match="launcher.address is 127.0.0.1:1: no Ray cluster answers"):
        refuse_unlaunchable({**launcher, "jobs": None})


@pytest.mark.parametrize(
    ("given", "init"),
    [
        (["launcher.jobs=3"], {"address": None, "num_cpus": 3, "object_store_memory": 78643200}),
        (
            ["launcher.address=auto"],
            {"address": "auto", "num_cpus": None, "object_store_memory": None},
        ),
    ],
)
def test_ray_is_asked_for_no_size_of_a_cluster_that_is_there(
    given: list[str], init: dict[str, object]
) -> None:
    content = OmegaConf.load(ROOT / "conf/launcher/ray.yaml")
    config = OmegaConf.merge(content, OmegaConf.from_dotlist(given))
    found = OmegaConf.to_container(config, resolve=True)
    assert isinstance(found, dict)
    assert found["hydra"]["launcher"]["ray"]["init"] == {**init, "include_dashboard": False}


@pytest.mark.slow
def test_a_ray_cluster_that_loses_a_node_ends_as_one_that_does_not() -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "tests.tools.cluster.ray_nodes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sound" in done.stdout


def test_cores_are_shared_out_and_no_worker_is_without() -> None:
    assert [share(8, workers) for workers in (1, 2, 3, 8, 9)] == [8, 4, 2, 1, 1]
    assert Parallel(jobs=1).threads() == cores() and Parallel(jobs=10_000).threads() == 1
    assert Local().threads() is None and Slurm(cpus=6).threads() == 6
    assert Ray(jobs=10_000).threads() == 1 and Ray(address="ray://a:1", cpus=3).threads() == 3


def test_a_worker_of_a_parallel_sweep_takes_its_share_of_threads() -> None:
    import torch

    from seqexp.build import prepare
    from seqexp.trainer.settings import Settings

    try:
        prepare(
            Settings(num_threads=None, deterministic=False), Parallel(max(1, cores())).threads()
        )
        assert torch.get_num_threads() == 1
        prepare(Settings(num_threads=3, deterministic=False), Parallel(jobs=1).threads())
        assert torch.get_num_threads() == 3  # what is said counts
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("error", [ConfigError(["a: wrong"]), InputError("x"), NonFiniteError("y")])
def test_our_errors_cross_the_border_of_a_process_unchanged(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(portable(error)))
    assert type(back) is type(error) and str(back) == str(error)


def test_an_error_that_cannot_cross_says_the_same_as_one_that_can() -> None:
    class TwoPartError(Exception):
        def __init__(self, name: str, value: int) -> None:
            super().__init__(f"{name} is {value}")

    back = pickle.loads(pickle.dumps(portable(TwoPartError("x", 3))))
    assert isinstance(back, RunError) and str(back) == "TwoPartError: x is 3"


@pytest.mark.parametrize("option", ["slurm", "ray"])
def test_a_launcher_that_is_not_installed_names_its_extra(
    seqexp: Command, tmp_path: Path, option: str
) -> None:
    # a package of the same name that comes first, and has no launcher
    content = yaml.safe_load((ROOT / f"conf/launcher/{option}.yaml").read_text())
    name = content["defaults"][0]["override /hydra/launcher"].partition("_")[0]
    package = tmp_path / "empty/hydra_plugins" / f"hydra_{name}_launcher"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    paths = os.pathsep.join([str(tmp_path / "empty"), os.environ.get("PYTHONPATH", "")])
    done = seqexp("-m", f"launcher={option}", "seed=0,1", PYTHONPATH=paths)
    assert done.returncode == 2, done.stderr
    expected = f"launcher={option}: a package is missing; pip install 'seqexp[{option}]'"
    assert done.stderr.strip() == f"seqexp: {expected}"


def test_a_search_without_optuna_names_its_extra(seqexp: Command, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'optuna' else find(name, *rest)\n"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = seqexp("-m", "sweeper=optuna", "seed=0,1", PYTHONPATH=paths)
    assert done.returncode == 2
    expected = "sweeper=optuna: a package is missing; pip install 'seqexp[optuna]'"
    assert done.stderr.strip() == f"seqexp: {expected}"


@pytest.mark.parametrize(
    ("argument", "default"), [("launcher=parallel", "local"), ("sweeper=optuna", "grid")]
)
def test_a_single_run_wants_no_words_of_sweeps(
    seqexp: Command, argument: str, default: str
) -> None:
    done = seqexp(argument)
    assert done.returncode == 2
    group = argument.partition("=")[0]
    assert f"{argument} is for a sweep; add -m, or give {group}={default}" in done.stderr


def test_every_launcher_and_sweeper_has_a_preset_that_overrides_hydras() -> None:
    for group in ("launcher", "sweeper"):
        files = sorted((ROOT / "conf" / group).glob("*.yaml"))
        assert len(files) >= 2
        for file in files:
            content = yaml.safe_load(file.read_text())
            assert f"override /hydra/{group}" in content["defaults"][0]
            assert content[group]["_target_"].startswith("seqexp.sweep.")
