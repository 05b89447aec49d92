"""Captions of pictures: from begin to end, each with its picture; faults are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_pictures import below, in_archive, in_folder, part_of_captions

from seqexp.data import Data, Sequences
from seqexp.dataset.captions import Captions
from seqexp.dataset.pictures.digits import WORDS
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output
from seqexp.utils.pixels import channels_of

SMALL = {"num_train": 60, "num_valid": 20, "num_test": 20}


def written(data: Data, split: Sequences) -> list[str]:
    """The caption that the targets of each row spell."""
    symbols = data.spec.vocabulary
    return [" ".join(symbols.decode([int(i) for i in row if i != IGNORE])) for row in split.targets]


def loaded(tmp_path: Path, files: dict[str, bytes], **choices: Any) -> Data:
    return Captions(path=in_folder(tmp_path, files), **choices).load()


# --- digits -----------------------------------------------------------------------------------


def test_a_caption_names_the_left_and_the_right_digit() -> None:
    data = Captions(**SMALL).load()
    captions = written(data, data.train)
    for caption in captions:
        article, first, *between, last_article, second, end = caption.split()
        assert (between, end) == (["left", "of"], ">")
        assert article == ("an" if first == "eight" else "a")
        assert last_article == ("an" if second == "eight" else "a")
        assert {first, second} <= set(WORDS)
    assert len({caption.split()[1] for caption in captions}) == 10


def test_equal_halves_have_equal_names() -> None:
    """The same scan at the same place is always the same digit, left and right."""
    data = Captions(num_train=3000, num_valid=1, num_test=1).load()
    names: dict[bytes, str] = {}
    repeated = 0
    assert data.train.context is not None
    for picture, caption in zip(data.train.context.numpy(), written(data, data.train), strict=True):
        for half, word in ((picture[:, :10], 1), (picture[:, 10:], 5)):
            key, name = half.tobytes(), caption.split()[word]
            repeated += key in names
            assert names.setdefault(key, name) == name
    assert repeated > 500


def test_targets_are_the_tokens_one_later_from_begin_to_end() -> None:
    data = Captions(**SMALL).load()
    tokens, targets = data.train.tokens, data.train.targets
    assert data.spec.output is Output.NEXT_TOKEN
    assert data.spec.vocabulary.symbols[:3] == ("<", ">", "<unk>")
    assert (tokens[:, 0] == 1).all() and (targets[:, -1] == 2).all()
    assert (tokens[:, 1:] == targets[:, :-1]).all()
    assert data.spec.num_outputs == len(data.spec.vocabulary)


# --- files ------------------------------------------------------------------------------------


def test_each_caption_keeps_its_picture(tmp_path: Path) -> None:
    files = below("train", part_of_captions(12)) | below("test", part_of_captions(6, 12))
    folder = loaded(tmp_path / "a", files)
    packed = Captions(path=in_archive(tmp_path / "a.tgz", files)).load()
    assert folder.digest() == packed.digest()
    assert channels_of(folder.spec.context.names) == 3  # type: ignore[union-attr]
    for split, count in ((folder.train, 10), (folder.valid, 2), (folder.test, 6)):
        assert split.context is not None and split.context_rows is not None
        assert len(split) == count
        for caption, row in zip(written(folder, split), split.context_rows, strict=True):
            values = split.context[row].reshape(4, 6, 3).sum(dim=(0, 1))
            colour = ("red", "green", "blue")[int(values.argmax())]
            assert caption == f"a {colour} point . >"


def test_a_picture_may_have_several_captions_of_any_length(tmp_path: Path) -> None:
    files = part_of_captions(10)
    files["captions.tsv"] += b"0.png\tred\nimages/0.png\ta red point on black\n"
    data = loaded(tmp_path, files, test_share=0.1, valid_share=0.1)
    assert sum(len(split) for split in data.splits().values()) == 12
    assert data.train.tokens.shape == data.train.targets.shape == (10, 6)
    assert data.train.context.shape[0] == 8  # type: ignore[union-attr]
    row = written(data, data.train).index("red >")
    assert data.train.targets[row, 2:].tolist() == [IGNORE] * 4
    assert data.train.tokens[row, 2:].tolist() == [0] * 4


def test_a_table_of_two_columns_needs_no_names_of_them(tmp_path: Path) -> None:
    files = part_of_captions(6)
    with_names = loaded(tmp_path / "a", files)
    files["captions.tsv"] = files["captions.tsv"].partition(b"\n")[2]
    assert loaded(tmp_path / "b", files).digest() == with_names.digest()


def test_a_caption_that_is_cut_off_has_no_end_and_is_said(tmp_path: Path) -> None:
    data = loaded(tmp_path, part_of_captions(10), max_length=3)
    assert all(caption.endswith(" point") for caption in written(data, data.train))
    assert any("captions of train have up to 4 words" in note for note in data.notes)


def test_captions_with_the_signs_of_begin_and_end_get_other_ones(tmp_path: Path) -> None:
    files = part_of_captions(10)
    files["captions.tsv"] = files["captions.tsv"].replace(b"point", b"> point")
    data = loaded(tmp_path, files)
    assert data.spec.vocabulary.symbols[:2] == ("<s>", "</s>")
    assert written(data, data.train)[0].endswith("> point . </s>")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\n", r"captions\.tsv: is empty; give the columns image and caption"),
        (b"image\tcaption\n", r"captions\.tsv: has no captions"),
        (b"picture\ttext\n0\ta\n", r"captions\.tsv, line 1: has no column 'image'"),
        (b"image\tcaption\n0\t \n", r"captions\.tsv, line 2: has no caption; give one"),
        (b"image\tcaption\n\ta\n", r"captions\.tsv, line 2: names no picture"),
        (b"image\tcaption\n0\ta\tb\n", r"captions\.tsv, line 2: has 3 fields"),
        (b"image\tcaption\n0\ta\n77\tb\n", r"line 3: is on picture 77, but there is no .*77\.png"),
        (b"image\tcaption\n0\t\xff\n", r"captions\.tsv, line 2: is not UTF-8 text"),
    ],
)
def test_faults_of_captions_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        loaded(tmp_path, {**part_of_captions(6), "captions.tsv": content})


def test_values_are_those_of_the_picture(tmp_path: Path) -> None:
    data = loaded(tmp_path, part_of_captions(6), test_share=0.2, valid_share=0.0)
    assert data.train.context is not None
    assert data.train.context.dtype.is_floating_point
    assert set(np.unique(data.train.context.numpy())) == {0.0, 1.0}
