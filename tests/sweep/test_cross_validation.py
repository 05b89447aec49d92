"""Folds as a sweep: what is pooled, what is one point, and that a kill changes nothing."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command
from mlflow import MlflowClient
from safetensors import safe_open
from stopping import stopped

from seqexp.inference import ensemble
from seqexp.inference.ensemble import Part, Scores, Split, comparable, metrics_of, pooled_metrics
from seqexp.spec import NO_SYMBOLS, Output, TaskSpec
from seqexp.sweep import pooled
from seqexp.sweep.ensemble import ensembles, sentences
from seqexp.sweep.manifest import Entry, Manifest
from seqexp.sweep.statistics import paired
from seqexp.sweep.table import points_of, rows_of_points, table_text

CLASSES = TaskSpec(NO_SYMBOLS, 2, Output.SEQUENCE_CLASS, ("a", "b"))

ARGUMENTS = (
    *("-m", "dataset=fasta", "dataset.table=table.csv", "dataset.folds=3"),
    *("dataset.fold=range(3)", "interpret=none", "trainer.epochs=30", "trainer.num_threads=1"),
    *("model.num_filters=2", "model.filter_width=5", "trainer.checkpoint.every_minutes=null"),
    "trainer.checkpoint.every_steps=4",
)


def write_table(folder: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["sequence,label"]
    for index in range(46):
        letters = "".join(random.choice(list("ACGT"), 30))
        lines.append(f"{letters[:10]}GGAAGT{letters[10:]},1" if index % 2 else f"{letters},0")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


def left(folder: Path) -> dict[str, Any]:
    """Of each job, its predictions, its weights, and its metrics that are no times."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("sweeps/*/*/result.json")):
        metrics = json.loads(file.read_text())["metrics"]
        kept = {k: v for k, v in metrics.items() if not k.startswith(("time/", "speed/"))}
        (weights,) = file.parent.glob("checkpoints/*.safetensors")
        with safe_open(weights, "pt") as opened:
            tensors = {
                name: opened.get_tensor(name).numpy().tobytes()
                for name in opened.keys()  # noqa: SIM118
                if name.startswith("/training/")
            }
        assert tensors
        found[file.parent.name] = (file.parent / ensemble.FILE).read_bytes(), tensors, kept
    return found


@pytest.mark.slow
def test_cross_validation_that_was_killed_ends_byte_equal_and_its_folds_are_pooled(
    seqexp: Command, tmp_path: Path
) -> None:
    write_table(tmp_path)
    folders = [tmp_path / name for name in ("whole", "killed")]
    whole, killed = ((*ARGUMENTS, f"paths.outputs={folder}") for folder in folders)
    done = seqexp(*whole)
    assert done.returncode == 0, done.stderr
    assert stopped(tmp_path, killed, signal.SIGKILL, "epoch  9/30", nth=2) == -9
    again = seqexp(*killed)
    assert again.returncode == 0, again.stderr
    assert "1 finished before" in again.stdout
    results = [left(folder) for folder in folders]
    assert len(results[0]) == 3 and results[0] == results[1]

    tests = [ensemble.read(one).test for one in folders[0].glob(f"sweeps/*/*/{ensemble.FILE}")]
    assert sorted(len(one.targets) for one in tests) == [15, 15, 16]
    right = sum(int((one.logits.argmax(1) == one.targets[:, 0]).sum()) for one in tests)
    for folder, said in zip(folders, (done.stdout, again.stdout), strict=True):
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        (experiment,) = [e for e in client.search_experiments() if e.name == "fasta"]
        found = client.search_runs([experiment.experiment_id])
        (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
        assert parent.data.metrics["pooled/accuracy"] == pytest.approx(right / 46)
        assert 0 <= parent.data.metrics["pooled/auroc"] <= 1
        assert "| all folds | 3 " in said and "pooled/auroc" in said
        assert "no ensemble" not in said


# --- by hand --------------------------------------------------------------------------------------


def left_by_hand(folder: Path, folds: int = 2, kept: int = 2) -> Manifest:
    """A sweep of two models and two folds, whose runs have kept predictions."""
    jobs = {}
    for model in ("lstm", "rnn"):
        for fold in range(folds):
            name = f"{len(jobs):012x}"
            given = [f"model={model}", f"dataset.fold={fold}"]
            value = 0.1 * fold + (model == "rnn") * (0.02 + 0.01 * fold)
            metrics = {"best/valid_loss_nats": value, "test/accuracy": 0.5, "test/auroc": 0.5}
            jobs[name] = Entry("f", given, 0, "FINISHED", metrics=metrics, fold=[fold, folds])
            (folder / name).mkdir()
            if fold < kept:
                logits = torch.randn(
                    3 + fold, 2, generator=torch.Generator().manual_seed(len(jobs))
                )
                targets = (torch.arange(3 + fold) % 2)[:, None]
                test = Split(f"fold {fold}", logits, targets, torch.arange(3 + fold))
                ensemble.write(folder / name / ensemble.FILE, Scores(CLASSES, test))
    swept = ["dataset.fold", "model"]
    return Manifest(folder, swept, "best/valid_loss_nats", jobs=jobs)


def folders_of(manifest: Manifest) -> dict[str, Path | None]:
    return {name: manifest.folder and manifest.folder / name for name in manifest.jobs}


def test_pooled_scores_are_of_all_predictions_together(tmp_path: Path) -> None:
    manifest = left_by_hand(tmp_path)
    found = pooled.pooled(manifest, folders_of(manifest))
    scores = [ensemble.read(tmp_path / f"{job:012x}" / ensemble.FILE) for job in (0, 1)]
    margins = torch.cat([comparable(CLASSES, one.test.logits) for one in scores])
    targets = torch.cat([one.test.targets for one in scores])
    by_hand = metrics_of(CLASSES, margins, targets)
    assert found["model=lstm"]["0"] == {
        f"pooled/{name}": pytest.approx(value) for name, value in by_hand.items()
    }
    manifest.pooled = found
    (row,) = [row for row in rows_of_points(manifest) if row["point"] == "model=lstm"]
    assert row["pooled/accuracy"] == pytest.approx(by_hand["accuracy"])
    assert "pooled/accuracy" in table_text(manifest)
    assert pooled.of_point(found, "model=lstm")["pooled/auroc"] == pytest.approx(by_hand["auroc"])
    assert pooled.rows(found)[0]["point"] == "model=lstm"


def test_a_fold_that_lacks_is_said_and_nothing_is_pooled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="seqexp")
    manifest = left_by_hand(tmp_path, kept=1)
    [*manifest.jobs.values()][-1].state = "FAILED"
    assert pooled.pooled(manifest, folders_of(manifest)) == {}
    assert "no pooled scores of model=lstm, seed 0: the run of fold 1 has kept no" in caplog.text
    assert "model=rnn, seed 0: no run that has finished tests on fold 1" in caplog.text


def test_an_ensemble_of_folds_is_of_the_runs_of_each_fold(tmp_path: Path) -> None:
    manifest = left_by_hand(tmp_path)
    (found,) = ensembles(manifest)
    scores = [ensemble.read(tmp_path / f"{job:012x}" / ensemble.FILE) for job in range(4)]
    margins = [comparable(CLASSES, one.test.logits) for one in scores]
    both = torch.cat([margins[0] + margins[2], margins[1] + margins[3]]) / 2
    targets = torch.cat([one.test.targets for one in scores[:2]])
    assert found.metrics == pytest.approx(metrics_of(CLASSES, both, targets))
    assert [*found.weights.values()] == [0.25] * 4 and found.folds == 2
    # a sweep that is sorted by a metric of the test says that one of its ensemble
    assert "out of fold, equal weights: test/accuracy" in sentences([found])
    manifest.metric = "test/auroc"
    assert "out of fold, equal weights: test/auroc" in sentences(ensembles(manifest))


def test_folds_are_repeats_of_a_point_and_compared_fold_by_fold(tmp_path: Path) -> None:
    points = points_of(left_by_hand(tmp_path))
    assert [point.label for point in points] == ["model=lstm", "model=rnn"]
    assert [point.folds for point in points] == [2, 2]
    assert [*points[0].runs] == [(0, 0), (0, 1)]


def test_intervals_over_folds_count_what_training_sets_share() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    alone, folds = paired(values), paired(values, folds=5)
    assert alone is not None and folds is not None and alone.high and folds.high
    # variance of the mean: 1/5 + 1/4 of the differences' instead of 1/5
    ratio = (folds.high - folds.mean) / (alone.high - alone.mean)
    assert ratio == pytest.approx(math.sqrt((1 / 5 + 1 / 4) / (1 / 5)))
    assert folds.p is not None and alone.p is not None and folds.p > alone.p


def test_next_symbols_of_other_vocabularies_are_pooled_by_their_sums() -> None:
    parts = []
    for size in (3, 5):
        names = tuple(map(str, range(size)))
        spec = TaskSpec(NO_SYMBOLS, size, Output.NEXT_TOKEN, names)
        parts.append(Part(spec, torch.zeros(size, size), torch.ones(size, 1, dtype=torch.int64)))
    found = pooled_metrics(parts)
    assert found["loss_nats"] == pytest.approx((3 * math.log(3) + 5 * math.log(5)) / 8)
