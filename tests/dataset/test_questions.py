"""Questions on pictures: each keeps its picture, no picture is in two splits, faults are named."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SHARED
from small_pictures import (
    below,
    coloured,
    in_archive,
    in_folder,
    part_of_questions,
    png,
    questions,
)

from seqexp.data import Data, Sequences
from seqexp.dataset.pictures.digits import WORDS
from seqexp.dataset.questions import Questions
from seqexp.errors import InputError
from seqexp.utils.pixels import channels_of

SMALL = {"num_train": 60, "num_valid": 20, "num_test": 20}


def asked(data: Data, split: Sequences) -> list[tuple[str, str, bytes]]:
    """Question, answer and picture of each row."""
    assert split.context is not None and split.context_rows is not None
    return [
        (
            " ".join(data.spec.vocabulary.decode(tokens.tolist())),
            data.spec.output_names[int(target)],
            split.context[row].numpy().tobytes(),
        )
        for tokens, target, row in zip(
            split.tokens, split.targets[:, 0], split.context_rows, strict=True
        )
    ]


# --- digits -----------------------------------------------------------------------------------


def test_answers_follow_from_the_questions_on_the_same_digits() -> None:
    data = Questions(**SMALL).load()
    rows = asked(data, data.train)
    values = {word: value for value, word in enumerate(WORDS)}
    assert len(rows) == 4 * SMALL["num_train"]
    for start in range(0, len(rows), 4):
        there, left, right, larger = rows[start : start + 4]
        assert len({picture for _, _, picture in rows[start : start + 4]}) == 1
        digits = {values[left[1]], values[right[1]]}
        assert left[0] == f"what is left of the {right[1]} ?"
        assert right[0] == f"what is right of the {left[1]} ?"
        named = next(word for word in there[0].split() if word in values)
        assert there[1] == ("yes" if values[named] in digits else "no")
        assert values[larger[1]] == (max if "larger" in larger[0] else min)(digits)
    assert 0.3 < np.mean([answer == "yes" for _, answer, _ in rows[::4]]) < 0.7


def test_no_scan_is_in_two_splits_and_a_picture_depends_on_its_number_only() -> None:
    small, large = Questions(**SMALL).load(), Questions(**{**SMALL, "num_train": 90}).load()
    assert torch.equal(small.train.context, large.train.context[:60])  # type: ignore[index,arg-type]
    assert torch.equal(small.test.context, large.test.context)  # type: ignore[arg-type]
    scans = {name: scans_of(split) for name, split in large.splits().items()}
    assert all(len(found) > 15 for found in scans.values())
    assert not scans["train"] & (scans["test"] | scans["valid"])
    assert not scans["test"] & scans["valid"]


def scans_of(split: Sequences) -> set[bytes]:
    """Left halves without what lies around the digit, since it is moved."""
    assert split.context is not None
    found = set()
    for picture in split.context[:, :, :10].numpy():
        rows, columns = np.nonzero(picture)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        found.add(picture[box].tobytes())
    return found


def test_a_picture_is_rows_of_grey_columns() -> None:
    spec = Questions(**SMALL).load().spec
    assert spec.context is not None
    assert (spec.context.size, channels_of(spec.context.names)) == (20, 1)  # type: ignore[union-attr]


def test_without_a_share_nothing_is_validated() -> None:
    data = Questions(**SMALL, valid_share=0.0).load()
    assert len(data.valid) == 0 and len(data.test) == 80


# --- files ------------------------------------------------------------------------------------


def loaded(tmp_path: Path, files: dict[str, bytes], **choices: Any) -> Data:
    return Questions(path=in_folder(tmp_path, files), **choices).load()


def test_each_question_keeps_its_picture_and_answer(tmp_path: Path) -> None:
    files = {**below("train", part_of_questions(12)), **below("test", part_of_questions(6, 12))}
    data = loaded(tmp_path, files, valid_share=0.2)
    assert data.spec.output_names == ("blue", "green", "no", "red", "yes")
    assert channels_of(data.spec.context.names) == 3  # type: ignore[union-attr]
    names = ("red", "green", "blue")
    for split, count in ((data.train, 10), (data.valid, 2), (data.test, 6)):
        assert len(split) == 2 * count and len(split.context) == count  # type: ignore[arg-type]
        for question, answer, picture in asked(data, split):
            values = np.frombuffer(picture, np.float32).reshape(4, 6, 3)
            colour = names[int(values.sum(axis=(0, 1)).argmax())]
            assert values.sum() == 1
            expected = colour if "colour" in question else "yes" if colour == "red" else "no"
            assert answer == expected


def test_an_archive_gives_the_same_as_a_folder(tmp_path: Path) -> None:
    files = below("v/train", part_of_questions(9)) | below("v/test", part_of_questions(3, 9))
    folder = Questions(path=in_folder(tmp_path / "a", files)).load()
    packed = Questions(path=in_archive(tmp_path / "a.tar.gz", files)).load()
    assert folder.digest() == packed.digest()


def test_shares_of_one_part_are_of_pictures_and_differ_by_seed(tmp_path: Path) -> None:
    path = in_folder(tmp_path, part_of_questions(20))
    splits = [Questions(path=path, test_share=0.25, seed=seed).load() for seed in (0, 1)]
    for data in splits:
        assert [len(split) for split in data.splits().values()] == [24, 6, 10]
        pictures = [{picture for _, _, picture in asked(data, s)} for s in data.splits().values()]
        assert len(set.union(*pictures)) == 20
    assert splits[0].digest() != splits[1].digest()


def test_pictures_of_the_test_are_removed_from_training_and_said(tmp_path: Path) -> None:
    files = below("train", part_of_questions(9)) | below("test", part_of_questions(3))
    data = loaded(tmp_path, files, valid_share=0.0)
    assert len(data.train) == 12
    assert any("3 training pictures are in test too" in note for note in data.notes)


def test_answers_that_training_lacks_are_said_and_count_as_wrong(tmp_path: Path) -> None:
    test = {**part_of_questions(3, 9), "questions.json": questions([("is it?", "maybe", 0)])}
    files = below("train", part_of_questions(9)) | below("test", test)
    data = loaded(tmp_path, files)
    assert "maybe" in data.spec.output_names
    said = "1 of 1 questions of test have an answer that no training question has ('maybe')"
    assert any(said in note for note in data.notes)
    assert any("2 of 3 pictures in" in note for note in data.notes)


def test_words_that_training_lacks_are_unknown_and_said(tmp_path: Path) -> None:
    test = {**part_of_questions(3, 9), "questions.json": questions([("Is it pink?", "no", 0)])}
    files = below("train", part_of_questions(9)) | below("test", test)
    data = loaded(tmp_path, files)
    assert asked(data, data.test)[0][0] == "is it <unk> ?"
    assert any("1 of 4 words of the questions of test" in note for note in data.notes)


def test_grey_pictures_among_coloured_ones_are_said(tmp_path: Path) -> None:
    files = part_of_questions(12)
    files["images/0.png"] = png(np.full((4, 6), 255))
    data = loaded(tmp_path, files)
    assert any("1 grey pictures are among 11 in colours" in note for note in data.notes)


def test_pictures_of_another_size_are_named_or_scaled(tmp_path: Path) -> None:
    files = part_of_questions(12)
    files["images/5.png"] = coloured("red", 0, rows=5)
    said = r"images/5\.png: has 5 rows and 6 columns of pixels, but .*images/0\.png has 4 and 6"
    with pytest.raises(InputError, match=said):
        loaded(tmp_path, files)
    data = loaded(tmp_path, files, resize=[8, 3])
    assert data.train.context.shape[1:] == (8, 9)  # type: ignore[union-attr]


def question(*entry: Any) -> bytes:
    good = json.loads(part_of_questions(6)["questions.json"])
    return json.dumps([*good[:2], list(entry), *good[2:]]).encode()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[[", r"questions\.json, line 1: is no JSON"),
        (b"\n{]", r"questions\.json, line 2: is no JSON"),
        (b"", r"questions\.json, line 1: is no JSON"),
        (b"[]", "is an empty list; give a list"),
        (b'{"a": 1}', "is an object; give a list"),
        (b"[NaN]", "NaN is no value of JSON"),
        (b"[" * 10**5, "is nested too deeply"),
        (b"[[\xff]]", "line 1: is not UTF-8 text"),
        (question("is it?", "yes"), "question 2: is a list of 2; give .question, answer, number"),
        (b'["a", "b", 1]', "question 0: is a string"),
        (question("is it?", "yes", "3"), 'question 2: the image is "3"; give the whole number'),
        (question("is it?", "yes", 1.0), r"question 2: the image is 1\.0; give the whole number"),
        (question("is it?", "yes", True), "question 2: the image is true; give the whole number"),
        (question("is it?", "yes", -1), "question 2: the image is -1; give the whole number"),
        (question("is it?", "yes", 99), r"question 2: is on picture 99, but there is no .*99\.png"),
        (question(" ", "yes", 1), 'question 2: the question is " "; give a text'),
        (question("is it?", "", 1), 'question 2: the answer is ""; give a text'),
        (question("is it?", None, 1), "question 2: the answer is null; give a text"),
        (question("how?", 0.525, 1), r"question 2: the answer is 0\.525; .* answers are classes"),
        (question("is it?", "yes\ud83d", 1), "half of a surrogate pair"),
    ],
)
def test_faults_of_questions_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        loaded(tmp_path, {**part_of_questions(6), "questions.json": content})


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (["yes"] * 20, "have the answer 'yes'; at least two answers are needed"),
        ([f"it is {i}" for i in range(20)], "they look like texts, not like classes"),
    ],
)
def test_answers_that_are_no_classes_are_refused(
    tmp_path: Path, answers: list[str], says: str
) -> None:
    content = questions([("is it?", answer, number) for number, answer in enumerate(answers)])
    with pytest.raises(InputError, match=says):
        loaded(tmp_path, {**part_of_questions(20), "questions.json": content})


def test_whole_numbers_are_answers(tmp_path: Path) -> None:
    content = questions([("how many?", number % 2, number) for number in range(12)])
    files = {**part_of_questions(12), "questions.json": content}
    assert loaded(tmp_path, files).spec.output_names == ("0", "1")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    files = part_of_questions(6)
    files["images/4.png"] = files["images/4.png"][:40]
    with pytest.raises(InputError, match=re.escape("images/4.png: is damaged")):
        loaded(tmp_path, files)


def test_too_few_pictures_to_divide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dataset.valid_share is 0.5, but there is 1 picture left"):
        loaded(tmp_path, part_of_questions(2), valid_share=0.5, test_share=0.5)
    with pytest.raises(InputError, match="dataset.test_share is 0 and there is no folder test"):
        loaded(tmp_path, part_of_questions(6), test_share=0.0)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "shapes").is_dir(), reason="needs the data for development")
def test_easy_vqa_is_read_as_given() -> None:
    path = SHARED / "shapes" / "easy_vqa.tar.gz"
    data = Questions(path=str(path), valid_share=0.1, resize=[16, 16]).load()
    assert len(data.train) + len(data.valid) == 38_575 and len(data.test) == 9_673
    assert len(data.spec.output_names) == 13 and data.notes == ()
    assert data.test.context.shape == (1000, 16, 48)  # type: ignore[union-attr]
