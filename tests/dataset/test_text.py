"""A person's own texts: every form gives the same, and what is wrong is named with its line."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.dataset import asked
from seqexp.dataset import text as of_text
from seqexp.dataset.text import Text
from seqexp.dataset.words.documents import Columns, read_documents
from seqexp.dataset.words.labels import Document
from seqexp.dataset.words.synthetic import ADJECTIVES, made_reviews
from seqexp.dataset.words.tokenizer import tokenize
from seqexp.errors import InputError
from seqexp.inference.text import encode

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
    for value, label in (("1", "1"), ("-2.5", "-2.5"), ("true", "true"), ('" x "', "x")):
        path = written(tmp_path / "a.jsonl", f'{{"text": "a", "label": {value}}}')
        assert [document.label for document in read_documents(path, COLUMNS)] == [label]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "a.csv: is empty; its first line must name the columns"),
        ("a.csv", "text,label\n", "a.csv: holds no texts"),
        (
            "a.csv",
            "txt,label\na,b\n",
            "no column 'text'; did you mean 'txt'. .there are txt, label",
        ),
        ("a.csv", "a,b\nx,y\n", "no column 'text' .there are a, b.; name it by dataset.text_col"),
        ("a.csv", "text,text,label\na,b,c\n", "has 2 columns 'text'; rename one"),
        ("a.csv", "text,label\na,b\nc\n", "line 3: has 1 fields, but the first line names 2"),
        ("a.csv", "text,label\na,b,c\n", "line 2: has 3 fields, "),
        ("a.csv", 'text,label\n"never closed,b\nc,d\n', "line 2: is malformed"),
        ("a.csv", "text,label\na,b\n ,c\n", "line 3: the text is empty"),
        ("a.csv", "text,label\na, \n", "1 of 1 texts have no label: .*line 2 .nothing.; give one"),
        ("a.csv", b"text,label\na,b\n\xe9,c\n", "line 3: is not UTF-8 text"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.csv.gz", gzip.compress(b"text,label\n" * 9, mtime=0)[:-9], "a.csv.gz: cannot be read"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text"\n', "line 2: is no JSON"),
        ("a.jsonl", '["a", "b"]\n', "line 1: is no JSON object"),
        ("a.jsonl", '{"text": 3, "label": "b"}\n', "line 1: text is 3, which is no text"),
        (
            "a.jsonl",
            '{"text": "a", "label": null}\n',
            "1 of 1 texts have no label: .*line 1 .null.; give one",
        ),
        ("a.jsonl", '{"text": "a", "lable": "b"}\n', "line 1: has no column 'label'; did you mean"),
        ("a.jsonl", '{"text": " \\u2003", "label": "b"}\n', "line 1: the text is empty"),
        ("a.jsonl", '{"text": null, "label": "b"}\n', "line 1: text is null, which is no text"),
        ("a.jsonl", '{"text": "a", "label": Infinity}\n', "label is Infinity, which is no label"),
        ("a.jsonl", '{"text": "a", "label": ["b"]}\n', "which is no label; give a string"),
        ("a.jsonl", '{"text": "a \\ud83d", "label": "b"}\n', "line 1: text has .*surrogate pair"),
        ("a.jsonl", '{"text": "a", "label": "\\udc00"}\n', "line 1: label has .*surrogate pair"),
        ("a.jsonl", "[" * 100_000, "line 1: is "),
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


MISSING = ("", "  ", "nan", "NaN", "NA", "None", "null", "NULL", "<NA>", "#N/A")


@pytest.mark.parametrize("value", ["null", "NaN", *(json.dumps(label) for label in MISSING)])
def test_missing_labels_are_counted_and_named_and_are_no_class(tmp_path: Path, value: str) -> None:
    lines = [f'{{"text": "text {i}", "label": "{"ab"[i % 2]}"}}' for i in range(30)]
    for place in (7, 20, 21, 22, 23):
        lines[place] = f'{{"text": "a", "label": {value}}}'
    path = written(tmp_path / "a.jsonl", "\n".join(lines))
    says = r"5 of 30 texts have no label: .* line 8 .*, .* line 21 .*, .* line 22 .*, \.\.\.; give"
    with pytest.raises(InputError, match=says):
        Text(path=str(path)).load()
    if value not in ("null", "NaN"):
        rows = [(f"text {i}", "ab"[i % 2]) for i in range(29)] + [("a", json.loads(value))]
        path = as_csv(tmp_path / "a.csv", rows)
        with pytest.raises(InputError, match="1 of 30 texts have no label: .* line 31"):
            Text(path=str(path)).load()


@pytest.mark.parametrize("label", ["N/A", "none", "na", "no", "0", "Nancy", "nil", "-"])
def test_what_only_looks_like_a_missing_label_is_a_class(tmp_path: Path, label: str) -> None:
    rows = [(f"text {i}", ("other", label)[i % 2]) for i in range(20)]
    assert label in Text(path=str(as_csv(tmp_path / "a.csv", rows))).load().spec.output_names


def test_hidden_files_and_folders_are_no_data(tmp_path: Path) -> None:
    as_folder(tmp_path / "sound")
    as_folder(tmp_path / "texts")
    for place in (".git/HEAD", ".ipynb_checkpoints/a.txt", "__MACOSX/._a.txt", "cat/.DS_Store"):
        (tmp_path / "texts" / place).parent.mkdir(exist_ok=True)
        written(tmp_path / "texts" / place, b"\xff litter")
    for place in ("Thumbs.db", "cat/Thumbs.db", "cat/._a.txt", "cat/a.txt~", "cat/.b.txt"):
        written(tmp_path / "texts" / place, b"\xff litter")
    (tmp_path / "texts/cat/folder.txt").mkdir()
    found = [Text(path=str(tmp_path / name)).load() for name in ("sound", "texts")]
    assert found[0].digest() == found[1].digest()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_capitals_marks_line_ends_and_packing_change_no_text(
    tmp_path: Path, end: str, mark: bytes, packed: bool
) -> None:
    rows = [
        (f"the {label} has\x00 a\u2028b\x0bc {number}", label)
        for number, (_, label) in enumerate(ROWS)
    ]
    table = ["text,label", *(f"{text},{label}" for text, label in rows)]
    objects = [json.dumps({"text": t, "label": c}, ensure_ascii=False) for t, c in rows]
    files = {"A.CSV": table, "a.csv.gz": table, "A.JSONL": objects, "B.NDJSON.GZ": objects}
    files |= {f"folder/{label}/{n:02}.TXT": [text] for n, (text, label) in enumerate(rows)}
    for name, lines in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        content = mark + (end.join(lines) + end).encode()
        written(tmp_path / name, gzip.compress(content, mtime=0) if packed else content)
    for name in ("A.CSV", "a.csv.gz", "A.JSONL", "B.NDJSON.GZ", "folder"):
        found = read_documents(tmp_path / name, COLUMNS)
        assert sorted((text, label) for text, label, _ in found) == sorted(rows), name


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
    with pytest.raises(InputError, match="is dataset.label_column right"):
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


def noted(tmp_path: Path, rows: Any, **choices: Any) -> str:
    return "; ".join(Text(path=str(as_csv(tmp_path / "a.csv", rows)), **choices).load().notes)


def test_numbers_that_are_equal_are_one_class(tmp_path: Path) -> None:
    forms = ("1", "1.0", "0", "0.0", "1e0", "00")
    rows = [(f"text {i}", forms[i % 6]) for i in range(60)]
    test = as_csv(tmp_path / "test.csv", [("a text", "1.00"), ("another", "0")])
    data = Text(path=str(as_csv(tmp_path / "a.csv", rows)), test_path=str(test)).load()
    assert data.spec.output_names == ("0", "1") and data.test.targets[:, 0].tolist() == [1, 0]
    assert "'1', '1.0', '1e0' and '1.00' are equal numbers: one class, '1'" in data.notes[0]
    names = Text(
        path=str(
            as_csv(tmp_path / "a.csv", [(t, "01"[i % 2] + ".0") for i, (t, _) in enumerate(rows)])
        )
    ).load()
    assert names.spec.output_names == ("0.0", "1.0") and not names.notes


def test_truth_values_among_strings_are_refused(tmp_path: Path) -> None:
    for other in ('"True"', '"true"', "1", '"yes"'):
        lines = [
            f'{{"text": "t {i}", "label": {("true", "false", other)[i % 3]}}}' for i in range(9)
        ]
        path = written(tmp_path / "a.jsonl", "\n".join(lines))
        with pytest.raises(InputError, match="truth values at .*line 1 .true. and strings or numb"):
            Text(path=str(path)).load()


def test_classes_that_may_be_one_are_told(tmp_path: Path) -> None:
    for one, other in (
        ("Pos", "pos"),
        ("New York", "new  york"),
        ("é", "e\u0301"),
        ("a\xa0b", "a b"),
    ):
        found = noted(tmp_path, [(f"text {i}", (one, other)[i % 2]) for i in range(30)])
        assert "differ by case, blanks or the form of a letter only" in found
    found = noted(tmp_path, [(f"text {i}", ("True", "False", "1", "0")[i % 4]) for i in range(40)])
    assert "may be the same truth values in two forms" in found
    assert not noted(tmp_path, [(f"text {i}", ("pos", "neg")[i % 2]) for i in range(30)])


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([f"{i / 997:.3f}" for i in range(60)], "look like measurements or names"),
        ([f"{i % 40 / 80}" for i in range(400)], "40 different ones in 400 texts"),
        ([f"{i}" for i in range(60)], "60 different ones in 60 texts"),
        ([f"id {i // 2}" if i < 30 else f"id {i}" for i in range(60)], "look like names of the te"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, labels: list[str], says: str
) -> None:
    with pytest.raises(InputError, match=f"{says}.*dataset.label_column right"):
        noted(tmp_path, [(f"text {i}", label) for i, label in enumerate(labels)])


def test_ratings_are_classes_and_their_order_is_said_to_be_lost(tmp_path: Path) -> None:
    found = noted(tmp_path, [(f"text {i}", f"{i % 10 / 2}") for i in range(100)])
    assert "the 10 labels are numbers, as '0.0' and '0.5': they are learned as classes" in found
    assert not noted(tmp_path, [(f"text {i}", f"{i % 5}") for i in range(100)])


# --- texts and words that a test is fooled by ---------------------------------------------------


def test_the_same_texts_are_drawn_into_one_split(tmp_path: Path) -> None:
    rows = [(f"text number {i}", "ab"[i % 2]) for i in range(40) for _ in range(10)]
    data = Text(path=str(as_csv(tmp_path / "a.csv", rows))).load()
    assert [len(split) for split in data.splits().values()] == [320, 40, 40]
    # and none of the lines that tell of texts in two splits
    assert data.notes == ("360 of 400 texts repeat the words of another",)


def test_texts_of_the_test_are_removed_from_training(tmp_path: Path) -> None:
    train = [(f"text {i}", "ab"[i % 2]) for i in range(20)]
    valid = [("Text  3", "b"), ("other 1", "a"), ("TEXT 5", "a")]
    test = [("text 3", "b"), ("text 4", "a"), ("text text text", "a")]
    paths = {
        f"{name}path": str(as_csv(tmp_path / f"{name}a.csv", rows))
        for name, rows in (("", train), ("valid_", valid), ("test_", test))
    }
    data = Text(**paths).load()
    assert [len(split) for split in data.splits().values()] == [17, 2, 3]
    assert data.notes == (
        "1 texts stand more than once, with different labels",
        "1 of 3 texts of valid stand in test too: they are removed from valid",
        "3 of 20 texts of train stand in valid or test too: they are removed from train",
    )
    only = Text(path=paths["path"], test_path=paths["path"]).load()
    assert len(only.test) == 20 and "so that valid or test measures memory" in only.notes[-1]


def test_texts_that_cannot_be_kept_apart_are_told(tmp_path: Path) -> None:
    rows = [("good film", "x"), ("bad film", "y")] * 10
    found = noted(tmp_path, rows)
    assert "18 of 20 texts repeat" in found and "they stay, so that" in found


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda i: "ACGT"[i % 4] + f"{i:b}".replace("0", "A").replace("1", "G"), "one word each"),
        (lambda i: f"电影{chr(0x4E00 + i)}很好{i}。", "of the words of test are unknown"),
        (lambda i: f"{i * 7919}-{i}, {i * 31}.", "of the words of test are unknown"),
        (lambda i: f"the film {i} is good", None),
    ],
)
def test_words_that_training_lacks_are_told(tmp_path: Path, made: Any, says: str | None) -> None:
    found = noted(tmp_path, [(made(i), "ab"[i % 2]) for i in range(300)])
    assert (says in found and "give dataset=fasta" in found) if says else not found


def test_so_few_texts_that_none_validates_are_told(tmp_path: Path) -> None:
    found = noted(tmp_path, [("a fine film", "x"), ("a book", "x"), ("fine", "y"), ("a film", "y")])
    assert "no class has two texts left" in found and "nothing is validated" in found


def test_notes_on_classes_are_those_of_a_cached_corpus_too(tmp_path: Path) -> None:
    rows = [(f"text {i}", ("Pos", "pos")[i % 2]) for i in range(30)]
    first, second = (noted(tmp_path, rows, cache=str(tmp_path / "cache")) for _ in range(2))
    assert first == second and "differ by case" in second


# --- labels, numbers, characters, next words --------------------------------------------------


def with_columns(path: Path, **columns: list[Any]) -> str:
    count = len(next(iter(columns.values())))
    texts = [f"text number {i}" for i in range(count)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(["text", *columns])
        csv.writer(file).writerows(zip(texts, *columns.values(), strict=True))
    return str(path)


def by_text(data: Any) -> dict[str, list[float]]:
    """Targets of `text number i`, by the number where it is in the vocabulary."""
    found = {}
    for split in data.splits().values():
        for row, targets in zip(split.tokens.tolist(), split.targets.tolist(), strict=True):
            found[" ".join(data.spec.vocabulary.decode(row))] = targets
    return found


def test_numbers_and_labels_of_texts_are_told_by_their_values(tmp_path: Path) -> None:
    path = with_columns(
        tmp_path / "a.csv",
        stars=["", *(i / 4 for i in range(1, 40))],
        sad=[i % 2 for i in range(40)],
        funny=[("TRUE", "0.0", "null", "1")[i % 4] for i in range(40)],
    )
    data = Text(path=path, targets=["stars"]).load()
    assert data.spec.output == "regression" and data.spec.output_names == ("stars",)
    assert "stars: numbers with fractions, so dataset.task is regression" in data.notes
    found = by_text(data)
    known = {text: t for text, t in found.items() if "<unk>" not in text and t[0] == t[0]}
    assert len(known) > 20
    assert all(t == [int(text.split()[-1]) / 4] for text, t in known.items())
    assert sum(split.targets.isnan().sum().item() for split in data.splits().values()) == 1
    data = Text(path=path, targets=["sad", "funny"]).load()
    assert data.spec.output == "multi_label" and data.spec.output_names == ("sad", "funny")
    for text, targets in by_text(data).items():
        if "<unk>" not in text:
            number = int(text.split()[-1])
            assert targets == [number % 2, (1, 0, -100, 1)[number % 4]]


@pytest.mark.parametrize("large", [False, True])
def test_a_column_may_list_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    monkeypatch.setattr(of_text, "LARGE", 0 if large else 2**40)
    topics = ["sport; money", "money", ";", "tech;sport", "NA"] * 20
    path = with_columns(tmp_path / "a.csv", topics=topics)
    cache = str(tmp_path / "cache") if large else None
    given = {"path": path, "task": "multi_label", "cache": cache}
    data = Text(targets=["topics"], **given).load()  # type: ignore[arg-type]
    assert data.spec.output == "multi_label" and data.spec.num_outputs == 3
    assert data.spec.output_names == ("money", "sport", "tech")
    expected = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1], [-100, -100, -100]]
    for words, targets in by_text(data).items():
        if "<unk>" not in words:
            assert targets == expected[int(words.split()[-1]) % 5]
    said = "topics names 3 labels, separated by ';'; 20 are not known (';' alone would be none of"
    assert any(note.startswith(said) for note in data.notes)


def test_json_may_list_labels_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists: list[Any] = [["a", "b"], [], ["b"], None]
    rows = [{"text": f"word{i} {i}", "label": lists[i % 4]} for i in range(40)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    data = Text(path=str(path), task="multi_label").load()
    assert data.spec.output_names == ("a", "b")
    counts = torch.cat([split.targets for split in data.splits().values()]).unique(
        dim=0, return_counts=True
    )
    assert counts[0].tolist() == [[-100, -100], [0, 0], [0, 1], [1, 1]]
    assert counts[1].tolist() == [10, 10, 10, 10]
    path.write_text("\n".join(json.dumps(row | {"label": ["a;b", "c"]}) for row in rows))
    with pytest.raises(InputError, match="line 1: label names 'a;b'; in a list of labels"):
        Text(path=str(path), task="multi_label").load()
    path.write_text("\n".join(json.dumps(row | {"label": f"x{i}"}) for i, row in enumerate(rows)))
    monkeypatch.setattr(asked, "MAX_LISTED", 39)
    with pytest.raises(InputError, match="names 40 different"):
        Text(path=str(path), task="multi_label").load()


def test_a_cached_corpus_has_the_same_answers(tmp_path: Path) -> None:
    path = with_columns(tmp_path / "a.csv", x=[i / 4 for i in range(40)], y=["NA", *range(39)])
    cache = str(tmp_path / "cache")
    plain = Text(path=path, targets=["x", "y"]).load()
    assert all(
        Text(path=path, targets=["x", "y"], cache=cache).load().digest() == plain.digest()
        for _ in range(2)
    )
    swapped = Text(path=path, targets=["y", "x"], cache=cache).load()
    assert swapped.spec.output_names == ("y", "x")
    classes = Text(path=path, targets=["y"], task="regression", cache=cache).load()
    assert classes.spec.num_outputs == 1


def test_json_lines_hold_numbers_and_truth_values(tmp_path: Path) -> None:
    lines = [{"text": f"t {i}", "x": i / 4 if i else None, "b": i % 2 == 0} for i in range(40)]
    path = written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    data = Text(path=str(path), targets=["x"]).load()
    assert data.spec.output == "regression"
    data = Text(path=str(path), targets=["b"]).load()
    assert data.spec.output_names == ("false", "true")
    written(path, '{"text": "a", "x": [1]}')
    with pytest.raises(InputError, match="line 1: x is .1., which is no label; give a string"):
        Text(path=str(path), targets=["x"]).load()


def test_what_texts_leave_open_is_asked(tmp_path: Path) -> None:
    path = with_columns(
        tmp_path / "a.csv",
        count=list(range(40)),
        unit=["3,5", *(f"{i / 4}" for i in range(39))],
        gaps=["", *("ab"[i % 2] for i in range(39))],
        label=[i / 2 for i in range(40)],
    )
    asked: list[tuple[dict[str, Any], str]] = [
        ({"targets": ["count"]}, "line 2: count is '0', and has 40 different integers.*Give data"),
        ({"targets": ["unit"]}, "line 2: unit is '3,5'.*decimal point"),
        ({"targets": ["gaps"]}, "1 of 40 texts have no gaps: .*line 2"),
        ({"task": "sequence_class"}, "line 3: label is '0.5', a number .* which is meant"),
        ({"targets": ["count"], "task": "multi_label"}, "line 4: count is '2'; a label is 0"),
        ({"task": "regression", "one_output": True}, "one_output is true, but dataset.task is reg"),
    ]
    for keys, says in asked:
        with pytest.raises(InputError, match=says):
            Text(path=path, **keys).load()
    assert Text(path=path, task="regression").load().spec.output == "regression"
    folder = as_folder(tmp_path / "folder")
    with pytest.raises(InputError, match="is a folder, which tells a class of each text"):
        Text(path=str(folder), targets=["stars"]).load()


def test_characters_are_the_texts_as_they_stand(tmp_path: Path) -> None:
    rows = [(f"Ab {i}é" * (1 + i % 3), "xy"[i % 2]) for i in range(40)]
    path = str(as_csv(tmp_path / "a.csv", rows))
    data = Text(path=path, unit="characters", max_length=9).load()
    symbols = data.spec.vocabulary.symbols
    assert symbols[0] == "<unk>" and set("Ab é") <= set(symbols)
    read = {
        "".join(data.spec.vocabulary.decode(row))
        for split in data.splits().values()
        for row in split.tokens.tolist()
    }
    assert "<unk>" not in "".join(read) and read == {text[:9] for text, _ in rows}
    assert encode("Ab 1é?"[:6], data.spec)[:6] == [
        *data.spec.vocabulary.encode("Ab 1é"),
        data.spec.vocabulary.ids["<unk>"],
    ]


@pytest.mark.parametrize("pad", ["left", "right"])
def test_the_next_word_of_each_text_is_asked(tmp_path: Path, pad: Any) -> None:
    lines = [f"line {i} has the word w{i % 7} {'and more ' * (i % 3)}" for i in range(60)]
    path = written(tmp_path / "a.txt", "\n\n".join([*lines, "one"]))
    data = Text(path=str(path), task="next_token", pad=pad).load()
    assert data.spec.output == "next_token" and data.spec.words is None
    assert data.spec.num_outputs == len(data.spec.vocabulary) == len(data.spec.output_names)
    assert sum(map(len, data.splits().values())) == 60  # without the text of one word
    decode = data.spec.vocabulary.decode
    for split in data.splits().values():
        for tokens, targets in zip(split.tokens.tolist(), split.targets.tolist(), strict=True):
            scored = [t for t in targets if t != -100]
            assert (
                decode(tokens)[1 : len(scored) + 1]
                == decode(scored)[: len(tokens) - 1][: len(decode(tokens)) - 1]
            )
            assert scored and decode(tokens)[0] in ("line", "<unk>")
    made = Text(num_made=200, task="next_token").load()
    assert made.spec.output == "next_token" and len(made.train) == 162


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


def test_fewer_held_out_texts_are_some_of_them_and_change_no_other_split() -> None:
    whole = Text(num_made=200).load()
    few = Text(num_made=200, num_valid=6, num_test=4).load()
    assert (len(few.valid), len(few.test)) == (6, 4)
    assert few.train.digest() == whole.train.digest()
    for some, every in ((few.valid, whole.valid), (few.test, whole.test)):
        assert some.keys is not None and every.keys is not None
        assert set(some.keys.tolist()) <= set(every.keys.tolist())
        assert some.targets.sum() * 2 == len(some)  # as many of each class
    assert Text(num_made=200, num_test=10**6).load().digest() == whole.digest()


def test_words_of_texts_that_are_left_out_are_known_where_that_is_wanted() -> None:
    whole = Text(num_made=200).load()
    few = Text(num_made=200, num_train=4).load()
    known = Text(num_made=200, num_train=4, vocabulary="all").load()
    assert known.spec.vocabulary == whole.spec.vocabulary
    assert len(few.spec.vocabulary) < len(known.spec.vocabulary)
    words = [
        [data.spec.vocabulary.symbols[i - 1] for i in data.train.tokens.flatten().tolist() if i]
        for data in (few, known)
    ]
    assert words[0] == words[1]  # the same texts, all of whose words are known
