"""`python -m seqexp variants`: a row a variant, and a row of its own for each that is left out."""

import csv
import random
import re
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from seqexp.cli.subcommand import run_command

pytest.importorskip("pyfaidx")

LETTERS = "".join(random.Random(0).choices("ACGT", k=300))
OTHER = {letter: "ACGT"[("ACGT".index(letter) + 1) % 4] for letter in "ACGT"}
Run = Callable[..., int]

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    (tmp_path / "g.fa").write_text(f">chr1\n{LETTERS}\n>chr2\n{LETTERS[::-1]}\n")
    return tmp_path / "g.fa"


def row(position: int, alt: str | None = None, contig: str = "1", ref: str | None = None) -> str:
    there = LETTERS[position - 1] if ref is None else ref
    return f"{contig}\t{position}\trs{position}\t{there}\t{alt or OTHER[there]}\t.\t.\t.\n"


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text().splitlines(), delimiter="\t"))


@pytest.fixture
def variants(dna_runs: tuple[Path, list[str]], genome: Path, tmp_path: Path) -> Run:
    """Types the command; returns the exit status."""
    outputs, ids = dna_runs

    def run(text: str, *arguments: str, name: str = "a.vcf") -> int:
        (tmp_path / name).write_text(text)
        is_told = any(word.startswith(("run=", "runs=")) for word in arguments)
        given = {
            **({} if is_told else {"run": ids[2]}),
            "output": tmp_path / "x.tsv",
            **dict(word.split("=") for word in arguments),
        }
        return run_command(
            "variants",
            [
                *(f"{key}={value}" for key, value in given.items()),
                *(f"paths.outputs={outputs}", f"input={tmp_path / name}", f"genome={genome}"),
            ],
        )

    return run


def test_rows_are_scored_or_listed_with_their_reason(
    variants: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(200), row(100, "<DEL>"), row(90, f"{OTHER[LETTERS[89]]},*"), row(5)]
    rows += [row(80, contig="chr9"), row(120, "A]2:9]"), row(301, ref="A"), row(101)]
    assert variants(HEADER + "".join(rows)) == 0
    found = table(tmp_path / "x.tsv")
    assert [one["position"] for one in found] == ["200", "90", "101"]  # as they stand in the file
    assert [*found[0]] == [
        *("contig", "position", "id", "ref", "alt"),
        *(
            f"{name}_{measure}"
            for name in ("background", "motif")
            for measure in ("ref", "alt", "difference", "log_odds_difference")
        ),
    ]
    left_out = table(tmp_path / "x.skipped.tsv")
    assert [
        (one["line"], one["position"], one["reason"].partition(":")[0]) for one in left_out
    ] == [
        ("4", "100", "symbolic allele"),
        ("5", "90", "overlapping deletion"),
        ("6", "5", "off the end"),
        ("7", "80", "missing contig"),
        ("8", "120", "breakend"),
        ("9", "301", "off the end"),
    ]
    said = capsys.readouterr().err
    assert "3 variants in " in said and "another assembly" not in said
    assert "6 left out (off the end 2, symbolic allele 1, " in said


def test_batches_do_not_matter_and_a_table_says_the_same(variants: Run, tmp_path: Path) -> None:
    places = range(50, 250, 7)
    assert variants(HEADER + "".join(map(row, places))) == 0
    together = (tmp_path / "x.tsv").read_text()
    lines = [",".join(row(place).split("\t")[:5]) for place in places]
    text = "\n".join(["chrom,pos,id,ref,alt", *lines])
    assert variants(text, "batch_size=3", name="a.csv") == 0
    for one, other in zip(together.split(), (tmp_path / "x.tsv").read_text().split(), strict=True):
        assert one == other or float(one) == pytest.approx(float(other), abs=1e-6)


def test_another_assembly_is_said_once_with_the_share(
    variants: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        row(place, ref=OTHER[LETTERS[place - 1]]) if place % 3 == 0 else row(place)
        for place in range(60, 240)
    ]
    assert variants(HEADER + "".join(rows)) == 0
    said = capsys.readouterr().err
    assert said.count("another assembly") == 1
    assert "in 60 of 180 variants (33.3%)" in said and "REF differs 60" in said
    assert len(table(tmp_path / "x.skipped.tsv")) == 60


def test_where_all_are_left_out_the_list_is_there_and_no_table(
    variants: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert variants(HEADER + row(100, "<DEL>") + row(101, "*")) == 2
    assert "no variant could be read: 2 left out" in capsys.readouterr().err
    assert not (tmp_path / "x.tsv").exists() and len(table(tmp_path / "x.skipped.tsv")) == 2


def test_several_runs_give_mean_and_deviation(
    variants: Run, dna_runs: tuple[Path, list[str]], tmp_path: Path
) -> None:
    chosen, name = dna_runs[1][1:3], "motif_log_odds_difference"
    text = HEADER + "".join(map(row, range(60, 240, 3)))
    alone = []
    for run in chosen:
        assert variants(text, f"run={run}") == 0
        alone.append([float(one[name]) for one in table(tmp_path / "x.tsv")])
    assert variants(text, f"runs={','.join(chosen)}") == 0
    for one, pair in zip(table(tmp_path / "x.tsv"), zip(*alone, strict=True), strict=True):
        assert float(one[name]) == pytest.approx(statistics.mean(pair), abs=1e-6)
        assert float(one[f"{name}_sd"]) == pytest.approx(statistics.stdev(pair), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("output=x.txt",), "output is x.txt; give the name of a .tsv or .csv file"),
        (("width=20",), "width is 20, .* on 40 letters"),
        (("run=aa", "runs=aa,bb"), "give one run by run=ID"),
        (("genom=x",), "genom: unknown; did you mean genome"),
        (("batch_size=0",), "batch_size is 0"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    variants: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert variants(HEADER + row(100), *arguments) == 2
    assert re.search(said, capsys.readouterr().err)
    assert not list(tmp_path.glob("x*"))
