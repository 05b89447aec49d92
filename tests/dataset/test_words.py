"""Words, vocabulary and pretrained vectors."""

import gzip
import ssl
from pathlib import Path

import pytest

from seqexp.dataset.vectors import vector_size
from seqexp.dataset.words import read_vectors, tokenize, vocabulary
from seqexp.errors import InputError

VECTORS = "good 1 2 3\nbad -1 -2 -3\nfilm 0.5 0.25 0\n"


def written(folder: Path, content: str, name: str = "vectors.txt") -> Path:
    file = folder / name
    if name.endswith(".gz"):
        with gzip.open(file, "wt") as packed:
            packed.write(content)
    else:
        file.write_text(content, encoding="utf-8")
    return file


def test_words_are_lower_case_and_punctuation_stands_alone() -> None:
    text = 'A "Good" film;<br /><br />don\'t miss it: really!'
    expected = ["a", "good", "film", "don", "'", "t", "miss", "it", "really", "!"]
    assert tokenize(text) == expected
    assert tokenize(' <br /> " ') == []


def test_the_most_frequent_words_are_kept_and_ties_go_by_the_alphabet() -> None:
    counts = {"rare": 1, "film": 5, "bad": 3, "awful": 3, "the": 9}
    assert vocabulary(counts, 4) == ("<unk>", "the", "film", "awful", "bad")
    assert vocabulary(counts, 100)[-1] == "rare"
    assert vocabulary({"<unk>": 50, "a": 1}, 5) == ("<unk>", "a")


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
@pytest.mark.parametrize("header", ["", "3 3\n"])
def test_vectors_are_those_of_the_file(tmp_path: Path, name: str, header: str) -> None:
    file = written(tmp_path, header + VECTORS, name)
    found = read_vectors(file, ("<unk>", "film", "the", "good"))
    by_id = dict(zip(found.ids.tolist(), found.values.tolist(), strict=True))
    assert by_id == {2: [0.5, 0.25, 0], 4: [1, 2, 3]}
    assert vector_size(file) == 3
    assert [path.name for path in tmp_path.iterdir()] == [name]  # and nothing is left beside it


def test_another_file_of_the_same_name_gives_its_own_vectors(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    read_vectors(written(tmp_path / "a", VECTORS), ("good",))
    second = read_vectors(written(tmp_path / "b", "good 7 8 9\n"), ("good",))
    assert second.values.tolist() == [[7, 8, 9]]


def test_certificates_are_still_checked_after_torchtext(tmp_path: Path) -> None:
    before = ssl._create_default_https_context
    read_vectors(written(tmp_path, VECTORS), ("good",))
    assert ssl._create_default_https_context is before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has none of the 2 words"),
        ("other 1 2 3\n", "has none of the 2 words"),
        ("good 1 2 3\nbad 1 2 3 4\n", "is no file of word vectors"),
        ("good 1 2\n", "at least 3 values"),
        ("good 1 two 3\n", "is no file of word vectors"),
        ("good 1 nan 3\n", "inf or nan"),
    ],
)
def test_vectors_that_cannot_be_used_are_refused(tmp_path: Path, content: str, says: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(InputError, match=rf"{file}.*{says}"):
        read_vectors(file, ("good", "bad"))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for function in (vector_size, lambda path: read_vectors(path, ("good",))):
        with pytest.raises(InputError, match="nowhere.txt: there is no such file"):
            function(tmp_path / "nowhere.txt")
    cut = written(tmp_path, VECTORS * 50, "cut.txt.gz")
    cut.write_bytes(cut.read_bytes()[:-12])
    with pytest.raises(InputError, match="cut.txt.gz: cannot be read"):
        read_vectors(cut, ("good",))
    for content in ("", "12\n", "a table,of texts\nnot,vectors\n"):
        with pytest.raises(InputError, match="is no file of word vectors"):
            vector_size(written(tmp_path, content))
