"""Files for trained models of every kind: read as their dataset reads them, or refused in words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seqexp.config.instantiate import build
from seqexp.data import Data
from seqexp.dataset.captions import Captions
from seqexp.dataset.frames import Frames
from seqexp.dataset.pairs import Pairs
from seqexp.dataset.questions import Questions
from seqexp.dataset.tagging import Tagging
from seqexp.errors import InputError
from seqexp.inference import prediction
from seqexp.inference import saved_model as saved
from seqexp.inference.inputs import read
from seqexp.inference.pyfunc import TextModel, input_columns, output_columns

NODE = {"_target_": "seqexp.model.lstm.LSTM", "hidden_size": 4}

Load = Callable[..., tuple[saved.SavedModel, Data]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """A model of a dataset with its first weights, stored and read again."""

    def made(dataset: type, **given: Any) -> tuple[saved.SavedModel, Data]:
        torch.manual_seed(0)
        data = dataset(**given).load()
        target = f"{dataset.__module__}.{dataset.__name__}"
        config = {"model": NODE, "dataset": {"_target_": target, **given}}
        folder = tmp_path / "model"
        saved.save(folder, build(NODE, spec=data.spec), data.spec, config)
        return saved.load(folder), data

    return made


def rows(model: saved.SavedModel, path: Path, layout: Any = "auto", column: Any = None) -> Any:
    given = list(read(model, str(path), layout, column))
    found = prediction.predicted(model, given)
    return [[one.name, *row] for one, row in zip(given, found, strict=True)]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- a label at each position -----------------------------------------------------------------


@pytest.mark.parametrize("unit", ["words", "characters", "pieces"])
def test_each_word_has_a_label_whatever_a_token_is(load: Load, tmp_path: Path, unit: str) -> None:
    model, _ = load(Tagging, num_made=30, unit=unit)
    lines = written(tmp_path / "a.txt", "the old cat sees Ada .\nBo runs quickly\n")
    found = rows(model, lines)
    assert [(row[0], len(row[1].split())) for row in found] == [("1", 6), ("2", 3)]
    given = list(read(model, str(lines), "auto", None))
    tables = prediction.predicted_tokens(model, given)
    assert [row[:2] for row in tables[1]] == [[1, "Bo"], [2, "runs"], [3, "quickly"]]
    assert [row[2] for row in tables[0]] == found[0][1].split()
    assert all(0 < row[3] <= 1 for table in tables for row in table)


def test_a_token_a_line_is_read_with_or_without_labels(load: Load, tmp_path: Path) -> None:
    sentences = [
        "\n".join(f"{'abc'[(n + i) % 3]}\t{'XYX'[(n + i) % 3]}" for i in range(n))
        for n in range(1, 12)
    ]
    tagged = written(tmp_path / "train.txt", "\n\n".join(sentences))
    model, _ = load(Tagging, path=str(tagged), min_count=1)
    bare = written(tmp_path / "bare.txt", "a\nb\nc\n\na\nc\n")
    found = rows(model, bare)
    assert found == [["1", found[0][1]], ["5", found[1][1]]] and len(found[0][1].split()) == 3
    assert rows(model, written(tmp_path / "both.txt", "a\tX\nb\tY\nc\tX\n\na\tX\nc\tY\n")) == found
    with pytest.raises(InputError, match="line 1: 'a b c' has 3 columns.*format=lines"):
        rows(model, written(tmp_path / "text.txt", "a b c\n"))
    assert rows(model, tmp_path / "text.txt", "lines")[0][1] == found[0][1]


def test_every_form_of_tokens_is_read_without_labels(load: Load, tmp_path: Path) -> None:
    model, _ = load(Tagging, num_made=30)
    words = ["the", "old", "cat", "sees", "Ada", "."]
    blanks = "\t_" * 8
    lines = [f"{number}\t{word}{blanks}" for number, word in enumerate(words, start=1)]
    conllu = "\n".join(["# sent_id = s1", f"1-2\tx{blanks}", *lines])
    known = rows(model, written(tmp_path / "a.txt", " ".join(words)))[0][1]
    for name, content, title in (
        ("b.txt", conllu, "s1"),
        ("b.conllu", conllu.replace("# sent_id = s1\n", ""), "2"),
        ("b.jsonl", json.dumps({"id": "x", "tokens": words, "labels": 3}), "x"),
        ("b.txt", json.dumps({"tokens": words}), "1"),
        ("b.jsonl", json.dumps({"text": " ".join(words)}), "1"),
    ):
        assert rows(model, written(tmp_path / name, content)) == [[title, known]]
    with pytest.raises(InputError, match="b.txt, line 8: has 3 columns parted by tabs"):
        rows(
            model,
            written(tmp_path / "b.txt", "\n".join([conllu[: conllu.rindex("6")] + "6\t.\tx"])),
        )


def test_each_letter_of_a_text_has_a_label(load: Load, tmp_path: Path) -> None:
    table = "seq\tss\n" + "".join(
        f"{'ACDE' * (1 + n % 3)}\t{'HEEC' * (1 + n % 3)}\n" for n in range(20)
    )
    train = written(tmp_path / "t.tsv", table)
    model, _ = load(Tagging, path=str(train), text_column="seq", labels_column="ss")
    found = rows(model, written(tmp_path / "p.csv", "id,seq\np1,ACDEA\n"))
    assert found[0][0] == "p1" and len(found[0][1].split()) == 5
    with pytest.raises(InputError, match="p.csv, line 3: seq is empty"):
        rows(model, written(tmp_path / "p.csv", "id,seq\np1,ACDEA\np2,\n"))


# --- numbers ----------------------------------------------------------------------------------


HEADER = "left,right,noise"


def test_frames_are_read_by_the_names_of_their_columns(load: Load, tmp_path: Path) -> None:
    model, data = load(Frames, num_made=20)
    numbers = np.random.default_rng(0).normal(size=(7, 3))
    lines = "\n".join(",".join(map(str, row)) for row in numbers)
    found = rows(model, written(tmp_path / "a.csv", f"{HEADER}\n{lines}\n"))
    assert found[0][0] == "a" and len(found[0][1].split()) == 7
    turned = "\n".join(f"x,{','.join(map(str, row[::-1]))}" for row in numbers)
    other = written(tmp_path / "b.csv", f"label,noise,right,left\n{turned}\n")
    assert rows(model, other)[0][1] == found[0][1]
    np.savez(tmp_path / "a.npz", x=numbers[None])
    assert rows(model, tmp_path / "a.npz")[0][1] == found[0][1]
    # as training: standardised
    assert data.spec.features is not None and data.spec.features.scale is not None
    expected = (numbers - data.spec.features.scale.mean) / data.spec.features.scale.deviation
    (given,) = read(model, str(tmp_path / "a.csv"), "auto", None)
    assert np.allclose(np.asarray(given.values), expected, atol=1e-6)


def test_a_column_says_which_frames_are_one_sequence(load: Load, tmp_path: Path) -> None:
    model, _ = load(Frames, num_made=20, task="sequence_class")
    text = f"video,{HEADER}\n" + "u,1,2,3\nu,2,2,3\nv,0,1,2\n"
    found = rows(model, written(tmp_path / "a.csv", text), column="video")
    assert [row[0] for row in found] == ["u", "v"]
    assert all(sum(row[1:]) == pytest.approx(1) for row in found)


def test_windows_of_a_long_sequence_give_each_frame_one_label(load: Load, tmp_path: Path) -> None:
    from seqexp.cli.predict import _joined, _rows

    model, _ = load(Frames, num_made=20, window=6, stride=3)
    lines = "\n".join("1,2,3" for _ in range(20))
    given = list(
        read(model, str(written(tmp_path / "a.csv", f"{HEADER}\n{lines}\n")), "auto", None)
    )
    assert len(given) > 3 and {one.name for one in given} == {"a"}
    parts = [given[:2], given[2:]]
    (row,) = _joined(_rows(model, parts, "sequence", "a.csv"), "sequence")
    assert len(row[1].split()) == 20
    tokens = list(_joined(_rows(model, parts, "token", "a.csv"), "token"))
    assert [line[1] for line in tokens] == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("left,right\n1,2\n", "a.csv: has no column 'noise'"),
        (
            f'{HEADER}\n1,2,3\n1,"2,5",3\n',
            "line 3, column 'right': '2,5' is no number; write a point",
        ),
        (
            f"{HEADER}\n1,2,3 mV\n",
            "line 2, column 'noise': '3 mV' is no number; give the number alone",
        ),
        (f"{HEADER}\n1,inf,3\n", "line 2, column 'right': 'inf' is no finite number"),
        (f"{HEADER}\n1,,3\n", "line 2: 'right' is missing"),
        (f"{HEADER}\n", "a.csv: has no rows"),
        ("", "a.csv: is empty"),
    ],
)
def test_frames_that_are_no_numbers_are_told_by_line_and_column(
    load: Load, tmp_path: Path, text: str, told: str
) -> None:
    model, _ = load(Frames, num_made=20, task="regression")
    with pytest.raises(InputError, match=told):
        rows(model, written(tmp_path / "a.csv", text))


def test_arrays_of_another_size_are_refused(load: Load, tmp_path: Path) -> None:
    model, _ = load(Frames, num_made=20, task="regression")
    np.savez(tmp_path / "a.npz", x=np.ones((2, 5, 4)))
    with pytest.raises(InputError, match="has 4 numbers a position; the model reads 3"):
        rows(model, tmp_path / "a.npz")
    with pytest.raises(InputError, match="input is -"):
        list(read(model, "-", "auto", None))


# --- contexts ---------------------------------------------------------------------------------


def test_a_target_is_written_for_each_source(load: Load, tmp_path: Path) -> None:
    model, data = load(Pairs, num_made=60, max_source_length=5, source_unit="blanks")
    found = rows(model, written(tmp_path / "a.tsv", "id\tsource\nx\t4 2 7\ny\t1 1\n"))
    assert [row[0] for row in found] == ["x", "y"] and prediction.columns(data.spec) == ("written",)
    assert all(isinstance(row[1], str) for row in found)
    assert rows(model, written(tmp_path / "a.txt", "4 2 7\n1 1\n"))[0][1] == found[0][1]
    with pytest.raises(InputError, match="line 3: source is empty"):
        rows(model, written(tmp_path / "b.tsv", "id\tsource\nx\t4\ny\t\n"))
    with pytest.raises(InputError, match="record 2: the source has 6 symbols, but .* at most 5"):
        rows(model, written(tmp_path / "c.txt", "1\n1 2 3 4 5 6\n"))


def pictures(folder: Path, size: tuple[int, int], count: int = 2) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, 255, (count, *size), dtype=np.uint8)
    for number, picture in enumerate(values):
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
    return folder


def small(dataset: type, load: Load) -> tuple[saved.SavedModel, Data]:
    return load(dataset, num_train=20, num_valid=5, num_test=5)


def test_pictures_are_described_and_asked_about(load: Load, tmp_path: Path) -> None:
    model, data = small(Captions, load)
    assert data.test.context is not None
    rows_columns = tuple(data.test.context.shape[1:3])
    folder = pictures(tmp_path / "new", rows_columns)
    found = rows(model, folder)
    assert [row[0] for row in found] == ["0", "1"] and isinstance(found[0][1], str)
    assert rows(model, folder / "images" / "1.png") == found[1:]

    model, _ = small(Questions, load)
    with pytest.raises(InputError, match="has no questions.json"):
        rows(model, folder)
    asked = [["is there a three?", 0], ["which is larger?", "two", 1]]
    (folder / "questions.json").write_text(json.dumps(asked))
    found = rows(model, folder)
    assert [row[0] for row in found] == ["0: is there a three?", "1: which is larger?"]
    assert all(sum(row[1:]) == pytest.approx(1) for row in found)
    for entry, told in (
        (["a", 9], "there is no picture images/9.png"),
        (["", 1], "the question is ..; give a text"),
        (["a"], "give a list"),
        (["a", 1.5], "the image is 1.5"),
    ):
        (folder / "questions.json").write_text(json.dumps([entry]))
        with pytest.raises(InputError, match=told):
            rows(model, folder)


def test_a_picture_of_another_size_or_damaged_is_named(load: Load, tmp_path: Path) -> None:
    model, data = small(Captions, load)
    assert data.test.context is not None
    count, columns = tuple(data.test.context.shape[1:3])
    folder = pictures(tmp_path / "new", (count, columns + 1), 1)
    with pytest.raises(InputError, match=rf"0.png: has {columns + 1} columns, and .* {columns};"):
        rows(model, folder)
    (folder / "images" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="0.png"):
        rows(model, folder)
    with pytest.raises(InputError, match="which is not there"):
        rows(model, tmp_path / "none")


# --- what MLflow serves -----------------------------------------------------------------------


def test_served_models_take_lists_of_numbers_and_tables_of_contexts(
    load: Load, tmp_path: Path
) -> None:
    import pandas as pd  # type: ignore[import-untyped]

    model, data = load(Frames, num_made=20)
    assert input_columns(data.spec) == {"": "features"}
    assert output_columns(data.spec) == {"labels": "string"}
    frames = [[[1.0, 2.0, 3.0]] * 4, [[0.0, 1.0, 2.0]] * 2]
    table = TextModel(model).predict(frames)
    assert [len(labels.split()) for labels in table["labels"]] == [4, 2]
    assert table.equals(TextModel(model).predict(pd.DataFrame({"any": frames})))
    for wrong in ([[[1.0, 2.0]]], [["a"]], [[[1.0, 2.0, float("nan")]]], [3.0]):
        with pytest.raises(InputError, match="row 1: (has|is)"):
            TextModel(model).predict(wrong)

    model, data = load(Pairs, num_made=60)
    assert input_columns(data.spec) == {"": "string"}
    assert list(TextModel(model).predict(["4 2", "1"]).columns) == ["written"]

    model, data = small(Questions, load)
    assert input_columns(data.spec) == {"context": "features", "sequence": "string"}
    assert data.test.context is not None
    picture = data.test.context[0].tolist()
    given = pd.DataFrame({"context": [picture], "sequence": ["which is larger?"]})
    assert TextModel(model).predict(given).sum(axis=1)[0] == pytest.approx(1)
    with pytest.raises(InputError, match="no column 'context'; the model reads context and"):
        TextModel(model).predict(given[["sequence"]])


# --- letters of other alphabets ---------------------------------------------------------------


def test_letters_are_those_of_the_training(load: Load, tmp_path: Path) -> None:
    from seqexp.dataset.fasta import Fasta

    letters = {"rna": "ACGU", "protein": "ACDEFGHIKLMNPQRSTVWY", "xyz": "xyz"}
    for name, symbols in letters.items():
        rows_ = "".join(f"{(symbols * 20)[n : n + 25 + n % 3]},{n % 2}\n" for n in range(30))
        train = written(tmp_path / f"{name}.csv", f"sequence,label\n{rows_}")
        model, data = load(Fasta, table=str(train), alphabet=name, min_length=4)
        (given,) = read(model, str(written(tmp_path / "a.fa", f">a\n{symbols}\n")), "auto", None)
        assert list(given.values) == list(range(1, len(symbols) + 1))
        assert [*TextModel(model).predict([symbols])] == list(data.spec.output_names)
    with pytest.raises(InputError, match="has 'a' at position 1; letters of dataset.alphabet"):
        list(read(model, str(written(tmp_path / "a.fa", ">a\na\n")), "auto", None))


# --- what users try first ---------------------------------------------------------------------


def test_served_models_name_the_row_that_is_empty_or_has_an_unknown_letter(load: Load) -> None:
    from seqexp.dataset.motif import Motif

    few = {"num_train": 20, "num_valid": 5, "num_test": 5}
    dna, tags = load(Motif, **few)[0], load(Tagging, num_made=30)[0]
    for model, wrong, told in (
        (dna, "", "row 2: is empty"),
        (dna, "ACGTE", "row 2: 'ACGTE' has 'E' at position 5; known are A, C, G, T"),
        (tags, " ", "row 2: is empty"),
    ):
        with pytest.raises(InputError, match=told):
            TextModel(model).predict(["ACGT", wrong])
    # what training lacks is <unk>, and a longer text than any of training has its labels
    labels = TextModel(tags).predict(["Ω zzz", "the cat " * 200])["labels"]
    assert [len(row.split()) for row in labels] == [2, 400]
    assert len(TextModel(dna).predict(["ACGT" * 200])) == 1


def test_texts_that_are_cut_are_said_to_be(
    load: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seqexp.cli.predict import _records
    from seqexp.dataset.text import Text

    lines = "".join(f"a {('bad', 'good')[n % 2]} film {n},{n % 2}\n" for n in range(60))
    table = written(tmp_path / "t.csv", f"text,label\n{lines}")
    model, data = load(Text, path=str(table))
    length = data.spec.length or 0
    texts = written(tmp_path / "a.txt", f"{'good ' * length}\n{'good ' * (length + 1)}\nbad\n")
    found = list(_records(model, str(texts), "auto", None))
    assert [one.is_cut for one in found] == [False, True, False]
    said = capsys.readouterr().err
    assert f"1 of 3 texts have more than {length} tokens" in said and "end was not read" in said
