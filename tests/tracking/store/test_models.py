"""The model of a run in MLflow 3: its page, its files, its wheel, and the registry."""

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient, pyfunc
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from training import train

from seqexp.config.check import find_faults
from seqexp.errors import InputError
from seqexp.tracking.store import models
from seqexp.tracking.store.models import log_model, refuse_without_registry, register

SMALL = ("dataset.num_train=60", "dataset.num_valid=40", "dataset.num_test=40")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def runs(outputs: Path) -> list[str]:
    """Two runs that have registered their models, the first with another learning rate."""
    given = ("tracking.register=motifs", "tracking.system_metrics=true")
    rates = ("optimizer.lr=0", "optimizer.lr=0.05")
    return [str(train(outputs, *SMALL, *given, rate).run_id) for rate in rates]


@pytest.fixture(scope="module")
def client(outputs: Path) -> MlflowClient:
    uri = f"sqlite:///{outputs}/mlflow.db"
    return MlflowClient(uri, uri)


def test_a_models_page_has_the_metrics_of_its_test_with_their_data(
    client: MlflowClient, runs: list[str]
) -> None:
    run = client.get_run(runs[1])
    (found,) = run.outputs.model_outputs
    model = client.get_logged_model(found.model_id)
    assert model.status == "READY" and model.source_run_id == runs[1]
    linked = {one.key: one.value for one in model.metrics}
    assert linked["test/accuracy"] == run.data.metrics["test/accuracy"]
    assert "best/valid_loss_nats" in linked and "train/loss_nats" not in linked
    digests = {one.dataset_digest for one in model.metrics}
    assert digests == {run.data.tags["seqexp.data_digest"][:36]}
    assert model.params["model.num_filters"] == run.data.params["model.num_filters"]


def test_the_models_files_are_those_of_the_run_and_hold_no_pickle(
    client: MlflowClient, runs: list[str], outputs: Path
) -> None:
    model_id = client.get_run(runs[0]).outputs.model_outputs[0].model_id
    own = outputs / "mlartifacts" / "models" / model_id / "artifacts"
    of_run = outputs / "mlartifacts" / runs[0] / "artifacts" / "model"
    names = {path.relative_to(own) for path in own.rglob("*") if path.is_file()}
    assert names == {path.relative_to(of_run) for path in of_run.rglob("*") if path.is_file()}
    assert not {path.suffix for path in names} & {".pkl", ".pickle", ".pt", ".pth", ".bin"}
    for name in names - {Path("MLmodel")}:
        assert (own / name).samefile(of_run / name)
    assert Model.load(str(own / "MLmodel")).model_id == model_id
    assert Model.load(str(of_run / "MLmodel")).model_id is None
    weights = (outputs / "mlartifacts").rglob("weights.safetensors")
    assert {path.relative_to(outputs).parts[1] for path in weights} == set(runs)  # one a run
    listed = client.list_logged_model_artifacts(model_id)
    assert {"MLmodel", "data", "wheels"} <= {file.path for file in listed}
    assert pyfunc.load_model(str(own)).metadata.model_id == model_id


def test_a_models_files_outlive_those_of_its_run(tmp_path: Path) -> None:
    run_id = str(train(tmp_path, *SMALL).run_id)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (model,) = client.get_run(run_id).outputs.model_outputs
    repository = get_artifact_repository(client.get_logged_model(model.model_id).artifact_location)
    shutil.rmtree(tmp_path / "mlartifacts" / run_id)
    assert Path(repository.download_artifacts("data/model/weights.safetensors")).stat().st_size
    repository.delete_artifacts()  # as `mlflow gc` does
    assert not list((tmp_path / "mlmodels").rglob("*.safetensors"))


def test_the_wheel_and_an_example_travel_with_the_model(runs: list[str], outputs: Path) -> None:
    folders = [outputs / "mlartifacts" / run_id / "artifacts" / "model" for run_id in runs]
    wheels = [next(folder.glob("wheels/*.whl")) for folder in folders]
    assert wheels[0].samefile(wheels[1])  # one file for all models
    needed = (folders[0] / "requirements.txt").read_text().splitlines()
    assert f"wheels/{wheels[0].name}" in needed and "seqexp" not in needed
    model = Model.load(str(folders[0]))
    (text,) = json.loads((folders[0] / "input_example.json").read_text())
    assert set(text) <= set("ACGT") and model.metadata["example"] == text
    assert model.signature is not None and model.signature.inputs is not None


def test_a_new_model_replaces_no_wheel_that_others_link_to(
    client: MlflowClient, runs: list[str], outputs: Path, tmp_path: Path
) -> None:
    folder = outputs / "mlartifacts" / runs[0] / "artifacts" / "model"
    (wheel,) = folder.glob("wheels/*.whl")
    (other,) = (outputs / "mlartifacts" / runs[1]).glob("**/wheels/*.whl")
    before, outputs_before = other.read_bytes(), client.get_run(runs[0]).outputs.model_outputs
    again = tmp_path / "model"
    (again / "wheels").mkdir(parents=True)
    (again / "MLmodel").write_bytes((folder / "MLmodel").read_bytes())
    (again / "wheels" / wheel.name).write_bytes(b"of other code")
    log_model(client, runs[0], again)
    log_model(client, runs[0], again)  # as after a kill between sending and noting it
    assert wheel.read_bytes() == b"of other code" and other.read_bytes() == before
    assert client.get_run(runs[0]).outputs.model_outputs == outputs_before


def test_the_champion_is_the_best_by_the_optimized_metric(
    client: MlflowClient, runs: list[str]
) -> None:
    losses = [client.get_run(run_id).data.metrics["best/valid_loss_nats"] for run_id in runs]
    assert losses[0] > losses[1]
    version = client.get_model_version_by_alias("motifs", "champion")
    assert version.run_id == runs[1] and version.tags["seqexp.value"] == repr(losses[1])
    again = register(client, runs[0], "motifs")  # the worse one, which is registered already
    assert str(again) == (
        "version 1 of motifs; version 2 stays the champion by best/valid_loss_nats"
    )
    assert len(client.search_model_versions("name = 'motifs'")) == 2
    model_id = client.get_run(runs[0]).outputs.model_outputs[0].model_id
    noted = json.loads(client.get_logged_model(model_id).tags["mlflow.modelVersions"])
    assert noted == [{"name": "motifs", "version": "1"}]
    assert client.get_run(runs[1]).data.tags["seqexp.registered"] == "motifs"


def test_other_data_have_a_champion_of_their_own(client: MlflowClient, runs: list[str]) -> None:
    register(client, runs[1], "other")
    client.set_tag(runs[0], "seqexp.data_digest", "of other data")
    assert register(client, runs[0], "other").champion == "2"


def test_a_run_without_a_model_cannot_be_registered(client: MlflowClient) -> None:
    bare = client.create_run("1").info.run_id
    with pytest.raises(InputError, match=r"has kept no model to register \(tracking.log_model\)"):
        register(client, bare, "motifs")


def test_a_store_without_a_registry_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        def search_registered_models(self, max_results: int) -> None:
            raise models.MlflowException("no such table")

    with pytest.raises(InputError, match="register is 'm', but u keeps no registered models"):
        refuse_without_registry(Without(), "u", "m")


def test_system_metrics_are_curves_of_their_own(client: MlflowClient, runs: list[str]) -> None:
    metrics = client.get_run(runs[0]).data.metrics
    assert metrics["system/process_memory_megabytes"] > 50
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


@pytest.mark.parametrize(
    ("tracking", "told"),
    [
        ({"register": "a/b"}, "tracking.register is 'a/b'; give a name in one line"),
        ({"register": "x" * 251}, "tracking.register has 251 characters"),
        ({"register": "m", "log_model": False}, "tracking.register is 'm', but tracking.log_model"),
    ],
)
def test_a_name_that_cannot_be_registered_is_refused_before_training(
    outputs: Path, tracking: dict[str, object], told: str
) -> None:
    from training import composed

    from seqexp.config.check import check

    config = check(composed(outputs, *SMALL))
    (fault,) = find_faults({**config, "tracking": {**config["tracking"], **tracking}})
    assert fault.startswith(told)
