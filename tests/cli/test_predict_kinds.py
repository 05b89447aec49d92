"""Runs of every kind: what they keep, what `predict` says of a file, and that they come again."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from training import train

from seqexp.cli.subcommand import run_command

SMALL = ("dataset.num_train=30", "dataset.num_valid=10", "dataset.num_test=10")

KINDS = {
    "token_class": ("dataset=tagging", "dataset.num_made=40", "model=lstm"),
    "regression": (
        *("dataset=frames", "dataset.task=regression", "dataset.num_made=30", "model=cnn1d"),
        "interpret=filters",
    ),
    "multi_label": ("dataset=motif", "dataset.task=multi_label", *SMALL, "interpret=filters"),
    "written": (
        *("dataset=pairs", "dataset.num_made=40", "model=rnn", "model.attention=dot"),
        "decode=greedy",
    ),
}

INPUTS = {
    "token_class": ("a.txt", "the cat runs .\n"),
    "regression": ("a.csv", "left,right,noise\n1,2,3\n0,1,2\n"),
    "multi_label": ("a.fa", ">a\nGGAAGGAAGGAAGGAAGGAAGGAA\n"),
    "written": ("a.txt", "4 2\n"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Outputs, and the id of a run of each kind."""
    outputs = tmp_path_factory.mktemp("kinds")
    made = {kind: train(outputs, *given) for kind, given in KINDS.items()}
    return outputs, {kind: str(result.run_id) for kind, result in made.items()}


def artifacts(runs: tuple[Path, dict[str, str]], kind: str) -> Path:
    outputs, ids = runs
    return outputs / "mlartifacts" / ids[kind] / "artifacts"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_predicts_a_file(
    runs: tuple[Path, dict[str, str]],
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outputs, ids = runs
    name, content = INPUTS[kind]
    (tmp_path / name).write_text(content)
    given = [f"run={ids[kind]}", f"input={tmp_path}/{name}", f"paths.outputs={outputs}"]
    assert run_command("predict", given) == 0
    said = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(said.out))
    del row["name"]
    if kind == "token_class":
        assert list(row) == ["labels"] and len(row["labels"].split()) == 4
    elif kind == "written":
        assert list(row) == ["written"]
    else:
        assert all(float(value) == float(value) for value in row.values())
    status = run_command("predict", [*given, "per=token"])
    said = capsys.readouterr()
    if kind != "token_class":
        assert status == 2 and "per is token, but the model of this run" in said.err
        return
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [one["token"] for one in rows] == ["the", "cat", "runs", "."]
    assert " ".join(one["label"] for one in rows) == row["labels"]


def test_attention_is_kept_as_arrays_of_each_record_on_request(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = runs
    (tmp_path / "a.txt").write_text("4 2\n7 0 1\n")
    given = [f"input={tmp_path}/a.txt", f"paths.outputs={outputs}", "what=attention"]
    file = tmp_path / "weights.npz"
    assert run_command("predict", [*given, f"run={ids['written']}", f"output={file}"]) == 0
    with np.load(file) as arrays:
        assert arrays["names"].tolist() == ["1", "2"]
        assert arrays["columns_1"].tolist() == ["7", "0", "1"]
        weights = arrays["weights_1"]
        assert weights.shape == (len(arrays["rows_1"]), 3)
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    file.unlink()
    capsys.readouterr()
    for words, told in (
        ((f"run={ids['written']}",), "output is missing; attention is written as arrays"),
        ((f"run={ids['written']}", f"output={file}", "per=token"), "per is token, which is for"),
        ((f"run={ids['regression']}", f"output={file}"), "sequences of this run have no context"),
    ):
        status = run_command("predict", [*given, *words])
        assert status == 2 and told in capsys.readouterr().err and not file.exists()


def test_features_and_states_are_kept_as_arrays(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One row a sequence of features; of each position states, or features where it is labelled."""
    outputs, ids = runs

    def arrays(kind: str, content: str, what: str) -> dict[str, np.ndarray]:
        source, file = tmp_path / INPUTS[kind][0], tmp_path / "arrays.npz"
        source.write_text(content)
        given = [f"run={ids[kind]}", f"input={source}", f"what={what}", f"output={file}"]
        assert run_command("predict", [*given, f"paths.outputs={outputs}", "batch_size=1"]) == 0
        with np.load(file) as found:
            return dict(found)

    found = arrays(
        "multi_label", ">a\nGGAAGGAAGGAAGGAAGGAAGGAA\n>b\nACGTACGTACGTACGTACGT\n", "features"
    )
    assert found["names"].tolist() == ["a", "b"]
    assert found["features"].shape[0] == 2 and found["features"].dtype == np.float32
    states = arrays("multi_label", INPUTS["multi_label"][1], "states")["states_0"]
    filters = found["features"].shape[1]
    assert states.shape[1] == filters  # the strongest response of each is what is read out
    np.testing.assert_allclose(states.max(axis=0), found["features"][0], rtol=1e-5)
    labelled = arrays("token_class", "the cat runs .\na dog\n", "features")
    assert [labelled[f"features_{index}"].shape[0] for index in (0, 1)] == [4, 2]
    capsys.readouterr()
    given = [f"run={ids['regression']}", f"input={tmp_path}/a.csv", "what=states"]
    (tmp_path / "a.csv").write_text(INPUTS["regression"][1])
    assert run_command("predict", [*given, f"paths.outputs={outputs}"]) == 2
    assert "output is missing; states is written as arrays" in capsys.readouterr().err


def test_bad_files_end_with_status_2_and_leave_no_table(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = runs
    for kind, content, told in (
        ("regression", "left,right,noise\n1,2 mV,3\n", "a.csv, line 2, column 'right'"),
        ("regression", "left,right\n1,2\n", "has no column 'noise'"),
        ("written", "source,target\n,x\n", "a.csv, line 2: source is empty"),
        ("token_class", "text\n", "which holds no record"),
    ):
        (tmp_path / "a.csv").write_text(content)
        given = [f"run={ids[kind]}", f"input={tmp_path}/a.csv", f"paths.outputs={outputs}"]
        status = run_command("predict", [*given, f"output={tmp_path}/table.csv"])
        said = capsys.readouterr().err
        assert status == 2 and told in said and "Traceback" not in said
        assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_what_has_no_mean_is_refused_by_name(
    runs: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = runs
    (tmp_path / "a.csv").write_text("left,right,noise\n1,2,3\n")
    given = [f"input={tmp_path}/a.csv", f"paths.outputs={outputs}"]
    one, other = ids["regression"], ids["multi_label"]
    for words, told in (
        ([], "give run=ID, or of several runs"),
        ([f"runs={one}"], "give at least two runs"),
        ([f"runs={one},{other}"], "there is no mean of both"),
        ([f"runs={ids['written']},{one}"], "writes sequences, of which there is no mean"),
        ([f"runs={one},{other}", "weights=1,2,3"], "weights has 3 numbers, and there are 2 runs"),
        ([f"runs={one},{other}", "weights=equl"], "did you mean equal?"),
        ([f"runs={one},{other}", "weights=validation"], "which a sweep chooses at its end"),
        ([f"runs={one},{other}", "per=token"], "per is token, which is for one run"),
        ([f"sweep={one}"], "but no run is below"),
        ([f"run={one}", "weights=1,1"], "are for several"),
    ):
        assert run_command("predict", [*given, *words]) == 2
        assert told in capsys.readouterr().err, words


PICTURES = {
    "token_class": {"confusion_matrix", "reliability"},
    "regression": {"scatter"},
    "multi_label": {"roc_curve", "precision_recall_curve", "reliability", "per_label"},
    "written": set(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_keeps_pictures_a_table_and_a_page(
    runs: tuple[Path, dict[str, str]], kind: str
) -> None:
    kept = artifacts(runs, kind)
    drawn = {file.stem for file in kept.glob("predictions/*.png")}
    assert drawn == PICTURES[kind]
    page = (kept / "report.html").read_text()
    assert page.count("<img") >= len(drawn) and "always predicting the same" in page
    if kind != "written":
        lines = (kept / "predictions/test.tsv").read_text().splitlines()
        rows = list(csv.DictReader(lines, delimiter="\t"))
        assert rows[0]["row"] == "1" and len(rows) > 1
    if kind == "token_class":
        assert all(len(row["true"].split()) == len(row["predicted"].split()) for row in rows)


def test_filters_and_evidence_are_there_where_there_are_letters(
    runs: tuple[Path, dict[str, str]],
) -> None:
    assert (artifacts(runs, "multi_label") / "filters/filters.png").is_file()
    assert (artifacts(runs, "multi_label") / "where/sequences.png").is_file()
    assert not (artifacts(runs, "regression") / "filters").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_comes_again_to_the_bit(
    runs: tuple[Path, dict[str, str]], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, ids = runs
    assert run_command("reproduce", [f"run={ids[kind]}", f"paths.outputs={outputs}"]) == 0
    assert "bit-equal" in capsys.readouterr().out


def test_what_is_served_has_the_columns_of_the_kind(runs: tuple[Path, dict[str, str]]) -> None:
    import mlflow.pyfunc
    import pandas as pd  # type: ignore[import-untyped]

    model = mlflow.pyfunc.load_model(str(artifacts(runs, "regression") / "model"))
    example = json.loads(model.metadata.metadata["example"])
    found = model.predict(pd.DataFrame({"sequence": example}))
    assert list(found.columns) == ["label"] and len(found) == 1
