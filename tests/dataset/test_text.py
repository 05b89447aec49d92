"""A person's own texts: every form gives the same, and what is wrong is named with its line."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.dataset.documents import Columns, Document, read_documents
from seqexp.dataset.sentences import ADJECTIVES, made_reviews
from seqexp.dataset.text import Text
from seqexp.dataset.words import tokenize
from seqexp.errors import InputError

COLUMNS = Columns("text", "label")

ROWS = [
    (f'a {animal} number {number}, "quoted"\nand a new line; naïve 映画', animal)
    for number in range(10)
    for animal in ("cat", "dog", "owl")
]


def as_csv(path: Path, rows: Any = ROWS) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "label", "text")])
        csv.writer(file).writerows([(i, label, text) for i, (text, label) in enumerate(rows)])
    return path


def as_folder(path: Path, rows: Any = ROWS) -> Path:
    for number, (text, label) in enumerate(rows):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number:02}.txt").write_text(text, encoding="utf-8")
    return path


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.jsonl", "a.ndjson", "folder"])
def test_every_form_gives_the_same_words_and_labels(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("a.csv"):
        as_csv(path)
    elif name == "a.tsv":
        lines = [f"{label}\t{text.replace(chr(10), ' ')}" for text, label in ROWS]
        written(path, "\n".join(["label\ttext", *lines, "", ""]))
    elif name == "folder":
        as_folder(path)
    else:
        lines = [json.dumps({"text": text, "label": label, "x": [1]}) for text, label in ROWS]
        written(path, "\n".join([*lines, "", ""]))
    found = [(tokenize(text), label) for text, label, _ in read_documents(path, COLUMNS)]
    assert sorted(found) == sorted((tokenize(text), label) for text, label in ROWS)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_table(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", b"\xef\xbb\xbftext,label\r\nfine, pos \r\n")
    assert read_documents(path, COLUMNS) == [Document("fine", "pos", f"{path}, line 2")]


def test_a_long_text_is_no_fault(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "word " * 200_000
    path = written(tmp_path / "a.csv", f"text,label\n{text},pos\n")
    assert read_documents(path, COLUMNS)[0].text == text
    assert csv.field_size_limit() == before


def test_numbers_and_truth_values_are_labels_in_json(tmp_path: Path) -> None:
    lines = ['{"text": "a", "label": 1}', '{"text": "b", "label": true}']
    documents = read_documents(written(tmp_path / "a.jsonl", "\n".join(lines)), COLUMNS)
    assert [document.label for document in documents] == ["1", "true"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "a.csv: is empty; its first line must name the columns"),
        ("a.csv", "text,label\n", "a.csv: holds no texts"),
        ("a.csv", "txt,label\na,b\n", "no column 'text'; did you mean txt. .there are txt, label"),
        ("a.csv", "a,b\nx,y\n", "no column 'text' .there are a, b.; name it by dataset.text_col"),
        ("a.csv", "text,text,label\na,b,c\n", "has 2 columns 'text'; rename one"),
        ("a.csv", "text,label\na,b\nc\n", "line 3: has 1 fields, but the first line names 2"),
        ("a.csv", "text,label\na,b,c\n", "line 2: has 3 fields, .* comma needs quotes"),
        ("a.csv", 'text,label\n"never closed,b\nc,d\n', "line 3: is malformed"),
        ("a.csv", "text,label\na,b\n ,c\n", "line 3: the text is empty"),
        ("a.csv", "text,label\na, \n", "line 2: the label is empty"),
        ("a.csv", b"text,label\na,b\n\xe9,c\n", "line 3: is not UTF-8 text"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), "line 1: is not UTF-8 text"),
        ("a.csv.gz", b"not gzipped", "a.csv.gz: cannot be read"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text"\n', "line 2: is no JSON"),
        ("a.jsonl", '["a", "b"]\n', "line 1: is no JSON object"),
        ("a.jsonl", '{"text": 3, "label": "b"}\n', "line 1: text is 3, which is no text"),
        ("a.jsonl", '{"text": "a", "label": null}\n', "line 1: label is None, which is no label"),
        ("a.jsonl", '{"text": "a", "lable": "b"}\n', "line 1: has no column 'label'; did you mean"),
        ("a.txt", "text", "a.txt: give a .csv, .tsv, .jsonl, .ndjson file"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_documents(written(tmp_path / name, content), COLUMNS)


def test_folders_that_hold_no_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no folders; give one a class"):
        read_documents(tmp_path, COLUMNS)
    as_folder(tmp_path / "texts")
    (tmp_path / "texts/emu").mkdir()
    with pytest.raises(InputError, match="emu: has no .txt files, so class emu has no texts"):
        read_documents(tmp_path / "texts", COLUMNS)


# --- the task ---------------------------------------------------------------------------------


def test_any_number_of_classes_is_split_by_class(tmp_path: Path) -> None:
    text = Text(path=str(as_csv(tmp_path / "a.csv")), valid_share=0.25, test_share=0.2)
    data = text.load()
    assert data.spec.output_names == ("cat", "dog", "owl") and data.spec.num_outputs == 3
    for split, count in (("train", 6), ("valid", 2), ("test", 2)):
        assert data.splits()[split].targets[:, 0].bincount().tolist() == [count] * 3
    rows = [tuple(row) for split in data.splits().values() for row in split.tokens.tolist()]
    assert len(rows) == 30  # each text is in one split


def test_split_files_are_the_splits(tmp_path: Path) -> None:
    paths = {
        "path": str(as_csv(tmp_path / "train.csv", ROWS[:12])),
        "valid_path": str(as_folder(tmp_path / "valid", ROWS[12:18])),
        "test_path": str(as_csv(tmp_path / "test.csv.gz", ROWS[18:])),
    }
    data = Text(**paths).load()
    assert [len(split) for split in data.splits().values()] == [12, 6, 12]
    assert data.test.targets[:, 0].tolist() == [0, 1, 2] * 4
    assert "3" in data.spec.vocabulary.symbols and "7" not in data.spec.vocabulary.symbols
    only_test = Text(**{**paths, "valid_path": None}, valid_share=0.25).load()
    assert [len(split) for split in only_test.splits().values()] == [9, 3, 12]


def test_a_label_that_is_not_trained_on_is_named(tmp_path: Path) -> None:
    train = as_csv(tmp_path / "train.csv", [("a", "cat"), ("b", "dog")] * 5)
    test = as_csv(tmp_path / "test.csv", [("a", "cat"), ("b", "owl")])
    with pytest.raises(InputError, match="test.csv, line 3: no text for training has .* 'owl'"):
        Text(path=str(train), test_path=str(test)).load()


def test_classes_that_cannot_be_learned_are_refused(tmp_path: Path) -> None:
    one = as_csv(tmp_path / "one.csv", [("a", "cat")] * 5)
    with pytest.raises(InputError, match="all 5 texts have the label 'cat'; at least two"):
        Text(path=str(one)).load()
    each = as_csv(tmp_path / "each.csv", [("a", f"id {number}") for number in range(9)])
    with pytest.raises(InputError, match="9 classes in 9 texts.; is dataset.label_column right"):
        Text(path=str(each)).load()
    three = as_csv(tmp_path / "three.csv")
    with pytest.raises(InputError, match="dataset.one_output is true, but there are 3 classes"):
        Text(path=str(three), one_output=True).load()
    with pytest.raises(InputError, match="nowhere.csv: there is no such file"):
        Text(path=str(tmp_path / "nowhere.csv")).load()


def test_a_cache_is_of_its_content_and_columns(tmp_path: Path) -> None:
    path, cache = as_csv(tmp_path / "a.csv"), str(tmp_path / "cache")
    first = Text(path=str(path), cache=cache).load()
    assert Text(path=str(path), cache=cache).load().digest() == first.digest()
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1
    as_csv(path, [(text.upper() + " more", label) for text, label in ROWS])
    assert "more" in Text(path=str(path), cache=cache).load().spec.vocabulary.symbols
    swapped = Text(path=str(path), text_column="label", label_column="text", cache=cache)
    with pytest.raises(InputError, match="no class has two texts"):
        swapped.load()


def test_vectors_are_of_the_words_that_were_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="seqexp")
    path = as_csv(tmp_path / "a.csv", [("good film", "x"), ("bad film", "y")] * 10)
    vectors = written(tmp_path / "v.txt", "film 1 2 3\nelse 4 5 6\n")
    data = Text(path=str(path), vectors=str(vectors)).load()
    assert data.spec.vocabulary.symbols == ("<unk>", "film", "bad", "good")
    assert data.vectors is not None and data.vectors.ids.tolist() == [2]
    assert "vectors of 1 of the 4 words of the vocabulary (25.0%), 3 values each" in caplog.text
    assert data.digest() != Text(path=str(path)).load().digest()


@pytest.mark.parametrize("max_tokens", range(3, 14))
def test_a_smaller_vocabulary_is_the_beginning_of_a_larger_one(
    tmp_path: Path, max_tokens: int
) -> None:
    texts = ["e e e d d", "c c b b <unk> <unk>", "a f", "a g"] * 3  # many words of equal frequency
    rows = [(text, f"{number % 2}") for number, text in enumerate(texts)]
    path = str(as_csv(tmp_path / "a.csv", rows))
    choices: Any = {"path": path, "test_path": path, "valid_path": path}
    whole = Text(**choices).load().spec.vocabulary.symbols
    assert whole == ("<unk>", "e", "a", "b", "c", "d", "f", "g")
    some = Text(**choices, max_tokens=max_tokens).load().spec.vocabulary.symbols
    assert some == whole[: max_tokens - 1]


# --- the made reviews -------------------------------------------------------------------------


def test_a_made_review_means_what_its_words_say() -> None:
    for text, label, _ in made_reviews(500, seed=0):
        words = set(tokenize(text))
        (adjective,) = words & {word for words in ADJECTIVES.values() for word in words}
        denied = bool(words & {"not", "never"})
        assert (label == "positive") == ((adjective in ADJECTIVES["positive"]) != denied)


def test_made_reviews_depend_on_the_seed_alone_and_are_half_positive() -> None:
    data = Text(num_made=200).load()
    assert data.digest() == Text(num_made=200).load().digest()
    assert data.digest() != Text(num_made=200, seed=1).load().digest()
    assert torch.cat([split.targets for split in data.splits().values()]).double().mean() == 0.5


def test_the_made_reviews_are_the_same_on_every_machine() -> None:
    """May change only with the words or the way that they are drawn."""
    assert [text for text, _, _ in made_reviews(2, seed=0)] == [
        "every scene is not all that funny to me .",
        "the music seemed never boring .",
    ]
