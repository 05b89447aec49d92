"""The Tab key, in a real bash: groups, options and keys, without waiting for PyTorch."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from seqexp.cli.completion import NO_PYTHON, PYTHON, offered_commands

SCRIPT = "from seqexp.__main__ import main\nmain()\n"

PRESS_TAB = """
eval "$(seqexp -sc install=bash)"
complete=$(complete -p seqexp | sed -E 's/.*-F ([^ ]+).*/\\1/')
while read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE}; words=($COMP_LINE); COMP_CWORD=$(( ${#words[@]} - 1 ))
    $complete
    echo "$COMP_LINE -> ${COMPREPLY[*]}"
done
"""
"""Says what bash offers at the end of each line that it is given."""

OFFERED = """
seqexp model=l -> model=lstm
seqexp model= -> model=cnn1d model=kneser-ney model=lstm model=ngrams \
model=read-errors model=rnn model=stacked-rnn
seqexp trainer.epo -> trainer.epochs=
seqexp trainer.epochs= -> trainer.epochs=20
seqexp experiment=mot -> experiment=motif
seqexp model=lstm model.forg -> model.forget_bias=
seqexp -m --config-dir mine model=w -> model=wide
seqexp pre -> predict
seqexp de -> deliver decode. decode=
seqexp predict in -> input=
seqexp compare tracking.u -> tracking.uri=
seqexp -m model=lstm,r -> model=lstm,read-errors model=lstm,rnn
seqexp predict run=l -> run=latest
seqexp compare runs=best,latest,l -> 
seqexp predict what=s -> what=states
seqexp predict input=mi -> input=mine/
"""


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with the command `seqexp`, as an installation makes it."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "seqexp"
    command.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, '{ROOT}')\n{SCRIPT}")
    command.chmod(0o755)
    return folder


def test_tab_offers_groups_options_and_keys(bin_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/wide.yaml").write_text("_target_: seqexp.model.cnn1d.CNN1D\n")
    lines = OFFERED.strip("\n").splitlines()
    done = subprocess.run(
        ["bash", "-c", PRESS_TAB],
        input="".join(f"{line.partition(' -> ')[0]}\n" for line in lines),
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == lines


def test_python_is_completed_as_before_except_for_our_module(
    bin_folder: Path, tmp_path: Path
) -> None:
    (bin_folder / "python").write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} "$@"\n')
    (bin_folder / "python").chmod(0o755)
    script = f"""
_mine() {{ COMPREPLY=(mine "$1"); }}
complete -o filenames -F _mine python
{PYTHON}
complete -p python
for COMP_LINE in 'python -m seqexp predict what=s' 'python foo'; do
    COMPREPLY=(); _seqexp_of_python python; echo "${{COMPREPLY[*]}}"
done
{NO_PYTHON}
complete -p python; complete -p python3 2> /dev/null
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *("complete -o filenames -F _seqexp_of_python python", "what=states", "mine python"),
        "complete -o filenames -F _mine python",
    ]


def test_ids_and_experiments_are_those_of_the_store(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.executescript(
            """CREATE TABLE runs (run_uuid, start_time, lifecycle_stage, status);
            CREATE TABLE tags (run_uuid, key); CREATE TABLE experiments (name, lifecycle_stage);
            INSERT INTO experiments VALUES ('Default', 'active'), ('motif', 'active');
            INSERT INTO runs VALUES ('3f9c11112', 1, 'active', 'FINISHED'),
                ('3faa11112', 2, 'active', 'FAILED'), ('b02d11112', 3, 'active', 'RUNNING');
            INSERT INTO tags VALUES ('3f9c11112', 'seqexp.fingerprint'),
                ('3faa11112', 'seqexp.fingerprint'), ('b02d11112', 'seqexp.sweep');"""
        )
    line = f"seqexp predict paths.outputs={tmp_path}"
    assert [*offered_commands(f"{line} run=3f")] == ["run=3f9c1111"]
    assert [*offered_commands(f"{line} sweep=")] == ["sweep=latest", "sweep=b02d1111"]
    assert [*offered_commands(f"{line} run=best experiment=m")] == ["experiment=motif"]


def test_tab_imports_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    line = "seqexp model="
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "seqexp", "-sc", "query=bash"],
        env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "model=lstm" in done.stdout
    loaded = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines()}
    assert "hydra" in loaded  # the list is one
    assert loaded & {"torch", "mlflow", "pandas", "matplotlib", "pydantic", "tqdm"} == set()
