"""What the benchmarks are made of: ratios, weights in the order of others, and who is there."""

import importlib
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT))  # the benchmarks are run as `python -m tests.benchmarks.NAME`

from tests.benchmarks import chars, kinds
from tests.benchmarks.compare import is_same, paired, shown
from tests.benchmarks.gate import Gate
from tests.benchmarks.peers.bare import losses
from tests.benchmarks.peers.network import Network
from tests.benchmarks.sides import SIDES
from tests.benchmarks.weights import for_keras, for_torch, in_order
from tests.benchmarks.work import Work, prepared

PEERS = ("tensorflow", "keras", "lightning")

SMALL = ("trainer.batch_size=8", "trainer.num_threads=1")

COMMANDS = {
    "cnn1d": ("experiment=notebook/motif", "dataset.num_train=100", "dataset.num_test=10"),
    "lstm": ("experiment=notebook/noisy-reads", "dataset.num_reads=2"),
}


@pytest.fixture(params=COMMANDS)
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Work:
    overrides = [*COMMANDS[request.param], *SMALL]
    return prepared(tmp_path, overrides, (), None, "epoch", 1, 1)


def test_ratios_are_of_cpu_time_stretch_by_stretch() -> None:
    ratios = paired([(2.0, 9.0), (3.0, 9.0)], [(1.0, 5.0), (2.0, 5.0)])
    assert ratios == [2.0, 1.5]


def test_a_table_has_the_median_and_quartiles() -> None:
    # of 1 to 7, quartiles are the 2nd, 4th and 6th
    assert shown([7, 1, 6, 2, 5, 3, 4]) == "4.00 (2.00 to 6.00)"


def test_work_is_the_same_within_a_thousandth_of_each_loss() -> None:
    assert is_same([1.0, 2.0], [1.0009, 2.0])
    assert not is_same([1.0, 2.0], [1.002, 2.0])
    assert not is_same([1.0, float("nan")], [1.0, 2.0])


def test_gates_come_in_the_order_of_others() -> None:
    ours = np.array([[0], [0], [1], [1], [2], [2], [3], [3]])  # i, f, o, g of two units
    assert in_order(ours, "ifog", "ifgo")[:, 0].tolist() == [0, 0, 1, 1, 3, 3, 2, 2]


def test_keras_has_matrices_transposed_and_gates_i_f_c_o() -> None:
    x = np.arange(12.0).reshape(4, 3)  # one unit, three inputs: a row a gate
    weights = {
        "forwards.0.weight_x": x,
        "forwards.0.weight_h": np.array([[0.0], [1.0], [2.0], [3.0]]),
        "forwards.0.bias": np.array([0.0, 1.0, 2.0, 3.0]),
        "head.output.weight": np.ones((2, 1)),
        "head.output.bias": np.zeros(2),
    }
    (kernel, recurrent, bias), (dense, _) = for_keras(weights)
    assert kernel.shape == (3, 4) and kernel[:, 2].tolist() == [9.0, 10.0, 11.0]  # c is our g
    assert recurrent.tolist() == [[0.0, 1.0, 3.0, 2.0]]
    assert bias.tolist() == [0.0, 1.0, 3.0, 2.0]
    assert dense.shape == (1, 2)
    assert for_torch(weights)["lstm.bias_hh_l0"].tolist() == [0.0] * 4


def test_the_bare_network_has_our_logits_from_our_weights(work: Work) -> None:
    from seqexp.config.instantiate import build
    from seqexp.config.own import arguments
    from seqexp.spec import TaskSpec

    node = arguments("model", work.config["model"])
    ours = build(node, spec=TaskSpec.from_dict(work.spec)).eval()
    ours.load_state_dict({name: torch.tensor(value) for name, value in work.weights.items()})
    tokens = torch.tensor(work.checked()[0][0])
    logits, _ = Network(work)(tokens)
    torch.testing.assert_close(logits, ours(tokens)[0][:, 0], rtol=1e-5, atol=1e-6)


def test_the_bare_loop_does_what_our_loop_does(work: Work) -> None:
    from tests.benchmarks.peers import ours

    assert is_same(losses(work, ""), ours.losses(work, ""))


@pytest.mark.parametrize("kind", kinds.TITLES)
def test_the_bare_loop_does_the_same_for_each_kind_of_task(kind: str, tmp_path: Path) -> None:
    from tests.benchmarks.peers import ours

    command = [*kinds.command(kind), *SMALL, "model.hidden_size=8"]
    data = kinds.made(kind, rows=90, count=30)
    made = prepared(tmp_path, command, (), data, "update", 1, 1)
    found = losses(made, "")
    assert is_same(found, ours.losses(made, "")) and found[0] != found[-1]


def test_the_bare_loop_of_characters_carries_its_state_as_ours(tmp_path: Path) -> None:
    from tests.benchmarks.peers import ours

    small = ("model.embedding_size=8", "model.hidden_size=8", "trainer.num_threads=1")
    command = [*chars.OVERRIDES, "model.dropout=0.0", "model.recurrent_dropout=0.0", *small]
    made = prepared(tmp_path, command, (), chars.text(), "update", 1, 1)
    assert is_same(losses(made, ""), ours.losses(made, ""))


def test_work_is_read_as_it_was_saved(work: Work) -> None:
    found = Work.read(work.folder)
    assert found.config == work.config and found.updates == work.updates
    assert all(np.array_equal(found.arrays[name], work.arrays[name]) for name in work.arrays)


def test_a_gate_tells_the_time_of_each_stretch() -> None:
    told: list[dict[str, float]] = []
    gate = Gate("update", 2, told.append, io.StringIO("\n\n\n"))
    for _ in range(5):
        gate.passed("update")
        gate.passed("epoch")
    assert len(told) == 2
    assert all(times["cpu"] >= 0 and times["wall"] >= 0 for times in told)


@pytest.mark.parametrize("name", ["imdb", "chars", "motif", "reads", "kinds", "sweep"])
def test_a_benchmark_is_imported_without_its_peers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in PEERS:
        monkeypatch.setitem(sys.modules, package, None)  # importing it raises
    importlib.reload(importlib.import_module(f"tests.benchmarks.{name}"))


def test_what_is_not_installed_is_said_at_once_with_the_extra() -> None:
    hide = f"""
import importlib.util, runpy, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in {PEERS} else found(name, *a)
sys.argv = ["reads"]
runpy.run_module("tests.benchmarks.reads", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", hide], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("seqexp: not installed: keras, lightning, tensorflow;")
    assert "pip install -e '.[bench]'" in done.stderr and done.stderr.count("\n") == 1


def test_every_side_has_a_module() -> None:
    folder = ROOT / "tests" / "benchmarks" / "peers"
    assert SIDES and all((folder / f"{side.module}.py").is_file() for side in SIDES.values())
