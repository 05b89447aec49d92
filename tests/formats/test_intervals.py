"""Rows of BED and narrowPeak, and rows that are none."""

import gzip
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats.intervals import read_intervals, refuse_narrow, value_of

PEAK = "chr2\t100\t200\tp1\t900\t.\t8.5\t4.2\t3.1\t30"


def written(folder: Path, text: str, name: str = "x.bed") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_three_columns_are_enough_and_what_browsers_need_is_passed_over(tmp_path: Path) -> None:
    text = "browser position chr1\ntrack name=x\n#c\n\nchr2\t5\t9\nchr1 0 4 name 3 -\n"
    for ending, name in (("\n", "x.bed"), ("\r\n", "x.bed"), ("\n", "x.bed.gz")):
        found = list(read_intervals(written(tmp_path, text.replace("\n", ending), name)))
        assert [row[:6] for row in found] == [
            (5, "chr2", 5, 9, ".", None),
            (6, "chr1", 0, 4, "-", None),
        ]


@pytest.mark.parametrize("name", ["x.narrowPeak", "x.narrowPeak.gz", "x.bed"])
def test_the_summit_of_a_narrow_peak_counts_from_its_start(tmp_path: Path, name: str) -> None:
    text = f"{PEAK}\n{PEAK[: PEAK.rindex('30')]}-1\n"
    first, second = read_intervals(written(tmp_path, text, name))
    assert (first.summit, second.summit) == (130, None)
    assert value_of(first, "signalValue") == "8.5"
    assert value_of(first, "name") == "p1"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("chr1\t5", "line 2: is 'chr1.t5', of 2 columns"),
        ("chr1\t9\t5", "line 2: start is 9 and end is 5; give a start before the end"),
        ("chr1\t5\t5", "start is 5 and end is 5"),
        ("chrom\tstart\tend", "start is 'start', no whole number from 0; this is a header: put #"),
        ("chr1\t-1\t5", "start is '-1'"),
        ("chr1\t1.0\t5", "start is '1.0'"),
        ("chr1\t1e3\t5000", "start is '1e3'"),
        ("\t1\t5", "no name of a contig"),
        ("chr1\t1\t5\tx\t0\tplus", "strand .column 6. is 'plus'; give"),
    ],
)
def test_a_row_that_is_none_is_refused_by_its_line(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(InputError, match=f"x.bed, {said}|{said}"):
        list(read_intervals(written(tmp_path, f"chr1\t0\t4\n{row}\n")))


def test_a_summit_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"line 1: peak .column 10. is 100, but .* has 100 letters"
    ):
        list(read_intervals(written(tmp_path, f"{PEAK[:-2]}100\n", "x.narrowPeak")))
    with pytest.raises(InputError, match="has 3 columns, but narrowPeak has 10"):
        list(read_intervals(written(tmp_path, "chr1\t0\t4\n", "x.narrowPeak")))


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    (row,) = read_intervals(written(tmp_path, "chr1\t0\t4\n"))
    assert value_of(row, "score") is None
    with pytest.raises(InputError, match="here: has 3 columns, but score is column 5"):
        refuse_narrow("score", 3, "here")
    with pytest.raises(InputError, match="'signal' is no column .* did you mean signalValue?"):
        value_of(row, "signal")
