"""Runs of others, in a store of theirs: what is odd ends in words and status 2; nothing is done."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp.cli.subcommand import run_command

MODEL = "model/data/model"


@pytest.fixture
def run(dna_runs: tuple[Path, list[str]], tmp_path: Path) -> Iterator[tuple[Path, str, Path]]:
    """Outputs, the id of a run, and its artifacts, which are put back afterwards."""
    outputs, ids = dna_runs
    artifacts = outputs / "mlartifacts" / ids[0] / "artifacts"
    shutil.copytree(artifacts, tmp_path / "kept")
    yield outputs, ids[0], artifacts
    shutil.rmtree(artifacts)
    shutil.copytree(tmp_path / "kept", artifacts)


def command(name: str, *arguments: str) -> int:
    return run_command(name, list(arguments))


def with_values(file: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))


def other_class(artifacts: Path) -> None:
    target = {
        "_target_": "seqexp.kernels.build._output",
        "command": ["touch", str(artifacts / "ran")],
    }
    with_values(artifacts / MODEL / "config.json", lambda values: values.update(model=target))


def endless_link(artifacts: Path) -> None:
    (artifacts / MODEL / "spec.json").unlink()
    (artifacts / MODEL / "spec.json").symlink_to("/dev/zero")


def pipe(artifacts: Path) -> None:
    (artifacts / MODEL / "weights.safetensors").unlink()
    os.mkfifo(artifacts / MODEL / "weights.safetensors")


def deep(artifacts: Path) -> None:
    (artifacts / MODEL / "config.json").write_text("[" * 100_000 + "]" * 100_000)


def large(artifacts: Path) -> None:
    file = artifacts / MODEL / "config.json"
    with_values(file, lambda values: values["model"].update(num_filters=40_000_000))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (other_class, "seqexp.kernels.build._output'; allowed are seqexp.model"),
        (endless_link, "spec.json: is a symbolic link"),
        (pipe, "weights.safetensors: is no plain file"),
        (deep, "config.json: is damaged: nested"),
        (large, "model.num_filters is 40000000"),
    ],
)
def test_a_model_of_others_is_predicted_with_or_refused(
    run: tuple[Path, str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], None],
    told: str,
) -> None:
    outputs, run_id, artifacts = run
    change(artifacts)
    (tmp_path / "in.txt").write_text("ACGT" * 10 + "\n")
    where = f"tracking.uri=sqlite:///{outputs}/mlflow.db"
    given = (f"run={run_id}", where, f"input={tmp_path / 'in.txt'}", f"output={tmp_path / 'o.csv'}")
    assert command("predict", *given) == 2
    assert told in capsys.readouterr().err
    assert not (artifacts / "ran").exists() and not (tmp_path / "o.csv").exists()


def test_a_run_of_others_reads_no_file_of_this_machine_unasked(
    run: tuple[Path, str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, run_id, artifacts = run
    secret = tmp_path / "secret.tsv"
    os.mkfifo(secret)  # whoever read it would wait for ever
    table = {"_target_": "seqexp.dataset.fasta.Fasta", "table": str(secret)}
    with_values(artifacts / "config.json", lambda values: values.update(dataset=table))
    where = f"tracking.uri=sqlite:///{outputs}/mlflow.db"
    assert command("reproduce", f"run={run_id}", where) == 2
    assert f"add files=read\n  dataset.table: {secret}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "3", "{", "[" * 100_000, '{"trusted_packages": [[1]]}'])
def test_an_odd_config_of_others_is_told(
    run: tuple[Path, str, Path], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    outputs, run_id, artifacts = run
    (artifacts / "config.json").write_text(text)
    assert command("reproduce", f"run={run_id}", f"paths.outputs={outputs}") == 2
    assert f"config.json of run {run_id}" in capsys.readouterr().err
