"""Keys of intervals that cannot work are refused before anything is read."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_genome import bed, places

from seqexp.dataset.dna.interval_files import interval_faults, named_files
from seqexp.errors import InputError

pytest.importorskip("pyfaidx")


@pytest.fixture
def sound(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "genome.fa").write_text(">chr1\nACGT\n")
    return {
        "intervals": bed(tmp_path / "a.bed", places(3)),
        "genome": str(tmp_path / "genome.fa"),
        "width": None,
        "centre": None,
        "blacklist": None,
        "negatives": "shuffle",
        "targets": None,
        "task": None,
        "alphabet": "dna",
        "min_length": 20,
    }


def test_what_is_sound_has_no_fault(sound: dict[str, Any]) -> None:
    assert list(interval_faults(sound)) == []
    more = {"width": 60, "centre": "summit", "negatives": "gc-matched", "targets": None}
    assert list(interval_faults({**sound, **more})) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"intervals": None, "width": 9}, "dataset.genome is .*genome.fa, but dataset.intervals"),
        ({"intervals": None, "negatives": "gc-matched"}, "gc-matched, which draws from a genome"),
        ({"genome": None}, "dataset.genome is null"),
        ({"genome": "hg99.fa"}, "dataset.genome is hg99.fa: there is no such file"),
        ({"intervals": "p.bed"}, "dataset.intervals is p.bed: there is no such file"),
        ({"intervals": []}, r"dataset.intervals is \[\], of no files"),
        ({"blacklist": "p.bed"}, "dataset.blacklist is p.bed"),
        ({"negatives": "gc_match"}, "did you mean gc-matched?"),
        ({"centre": "middle"}, "dataset.centre is middle, but dataset.width is null"),
        ({"width": 10}, "dataset.width is 10, but dataset.min_length is 20"),
        ({"alphabet": "protein"}, "dataset.alphabet is protein"),
        ({"targets": ["signal"]}, "'signal' is no column .* did you mean signalValue?"),
        ({"targets": ["score"], "negatives": "gc-matched"}, "which negatives do not have"),
        ({"task": "regression", "negatives": "gc-matched"}, "which negatives do not have"),
        ({"task": "multi_label"}, "names one file; give several"),
    ],
)
def test_a_fault_names_the_key_and_what_is_allowed(
    sound: dict[str, Any], given: dict[str, Any], said: str
) -> None:
    assert re.search(said, "\n".join(interval_faults({**sound, **given})))


def test_several_files_are_asked_about(sound: dict[str, Any], tmp_path: Path) -> None:
    files = [sound["intervals"], bed(tmp_path / "b.bed.gz", places(3))]
    assert named_files(files) == {"a": files[0], "b": files[1]}
    for given, said in (
        ({}, "task is null; say what the files are"),
        ({"task": "regression"}, "task is regression; say what"),
        ({"targets": ["score"]}, "names 2 files, which are what is asked for"),
    ):
        assert said in "\n".join(interval_faults({**sound, "intervals": files, **given}))
    with pytest.raises(InputError, match="two files are named 'a'"):
        named_files(["x/a.bed", "y/a.narrowPeak.gz"])


def test_a_first_row_that_is_none_is_told_with_its_line(
    sound: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.bed").write_text("track\nchr1\t9\n")
    (fault,) = interval_faults(sound)
    assert fault.startswith("dataset.intervals: ") and "a.bed, line 2: is 'chr1" in fault
