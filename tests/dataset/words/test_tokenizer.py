"""Words, vocabulary and pretrained vectors."""

import gzip
from pathlib import Path

import pytest

from seqexp.dataset.words.tokenizer import read_vectors, tokenize, vocabulary
from seqexp.errors import InputError
from seqexp.formats.vectors import vector_size

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


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + VECTORS,
        VECTORS.replace(" ", "\t"),
        VECTORS.replace("\n", " \n"),  # as fastText and word2vec end their lines
        VECTORS.replace("\n", "\r\n"),
        VECTORS.replace("\n", "\r"),
        VECTORS.replace(" ", "  ") + "\n\n",
        "3 3\n" + VECTORS.replace("\n", " \n"),
        ". . . 9 9 9\n" + VECTORS,
        VECTORS + "film festival 9 9 9\ngood name@example.org 9 9 9\n\x85 9 9 9\n\u3000 9 9 9\n",
        VECTORS + "1 9 9 9\n1/2 9 9 9\n2000 9 9 9\n",
        VECTORS + "film 7 7 7\n",  # the first counts
    ],
)
def test_words_with_blanks_and_all_separators_are_read(tmp_path: Path, content: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_bytes(content.encode())
    found = read_vectors(file, ("<unk>", "film", "the", "good"))
    by_id = dict(zip(found.ids.tolist(), found.values.tolist(), strict=True))
    assert by_id == {2: [0.5, 0.25, 0], 4: [1, 2, 3]}
    assert vector_size(file) == 3


def test_words_that_are_no_utf8_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_bytes(b"caf\xc3 9 9 9\n" + VECTORS.encode())
    assert read_vectors(file, ("film",)).values.tolist() == [[0.5, 0.25, 0]]


def test_a_packed_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    file = tmp_path / "vectors.vec"
    file.write_bytes(gzip.compress(VECTORS.encode(), mtime=0))
    assert vector_size(file) == 3 and read_vectors(file, ("good",)).values.tolist() == [[1, 2, 3]]


def test_repeated_words_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_vectors(written(tmp_path, VECTORS + "film 7 7 7\n"), ("film",))
    assert "1 lines are of words that have one already; the first is used" in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no file of word vectors"),
        ("other 1 2 3\n", "has none of the 2 words"),
        ("good 1 2 3\nbad 1 2 3 4\n", "line 2: has 4 values, but most words have 3"),
        ("good 1 2 3\nelse 1 2\n", "line 2: has 2 values, but most words have 3"),
        ("good 1\n", "at least two"),
        ("2 5\ngood 1 2 3\nbad 1 2 3\n", "says that words have 5 values, but they have 3"),
        ("good 1 2 3\nbad 1 two 3\n", "line 2: 'bad' has the value 'two'"),
        ("good 1 2 3\nbad 1 2_0 3\n", "line 2: 'bad' has the value '2_0'"),
        ("good 1 nan 3\n", "line 1: 'good' has the value 'nan'; give finite numbers"),
        ("good 1 1e99 3\n", "'1e99'"),
        ("PK\x03\x04", "is a ZIP archive"),
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
