"""Texts as streams: every character once, in its place, and the next one as its target."""

import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.data import Sequences
from seqexp.dataset.chars import GRAMMAR, Chars, grammar_bits_per_character
from seqexp.errors import InputError

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
    (tmp_path / "binary.txt").write_bytes(b"\xff\x80\xfe")
    (tmp_path / "wide.txt").write_text("a text", encoding="utf-16")
    (tmp_path / "packed.txt").write_bytes(gzip.compress(b"text\xff", mtime=0))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"text" * 100, mtime=0)[:-9])
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and more")
    (tmp_path / "folder").mkdir()
    for name, says in (
        ("empty.txt", "empty.txt: holds 0 characters"),
        ("binary.txt", "binary.txt: is not UTF-8 text .byte 0"),
        ("wide.txt", "wide.txt: is UTF-16; save it as UTF-8"),
        ("packed.txt", "packed.txt: is not UTF-8 text .byte 4"),
        ("cut.txt.gz", "cut.txt.gz: cannot be read"),
        ("a.zip", "a.zip: is a ZIP archive"),
        ("folder", "folder, a folder without .txt files"),
        ("nowhere.txt", "nowhere.txt: there is no such file or folder"),
    ):
        with pytest.raises(InputError, match=says):
            Chars(path=str(tmp_path / name)).load()
    with pytest.raises(InputError, match="give one of them"):
        Chars(path="x", text="abc").load()
    with pytest.raises(InputError, match="which leaves 1 of 3 characters"):
        Chars(text="abc", valid_share=0.4, test_share=0.4).load()


def test_half_of_a_surrogate_pair_is_no_character() -> None:
    with pytest.raises(InputError, match="half of a surrogate pair, .* at character 4; remove it"):
        Chars(text="abc\ud83ddef" * 20).load()


def test_a_text_too_short_for_its_test_is_refused() -> None:
    with pytest.raises(InputError, match="test_share is 0.05, which leaves 1 of 31 characters"):
        Chars(text="the cat sees a dog. the dog is ").load()
    data = Chars(text="the cat sees a dog. the dog is ", test_share=0.0).load()
    assert data.valid.targets.numel() == 0
    assert data.notes == (
        "dataset.valid_share is 0.05, which leaves 1 of 31 characters for validation: too few, so"
        " nothing is validated",
    )
    assert Chars(text="the cat sees a dog. the dog is ", test_share=0.1).load().test.tokens.numel()


TEXTS = {"b.txt": "zweite Zeile\n\x00\x0b\u2028", "a.TXT": "größe \ufeff\n", "c.txt": ""}


def test_marks_capitals_packing_and_line_ends_do_not_change_a_corpus(tmp_path: Path) -> None:
    given: dict[str, Any] = {"batch_size": 1, "test_share": 0.0, "valid_share": 0.0}
    expected = Chars(text="größe \ufeff\nzweite Zeile\n\x00\x0b\u2028", **given).load()
    for number, end in enumerate(("\n", "\r\n", "\r")):
        for mark in (b"", b"\xef\xbb\xbf"):
            for packed in (False, True):
                folder = tmp_path / f"{number}{len(mark)}{packed}"
                folder.mkdir()
                for name, text in TEXTS.items():
                    content = mark + text.replace("\n", end).encode()
                    (folder / name).write_bytes(
                        gzip.compress(content, mtime=0) if packed else content
                    )
                for litter in (".hidden.txt", "._a.TXT", "Thumbs.db", "b.txt~"):
                    (folder / litter).write_bytes(b"\xff litter")
                (folder / "__MACOSX").mkdir()
                (folder / "d.txt").mkdir()
                found = Chars(path=str(folder), **given).load()
                assert found.digest() == expected.digest(), (end, mark, packed)


def test_held_out_text_is_one_row_whatever_the_batch_size() -> None:
    splits = [Chars(text=TEXT, batch_size=size).load().splits() for size in (1, 7, 32)]
    for name in ("valid", "test"):
        rows = [split[name].tokens for split in splits]
        assert all(len(row) == 1 and torch.equal(row, rows[0]) for row in rows)
    assert [len(split["train"]) for split in splits] == [1, 7, 32]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (">seq 1\nACGTACGTNN\nACG\n>seq 2\nACGGT\n", "FASTA"),
        ("\n>sp|P1|X\r\nMKVLAAGIVGLL*\r\n", "FASTA"),
        ("@read/1\nACGT\n+\nIIII\n", "FASTQ"),
        ("> a quoted line\n> and another\nfine\n", None),
        ("@someone said\nhello\nthen\n", None),
        ("ACGTACGTACGT\nACGT\n", None),
    ],
)
def test_sequences_with_names_are_told(tmp_path: Path, text: str, kind: str | None) -> None:
    path = tmp_path / "a.fa"
    path.write_text(text * 50)
    notes = Chars(path=str(path)).load().notes
    assert (f"looks like {kind}" in " ".join(notes)) if kind else not notes


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
