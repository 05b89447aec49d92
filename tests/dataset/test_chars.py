"""Texts as streams: every character once, in its place, and the next one as its target."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.dataset.chars import GRAMMAR, Chars, grammar_bits_per_character
from seqexp.errors import InputError
from seqexp.spec import Sequences

TEXT = "".join(chr(ord("a") + i % 26) for i in range(1000))


def decoded(split: Sequences, symbols: tuple[str, ...]) -> list[str]:
    return ["".join(symbols[i - 1] for i in row) for row in split.tokens.tolist()]


def test_streams_are_consecutive_and_targets_are_the_next_characters() -> None:
    data = Chars(text=TEXT, batch_size=4, valid_share=0.1, test_share=0.1).load()
    symbols = data.spec.vocabulary.symbols
    rows = decoded(data.train, symbols)
    assert len(rows) == 4 and len(set(map(len, rows))) == 1
    assert TEXT.startswith("".join(rows)) and len("".join(rows)) >= 800 - 4 - 1
    assert torch.equal(data.train.targets[:, :-1], data.train.tokens[:, 1:])
    assert torch.equal(data.train.targets[:-1, -1], data.train.tokens[1:, 0])
    assert data.train.is_stream and next(data.train.batches(4)).is_stream


def test_the_parts_follow_each_other_and_do_not_overlap() -> None:
    data = Chars(text=TEXT, batch_size=1, valid_share=0.1, test_share=0.2).load()
    symbols = data.spec.vocabulary.symbols
    train, valid, test = ("".join(decoded(s, symbols)) for s in data.splits().values())
    assert (len(train), len(valid), len(test)) == (699, 99, 199)  # the last has no next one
    assert train + TEXT[699] + valid + TEXT[799] + test + TEXT[999] == TEXT


def test_hello_is_its_own_test() -> None:
    data = Chars(text="hello", batch_size=1, valid_share=0.0, test_share=0.0).load()
    assert data.spec.vocabulary.symbols == ("e", "h", "l", "o")
    assert data.train.tokens.tolist() == [[2, 1, 3, 3]]
    assert data.train.targets.tolist() == [[1, 3, 3, 4]]
    assert torch.equal(data.test.tokens, data.train.tokens)
    assert data.valid.targets.numel() == 0


def test_short_texts_have_fewer_streams() -> None:
    data = Chars(text="abcdefg", batch_size=32, valid_share=0.0, test_share=0.0).load()
    assert data.train.tokens.shape == (3, 2)


def test_files_of_a_folder_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("zweite", encoding="utf-8")
    (tmp_path / "a.txt").write_text("größe ", encoding="utf-8")
    (tmp_path / "c.md").write_text("not read")
    data = Chars(path=str(tmp_path), batch_size=1, valid_share=0.0, test_share=0.0).load()
    assert decoded(data.train, data.spec.vocabulary.symbols) == ["größe zweit"]


def test_files_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x80")
    (tmp_path / "folder").mkdir()
    for name, says in (
        ("empty.txt", "empty.txt: holds 0 characters"),
        ("binary.txt", "binary.txt: is not UTF-8 text .byte 0"),
        ("folder", "folder, a folder without .txt files"),
        ("nowhere.txt", "nowhere.txt: there is no such file or folder"),
    ):
        with pytest.raises(InputError, match=says):
            Chars(path=str(tmp_path / name)).load()
    with pytest.raises(InputError, match="give one of them"):
        Chars(path="x", text="abc").load()
    with pytest.raises(InputError, match="which leaves 1 of 3 characters"):
        Chars(text="abc", valid_share=0.4, test_share=0.4).load()


def test_the_made_text_depends_on_the_seed_alone() -> None:
    small: dict[str, Any] = {"num_chars": 3000}
    assert Chars(**small).load().digest() == Chars(**small).load().digest()
    assert Chars(**small).load().digest() != Chars(seed=1, **small).load().digest()


def test_the_made_text_is_the_same_on_every_machine() -> None:
    """May change only with the grammar or the way that it is drawn."""
    data = Chars(batch_size=1, num_chars=100, valid_share=0.0, test_share=0.0).load()
    (row,) = decoded(data.train, data.spec.vocabulary.symbols)
    assert row.splitlines()[0] == "a river sees the hungry river at night."


def test_the_grammars_entropy_is_that_of_its_sentences() -> None:
    short = [choices[:2] for choices in GRAMMAR]
    sentences = ["".join(chosen) for chosen in itertools.product(*short)]
    assert len(set(sentences)) == 2 ** len(GRAMMAR)  # the choices can be read off a sentence
    assert grammar_bits_per_character() == pytest.approx(
        math.log2(4 * 5 * 6 * 5 * 4 * 5 * 6 * 4) / 43.2
    )
