"""`python -m seqexp compare`: any runs, as a sweep would show them."""

import csv
import json
from pathlib import Path

import pytest

from seqexp.cli.compare import differing_keys
from seqexp.cli.subcommand import run_command

COMMAND = "compare"


def test_points_are_told_apart_by_what_differs_and_their_seeds_are_pooled(
    dna_runs: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = dna_runs
    given = [f"runs={','.join(ids)}", f"output={tmp_path}/out", f"paths.outputs={outputs}"]
    assert run_command(COMMAND, given) == 0
    shown = capsys.readouterr().out
    assert "| model.num_filters=1 | 2 " in shown and "| model.num_filters=2 | 2 " in shown
    names = {"comparison.csv", "points.csv", "comparison.png", "curves.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    with (tmp_path / "out/comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["run id"]: (row["model.num_filters"], row["seed"]) for row in rows} == dict(
        zip(ids, [("1", "0"), ("1", "1"), ("2", "0"), ("2", "1")], strict=True)
    )
    losses = [float(row["best/valid_loss_nats"]) for row in rows]
    assert losses == sorted(losses)


def test_runs_of_one_seed_are_a_row_each_below_the_outputs(
    dna_runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = dna_runs
    given = [f"runs={ids[0][:9]},{ids[2]}", f"paths.outputs={outputs}", "metric=test/accuracy"]
    assert run_command(COMMAND, given) == 0
    said = capsys.readouterr().out
    assert "| model.num_filters | status" in said
    assert f"{ids[0][:8]} minus {ids[2][:8]}, on the same 40 sequences of the test:" in said
    assert "test/accuracy" in said and "McNemar's exact p" in said
    assert "ensemble of 2 runs, equal weights: test/accuracy" in said
    (folder,) = (outputs / "comparisons").iterdir()
    paired = json.loads((folder / "paired.json").read_text())
    assert paired["runs"] == [ids[0], ids[2]] and paired["samples"] == 2000
    assert (folder / "comparison.png").is_file() and not (folder / "points.csv").exists()


def test_runs_of_other_tests_are_compared_as_a_whole_only(
    dna_runs: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = dna_runs
    given = [f"runs={ids[0]},{ids[1]}", f"paths.outputs={outputs}", f"output={tmp_path}/out"]
    assert run_command(COMMAND, given) == 0
    said = capsys.readouterr().out
    assert "not compared sequence by sequence" in said and "tested on different sequences" in said
    assert "ensemble of" not in said.replace("no ensemble of", "")
    assert not (tmp_path / "out/paired.json").exists()


def test_keys_of_other_options_are_not_told() -> None:
    runs = [
        {"seed": "0", "model": "lstm", "model.hidden_size": "8", "model._target_": "L"},
        {"seed": "0", "model": "lstm", "model.hidden_size": "9", "model._target_": "L"},
        {"seed": "0", "model": "cnn1d", "model.num_filters": "8", "model._target_": "C"},
    ]
    assert differing_keys(runs) == ["model", "model.hidden_size"]
    assert differing_keys(runs[1:]) == ["model"]


def test_a_key_that_follows_the_seed_is_not_told() -> None:
    runs = [{"seed": s, "dataset.seed": s, "decode.seed": "0", "paths.data": s} for s in "01"]
    assert differing_keys(runs) == ["seed"]
    assert differing_keys([{**runs[0], "dataset.seed": "7"}, runs[0]]) == ["dataset.seed"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["runs={0}"], "give at least two runs"),
        (["runs={0},{0}"], "give at least two runs"),
        (["runs={0},{1}", "sweep={0}"], "give either runs=ID,ID,... or sweep=ID"),
        (["sweep={0}"], "sweep is {0}, but no run is below {0}"),
        (["runs={0},{1}", "metric=accuracy"], "metric is 'accuracy': no such metric"),
        (["runs={0},{1}", "output=/proc/x"], "output is /proc/x, which cannot be written"),
    ],
)
def test_what_cannot_be_compared_is_said(
    dna_runs: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    says: str,
) -> None:
    outputs, ids = dna_runs
    arguments = [one.format(*ids) for one in given]
    assert run_command(COMMAND, [*arguments, f"paths.outputs={outputs}"]) == 2
    assert says.format(*ids) in capsys.readouterr().err
