"""The mean of a sweep's runs: in its table, on its page and in the parent's metrics."""

import csv
import io
from pathlib import Path

import pytest
from conftest import Command
from mlflow import MlflowClient

from seqexp.inference import ensemble
from seqexp.inference.ensemble import comparable, mean, metrics_of


def test_runs_of_several_models_and_vocabularies_have_a_mean(
    seqexp: Command, tmp_path: Path
) -> None:
    # other lengths and vocabularies encode the same texts otherwise
    texts = [(f"word{n} {'good' if n % 2 else 'bad'} end{n % 7}", n % 2) for n in range(120)]
    lines = ["text,label", *(f"{text},{label}" for text, label in texts)]
    (tmp_path / "texts.csv").write_text("\n".join(lines))
    done = seqexp(
        *("-m", "dataset=text", "dataset.path=texts.csv", "dataset.seed=0", "seeds=2"),
        *("model=lstm,rnn", "dataset.max_tokens=20,40", "trainer.epochs=1"),
        *("model.hidden_size=4", "model.embedding_size=4"),
    )
    assert done.returncode == 0, done.stderr
    assert "ensemble of 8 runs, equal weights: test/accuracy" in done.stdout
    assert "ensemble of 8 runs, weights by validation: test/accuracy" in done.stdout
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "text"]
    (parent,) = [
        run
        for run in client.search_runs([experiment.experiment_id])
        if "mlflow.parentRunId" not in run.data.tags
    ]
    files = sorted(tmp_path.glob(f"outputs/sweeps/*/*/{ensemble.FILE}"))
    runs = [ensemble.read(file) for file in files]
    assert len(runs) == 8
    assert "ensemble" in parent.data.tags["mlflow.note.content"]
    parts = [comparable(run.spec, run.test.logits) for run in runs]
    by_hand = metrics_of(runs[0].spec, mean(parts, [1 / 8] * 8), runs[0].test.targets)
    assert f"equal weights: test/accuracy {by_hand['accuracy']:.4g}" in done.stdout
    assert 0 <= parent.data.metrics["ensemble/accuracy"] <= 1
    (tmp_path / "new.csv").write_text("text\nword1 good end3\nword2 bad end0\n")
    asked = ("predict", f"sweep={parent.info.run_id}", "input=new.csv")
    tables = [
        list(csv.DictReader(io.StringIO(done.stdout)))
        for done in (seqexp(*asked), seqexp(*asked, "weights=validation"))
    ]
    for table in tables:
        assert [float(row["0"]) + float(row["1"]) for row in table] == pytest.approx([1, 1], 1e-4)
    assert tables[0] != tables[1]
    (tmp_path / "empty.csv").write_text("text\n")
    none = seqexp("predict", f"sweep={parent.info.run_id}", "input=empty.csv")
    assert none.returncode == 2
    assert "holds no record" in none.stderr
    assert not none.stdout


def test_runs_of_other_test_sequences_have_none_and_it_is_said(
    seqexp: Command, tmp_path: Path
) -> None:
    done = seqexp(
        *("-m", "seed=0,1", "trainer=smoke", "dataset.num_train=50", "dataset.num_test=50"),
        "interpret=none",
    )
    assert done.returncode == 0, done.stderr
    assert "no ensemble of the runs: seed=0 and seed=1 were tested on different" in done.stdout
