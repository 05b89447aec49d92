"""Places on a genome: what a person types, and what stands in a BED file."""

from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.regions import Region, regions_of

pytest.importorskip("pyfaidx")


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    (tmp_path / "g.fa").write_text(f">chr2\n{'A' * 90}\n>chr1\n{'C' * 100}\n>HLA:1\n{'G' * 10}\n")
    return Genome(tmp_path / "g.fa")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1:1-100", [("chr1", 0, 100)]),
        ("1:11-11", [("chr1", 10, 11)]),
        ("chr1", [("chr1", 0, 100)]),
        ("HLA:1", [("HLA:1", 0, 10)]),
        ("HLA:1:2-3", [("HLA:1", 1, 3)]),
        (None, [("chr2", 0, 90), ("chr1", 0, 100), ("HLA:1", 0, 10)]),
        ("chr1:50-60, chr2:5-6,chr1:1-51", [("chr2", 4, 6), ("chr1", 0, 60)]),
    ],
)
def test_places_are_read_and_overlaps_joined_in_the_order_of_the_genome(
    genome: Genome, text: str | None, expected: list[tuple[str, int, int]]
) -> None:
    assert regions_of(text, genome) == [Region(*one) for one in expected]


def test_a_file_counts_from_zero(genome: Genome, tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_text("track x\nchr1\t70\t100\r\n2\t0\t5\nchr1\t60\t71\n")
    assert regions_of(f"{tmp_path}/a.bed", genome) == [
        Region("chr2", 0, 5),
        Region("chr1", 60, 100),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chr1:1-101", "chr1:1-101.* ends at 101, off the end of chr1, which has 100"),
        ("chr1:0-5", "chr1:0-5 is no place; the first letter is 1"),
        ("chr1:9-5", "chr1:9-5 is no place"),
        ("chr9:1-5", "no contig 'chr9'"),
        ("chr1:1-100,000", "write numbers without commas"),
        ("peaks.bed", "there is no such file"),
        ("", "give places as chr1:1-100000"),
    ],
)
def test_places_that_are_not_there_are_refused(genome: Genome, text: str, said: str) -> None:
    with pytest.raises(InputError, match=f"regions is {text!r}.*{said}"):
        regions_of(text, genome)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("chr1\t90\t101", "line 2: ends at 101, off the end of chr1, which has 100"),
        ("chr7\t90\t91", "line 2: 'chr7' is no contig"),
        ("chr1\t90", "line 2: .* of 2 columns"),
    ],
)
def test_rows_that_are_not_there_are_refused_by_their_line(
    genome: Genome, tmp_path: Path, row: str, said: str
) -> None:
    (tmp_path / "a.bed").write_text(f"chr1\t1\t2\n{row}\n")
    with pytest.raises(InputError, match=f"a.bed, {said}"):
        regions_of(f"{tmp_path}/a.bed", genome)
