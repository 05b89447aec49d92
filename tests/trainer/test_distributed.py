"""Several processes train one model as one process does, to rounding; and go on as they were."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from child import last_words, start_child
from conftest import ROOT, Command
from hydra import compose, initialize_config_dir

from seqexp.checkpoint import store
from seqexp.checkpoint.encode import same
from seqexp.checkpoint.packed import unpack
from seqexp.checkpoint.result import Start
from seqexp.cli import main
from seqexp.config.check import check
from seqexp.data import Batch
from seqexp.errors import StoppedError
from seqexp.run import run
from seqexp.spec import IGNORE
from seqexp.trainer.distributed import Processes

COMMON = ("decode=none", "interpret=none", "tracking=none", "trainer.epochs=2", "optimizer=sgd")

CASES = {
    # 5 rows on 2 processes: one has a row more; and the last batch has one row in all
    "labels": (
        "dataset=motif",
        "dataset.num_train=18",
        "dataset.num_valid=7",
        "trainer.batch_size=5",
        "model=cnn1d",
        "model.filter_l1=0.001",
    ),
    "stream": ("dataset=chars", "dataset.num_chars=3000", "trainer=tbptt", "model=lstm"),
    "k1 < k2": (
        "dataset=noisy-reads",
        "dataset.length=60",
        "dataset.num_reads=8",
        "trainer=tbptt",
        "trainer.bptt.k1=9",
        "trainer.bptt.k2=21",
        "trainer.batch_size=3",
        "model=stacked-rnn",
        "trainer.clip_norm=0.5",
    ),
}


def config(case: str, *overrides: str) -> dict[str, Any]:
    given = sorted((*CASES[case], *COMMON, *overrides), key=lambda o: "." in o.partition("=")[0])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return check(compose("config", given))


def train(composed: dict[str, Any], folder: Path, environment: dict[str, str]) -> int:
    """One of two processes, as torchrun starts them; returns its exit status."""
    os.environ |= environment
    try:
        run(composed, Start({"model": "model", "dataset": "data"}, folder=folder))
    except StoppedError:
        return 130
    return 0


def by_two(composed: dict[str, Any], folder: Path) -> set[int]:
    """Run by two processes; returns their exit statuses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    said = folder.with_suffix(".log")
    children = [
        start_child(said, train, composed, folder, {**address, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    for child in children:
        child.join(120)
        assert child.exitcode is not None, f"it hangs: {last_words(said)}"
    print(last_words(said))
    return {child.exitcode for child in children}


def trained(folder: Path) -> dict[str, Any]:
    (file,) = store.files(folder / "checkpoints")
    state = store.read(file)
    return {name: state["training"][name] for name in ("model", "optimizer", "scheduler")}


def curves(folder: Path) -> list[dict[str, float]]:
    (file,) = store.files(folder / "checkpoints")
    history = unpack(store.read(file), file.parent)["parts"]["story"]["history"]
    timed = ("time/", "speed/")
    return [
        {k: v for k, v in metrics.items() if not k.startswith(timed)}
        for metrics in history.values()
    ]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_have_the_curves_of_one_and_go_on_where_they_were(
    case: str, tmp_path: Path
) -> None:
    one, two, parts = tmp_path / "one", tmp_path / "two", tmp_path / "parts"
    run(config(case), Start({"model": "model", "dataset": "data"}, folder=one))
    assert by_two(config(case), two) == {0}
    assert len(curves(one)) == 2
    for alone, together in zip(curves(one), curves(two), strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-6)
    assert by_two(config(case, "trainer.max_minutes=0.00001"), parts) == {130}
    assert by_two(config(case), parts) == {0}
    assert same(trained(parts), trained(two))


def test_a_share_has_every_row_once_and_no_process_is_without_one() -> None:
    batch = Batch(torch.arange(1, 11).reshape(5, 2), torch.arange(5).reshape(5, 1))
    shares = [Processes(rank, 2).share(batch) for rank in (0, 1)]
    assert [share.tokens[:, 0].tolist() for share in shares] == [[1, 5, 9], [3, 7]]
    assert [share.targets[:, 0].tolist() for share in shares] == [[0, 2, 4], [1, 3]]
    small = Batch(batch.tokens[:1], batch.targets[:1])
    empty = Processes(1, 2).share(small)
    assert empty.tokens.shape == (1, 2) and empty.targets.tolist() == [[IGNORE]]
    assert Processes().share(batch) is batch


def test_torchrun_trains_one_run_that_says_things_once(tmp_path: Path) -> None:
    arguments = ["trainer=smoke", "dataset.num_train=50", "interpret=none"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "seqexp", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall("epoch 2/2", done.stdout)) == 1
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert "-2processes-" in folder.name
    assert '"status": "FINISHED"' in (folder / "result.json").read_text()


def test_a_sweep_by_torchrun_is_refused_by_the_first_process_alone(
    seqexp: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = seqexp("-m", "seed=0,1", WORLD_SIZE="2", RANK="0")
    assert refused.returncode == 2
    assert refused.stderr.count("for a sweep give launcher=parallel") == 1
    monkeypatch.setattr(main, "RANK", 1)
    monkeypatch.setattr(main.time, "sleep", lambda seconds: None)
    with pytest.raises(SystemExit, match="2"):
        main.leave("for a sweep give launcher=parallel", 2)
    assert capsys.readouterr() == ("", "")
