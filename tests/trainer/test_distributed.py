"""Several processes train one model as one process does, to rounding; and go on as they were."""

import os
import re
import signal
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
from seqexp.errors import LostProcessError, StoppedError
from seqexp.run import run
from seqexp.spec import IGNORE
from seqexp.trainer import distributed
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
    numbers = torch.arange(20, 25)
    batch = Batch(torch.arange(1, 11).reshape(5, 2), torch.arange(5)[:, None], numbers=numbers)
    shares = [Processes(rank, 2).share(batch) for rank in (0, 1)]
    assert [share.tokens[:, 0].tolist() for share in shares] == [[1, 5, 9], [3, 7]]
    assert [share.targets[:, 0].tolist() for share in shares] == [[0, 2, 4], [1, 3]]
    assert [share.numbers.tolist() for share in shares] == [[20, 22, 24], [21, 23]]
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


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[/pytorch/gloo/pair.cc:537] Read error [10.0.0.2]:4: Connection reset by peer. This is "
         "typically caused by", LostProcessError),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)  # fmt: skip
def test_a_lost_process_is_said_in_words_and_other_errors_are_left(
    said: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "SETTLING", 0)
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *args, **options: None)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    with pytest.raises(kind) as raised, distributed.joined(use_gpu=False):
        raise RuntimeError(said)
    if kind is LostProcessError:
        assert "process 1 of 2" in str(raised.value) and "10.0.0.2" in str(raised.value)
        assert "pair.cc" not in str(raised.value) and "resumes" in str(raised.value)


def node(folder: Path, port: int, is_host: bool) -> subprocess.Popen[bytes]:
    """One of two that train together, as on two machines; they meet at the host."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    meeting += [f"--rdzv-conf=is_host={str(is_host).lower()}"]
    what = ["-m", "seqexp", "model=lstm", "trainer.epochs=8", "interpret=none"]
    return subprocess.Popen(
        [*torchrun, *meeting, *what, "trainer.checkpoint.every_minutes=0.01"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.slow
def test_two_machines_of_which_one_is_lost_end_with_the_bits_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = []
    for name in ("undisturbed", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        nodes = [node(folder, port, is_host) for is_host in (True, False)]
        if name == "killed":
            while not [*folder.glob("outputs/runs/*/checkpoints/*")]:
                assert nodes[0].poll() is None
            of_it = ["pgrep", "-P", str(nodes[1].pid)]
            children = subprocess.run(of_it, capture_output=True, text=True, check=True)
            for pid in (nodes[1].pid, *map(int, children.stdout.split())):
                os.kill(pid, signal.SIGKILL)
            nodes[1].communicate()
            said = nodes[0].communicate(timeout=120)[0].decode()
            assert nodes[0].returncode == 1 and "another process of this training has" in said
            nodes = [node(folder, port, is_host) for is_host in (True, False)]
        for one in nodes:
            last = one.communicate(timeout=300)[0].decode()
            assert one.returncode == 0, last
        (weights,) = (folder / "outputs" / "mlartifacts").rglob("weights.safetensors")
        kept.append(weights.read_bytes())
    assert kept[0] == kept[1]


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
