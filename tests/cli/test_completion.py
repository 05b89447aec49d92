"""The Tab key, in a real bash: groups, options and keys, without waiting for PyTorch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

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
    lines = OFFERED.strip().splitlines()
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
