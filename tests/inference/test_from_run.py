"""A run that starts from another: the same weights, known by their content, and none but sound."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file
from training import composed

from seqexp import run as run_module
from seqexp.checkpoint import store
from seqexp.checkpoint.identity import identity, identity_of_training
from seqexp.checkpoint.result import Result, Start
from seqexp.cli.arguments import prepared
from seqexp.config.check import check
from seqexp.errors import InputError, StoppedError
from seqexp.inference import from_run
from seqexp.inference.saved_model import SPEC, WEIGHTS, load
from seqexp.run import run

TINY = (
    *("dataset=text", "dataset.num_made=200", "model=lstm", "model.embedding_size=4"),
    *("model.hidden_size=4", "trainer.epochs=2", "trainer.batch_size=20", "decode=none"),
)


def checked(outputs: Path, *overrides: str) -> Any:
    return check(composed(outputs, *TINY, *overrides))


def train(outputs: Path, name: str, *overrides: str) -> Result:
    config = from_run.settled(checked(outputs, *overrides))
    start = Start({"model": "lstm", "dataset": "text"}, folder=outputs / "runs" / name)
    return run(config, start)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def earlier(outputs: Path) -> Result:
    """A finished run."""
    return train(outputs, "earlier")


@pytest.fixture
def key(earlier: Result) -> str:
    return f"model.from_run={earlier.run_id}"


def weights(outputs: Path, name: str) -> dict[str, torch.Tensor]:
    state, _ = store.newest(outputs / "runs" / name / "checkpoints")
    found: dict[str, torch.Tensor] = state["training"]["model"]
    return found


def test_a_run_goes_on_with_the_validation_that_the_other_ended_with(
    outputs: Path, earlier: Result, key: str
) -> None:
    found = train(outputs, "still", key, "optimizer.lr=0", "trainer.epochs=1")
    for split in ("valid", "test"):
        name = f"{split}/loss_nats" if split == "test" else "best/valid_loss_nats"
        assert found.metrics[name] == pytest.approx(earlier.metrics[name], rel=1e-6)
    tags = MlflowClient(f"sqlite:///{outputs}/mlflow.db").get_run(str(found.run_id)).data.tags
    assert tags["seqexp.from_run"] == earlier.run_id
    (folder,) = outputs.glob(f"mlartifacts/**/{found.run_id}/artifacts/model/data/model")
    assert load(folder).config["model"]["from_run"].startswith(earlier.run_id)


def test_the_identity_of_a_run_is_that_of_the_weights_it_starts_from(
    outputs: Path, earlier: Result, key: str
) -> None:
    plain, short = (checked(outputs, *given) for given in ((), (key[:-20],)))
    settled = from_run.settled(short)
    name = settled["model"]["from_run"]
    assert from_run.WHOLE.fullmatch(name)
    assert from_run.run_of(name) == earlier.run_id
    assert settled == from_run.settled(checked(outputs, key)) == from_run.settled(settled)
    assert identity(settled) != identity(plain)
    other = {**settled, "model": {**settled["model"], "from_run": name[:-1] + "x"}}
    assert identity_of_training(settled) != identity_of_training(other)


def test_latest_is_a_run_before_anything_starts(outputs: Path, earlier: Result) -> None:
    given = ["model=lstm", "model.from_run=latest", f"paths.outputs={outputs}"]
    found = [item for item in prepared(given) if "from_run" in item]
    client = MlflowClient(f"sqlite:///{outputs}/mlflow.db")
    newest = client.search_runs(["1"], "attributes.status = 'FINISHED'", max_results=1)[0]
    assert [item.partition("=")[2] for item in found] == [newest.info.run_id]


def test_a_sweep_finds_the_latest_run_and_counted_words_leave_it_out(
    outputs: Path, earlier: Result
) -> None:
    """In a process of its own: Hydra looks for plugins once, also where it finds a run."""
    words = [item for item in TINY if item.startswith("dataset")]
    sweep = ["-m", *words, "model=lstm,ngrams", "model.from_run=latest", "dry_run=true"]
    command = [sys.executable, "-m", "seqexp", *sweep, f"paths.outputs={outputs}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "model=ngrams" in done.stdout and "2 runs, 0 done" in done.stdout


def test_a_resumed_run_has_the_same_bits_and_reads_no_other_run(
    outputs: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(outputs, "whole", key)
    with pytest.raises(StoppedError):
        train(outputs, "cut", key, "trainer.max_minutes=1e-6")
    monkeypatch.setattr(run_module.from_run, "read", lambda config: pytest.fail("was read again"))
    train(outputs, "cut", key)
    found, expected = weights(outputs, "cut"), weights(outputs, "whole")
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_a_copy_is_read_without_the_store_and_only_with_its_content(
    outputs: Path, key: str, tmp_path: Path
) -> None:
    config = from_run.settled(checked(outputs, key))
    assert from_run.read(config) is not None
    elsewhere = {**config, "paths": {**config["paths"], "outputs": str(tmp_path)}}
    elsewhere["tracking"] = {**config["tracking"], "uri": f"sqlite:///{tmp_path}/none.db"}
    shutil.copytree(outputs / from_run.FOLDER, tmp_path / from_run.FOLDER)
    assert from_run.read(elsewhere) is not None
    (file,) = tmp_path.glob(f"{from_run.FOLDER}/*/{WEIGHTS}")
    tensors = {name: tensor + 1 for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    with pytest.raises(InputError, match=r"none.db: is not there"):
        from_run.read(elsewhere)


def _inf(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({name: tensor / 0 for name, tensor in tensors.items()}, folder / WEIGHTS)


def _cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def _size(folder: Path) -> None:
    spec = json.loads((folder / SPEC).read_text())
    (folder / SPEC).write_text(json.dumps({**spec, "num_outputs": 2**40}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [(_inf, "has inf or nan"), (_cut, "is damaged"), (_size, "num_outputs is 1099511627776")],
)
def test_weights_that_are_not_sound_are_refused(
    change: Any, fault: str, outputs: Path, key: str, tmp_path: Path
) -> None:
    config = from_run.settled(checked(outputs, key))
    name = config["model"]["from_run"]
    from_run.read(config)
    folder = tmp_path / "changed"
    shutil.copytree(outputs / from_run.FOLDER / name, folder)
    change(folder)
    whole = f"{from_run.run_of(name)}@{from_run.digest_of(folder)}"
    folder.rename(tmp_path / whole)
    (tmp_path / from_run.FOLDER).mkdir()
    (tmp_path / whole).rename(tmp_path / from_run.FOLDER / whole)
    changed = {**config, "model": {**config["model"], "from_run": whole}}
    changed["paths"] = {**config["paths"], "outputs": str(tmp_path)}
    with pytest.raises(InputError, match=fault):
        from_run.read(changed)


def test_runs_that_are_not_there_or_others_are_refused(outputs: Path, key: str) -> None:
    for given, fault in (
        ("model.from_run=latest", "give the id of a run"),
        ("model.from_run=ffff", "no run in sqlite.* begins so"),
        (f"{key}@0123456789abcdef", "has other weights now: the digest of its model is"),
    ):
        with pytest.raises(InputError, match=fault):
            from_run.settled(checked(outputs, given))
    config = from_run.settled(checked(outputs, key))
    foreign = {**config, "model": {**config["model"], "from_run": "../../elsewhere@0"}}
    with pytest.raises(InputError, match="expected is the name of a run, ID@DIGEST"):
        from_run.read(foreign)
    with pytest.raises(InputError, match="mlflow.db: is not there"):
        from_run.settled(checked(outputs / "none", key))
