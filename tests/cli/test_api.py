"""`seqexp.train` and `seqexp.load`: what a command line does, from Python."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import seqexp
from seqexp.cli import api
from seqexp.errors import InputError

SMALL = (
    *("dataset.num_train=20", "dataset.num_valid=20", "dataset.num_test=20"),
    *("trainer=smoke", "trainer.epochs=2", "interpret=none"),
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_importing_seqexp_imports_no_torch() -> None:
    code = "import seqexp, sys; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = seqexp.trian


def test_the_example_runs_as_it_stands(here: Path) -> None:
    lines = str(api.__doc__).splitlines()
    example = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
    names: dict[str, object] = {}
    exec(example, names)
    assert "seqexp.load" in example
    assert isinstance(names["run"], api.TrainedRun)


def test_a_run_has_what_it_learned_and_is_found_again(here: Path) -> None:
    run = seqexp.train("model=lstm", "model.hidden_size=4", *SMALL)
    assert list(run.history.index) == [1, 2] and "valid/loss_nats" in run.history
    found = seqexp.load(run.id[:8], outputs=str(here / "outputs"))
    assert found.metrics == run.metrics and found.config == run.config
    for one, other in zip(run.model.parameters(), found.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert len(found.data.test) == 40  # half of them with the motif
    texts = ["ACGTACGTACGT", "GGAAGGAAGGAAGGAA"]
    assert found.predict(texts).shape == (2, 2)
    states = found.states(texts)
    assert [one.shape for one in states] == [(12, 4), (16, 4)]
    np.testing.assert_allclose(found.features(texts), [one[-1] for one in states], rtol=1e-5)


def test_it_is_the_run_of_the_command_line(here: Path, seqexp: object) -> None:
    import seqexp as package

    run = package.train(*SMALL)
    again = package.train(*SMALL)
    assert again.id == run.id
    done = seqexp(*SMALL)  # type: ignore[operator]
    assert done.returncode == 0 and run.id in done.stdout and "epoch 1/2" not in done.stdout


def test_what_is_wrong_is_said_as_on_the_command_line(here: Path) -> None:
    for overrides, told in (
        (("model=lstmm",), "model=lstmm: there is no such option; did you mean lstm?"),
        (("model.num_filterz=3", "optimizer.lr=-1"), "the configuration has 2 faults"),
        (("-m", "seed=0,1"), "-m is for the command line"),
        (("tracking=none",), "tracking is none, which keeps no model"),
    ):
        with pytest.raises(InputError, match=re.escape(told)):
            seqexp.train(*overrides)
    assert not (here / "outputs" / "runs").exists()
    with pytest.raises(InputError, match="folder: unknown; give outputs or uri"):
        seqexp.load(folder="outputs")
    with pytest.raises(InputError, match=r"mlflow\.db: is not there"):
        seqexp.load()
