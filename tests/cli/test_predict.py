"""`python -m seqexp predict`: the model's own probabilities, whatever the records come in."""

import csv
import gzip
import io
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import mlflow.pyfunc
import pytest

from seqexp.cli.predict import MAX_POSITIONS, batches
from seqexp.cli.subcommand import run_command
from seqexp.errors import InputError
from seqexp.formats.records import records
from seqexp.inference.prediction import Given

COMMAND = "predict"

SEQUENCES = {
    "short": "ACGTNACGTAC",
    "planted": "TTCTAATATGCGGAAGGAAGGAAGGAAGGAAGGCATATAC",
    "other": "ACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT",
}

Predict = Callable[..., list[dict[str, str]]]


@pytest.fixture
def outputs(dna_runs: tuple[Path, list[str]]) -> Path:
    return dna_runs[0]


@pytest.fixture
def run_id(dna_runs: tuple[Path, list[str]]) -> str:
    return dna_runs[1][2]


@pytest.fixture
def predict(outputs: Path, run_id: str, capsys: pytest.CaptureFixture[str]) -> Predict:
    def run(*arguments: str) -> list[dict[str, str]]:
        given = [f"run={run_id}", f"paths.outputs={outputs}", *arguments]
        assert run_command(COMMAND, given) == 0, capsys.readouterr().err
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return run


def fasta() -> str:
    """Lines of 7 letters, in either case."""
    return "".join(
        f">{name} of a test\n" + "".join(f"{s[i : i + 7].lower()}\n" for i in range(0, len(s), 7))
        for name, s in SEQUENCES.items()
    )


def written(folder: Path, layout: str) -> Path:
    file = folder / f"records.{layout}"
    pairs = SEQUENCES.items()
    if layout == "fasta.gz":
        file.write_bytes(gzip.compress(fasta().encode(), mtime=0))
    elif layout == "fastq":
        file.write_text("".join(f"@{n} x\n{s}\n+\n{'@' * len(s)}\n" for n, s in pairs))
    elif layout == "csv":
        file.write_text("\ufeffid,sequence\n" + "".join(f'"{n}",{s}\n' for n, s in pairs))
    elif layout == "tsv":
        file.write_text("sequence\tid\n" + "".join(f"{s}\t{n}\n" for n, s in pairs))
    else:
        file.write_text("".join(f'{{"id": "{n}", "sequence": "{s}"}}\n' for n, s in pairs))
    return file


@pytest.mark.parametrize("layout", ["fasta.gz", "fastq", "csv", "tsv", "jsonl"])
def test_the_table_has_what_the_model_in_mlflow_says(
    predict: Predict, outputs: Path, run_id: str, tmp_path: Path, layout: str
) -> None:
    folder = outputs / "mlartifacts" / run_id / "artifacts/model"
    expected = mlflow.pyfunc.load_model(str(folder)).predict(list(SEQUENCES.values()))
    rows = predict(f"input={written(tmp_path, layout)}")
    assert [row["name"] for row in rows] == list(SEQUENCES)
    for row, (_, values) in zip(rows, expected.iterrows(), strict=True):
        assert float(row["motif"]) == pytest.approx(values["motif"], rel=1e-5)
        assert float(row["background"]) == pytest.approx(values["background"], rel=1e-5)


def test_records_together_are_predicted_as_alone(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(fasta())
    together, alone = (predict(f"input={tmp_path}/a.fa", f"batch_size={n}") for n in (256, 1))
    for row, other in zip(together, alone, strict=True):
        assert float(row["motif"]) == pytest.approx(float(other["motif"]), rel=1e-5)


def test_lines_are_named_by_their_number(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ACGT\n\nGGAAGG\n")
    assert [row["name"] for row in predict(f"input={tmp_path}/a.txt")] == ["1", "3"]


def test_records_are_read_one_at_a_time(tmp_path: Path) -> None:
    """A file of 20 MB, unpacked: reading it holds a small part of that."""
    with gzip.open(tmp_path / "a.fa.gz", "wt", compresslevel=1) as file:
        for number in range(20):
            file.write(f">r{number}\n" + "ACGT" * 250_000 + "\n")
    tracemalloc.start()
    lengths = [len(r.text) for r in records(f"{tmp_path}/a.fa.gz", "auto", ("sequence",), True)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lengths == [1_000_000] * 20 and peak < 8e6


def test_a_batch_is_bounded_in_records_and_in_letters() -> None:
    def endless() -> Iterator[Given]:
        while True:
            yield Given("a", [1] * (MAX_POSITIONS // 4))

    assert [len(batch) for batch in islice(batches(endless(), 3), 2)] == [3, 3]
    assert [len(batch) for batch in islice(batches(endless(), 100), 2)] == [4, 4]
    assert [len(b) for b in batches([Given("a", [1] * (MAX_POSITIONS + 1))] * 2, 9)] == [1, 1]


def test_standard_input_is_read(outputs: Path) -> None:
    command = [sys.executable, "-m", "seqexp", "predict", "run=latest", "input=-"]
    environment = {**os.environ, "SEQEXP_OUTPUTS": str(outputs)}
    content = gzip.compress(fasta().encode(), mtime=0)
    done = subprocess.run(command, input=content, capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0 and done.stderr.startswith(b"run ")  # which, on what
    assert b": cnn1d on motif, data " in done.stderr
    assert b"note: 1 of 3 sequences have other lengths than those of the training" in done.stderr
    assert [line.split(b",")[0] for line in done.stdout.splitlines()[1:]] == [
        name.encode() for name in SEQUENCES
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "which holds no record"),
        (">a\nACGT\n>\nA\n", "line 3: record 2 has no name"),
        (">a\nACGTJ\n", "a has 'J' at position 5; this looks like protein"),
        (">a\nACGT\n>b\n", "b has no sequence"),
        ("@a\nACGT\n+\n@@\n", "line 1: is no record of FASTQ"),
        (">a\nNNNN\n", "a has no A, C, G or T"),
    ],
)
def test_a_bad_file_ends_with_status_2_and_leaves_no_table(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    (tmp_path / "bad").write_text(content)
    given = [f"input={tmp_path}/bad", f"output={tmp_path}/table.csv", f"paths.outputs={outputs}"]
    assert run_command(COMMAND, ["run=latest", *given]) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


WRAPPED = "@a x\nACGTN\nACGTAC\n+\n@II\nIIIIIIII\n@b\nACGT\n+\nIIII\n"


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.fq", WRAPPED, {"a": "ACGTNACGTAC", "b": "ACGT"}),
        ("A.FA.GZ", gzip.compress(b"\xef\xbb\xbf>a x\racgt\rAC\r", mtime=0), {"a": "acgtAC"}),
        ("a", "\ufeff\n>a x\nAC GT\n", {"a": "ACGT"}),
        ("T.CSV", gzip.compress(b" id , sequence\r\n\r\na,ACGT\r\n,\r\n", mtime=0), {"a": "ACGT"}),
        ("t.tsv", 'sequence\tnote\nAC\t"open\nGT\t"a ""b"" c"\n', {"1": "AC", "2": "GT"}),
        (
            "t.jsonl",
            '{"id": null, "sequence": "AC"}\n{"id": 7, "sequence": "GT"}',
            {"1": "AC", "7": "GT"},
        ),
    ],
)
def test_files_are_read_as_in_training(
    tmp_path: Path, name: str, content: str | bytes, found: dict[str, str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    assert dict(records(str(file), "auto", ("sequence", "text"), is_dna=True)) == found


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", "text\na\n \n" + '"  "\n', "line 4: text is empty"),
        ("t.csv", "text,text\na,b\n", "has 2 columns 'text'; rename one"),
        ("t.csv", "text;label\na;1\n", "columns parted by semicolons"),
        ("t.jsonl", '{"text": null}\n', "line 1: text is null, which is no text"),
        ("t.jsonl", '{"text": NaN}\n', "line 1: text is NaN, which is no text"),
        ("t.jsonl", '{"text": "\\ud83d"}\n', "half of a surrogate pair"),
        ("t.jsonl", '{"text": " "}\n', "line 1: text is empty"),
        ("t.json", '[{"text": "a"}]\n', "line 1: is no JSON object.* an array"),
        ("t.jsonl", '{"id": ["a"], "text": "b"}\n', "id is ..a.., which is no name"),
        ("t.txt", b"\xff\xfea\x00", "is UTF-16"),
    ],
)
def test_what_training_refuses_is_refused(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError, match=says):
        list(records(str(file), "auto", ("text", "sequence"), is_dna=False))


def test_a_run_is_found_by_the_beginning_of_its_id(
    outputs: Path, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.fa").write_text(fasta())
    short = ["input=a.fa", f"paths.outputs={outputs}"]
    for text, says in (
        ("0" * 32, f"no run in sqlite:///{outputs}/mlflow.db begins so; the latest are "),
        ("x'", 'run is "x\'"; give the id of a run'),
    ):
        assert run_command(COMMAND, [f"run={text}", *short]) == 2
        assert says in capsys.readouterr().err
    arguments = [f"run={run_id[:6]}", f"input={tmp_path}/a.fa", f"paths.outputs={outputs}"]
    assert run_command(COMMAND, arguments) == 0


def test_a_store_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(COMMAND, ["run=a", "input=a", f"paths.outputs={tmp_path}"]) == 2
    assert f"{tmp_path}/mlflow.db: is not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
