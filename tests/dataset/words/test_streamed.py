"""Texts larger than memory: encoded in blocks, mapped from files, and equal to those in memory."""

import csv
import errno
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchtext.data.utils import get_tokenizer

from seqexp.data import Data
from seqexp.dataset import mapped, text
from seqexp.dataset.read_only import only_looking
from seqexp.dataset.text import Text
from seqexp.dataset.words import joining, matrices, streamed
from seqexp.dataset.words.numbering import number_all, number_one_by_one, tokenize
from seqexp.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Texts of 60 rows, some of them twice."""
    draw = random.Random(0)
    path = tmp_path / "texts.csv"
    with path.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["text", "label", "stars"])
        for row in range(60):
            words = [f"w{draw.randrange(40)}é" for _ in range(1 + row % 9)]
            good = row % 2
            rows.writerow([" ".join([*words, "good" if good else "bad"]), "ab"[good], row / 4])
        rows.writerow(["W1é, good", "b", 3])
        rows.writerow(["w1é , GOOD", "b", ""])
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is large."""
    monkeypatch.setattr(text, "LARGE", 0)
    monkeypatch.setattr(matrices, "LARGE", 0)
    monkeypatch.setattr(streamed, "PART", 150)
    monkeypatch.setattr(mapped, "MANY", 50)
    monkeypatch.setattr(matrices, "MANY", 50)


def same(a: Data, b: Data) -> bool:
    tensors = all(
        torch.equal(one.tokens, other.tokens)
        and one.tokens.dtype == other.tokens.dtype
        and one.digest() == other.digest()
        for one, other in zip(a.splits().values(), b.splits().values(), strict=True)
    )
    return tensors and (a.digest(), a.spec, a.notes) == (b.digest(), b.spec, b.notes)


CHOICES: dict[str, dict[str, Any]] = {
    "classes": {"max_tokens": 12, "truncate": "head", "pad": "left"},
    "next words": {"task": "next_token", "max_length": 5},
    "numbers": {"targets": ["stars"], "task": "regression"},
    "a column of classes": {"targets": ["label"]},
    "characters": {"unit": "characters", "folds": 3},
}


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_texts_from_files_equal_those_in_memory(
    file: Path, tmp_path: Path, request: pytest.FixtureRequest, choices: dict[str, Any]
) -> None:
    in_memory = Text(str(file), **choices).load()
    request.getfixturevalue("small")
    cache = tmp_path / "cache"
    for _ in range(2):
        found = Text(str(file), cache=str(cache), **choices).load()
        assert same(found, in_memory)
    assert not [*cache.glob("*.done"), *cache.glob("*.parts"), *cache.glob("*.unfinished")]
    with pytest.raises(RuntimeError, match="read|writ|resize"):  # as only a mapped one does
        found.train.tokens.resize_(10**6)
    assert same(Text(str(file), cache=None, **choices).load(), in_memory)


def test_rows_of_texts_that_the_cache_does_not_take_are_no_other_texts_rows(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(text, "LARGE", 10**9)
    monkeypatch.setattr("seqexp.dataset.words.cache.write", full)
    rows = []
    for words in ("a b b a", "a b a b"):
        path = tmp_path / "same.csv"
        path.write_text("text,label\n" + "".join(f"{words},{i % 2}\n" for i in range(30)))
        rows.append(Text(str(path), cache=str(tmp_path / "cache")).load().train.tokens[0].tolist())
    assert rows[0] != rows[1]


def test_an_encoding_that_was_killed_resumes_by_blocks(
    file: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Text(str(file)).load()
    done: list[Path] = []
    number_into = streamed.number_into

    def until(count: int | None, place: Path, *arguments: Any) -> list[int]:
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(place)
        return number_into(place, *arguments)

    dataset = Text(str(file), cache=str(tmp_path / "cache"))
    monkeypatch.setattr(streamed, "number_into", lambda *given: until(5, *given))
    with pytest.raises(KeyboardInterrupt):
        dataset.load()
    assert not [*(tmp_path / "cache").glob("*.json")]
    monkeypatch.setattr(streamed, "number_into", lambda *given: until(None, *given))
    assert same(dataset.load(), expected)
    assert len(done) == len(set(done)) > 8


def test_without_a_place_to_write_files_are_temporary_and_a_full_disk_is_said(
    file: Path, tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Text(str(file)).load()
    (tmp_path / "file").write_text("no folder")
    assert same(Text(str(file), cache=str(tmp_path / "file")).load(), expected)
    with only_looking():
        assert same(Text(str(file), cache=str(tmp_path / "none")).load(), expected)
    assert not (tmp_path / "none").exists()

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "ids.npy")

    monkeypatch.setattr(joining, "growing", full)
    with pytest.raises(InputError, match="ids.npy: the disk is full.*TMPDIR"):
        Text(str(file), cache=str(tmp_path / "cache")).load()


def test_a_damaged_file_is_noticed_and_built_again(
    file: Path, tmp_path: Path, small: None, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = Text(str(file), cache=str(tmp_path))
    expected = dataset.load()
    for damaged in ("*-words-letters.npy", "rows-*-train-tokens.npy"):
        (found,) = tmp_path.glob(damaged)
        content = found.read_bytes()
        found.unlink()
        found.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert same(dataset.load(), expected)
        assert "is damaged" in caplog.text
        caplog.clear()


WRONG = {
    'good,a,1\n"",b,1\n': "line 3: the text is empty",
    'good,a,1\n"""",b,1\n': "line 3: the text has no word",
    "good,a,1\nbad,,1\n": "1 of 2 texts have no label: .*line 3",
    "good,a,1\nbad,a,1\n": "line 2: all 2 texts have the label 'a'",
}


@pytest.mark.parametrize("rows", WRONG)
def test_wrong_texts_are_named_by_their_line(tmp_path: Path, small: None, rows: str) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,label,stars\n" + rows)
    with pytest.raises(InputError, match=WRONG[rows]):
        Text(str(path)).load()


def test_wrong_numbers_are_named_by_their_line(tmp_path: Path, small: None) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,label,stars\nx,a,1\ny,b,1\nz,a,one\n")
    with pytest.raises(InputError, match="line 4: stars is 'one'"):
        Text(str(path), targets=["stars"], task="regression").load()


def test_words_are_those_of_basic_english() -> None:
    pieces = [
        "<br />",
        "<",
        "br",
        " ",
        "/>",
        "'",
        '"',
        *".,;:()!?",
        "İ",
        "\x1c",
        "\u2028",
        "a",
        "B",
    ]
    draw, basic = random.Random(0), get_tokenizer("basic_english")
    for _ in range(3000):
        made = "".join(draw.choices(pieces, k=draw.randrange(12)))
        assert tokenize(made) == basic(made)


def test_all_texts_at_once_give_the_numbers_that_one_by_one_do() -> None:
    pieces = [
        *"< /'\".,;:()!?",
        "<br />",
        "br",
        "/>",
        "İ",
        "Σ",
        "\x1c",
        "\u2028",
        "\xa0",
        "\n",
        "é",
    ]
    words = ["B", "eightlet", "nineletts", "sixteenletters16", "seventeenletters1"]
    draw = random.Random(1)
    for _ in range(300):
        texts = ["".join(draw.choices([*pieces, *words], k=12)) for _ in range(4)]
        found, expected = number_all(texts), number_one_by_one(texts)
        assert found is not None and found.words == expected.words
        assert found.ids.tolist() == expected.ids.tolist() and found.lengths == expected.lengths
    assert number_all(["a\0b"]) is None


def test_strings_of_a_file_are_a_sequence() -> None:
    texts = ["a", "", "né", "映画", "b"]
    content = "".join(texts).encode()
    ends = np.cumsum([0, *(len(one.encode()) for one in texts)])
    strings = mapped.Strings(np.frombuffer(content, dtype=np.uint8), ends)
    assert [*strings] == texts and len(strings) == 5
    assert strings[-1] == "b" and strings[1:3] == ["", "né"]
    with pytest.raises(IndexError):
        strings[5]
