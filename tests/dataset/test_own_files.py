"""Files that users bring: what the message says where one is absent."""

from pathlib import Path

import pytest

from seqexp.dataset.own_files import ABOUT, found, missing
from seqexp.errors import InputError


def test_a_known_file_that_is_absent_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "promoters_lafleur.tsv.gz"
    with pytest.raises(InputError) as caught:
        found("dataset.table", path)
    said = str(caught.value)
    for part in ("dataset.table", str(path), "doi:10.1038", "open access", "sequence, value"):
        assert part in said


def test_another_file_that_is_absent_is_named(tmp_path: Path) -> None:
    assert missing("dataset.path", tmp_path / "mine.tsv") == (
        f"dataset.path is {tmp_path / 'mine.tsv'}: there is no such file or folder"
    )


def test_a_file_that_is_there_is_returned(tmp_path: Path) -> None:
    assert found("dataset.path", str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "promoters_lafleur.tsv.gz",
        "protein_structure.train.tsv.gz",
        "pos_danish.dev.tsv.gz",
        "sounds_dut.test.tsv.gz",
        "multi30k_de_en.val.tsv.gz",
        "gestures.tar.gz",
        "gestures",
        "easy_vqa.tar.gz",
    ],
)
def test_files_of_experiments_are_known(name: str) -> None:
    assert "It is not shipped" in missing("dataset.path", f"anywhere/{name}")
    assert ABOUT
