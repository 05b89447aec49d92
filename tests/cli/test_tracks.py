"""`predict` along a genome: bedGraph and bigWig of the same values."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seqexp.cli.subcommand import run_command

pytest.importorskip("pyfaidx")

LETTERS = "".join(random.Random(0).choices("ACGT", k=400))

Run = Callable[..., int]


@pytest.fixture
def predict(dna_runs: tuple[Path, list[str]], tmp_path: Path) -> Run:
    """Types the command; returns the exit status."""
    outputs, ids = dna_runs
    (tmp_path / "g.fa").write_text(f">chr1\n{LETTERS}\n>chr2\n{LETTERS[::-1]}\n>chr3\nNNNN\n")

    def run(*arguments: str) -> int:
        which = f"runs={','.join(ids[:2])}" if "several" in arguments else f"run={ids[2]}"
        given = [word for word in arguments if word != "several"]
        return run_command(
            "predict",
            [which, f"paths.outputs={outputs}", f"genome={tmp_path / 'g.fa'}", *given],
        )

    return run


def test_big_wig_has_the_values_of_bed_graph(
    predict: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pybigtools = pytest.importorskip("pybigtools")
    arguments = ("step=10", "strands=both", "several")
    for name in ("x.bw", "x.bedGraph"):
        assert predict(f"output={tmp_path / name}", *arguments) == 0
        assert "72 values in" in capsys.readouterr().err
    rows = [line.split("\t") for line in (tmp_path / "x.bedGraph").read_text().splitlines()]
    track = pybigtools.open(str(tmp_path / "x.bw"))
    found = [
        (contig, start, end, value)
        for contig in ("chr1", "chr2")
        for start, end, value in track.records(contig, 0, 400)
    ]
    track.close()
    assert len(rows) == 72
    for row, (contig, start, end, value) in zip(rows, found, strict=True):
        assert row[:3] == [contig, str(start), str(end)]
        assert float(row[3]) == pytest.approx(value, rel=1e-4)
    assert {path.name for path in tmp_path.glob("*x*")} == {"x.bw", "x.bedGraph"}


def test_without_an_output_the_track_is_printed(
    predict: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("regions=chr1:101-150", "step=25", "label=background") == 0
    printed = capsys.readouterr()
    lines = [line.split("\t") for line in printed.out.splitlines()]
    assert [line[:3] for line in lines] == [["chr1", "100", "125"], ["chr1", "125", "150"]]
    assert predict("regions=chr1:101-150", "step=25") == 0
    others = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    for one, other in zip(lines, others, strict=True):
        assert float(one[3]) + float(other[3]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("output=x.csv",), "output is x.csv; of a genome give FILE.bedGraph or FILE.bw"),
        (("input=a.fa",), "input is a.fa, which is not for a genome"),
        (("what=features",), "what is features, which is not for a genome"),
        (("regions=chr3",), "nowhere a window of 40 letters fits"),
        (("label=motiv",), "label is 'motiv'.*did you mean motif"),
        (("step=0",), "step is 0"),
    ],
)
def test_wrong_arguments_are_refused(
    predict: Run, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert predict(*arguments) == 2
    assert re.search(said, capsys.readouterr().err)


def test_keys_of_a_genome_need_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("predict", ["run=latest", "input=a.fa", "step=10"]) == 2
    assert "step is 10, which is for a genome: give genome=FILE" in capsys.readouterr().err
    assert run_command("predict", ["run=latest"]) == 2
    assert "give input=FILE, or of a model of DNA genome=FILE" in capsys.readouterr().err


def test_an_error_half_way_leaves_no_track(
    predict: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pybigtools")
    (tmp_path / "g.fa").write_text(f">chr1\n{LETTERS[:300]}J{LETTERS[:99]}\n")
    for name in ("x.bw", "x.bedGraph"):
        assert predict(f"output={tmp_path / name}", "step=10", "batch_size=4") == 2
        assert "the genome has the letter 'J'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("g.fa")] == []
