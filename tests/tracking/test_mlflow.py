"""What a run leaves in MLflow, and what a store that cannot be used says."""

import json
import multiprocessing
import random
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from config.test_check import CONF
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from seqexp import run as run_module
from seqexp.build import load, parts, prepare_training
from seqexp.checkpoint import provenance as facts
from seqexp.checkpoint.identity import fingerprint
from seqexp.checkpoint.result import Result, Start
from seqexp.config.check import check
from seqexp.errors import ConfigError, InputError, NonFiniteError
from seqexp.run import run
from seqexp.tracking.mlflow import MlflowTracker
from seqexp.tracking.none import NoTracker
from seqexp.tracking.server import ServerTracker
from seqexp.tracking.tracker import RunFacts, Tracker
from seqexp.trainer.loop import fit
from seqexp.utils import files

TINY = (
    "dataset.num_train=40",
    "dataset.num_valid=20",
    "dataset.num_test=30",
    "trainer.epochs=2",
    "trainer.log_every_steps=1",
    "model.num_filters=2",
    "interpret.every_epochs=1",
)


def config(outputs: Path, *overrides: str) -> dict[str, Any]:
    OmegaConf.register_new_resolver("absolute", lambda p: str(Path(p).absolute()), replace=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", [f"paths.outputs={outputs}", *TINY, *overrides])
    return check(composed)


def start(folder: Path | None = None) -> Start:
    choices = {"model": "cnn1d", "dataset": "motif"}
    return Start(choices=choices, overrides=("trainer.epochs=2",), folder=folder)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def client(outputs: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{outputs}/mlflow.db")


@pytest.fixture(scope="module")
def result(outputs: Path) -> Result:
    return run(config(outputs), start(outputs))


@pytest.fixture(scope="module")
def recorded(client: MlflowClient, result: Result) -> mlflow.entities.Run:
    return client.get_run(result.run_id)


def artifacts(client: MlflowClient, run_id: str, path: str = "") -> set[str]:
    found = set()
    for item in client.list_artifacts(run_id, path):
        found |= artifacts(client, run_id, item.path) if item.is_dir else {item.path}
    return found


def test_a_run_is_finished_and_named(recorded: Any, client: MlflowClient) -> None:
    assert recorded.info.status == "FINISHED"
    assert recorded.info.run_name == "cnn1d-motif epochs=2 seed0"
    assert client.get_experiment(recorded.info.experiment_id).name == "motif"


def test_params_hold_the_whole_config_the_choices_and_the_overrides(
    recorded: Any, outputs: Path
) -> None:
    params = recorded.data.params
    told = {k: v for k, v in config(outputs).items() if k not in facts.UNTOLD}
    expected = facts.flatten(told)
    assert expected.items() <= params.items()
    assert params["model"] == "cnn1d" and params["dataset"] == "motif"
    assert params["overrides"] == "trainer.epochs=2"
    assert params["model.num_filters"] == "2"
    assert params["optimizer.lr"] == "0.01"


def test_tags_say_what_data_code_and_versions_it_was(recorded: Any, outputs: Path) -> None:
    tags = recorded.data.tags
    assert tags["seqexp.fingerprint"] == fingerprint(config(outputs))
    assert len(tags["seqexp.data_digest"]) == 64
    assert tags["seqexp.torch"] == torch.__version__
    assert {"seqexp.numpy", "seqexp.mlflow", "seqexp.python", "seqexp.version"} <= set(tags)


def test_the_data_are_an_input_of_the_run(recorded: Any) -> None:
    (given,) = recorded.inputs.dataset_inputs
    assert given.dataset.name == "motif"
    assert given.dataset.digest == recorded.data.tags["seqexp.data_digest"][:36]


def test_every_point_of_every_curve_is_kept(recorded: Any, client: MlflowClient) -> None:
    def steps(name: str) -> list[int]:
        return [point.step for point in client.get_metric_history(recorded.info.run_id, name)]

    assert steps("valid/loss_nats") == [1, 2]
    assert steps("step/loss_nats") == [1, 2, 3, 4, 5, 6]  # 80 sequences in batches of 32
    assert steps("test/accuracy") == [0]
    expected = {
        "train/loss_nats",
        "valid/loss_nats",
        "test/loss_nats",
        "valid/accuracy",
        "test/accuracy",
        "grad/norm_mean",
        "grad/norm_max",
        "grad/clipped_fraction",
        "speed/sequences_per_second",
        "speed/tokens_per_second",
        "time/epoch_seconds",
        "model/parameters",
        "motif/correlation",
    }
    assert expected <= set(recorded.data.metrics)
    # 2 filters of 19 x 4 and a bias, a dense layer from 2 to 2
    assert recorded.data.metrics["model/parameters"] == 2 * (19 * 4 + 1) + 2 * 2 + 2


def test_no_metric_is_logged_that_the_list_of_metrics_lacks(recorded: Any) -> None:
    from seqexp.metrics import METRICS

    assert set(recorded.data.metrics) <= set(METRICS)


def test_artifacts_show_what_was_learned(recorded: Any, client: MlflowClient) -> None:
    found = artifacts(client, recorded.info.run_id)
    assert {
        "config.json",
        "filters/filters.png",
        "filters/forming.html",
        "filters/filters.json",
        "filters/pfm.json",
        "model/MLmodel",
        "model/data/model/weights.safetensors",
        "model/data/model/spec.json",
        "model/data/model/config.json",
    } <= found
    assert {name.split("+")[2] for name in found if name.startswith("images/")} == {"1", "2"}


def test_artifacts_lie_below_the_outputs_folder(recorded: Any, outputs: Path) -> None:
    assert recorded.info.artifact_uri.startswith((outputs / "mlartifacts").as_uri())


def test_the_model_is_loaded_from_the_run_alone_and_gives_the_same_logits(
    recorded: Any, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{outputs}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    loaded = mlflow.pyfunc.load_model(f"runs:/{recorded.info.run_id}/model")
    # the same training again, outside MLflow
    settings = config(outputs, "tracking=none")
    made = parts(settings)
    data = load(made)
    training = prepare_training(made, data, torch.device("cpu"))
    list(fit(training, data))
    training.model.eval()
    with torch.no_grad():
        logits, _ = training.model(data.test.tokens.long())
    again, _ = loaded._model_impl.saved.model(data.test.tokens.long())
    assert torch.equal(again, logits)
    letters = ["".join("-ACGT"[t] for t in row) for row in data.test.tokens.tolist()]
    probabilities = torch.tensor(loaded.predict(letters).to_numpy())
    torch.testing.assert_close(probabilities, torch.softmax(logits[:, 0].double(), dim=-1))
    assert loaded.metadata.signature is not None


def test_the_result_file_says_what_came_of_the_run(result: Result, outputs: Path) -> None:
    import json

    written = json.loads((outputs / files.RESULT).read_text())
    assert written["status"] == "FINISHED" and written["run_id"] == result.run_id
    assert written["metrics"]["test/accuracy"] == result.metrics["test/accuracy"]


# --- runs that do not finish ------------------------------------------------------------------


def test_a_failed_run_is_marked_and_keeps_its_metrics_and_traceback(
    outputs: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_id = interrupted_by(NonFiniteError("gradient of x is inf"), monkeypatch, outputs, tmp_path)
    failed = client.get_run(run_id)
    assert failed.info.status == "FAILED"
    assert failed.data.tags["seqexp.error"] == "NonFiniteError: gradient of x is inf"
    assert "traceback.txt" in artifacts(client, run_id)
    assert len(client.get_metric_history(run_id, "valid/loss_nats")) == 1


def test_an_interrupted_run_is_killed_and_keeps_its_metrics(
    outputs: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_id = interrupted_by(KeyboardInterrupt(), monkeypatch, outputs, tmp_path)
    assert client.get_run(run_id).info.status == "KILLED"
    assert len(client.get_metric_history(run_id, "valid/loss_nats")) == 1


def interrupted_by(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, outputs: Path, folder: Path
) -> str:
    """Run until the first epoch was reported; returns the run's id."""
    import json

    def one_epoch(*arguments: Any) -> Any:
        for report in fit(*arguments):
            yield report
            if report.kind == "epoch":
                raise error

    monkeypatch.setattr(run_module, "fit", one_epoch)
    with pytest.raises(type(error)):
        run(config(outputs), start(folder))
    written = json.loads((folder / files.RESULT).read_text())
    assert written["status"] == ("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
    return str(written["run_id"])


# --- stores that cannot be used ---------------------------------------------------------------


def begin(file: Path) -> None:
    MlflowTracker(f"sqlite:///{file}", str(file.parent / "artifacts")).start(RunFacts("x", "y"))


@pytest.mark.parametrize("content", [b"garbage", b"SQLite format 3\x00" + b"\x01" * 500])
def test_a_corrupt_database_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    with pytest.raises(InputError, match="mlflow.db: is not a sound MLflow database.*Move it away"):
        begin(file)
    assert file.read_bytes() == content


def test_a_damaged_database_of_mlflow_is_named(
    outputs: Path, result: Result, tmp_path: Path
) -> None:
    content = bytearray((outputs / "mlflow.db").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)  # the first page, with its header, is sound
    (tmp_path / "mlflow.db").write_bytes(content)
    with pytest.raises(InputError, match="mlflow.db: is not a sound MLflow database"):
        begin(tmp_path / "mlflow.db")


def test_the_database_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(InputError, match="not one of MLflow's .its tables: recipes"):
        begin(file)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db" / "x").mkdir(parents=True)
    with pytest.raises(InputError, match="which is no file"):
        begin(tmp_path / "mlflow.db")


@pytest.mark.parametrize(
    "overrides, message",
    [
        (["tracking.uri=file:./mlruns"], "tracking.uri is 'file:./mlruns'; give sqlite:////"),
        (["tracking=server"], "tracking.uri: has no value"),
        (["tracking=server", "tracking.uri=sqlite:////x.db"], "'sqlite:////x.db', no server's"),
        (["tracking=server", "tracking.uri=http://me:secret@host"], "holds a password for host"),
        (
            ["tracking=server", "tracking.uri=http://secret@host"],
            "holds a user or a token for host",
        ),
        ([f"experiment_name={'x' * 600}"], "of 600 characters; MLflow takes at most 500"),
        (["experiment_name=' '"], "experiment_name is ' '; give a name"),
        (["experiment_name='a\tb'"], "experiment_name is 'a\\tb'; give one line"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_config(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, *overrides)
    assert message in str(refused.value) and "secret" not in str(refused.value)


def test_a_deleted_experiment_is_said_to_be_deleted(tmp_path: Path) -> None:
    begin(tmp_path / "mlflow.db")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    client.delete_experiment(client.get_experiment_by_name("x").experiment_id)
    with pytest.raises(InputError, match="'x', an experiment that was deleted"):
        begin(tmp_path / "mlflow.db")


def _one_of_many(file: Path, index: int) -> None:
    tracker = MlflowTracker(f"sqlite:///{file}", str(file.parent / "artifacts"))
    tracker.start(RunFacts("together", f"run {index}"))
    for step in range(150):
        tracker.metrics({"x": float(step)}, step)
    tracker.finish("FINISHED")


def test_processes_that_open_a_new_database_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_one_of_many, args=(tmp_path / "mlflow.db", index))
        for index in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0] * 4
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("together").experiment_id])
    assert [found.info.status for found in runs] == ["FINISHED"] * 4
    for found in runs:
        assert len(client.get_metric_history(found.info.run_id, "x")) == 150


def test_all_trackers_do_what_the_protocol_says() -> None:
    calls = {name for name in vars(Tracker) if not name.startswith("_")}
    assert len(calls) > 8
    for tracker in (MlflowTracker, ServerTracker, NoTracker):
        assert calls <= {name for name in dir(tracker) if not name.startswith("_")}


# --- evidence ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evidence(outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run on FASTA, with a database of known motifs."""
    draw = random.Random(0).choices
    site, folder = "TGACGTCATTGC", tmp_path_factory.mktemp("fasta")
    rows = ["".join(draw("ACGT", k=20)) + site + "".join(draw("ACGT", k=20)) for _ in range(120)]
    positives = folder / "peaks.fa"
    positives.write_text("".join(f">{i}\n{row}\n" for i, row in enumerate(rows)))
    database = folder / "known.jaspar"
    known = {"site": site, **{f"other{i}": "".join(draw("ACGT", k=12)) for i in range(30)}}
    lines = []
    for name, letters in known.items():
        lines.append(f">{name} {name}")
        lines += [f"{a} [{' '.join('97' if b == a else '1' for b in letters)}]" for a in "ACGT"]
    database.write_text("\n".join(lines) + "\n")
    overrides = ("experiment=fasta", f"dataset.positives={positives}", "trainer.epochs=6")
    settings = ("trainer.starts=2", "optimizer.lr=0.02", f"interpret.database={database}")
    OmegaConf.register_new_resolver("absolute", lambda p: str(Path(p).absolute()), replace=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", [f"paths.outputs={outputs}", *overrides, *settings])
    return run(check(composed), start())


def test_a_run_on_fasta_leaves_its_evidence(client: MlflowClient, evidence: Result) -> None:
    assert evidence.run_id is not None
    kept = artifacts(client, evidence.run_id)
    assert {
        "report.html",
        "baselines.json",
        "where/sequences.png",
        "filters/matches.png",
        "filters/matches.json",
        "filters/motifs.meme",
        "filters/motifs.jaspar",
    } <= kept
    assert "filters/planted.png" not in kept  # nothing was
    for name in ("test/auroc", "test/auprc", "baseline/words_auroc", "baseline/matrix_auroc"):
        assert 0 <= evidence.metrics[name] <= 1
    assert evidence.metrics["baseline/matrix_auroc"] > 0.99  # the database has the site
    assert evidence.metrics["train/starts"] == 2


def test_the_table_of_matches_names_the_site(client: MlflowClient, evidence: Result) -> None:
    table = mlflow.artifacts.load_dict(
        f"{client.get_run(evidence.run_id).info.artifact_uri}/filters/matches.json"
    )
    targets = [row[table["columns"].index("target")] for row in table["data"]]
    assert targets[0] == "site"


def test_the_printed_table_has_the_metric_of_the_runs_first(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = MlflowTracker(uri, str(tmp_path / "artifacts"))
    params = {"optimized_metric": "test/accuracy"}
    tracker.start(RunFacts("experiment", "run", params, {}, folder=tmp_path / "run"))
    page = tracker.links("test/accuracy")["all runs"]
    tracker.finish("FINISHED")
    key = page.partition("viewStateShareKey=")[2]
    found = MlflowClient(uri).get_experiment_by_name("experiment")
    assert found is not None
    state = json.loads(found.tags[f"mlflow.sharedViewState.{key}"])
    assert state["selectedColumns"][0] == state["orderByKey"] == "metrics.`test/accuracy`"
    assert state["orderByAsc"] is False and "params.`seed`" in state["selectedColumns"]
    assert len(set(state["selectedColumns"])) == len(state["selectedColumns"])
