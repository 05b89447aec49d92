"""`python -m seqexp reproduce`: equal runs are said to be, others not; a stored config is data."""

import json
import logging
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file

from seqexp.cli.reproduce import named_files, rebuilt, tell_files
from seqexp.cli.store_location import Place, place
from seqexp.cli.subcommand import run_command
from seqexp.errors import InputError

MOTIF = "seqexp.dataset.motif.Motif"

COMMAND = "reproduce"


def reproduce(outputs: Path, run_id: str, *arguments: str) -> int:
    return run_command(COMMAND, [f"run={run_id}", f"paths.outputs={outputs}", *arguments])


def files_of(outputs: Path, run_id: str) -> Path:
    return outputs / "mlartifacts" / run_id / "artifacts"


@pytest.fixture
def stored(dna_runs: tuple[Path, list[str]]) -> dict[str, Any]:
    """The config of a run."""
    outputs, ids = dna_runs
    return dict(json.loads((files_of(outputs, ids[0]) / "config.json").read_text()))


def test_a_run_comes_out_the_same_and_what_was_changed_is_named(
    dna_runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = dna_runs
    run_id = ids[3]
    assert reproduce(outputs, run_id) == 0
    shown = capsys.readouterr().out
    assert "bit-equal: " in shown and "and the weights of the model" in shown
    assert shown.count("the same") == 5 and "DIFFERENT" not in shown
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    (again,) = client.search_runs(["1"], f"tags.`seqexp.reproduces` = '{run_id}'")
    assert again.info.status == "FINISHED" and again.info.run_id != run_id

    # one bit of a weight, and one of a loss, in what is stored
    file = files_of(outputs, run_id) / "model/data/model/weights.safetensors"
    weights = load_file(file)
    name = next(iter(weights))
    weights[name].view(torch.int32).flatten()[0] ^= 1
    save_file(weights, file)
    assert reproduce(outputs, run_id) == 1
    assert f"the first is\n  weights of {name} are not the same" in capsys.readouterr().out
    with sqlite3.connect(outputs / "mlflow.db") as database:
        where = "run_uuid = ? and key = 'valid/loss_nats' and step = 2"
        database.execute(f"UPDATE metrics SET value = value + 1e-15 WHERE {where}", (run_id,))
        database.execute("UPDATE tags SET value = 'x' WHERE key = 'seqexp.data_digest'")
    database.close()
    assert reproduce(outputs, run_id) == 1
    shown = capsys.readouterr().out
    assert "the first is\n  valid/loss_nats at step 2 was " in shown
    assert "data    DIFFERENT  was x, is " in shown


def test_a_run_that_has_not_finished_is_refused(
    dna_runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = dna_runs
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    for status in ("KILLED", "FINISHED"):
        client.set_terminated(ids[1], status)
        if status == "KILLED":
            assert reproduce(outputs, ids[1]) == 2
            assert "which is KILLED; give one that has finished" in capsys.readouterr().err


# --- a stored config is data ------------------------------------------------------------------


def here(folder: Path) -> Place:
    uri, artifacts = f"sqlite:///{folder}/mlflow.db", str(folder / "mlartifacts")
    target = "seqexp.tracking.mlflow.MlflowTracker"
    return Place(folder, folder, {"_target_": target, "uri": uri, "artifacts": artifacts})


def test_a_stored_config_does_not_say_whom_to_trust(stored: dict[str, Any], tmp_path: Path) -> None:
    config = {**stored, "trusted_packages": ["shutil"]}
    with pytest.raises(InputError, match="trusted_packages names shutil, whose code would run"):
        rebuilt(config, "abc", here(tmp_path), ())
    assert rebuilt(config, "abc", here(tmp_path), ("shutil",))["trusted_packages"] == ["shutil"]


@pytest.mark.parametrize(
    ("group", "node"),
    [
        ("model", {"_target_": "os.system", "command": "true"}),
        ("decode", {"_target_": "seqexp.sweep.manifest.write_whole", "file": "a", "content": "b"}),
        ("decode", {"_target_": "seqexp.decode.sample.draw"}),  # a function
        ("interpret", {"_target_": "seqexp.config.check.get_object", "path": "antigravity"}),
        ("model", {"_target_": "seqexp.model.cnn1d.functional.relu"}),  # of a module it imports
        ("model", {"_target_": "seqexp.model.cnn1d.TaskSpec"}),  # defined elsewhere
        ("dataset", {"_target_": "seqexp.dataset.motif.Motif", "motif": {"_target_": "os.abort"}}),
        (
            "dataset",
            {"_target_": "seqexp.dataset.motif.Motif", "motif": [{"_target_": "os.abort"}]},
        ),
        ("optimizer", {"_target_": "torch.optim.adam.torch.load", "f": "x"}),
        ("extra", {"_target_": "seqexp.model.cnn1d.CNN1D"}),
    ],
)
def test_a_stored_config_can_name_no_other_code(
    stored: dict[str, Any], tmp_path: Path, group: str, node: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="_target_ is '.*'; allowed are "):
        rebuilt({**stored, group: node}, "abc", here(tmp_path), ())


def test_what_looks_like_an_interpolation_is_a_text(
    stored: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "told")
    config = {**stored, "experiment_name": "${oc.env:SECRET}"}
    assert rebuilt(config, "abc", here(tmp_path), ())["experiment_name"] == "${oc.env:SECRET}"


def test_files_go_to_the_places_of_this_machine(stored: dict[str, Any], tmp_path: Path) -> None:
    imdb = {"_target_": "seqexp.dataset.imdb.IMDB", "folder": "/etc", "cache": "/home/a/.ssh"}
    elsewhere = {"tracking": {"_target_": "os.system"}, "paths": {"outputs": "/etc"}}
    config = rebuilt({**stored, "dataset": imdb, **elsewhere}, "abc", here(tmp_path), ())
    assert config["dataset"]["folder"] == str(tmp_path)
    assert config["dataset"]["cache"] == str(tmp_path / "cache")
    assert "/etc" not in json.dumps(config) and "/root" not in json.dumps(config)


# --- files that a stored config names ---------------------------------------------------------


def test_files_that_a_config_names_are_told_before_they_are_read_and_asked_for(
    stored: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("x")
    dataset = {
        **{"path": str(secret), "folder": str(tmp_path), "text": "no/file", "odd": "a\0b"},
        "parts": [{"labels": str(tmp_path)}, "~", "", "x" * 10_000],
    }
    config = {**stored, "dataset": dataset, "interpret": {"database": str(secret)}}
    named = list(named_files(config))
    assert named == [
        ("dataset.path", str(secret)),
        ("dataset.parts[0].labels", str(tmp_path)),
        ("dataset.parts[1]", str(Path("~").expanduser())),
        ("interpret.database", str(secret)),
    ]
    ours = here(tmp_path)
    with caplog.at_level(logging.INFO, "seqexp"):
        tell_files(config, "abc", ours)
    assert f"dataset.path: {secret}" in caplog.text
    theirs = replace(ours, is_named=True)
    with pytest.raises(InputError, match=f"add files=read\n  dataset.path: {secret}"):
        tell_files(config, "abc", theirs)
    tell_files(config, "abc", theirs, "read")
    tell_files(stored, "abc", theirs)


def test_a_store_that_is_named_by_its_address_may_be_anothers(tmp_path: Path) -> None:
    assert place({"tracking.uri": f"sqlite:///{tmp_path}/mlflow.db"}).is_named
    assert not place({"paths.outputs": str(tmp_path)}).is_named
    assert not place({}).is_named
