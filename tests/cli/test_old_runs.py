"""Runs that seqexp of commit 01e766d made are read; `tests/tools/old_runs.py` made the files."""

import shutil
from pathlib import Path

import mlflow
import pytest
from conftest import ROOT
from old_runs import restored

from seqexp.cli.subcommand import run_command
from seqexp.tracking.store.environment import PLACES

KEPT = ROOT / "tests/data/runs_01e766d"

SITE = "GGAAGGAAGGAAGG"
"""What the motif of these runs looks like."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder of outputs with the old runs, and their ids by seed."""
    outputs = tmp_path_factory.mktemp("outputs")
    return outputs, restored(KEPT, outputs)


def test_the_files_are_small() -> None:
    sizes = [file.stat().st_size for file in KEPT.rglob("*") if file.is_file()]
    assert len(sizes) > 10 and sum(sizes) < 200_000


def test_an_old_run_predicts(
    old: tuple[Path, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PLACES:  # other tests may have MLflow set them, which has a line
        monkeypatch.delenv(name, raising=False)
    outputs, ids = old
    file = tmp_path / "two.fa"
    file.write_text(f">site\nACTAGTACTAT{SITE}GGGTCTGAAGGTACA\n>none\n{'ACTT' * 10}\n")
    given = [f"run={ids[0]}", f"input={file}", f"paths.outputs={outputs}"]
    assert run_command("predict", given) == 0
    said = capsys.readouterr()
    rows = dict(line.split(",")[::2] for line in said.out.splitlines())
    assert rows["name"] == "motif" and float(rows["site"]) > float(rows["none"])
    (line,) = said.err.splitlines()
    # old names of a stored config are nobody's to change
    assert line.startswith(f"run {ids[0][:8]} ")


def test_old_runs_are_compared(
    old: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = old
    given = [f"runs={','.join(ids)}", f"output={tmp_path}", f"paths.outputs={outputs}"]
    assert run_command("compare", given) == 0
    assert "| all seeds | 2 " in capsys.readouterr().out


def test_an_old_run_is_trained_again(
    old: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = old
    given = [f"run={ids[0]}", f"paths.outputs={outputs}"]
    assert run_command("reproduce", given) in (0, 1)  # the code is another
    said = capsys.readouterr().out
    assert "its config is sound" in said and "code    DIFFERENT" in said
    assert "bit-equal: " in said or "NOT equal: " in said


def test_a_model_that_names_the_old_loader_is_loaded_by_mlflow(
    old: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(KEPT / "seed0/artifacts/model", folder)
    assert "loader_module: seqexp.saved" in (folder / "MLmodel").read_text()
    found = mlflow.pyfunc.load_model(str(folder)).predict([SITE * 3, "ACTT" * 10])
    assert list(found.columns) == ["background", "motif"]
    assert found["motif"][0] > found["motif"][1]
