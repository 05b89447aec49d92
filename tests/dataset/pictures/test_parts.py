"""Folders and archives of pictures: what they hold, whatever lies around it."""

from pathlib import Path

import pytest
from small_pictures import below, in_archive, in_folder, part_of_questions

from seqexp.dataset.pictures.parts import picture_name, read_parts
from seqexp.errors import InputError

PART = part_of_questions(3)


@pytest.mark.parametrize("root", ["", "easy_vqa/"])
@pytest.mark.parametrize("packed", [False, True])
def test_train_and_test_are_found_in_folders_and_archives(
    tmp_path: Path, root: str, packed: bool
) -> None:
    files = {**below(f"{root}train", PART), **below(f"{root}test", PART)}
    files[f"{root}answers.txt"] = b"no\n"
    files[f"{root}train/images/._0.png"] = b"litter"
    path = in_archive(tmp_path / "a.tar.gz", files) if packed else in_folder(tmp_path, files)
    parts = read_parts(Path(path), "questions.json")
    assert set(parts) == {"train", "test"}
    assert set(parts["test"].pictures) == {"0", "1", "2"}
    assert parts["train"].table == PART["questions.json"]


def test_one_part_is_whole_and_validation_has_several_names(tmp_path: Path) -> None:
    assert set(read_parts(Path(in_folder(tmp_path / "a", PART)), "questions.json")) == {"whole"}
    files = {**below("train", PART), **below("val", PART)}
    parts = read_parts(Path(in_folder(tmp_path / "b", files)), "questions.json")
    assert set(parts) == {"train", "valid"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("7", "7"), ("images/007.png", "7"), (" 7.PNG ", "7"), ("cat.png", "cat"), ("a/b", "b")],
)
def test_a_picture_is_known_by_its_number_or_name(name: str, expected: str) -> None:
    assert picture_name(name) == expected


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.txt": b""}, "has no questions.json; give images/N.png and questions.json"),
        (below("images", {"0.png": b""}), "has no questions.json, but pictures in 1 folders"),
        (below("test", PART), "has questions.json in test, but not in train"),
        ({**below("train", PART), **PART}, "of which it cannot be told which is what"),
        ({**below("a/train", PART), **below("b/test", PART)}, "are not side by side"),
        (
            {**below("train", PART), "test/images/0.png": b""},
            "test: has pictures, but no questions",
        ),
        ({**below("train", PART), "test/questions.json": b"[]"}, "test: has no pictures"),
        ({**PART, "images/00.png": b""}, "there are two pictures 0 in"),
    ],
)
def test_another_layout_is_refused_with_the_right_one(
    tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_parts(Path(in_folder(tmp_path, files)), "questions.json")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "questions.json").write_bytes(b"[]")
    with pytest.raises(InputError, match="is neither a folder nor a .tar.gz archive"):
        read_parts(tmp_path / "questions.json", "questions.json")
