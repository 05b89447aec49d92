"""Pairs of sources and targets: files, units, splits, limits, and what is refused."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from config.test_check import composed
from conftest import SHARED

from seqexp.config.check import check
from seqexp.data import Data, Sequences
from seqexp.dataset.pairing import encoding
from seqexp.dataset.pairing.files import Pair
from seqexp.dataset.pairing.splits import divided
from seqexp.dataset.pairing.synthetic import in_words
from seqexp.dataset.pairing.units import Reading, joined
from seqexp.dataset.pairs import Pairs, context_ids, text_of
from seqexp.dataset.soundness import checked
from seqexp.errors import ConfigError, InputError
from seqexp.spec import IGNORE, PAD, Output, Vocabulary

ROWS = [("k a t", "cat"), ("d o g", "dog"), ("b i r d", "bird"), ("f i s", "fish")]


def table(path: Path, rows: list[tuple[str, ...]], header: str = "source\ttarget") -> str:
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n")
    return str(path)


def three(folder: Path, **more: Any) -> Pairs:
    """Training on the first two, validation on the third and test on the last pair."""
    parts = {"path": ROWS[:2], "valid_path": ROWS[2:3], "test_path": ROWS[3:]}
    paths = {key: table(folder / f"{key}.tsv", rows) for key, rows in parts.items()}
    return Pairs(**{**paths, "target_unit": "characters", **more})


def texts(split: Sequences, data: Data) -> list[tuple[str, str]]:
    """Sources and targets, from token ids."""
    assert isinstance(data.spec.context, Vocabulary) and split.context is not None
    vocabulary, context = data.spec.vocabulary, data.spec.context
    return [
        (" ".join(context.decode(source)), "".join(vocabulary.decode(tokens)))
        for source, tokens in zip(split.context.tolist(), split.tokens.tolist(), strict=True)
    ]


def test_a_target_goes_from_begin_to_end_and_its_source_is_the_context(tmp_path: Path) -> None:
    data = three(tmp_path).load()
    spec = data.spec
    assert spec.output is Output.NEXT_TOKEN and spec.num_outputs == len(spec.vocabulary)
    assert spec.vocabulary.symbols[:3] == ("<", ">", "<unk>")
    assert set(spec.vocabulary.symbols[3:]) == set("catdog")
    assert texts(data.train, data) == [("k a t", "<cat"), ("d o g", "<dog")]
    assert texts(data.test, data) == [("<unk> <unk> <unk>", "<" + "<unk>" * 4)]
    begin, end = spec.vocabulary.encode("<>")
    assert data.valid.tokens[:, 0].tolist() == [begin]
    assert data.train.targets[:, -1].tolist() == [end, end]
    assert torch.equal(data.train.tokens[:, 1:], data.train.targets[:, :-1])
    checked(data, "someone.Pairs")


def test_shorter_rows_are_padded_and_padding_is_not_scored(tmp_path: Path) -> None:
    path = table(tmp_path / "p.tsv", [("a b", "x"), ("a", "x y z"), ("c", "x"), ("d", "y")])
    data = Pairs(path=path, valid_share=0.0).load()
    for split in (data.train, data.test):
        is_padding = split.tokens == PAD
        assert (split.targets[is_padding] == IGNORE).all()
        assert (split.targets[~is_padding] > 0).all()


def test_made_pairs_are_numbers_and_their_words_the_same_for_a_seed() -> None:
    assert in_words(0) == ["zero"]
    assert in_words(40_015) == ["forty", "thousand", "fifteen"]
    assert in_words(70_300) == ["seventy", "thousand", "three", "hundred"]
    assert in_words(999_999)[:4] == ["nine", "hundred", "ninety", "nine"]
    data = Pairs(num_made=100).load()
    sizes = [len(split) for split in data.splits().values()]
    assert sizes == [81, 9, 10] and data.notes == ()
    assert data.digest() == Pairs(num_made=100).load().digest()
    assert data.digest() != Pairs(num_made=100, seed=1).load().digest()


@pytest.mark.parametrize("unit", ["blanks", "words", "characters"])
def test_made_pairs_go_with_every_unit(unit: Any) -> None:
    data = Pairs(num_made=40, source_unit=unit, target_unit=unit).load()
    assert checked(data, "someone.Pairs").train.tokens.shape[0] == 32


def test_units_divide_texts() -> None:
    text = "Don't  stop: été 3.5"
    assert Reading("blanks").symbols(text) == ("Don't", "stop:", "été", "3.5")
    divided = ("Don", "'", "t", "stop", ":", "été", "3", ".", "5")
    assert Reading("words").symbols(text) == divided
    assert Reading("characters").symbols(" ab  c ") == ("a", "b", " ", "c")
    assert Reading("characters", "NFKD").symbols("가") == ("ᄀ", "ᅡ")
    assert Reading("words", lower=True).symbols("Ab")[0] == "ab"
    assert Reading("words").symbols("कि है") == ("कि", "है")  # marks belong to their letters
    assert joined(["a", "b"], "characters") == "ab" and joined(["a", "b"], "words") == "a b"


def test_pairs_of_a_source_are_drawn_together_whatever_their_order() -> None:
    pairs = [Pair((f"s{n % 20}",), (f"t{n}",), "") for n in range(60)]
    shares = {"test": 0.2, "valid": 0.25}
    drawn = [divided({"train": order}, shares, 0) for order in (pairs, pairs[::-1])]
    for splits in drawn:
        train, valid, test = ({pair.source for pair in part} for part in splits.values())
        assert not train & valid and not train & test and not valid & test
        assert (len(train), len(valid), len(test)) == (12, 4, 4)
    for name in ("train", "valid", "test"):
        assert set(drawn[0][name]) == set(drawn[1][name])
    assert divided({"train": pairs}, shares, 1) != drawn[0]


def test_a_column_says_the_split(tmp_path: Path) -> None:
    rows = [("a", "x", "Train"), ("b", "y", "dev"), ("c", "z", "TEST"), ("d", "x", "train")]
    path = table(tmp_path / "p.tsv", rows, "source\ttarget\tsplit")
    data = Pairs(path=path).load()
    assert [len(split) for split in data.splits().values()] == [2, 1, 1]
    assert len(Pairs(path=path, split_column=None, test_share=0.5).load().test) == 2
    other = table(tmp_path / "o.tsv", rows[:1], "source\ttarget\tsplit")
    with pytest.raises(InputError, match=r"line 4: split says test, but dataset.test_path is"):
        Pairs(path=path, test_path=other).load()
    wrong = table(tmp_path / "w.tsv", [("a", "x", "most")], "source\ttarget\tsplit")
    with pytest.raises(InputError, match=r"w.tsv, line 2: split is 'most'; give train, valid"):
        Pairs(path=wrong).load()


def test_held_out_pairs_are_removed_from_training_and_it_is_said(tmp_path: Path) -> None:
    rows = {
        "path": [("a", "x"), ("b", "y"), ("c", "z"), ("d", "x")],
        "valid_path": [("b", "y"), ("e", "x"), ("c", "z")],
        "test_path": [("c", "z"), ("a", "y"), ("a", "z")],
    }
    data = Pairs(**{key: table(tmp_path / key, found) for key, found in rows.items()}).load()
    assert texts(data.train, data) == [("a", "<x"), ("d", "<x")]
    assert [len(split) for split in data.splits().values()] == [2, 2, 3]
    told = "\n".join(data.notes)
    assert "1 of 3 pairs of valid stand in test too" in told
    assert "2 of 4 pairs of train stand in valid or test too: they are removed" in told
    assert "1 of 2 sources of test stand in train too, with other targets" in told
    assert "1 of 2 sources of test have several targets: any of them is exact" in told


def test_rare_symbols_are_unknown_and_counted(tmp_path: Path) -> None:
    path = table(tmp_path / "p.tsv", [("a a b", "x x y"), ("a c", "x z")])
    test = table(tmp_path / "t.tsv", [("a q", "x q")])
    data = Pairs(path=path, test_path=test, valid_share=0.0, min_count=2).load()
    assert data.spec.vocabulary.symbols == ("<", ">", "<unk>", "x")
    assert isinstance(data.spec.context, Vocabulary) and len(data.spec.context) == 3
    assert data.notes[0].startswith("2 of 5 symbols of the sources of train are <unk> (40.0%)")
    assert "in 1 of 1 pairs; <unk> is never written, so that these cannot be exact" in data.notes[3]
    sizes = {"max_source_tokens": 5, "max_target_tokens": 6}
    few = Pairs(path=path, test_path=test, valid_share=0.0, **sizes).load().spec  # type: ignore[arg-type]
    assert isinstance(few.context, Vocabulary)
    assert (len(few.context), len(few.vocabulary)) == (5, 6)


def test_ends_are_other_symbols_where_the_data_have_them(tmp_path: Path) -> None:
    path = table(tmp_path / "p.tsv", [("a", "x < y"), ("b", "y"), ("c", "x")])
    symbols = Pairs(path=path, valid_share=0.0).load().spec.vocabulary.symbols
    assert symbols[:2] == ("<s>", "</s>")


def test_a_symbol_may_be_called_as_padding_is(tmp_path: Path) -> None:
    path = table(tmp_path / "p.tsv", [("a", "padding x"), ("b", "y"), ("c", "<padding>")])
    data = checked(Pairs(path=path, valid_share=0.0).load(), "someone.Pairs")
    assert len(set(data.spec.output_names)) == len(data.spec.output_names)


def test_longer_pairs_are_refused_or_cut(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: the source has 4 symbols, but dataset.max_sou"):
        three(tmp_path, max_source_length=3).load()
    with pytest.raises(InputError, match=r"has 3 symbols \(and 1 more\), but dataset.max_target_"):
        three(tmp_path, max_target_length=2).load()
    limits = {"max_source_length": 2, "max_target_length": 2, "longer": "truncate"}
    data = three(tmp_path, **limits).load()
    assert texts(data.train, data) == [("k a", "<ca"), ("d o", "<do")]
    assert (data.train.targets[:, 2] == IGNORE).all()  # they have no end
    assert data.test.tokens.shape[1] == 5  # the truth is not cut
    assert data.notes[:2] == (
        "4 sources are cut to 2 symbols",
        "2 targets of train are cut to 2 symbols",
    )


def test_what_does_not_fit_into_memory_padded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str, ...]] = [("a", "x"), ("a " * 500, "x"), ("b", "y")]
    path = table(tmp_path / "p.tsv", rows)
    monkeypatch.setattr(encoding, "MAX_SHARE_OF_MEMORY", 1e-12)
    with pytest.raises(InputError, match=r"line 3: has 500 symbols, and all 3 pairs are padded"):
        Pairs(path=path).load()


@pytest.mark.parametrize("form", ["csv", "jsonl", "gz"])
def test_other_formats_give_the_same(tmp_path: Path, form: str) -> None:
    rows = [(f"a {n}", f"x {n}") for n in range(20)]
    expected = Pairs(path=table(tmp_path / "p.tsv", [*rows])).load()
    if form == "csv":
        path = tmp_path / "p.csv"
        path.write_text("\ufeffsource,target\r\n" + "".join(f'"{a}",{b}\r\n' for a, b in rows))
    elif form == "jsonl":
        path = tmp_path / "p.jsonl"
        lines = [json.dumps({"source": a, "target": b, "id": 3}) for a, b in rows]
        path.write_text("\n".join(lines))
    else:
        path = tmp_path / "p.tsv.gz"
        path.write_bytes(gzip.compress((tmp_path / "p.tsv").read_bytes()))
    assert Pairs(path=str(path)).load().digest() == expected.digest()


WRONG = {
    "an empty source": ("source\ttarget\na\tx\n \ty\n", r"line 3: source is empty; remove the"),
    "an empty target": ("source\ttarget\na\t\nb\ty\n", r"line 2: target is empty; remove the"),
    "no such column": ("src\ttarget\na\tx\n", r"no column 'source'.*dataset.source_column"),
    "a header only": ("source\ttarget\n", r"holds no pairs"),
    "nothing": ("", r"is empty"),
    "a ragged row": ("source\ttarget\na\n", r"line 2: has 1 fields"),
    "one source": ("source\ttarget\na\tx\na\ty\n", r"test_share is 0.1, but there is only one"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused_by_line(tmp_path: Path, name: str) -> None:
    content, message = WRONG[name]
    path = tmp_path / "p.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        Pairs(path=str(path)).load()


def test_json_values_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"source": "a", "target": "x"}\n{"source": 3, "target": "x"}\n')
    with pytest.raises(InputError, match=r"line 2: source is 3, which is no text"):
        Pairs(path=str(path)).load()


def test_a_file_that_is_not_there_says_how_it_is_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset.path is .*sounds_dut.*SIGMORPHON.*CC BY-SA"):
        Pairs(path=str(tmp_path / "sounds_dut.train.tsv.gz")).load()
    with pytest.raises(InputError, match=r"dataset.test_path is .*no such file"):
        three(tmp_path, test_path=str(tmp_path / "none.tsv")).load()


def test_texts_that_come_later_are_read_as_training_was(tmp_path: Path) -> None:
    data = Pairs(num_made=100, lower=True, source_unit="characters").load()
    assert isinstance(data.spec.context, Vocabulary)
    node = {"source_unit": "characters", "target_unit": "blanks", "lower": True}
    ids = context_ids("4 2 7", data.spec.context, node)
    assert data.spec.context.decode(ids) == list("4 2 7")
    assert data.spec.context.decode(context_ids("4x", data.spec.context, node)) == ["4", "<unk>"]
    assert text_of(["four", "two"], data.spec, node) == "four two"
    with pytest.raises(InputError, match="the source is empty"):
        context_ids("  ", data.spec.context, node)
    with pytest.raises(InputError, match="has 3 symbols, but the model was trained on at most 2"):
        context_ids("427", data.spec.context, {**node, "max_source_length": 2})
    cut = {**node, "max_source_length": 2, "longer": "truncate"}
    assert len(context_ids("427", data.spec.context, cut)) == 2
    with pytest.raises(InputError, match="has 'z', which the training lacks"):
        context_ids("z", Vocabulary(("a", "b")), {})


@pytest.mark.parametrize("language", ["dut", "kor"])
def test_real_sounds_are_read_whole(language: str) -> None:
    folder = SHARED / "shapes"
    if not folder.is_dir():
        pytest.skip("the data of other shapes are not here")
    paths = {
        key: str(folder / f"sounds_{language}.{name}.tsv.gz")
        for key, name in (("path", "train"), ("valid_path", "dev"), ("test_path", "test"))
    }
    data = Pairs(**paths, source_unit="characters", source_form="NFKD").load()  # type: ignore[arg-type]
    assert [len(split) for split in data.splits().values()] == [8000, 1000, 1000]
    assert isinstance(data.spec.context, Vocabulary)
    assert len(data.spec.context) < 70 and len(data.spec.vocabulary) < 70


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset.path=nowhere.tsv"], "dataset.path is nowhere.tsv: there is no such file"),
        (["dataset.path=${here}"], "dataset.path: .*no column 'source'; did you mean 'sources'"),
        (["dataset.test_path=a.tsv"], "dataset.test_path is a.tsv, but dataset.path is null"),
        (["dataset.target_column=source"], "'source', dataset.target_column 'source' and .*diff"),
        (["dataset.source_unit=letters"], "'letters'; give one of words, characters, blanks"),
        (["dataset.longer=cut"], "dataset.longer is 'cut'; give one of refuse, truncate"),
        (["dataset.test_share=0.0"], "dataset.test_share is 0.0; give a number above 0"),
        (["decode.prompt=a"], "decode.prompt is 'a', but each target .* give ''"),
        (["decode=beam", "decode.both_directions=true"], "decode.both_directions is True, but"),
        (["dataset.max_target_tokens=4"], "dataset.max_target_tokens is 4; give an integer from 5"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_read(
    tmp_path: Path, overrides: list[str], says: str
) -> None:
    here = table(tmp_path / "p.tsv", [("a", "x")], "sources\ttarget")
    overrides = [item.replace("${here}", here) for item in overrides]
    with pytest.raises(ConfigError) as caught:
        check(composed("model=lstm", "dataset=pairs", *overrides))
    assert any(re.search(says, fault) for fault in caught.value.faults), caught.value.faults
