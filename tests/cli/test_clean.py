"""`python -m seqexp clean`: only what is of no run of the store goes."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from training import train

from seqexp.cli.subcommand import run_command

SMALL = ("dataset.num_train=20", "dataset.num_valid=20", "dataset.num_test=20")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Outputs with three runs."""
    outputs = tmp_path_factory.mktemp("outputs")
    made = [train(outputs, *SMALL, f"seed={seed}") for seed in range(3)]
    return outputs, [str(result.run_id) for result in made]


def folders(outputs: Path) -> dict[str, Path]:
    """Run -> its folder."""
    notes = outputs.glob("runs/*/tracking/run.json")
    return {json.loads(note.read_text())["run_id"]: note.parent.parent for note in notes}


def test_what_the_store_has_not_goes_and_all_else_stays(
    trained: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, (kept, deleted, undelivered) = trained
    given = [f"paths.outputs={outputs}"]
    assert run_command("clean", given) == 0
    assert "nothing is to be cleaned" in capsys.readouterr().out
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    client.delete_run(deleted)
    client.delete_run(undelivered)
    own = folders(outputs)
    (own[undelivered] / "tracking" / "delivered").write_text("1\n")
    (outputs / "mlartifacts" / ("a" * 32)).mkdir()
    (outputs / "mlartifacts" / "mine").mkdir()
    (outputs / "data").mkdir()
    (outputs / "runs" / "link").symlink_to(own[kept])
    other = outputs / "runs" / "of-another-store"
    (other / "tracking").mkdir(parents=True)
    note = {"uri": "http://elsewhere:5000", "token": "t", "run_id": "b" * 32}
    (other / "tracking" / "run.json").write_text(json.dumps(note))

    before = {*outputs.rglob("*")}
    assert run_command("clean", given) == 0  # nobody is asked: it is no terminal
    said = capsys.readouterr().out
    assert "nothing is deleted; with yes=true it is" in said and {*outputs.rglob("*")} == before
    assert f"{own[deleted]}" in said and "its run is deleted" in said

    assert run_command("clean", [*given, "yes=true"]) == 0
    assert "6 folders are deleted" in capsys.readouterr().out
    gone = [own[deleted], *(outputs / "mlartifacts" / name for name in (deleted, "a" * 32))]
    assert not any(path.exists() for path in gone)
    assert not (outputs / "mlartifacts" / undelivered).exists()
    stays = [own[kept], own[undelivered], other, outputs / "mlartifacts" / kept]
    stays += [outputs / "mlartifacts" / "mine", outputs / "data", outputs / "mlflow.db"]
    assert all(path.exists() for path in stays)
    models = [path.name for path in (outputs / "mlartifacts" / "models").iterdir()]
    assert models == [client.get_run(kept).outputs.model_outputs[0].model_id]
    assert models == [path.name for path in (outputs / "mlmodels").iterdir()]

    # a version of a registered model outlives its run
    client.create_registered_model("mine")
    client.create_model_version("mine", f"file://{outputs}/mlartifacts/models/{models[0]}", kept)
    client.delete_run(kept)
    assert run_command("clean", [*given, "yes=true"]) == 0
    assert (outputs / "mlartifacts" / "models" / models[0]).exists()
    assert (outputs / "mlartifacts" / kept).exists() and not own[kept].exists()


def test_a_folder_is_cleaned_by_its_own_store_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"tracking.uri=sqlite:///{tmp_path}/other.db", f"paths.outputs={tmp_path}"]
    assert run_command("clean", given) == 2
    assert "tracking.uri: leave it out" in capsys.readouterr().err
    assert run_command("clean", [f"paths.outputs={tmp_path}", "yes=true"]) == 2
    assert "is not there, so no run is known" in capsys.readouterr().err
