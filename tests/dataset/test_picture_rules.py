"""What is wrong with pictures is said by the check, before anything is loaded."""

from pathlib import Path

import pytest
from training import composed

from seqexp.config.check import check
from seqexp.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "table"), [("captions", "captions.tsv"), ("questions", "questions.json")]
)
def test_a_path_is_a_folder_or_an_archive(tmp_path: Path, name: str, table: str) -> None:
    options = (f"dataset={name}", "model=lstm")
    with pytest.raises(ConfigError, match=r"dataset\.path is .*nowhere: there is no such file"):
        check(composed(tmp_path, *options, f"dataset.path={tmp_path / 'nowhere'}"))
    (tmp_path / "pictures.zip").touch()
    with pytest.raises(ConfigError, match=rf"neither a folder nor .* images/N\.png and {table}"):
        check(composed(tmp_path, *options, f"dataset.path={tmp_path / 'pictures.zip'}"))
    with pytest.raises(ConfigError, match=r"dataset\.test_share is 0"):
        check(composed(tmp_path, *options, "dataset.test_share=0"))
    check(composed(tmp_path, *options, f"dataset.path={tmp_path}"))


def test_easy_vqa_is_looked_for_in_the_folder_of_data_and_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"easy_vqa\.tar\.gz: .*github\.com/vzhou842/easy-VQA"):
        check(composed(tmp_path, "experiment=easy-vqa", f"paths.data={tmp_path}"))
