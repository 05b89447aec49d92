"""`predict calibrate=true strands=both`: what the run has kept is what is used."""

import csv
import io
import json
import math
from pathlib import Path

import mlflow.pyfunc
import pytest
from training import train

from seqexp.cli.subcommand import run_command

TEXTS = ["TTCTAATATGCGGAAGGAAGGAAGGAAGGAAGGCATATAC", "ACGTACGTACGTACGTTCGTACGTACGTACGTACGTACGA"]

QUICK = ("dataset.num_train=40", "dataset.num_test=20", "trainer.epochs=1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Outputs and ids of two runs with validation, and of one without."""
    outputs = tmp_path_factory.mktemp("outputs")
    given = [("dataset.num_valid=60", f"seed={seed}") for seed in (0, 1)]
    results = [
        train(outputs, *QUICK, *one)
        for one in [*given, ("dataset.num_valid=0", "trainer.test_weights=last")]
    ]
    return outputs, [str(result.run_id) for result in results]


def table(outputs: Path, capsys: pytest.CaptureFixture[str], *given: str) -> list[float]:
    (outputs / "in.txt").write_text("\n".join(TEXTS) + "\n")
    words = [f"input={outputs}/in.txt", f"paths.outputs={outputs}", *given]
    assert run_command("predict", words) == 0, capsys.readouterr().err
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    return [math.log(float(row["motif"]) / float(row["background"])) for row in rows]


def temperature_of(outputs: Path, run_id: str) -> float:
    folder = outputs / "mlartifacts" / run_id / "artifacts/model/data/model"
    return float(json.loads((folder / "temperature.json").read_text())["temperature"])


def result_of(outputs: Path, run_id: str) -> tuple[Path, dict[str, float]]:
    for file in outputs.glob("runs/*/result.json"):
        found = json.loads(file.read_text())
        if found["run_id"] == run_id:
            return file.parent, found["metrics"]
    raise AssertionError(run_id)


def test_the_temperature_is_with_the_run_and_is_used(
    runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, (first, *_) = runs
    value = temperature_of(outputs, first)
    folder, metrics = result_of(outputs, first)
    assert metrics["calibration/temperature"] == value
    assert {"test/ece", "test/ece_calibrated"} <= set(metrics)
    kept = folder / "predictions.tsv"
    artifact = outputs / "mlartifacts" / first / "artifacts/predictions.tsv"
    assert kept.read_bytes() == artifact.read_bytes()
    assert len(kept.read_text().splitlines()) == 41  # 20 of each class
    plain, calibrated = (
        table(outputs, capsys, f"run={first}", *c) for c in ((), ("calibrate=true",))
    )
    assert calibrated == pytest.approx([one / value for one in plain], rel=1e-3, abs=1e-4)


def test_each_run_of_a_mean_has_its_own(
    runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, (first, second, without) = runs
    alone = [table(outputs, capsys, f"run={one}", "calibrate=true") for one in (first, second)]
    together = table(outputs, capsys, f"runs={first},{second}", "calibrate=true")
    assert together == pytest.approx(
        [(a + b) / 2 for a, b in zip(*alone, strict=True)], rel=1e-3, abs=1e-4
    )
    given = [f"runs={first},{without}", f"input={outputs}/in.txt", f"paths.outputs={outputs}"]
    assert run_command("predict", [*given, "calibrate=true"]) == 2
    said = capsys.readouterr().err
    assert f"run {without} has no temperature: there is no validation split" in said


def test_the_served_model_says_the_same(
    runs: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, (first, *_) = runs
    model = mlflow.pyfunc.load_model(str(outputs / "mlartifacts" / first / "artifacts/model"))
    params = {"calibrate": True, "strands": "both"}
    rows = model.predict(TEXTS, params=params)
    served = [math.log(b / a) for a, b in zip(rows["background"], rows["motif"], strict=True)]
    ours = table(outputs, capsys, f"run={first}", "calibrate=true", "strands=both")
    assert served == pytest.approx(ours, rel=1e-3, abs=1e-4)
    assert ours != pytest.approx(table(outputs, capsys, f"run={first}"), rel=1e-3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("calibrate=yes",), "calibrate"),
        (("strands=three",), "strands"),
        (("what=attention", "calibrate=true", "output=a.npz"), "calibrate is true, which is for"),
    ],
)
def test_wrong_words_end_with_status_2(
    runs: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
    says: str,
) -> None:
    outputs, (first, *_) = runs
    words = [f"run={first}", "input=nothing.txt", f"paths.outputs={outputs}", *given]
    assert run_command("predict", words) == 2
    assert says in capsys.readouterr().err
