"""Frames of numbers: every form gives the same, and what is wrong is named with line and column."""

import io
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SHARED

from seqexp.data import Data
from seqexp.dataset.check import frames_can_be_read
from seqexp.dataset.frames import Frames
from seqexp.dataset.recordings.recording import by_its_own
from seqexp.dataset.recordings.windows import windows
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, Scale, TaskSpec, is_real

NAME = "seqexp.dataset.frames.Frames"

HEADER = "x,y,label"
VALUES = np.random.default_rng(0).normal(size=(6, 7, 2)).round(3)
LABELS = [["up" if (frame + row) % 3 else "down" for frame in range(7)] for row in range(6)]


def rows(row: int) -> list[str]:
    pairs = zip(VALUES[row], LABELS[row], strict=True)
    return [f"{x},{y},{label}" for (x, y), label in pairs]


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def as_folder(path: Path) -> str:
    path.mkdir()
    for row in range(6):
        written(path / f"r{row}.csv", "\n".join([HEADER, *rows(row)]))
    return str(path)


def as_archive(path: Path, mark: str = "", end: str = "\n") -> str:
    with tarfile.open(path, "w:gz") as archive:
        for row in range(6):
            content = (mark + end.join([HEADER, *rows(row), ""])).encode()
            info = tarfile.TarInfo(f"folder/r{row}.csv")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return str(path)


def as_table(path: Path) -> str:
    lines = [f"r{row},{line}" for row in range(6) for line in rows(row)]
    return written(path, "\n".join([f"who,{HEADER}", *lines]))


def as_npz(path: Path, **arrays: Any) -> str:
    arrays = {
        "x": VALUES,
        "y": np.array(LABELS),
        "groups": np.array([f"r{i}" for i in range(6)]),
    } | arrays
    np.savez(path, **arrays)
    return str(path)


def form(tmp_path: Path, name: str) -> Frames:
    if name == "folder":
        return Frames(as_folder(tmp_path / "a"))
    if name == "archive":
        return Frames(as_archive(tmp_path / "a.tar.gz"))
    if name == "windows":
        return Frames(as_archive(tmp_path / "a.tar.gz", "\ufeff", "\r\n"))
    if name == "table":
        return Frames(as_table(tmp_path / "a.csv"), group_column="who")
    return Frames(as_npz(tmp_path / "a.npz", feature_names=np.array(["x", "y"])))


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["folder", "archive", "windows", "table", "npz"])
def test_every_form_gives_the_same_frames_and_labels(tmp_path: Path, name: str) -> None:
    data = form(tmp_path, name).load()
    assert data.spec.features is not None and data.spec.features.names == ("x", "y")
    assert data.spec.output is Output.TOKEN_CLASS and data.spec.output_names == ("down", "up")
    found = torch.cat([part.tokens for part in data.splits().values()])
    scale = data.spec.features.scale
    assert scale is not None
    back = found * torch.tensor(scale.deviation) + torch.tensor(scale.mean)
    assert sorted(back[:, 0, 0].tolist()) == pytest.approx(sorted(VALUES[:, 0, 0]), abs=1e-5)
    targets = torch.cat([part.targets for part in data.splits().values()])
    assert sorted(map(str, targets.tolist())) == sorted(
        str([int(label == "up") for label in row]) for row in LABELS
    )


def test_all_forms_hold_out_the_same_groups(tmp_path: Path) -> None:
    digests = set()
    for name in ("folder", "archive", "table", "npz"):
        (tmp_path / name).mkdir()
        data = form(tmp_path / name, name).load()
        digests.add(data.digest())
    assert len(digests) == 1


def test_training_is_standardised_and_the_rest_by_its_mean_and_deviation(tmp_path: Path) -> None:
    data = Frames(as_folder(tmp_path / "a"), test_groups=["r0"], valid_groups=["r1"]).load()
    flat = data.train.tokens.reshape(-1, 2)
    assert torch.allclose(flat.mean(0), torch.zeros(2), atol=1e-6)
    assert torch.allclose(flat.std(0, correction=0), torch.ones(2), atol=1e-6)
    train = VALUES[2:].reshape(-1, 2)
    expected = (VALUES[0] - train.mean(0)) / train.std(0)
    assert np.allclose(data.test.tokens[0].numpy(), expected, atol=1e-5)
    assert TaskSpec.from_dict(data.spec.to_dict()) == data.spec
    raw = Frames(as_folder(tmp_path / "b"), test_groups=["r0"], standardise="none").load()
    assert np.allclose(raw.test.tokens[0].numpy(), VALUES[0], atol=1e-6)
    assert raw.spec.features is not None and raw.spec.features.scale is None


def test_each_sequence_may_be_standardised_by_itself(tmp_path: Path) -> None:
    shifted = VALUES * np.arange(1, 7)[:, None, None] + np.arange(6)[:, None, None]
    keys: Any = {"standardise": "sequence", "window": 4}
    data = Frames(as_npz(tmp_path / "a.npz", x=shifted), **keys).load()
    same = Frames(as_npz(tmp_path / "b.npz"), **keys).load()
    assert torch.allclose(data.train.tokens, same.train.tokens, atol=1e-5)
    assert data.spec.features is not None and data.spec.features.scale is None
    assert data.spec.features.by_sequence and TaskSpec.from_dict(data.spec.to_dict()) == data.spec
    assert any("standardised by their mean and deviation in their own" in n for n in data.notes)
    # a feature that never changes, or is missing, is its mean
    values = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]])
    assert by_its_own(values).tolist() == [[-1, 0], [1, 0], [0, 0]]


def test_a_file_each_wins_over_shares(tmp_path: Path) -> None:
    folders = {}
    for name, numbers in (("train", range(4)), ("valid", [4]), ("test", [5])):
        (tmp_path / name).mkdir()
        for row in numbers:
            content = "\n".join(
                ["label,y,x", *(",".join(line.split(",")[::-1]) for line in rows(row))]
            )
            written(
                tmp_path / name / f"{row}.csv",
                content if name == "test" else "\n".join([HEADER, *rows(row)]),
            )
        folders[name] = str(tmp_path / name)
    data = Frames(
        folders["train"], valid_path=folders["valid"], test_path=folders["test"], standardise="none"
    ).load()
    assert [len(part) for part in data.splits().values()] == [4, 1, 1]
    # columns are known by their names, in whatever order
    assert np.allclose(data.test.tokens[0].numpy(), VALUES[5], atol=1e-6)
    drawn = Frames(folders["train"], test_path=folders["test"]).load()
    assert [len(part) for part in drawn.splits().values()] == [3, 1, 1]


def test_a_shorter_sequence_is_padded_with_nan(tmp_path: Path) -> None:
    path = as_npz(tmp_path / "a.npz", lengths=np.array([7, 6, 5, 4, 3, 2]))
    data = Frames(path).load()
    lengths = torch.cat([is_real(part.tokens).sum(1) for part in data.splits().values()])
    assert sorted(lengths.tolist()) == [2, 3, 4, 5, 6, 7]
    for part in data.splits().values():
        assert ((part.targets != IGNORE) == is_real(part.tokens)).all()
        assert (part.tokens.isnan().all(-1) == part.tokens.isnan().any(-1)).all()


def test_without_a_path_waves_are_made_for_each_task() -> None:
    outputs = {"token_class": 3, "sequence_class": 3, "regression": 1, None: 3}
    for task, count in outputs.items():
        data = Frames(task=task, num_made=20).load()  # type: ignore[arg-type]
        assert data.spec.num_outputs == count and data.spec.output == (task or "token_class")
        assert data.digest() == Frames(task=task, num_made=20).load().digest()  # type: ignore[arg-type]
        assert data.train.targets.is_floating_point() == (task == "regression")


# --- windows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 5, 6, 7, 12, 13, 100])
@pytest.mark.parametrize(("size", "stride"), [(6, None), (6, 3), (6, 1), (6, 6), (None, None)])
def test_each_frame_is_scored_in_one_window(
    length: int, size: int | None, stride: int | None
) -> None:
    found = windows(length, size, stride)
    scored = [frame for w in found for frame in range(w.scored_from, w.scored_to)]
    assert scored == list(range(length))
    for window in found:
        assert 0 <= window.start <= window.scored_from < window.scored_to <= window.stop <= length
        assert window.stop - window.start == (length if size is None else min(size, length))


def test_windows_keep_features_and_targets_together(tmp_path: Path) -> None:
    path = as_folder(tmp_path / "a")
    whole = Frames(path, test_groups=["r0"]).load()
    cut = Frames(path, test_groups=["r0"], window=4, stride=2).load()
    assert whole.test.tokens.shape == (1, 7, 2) and cut.test.tokens.shape == (3, 4, 2)
    seen: dict[int, int] = {}
    for window, (tokens, targets) in zip(
        windows(7, 4, 2), zip(cut.test.tokens, cut.test.targets, strict=True), strict=True
    ):
        assert torch.equal(tokens, whole.test.tokens[0, window.start : window.stop])
        for place, target in enumerate(targets.tolist()):
            if target != IGNORE:
                seen[window.start + place] = target
    assert [seen[frame] for frame in range(7)] == whole.test.targets[0].tolist()
    assert any(
        "cut into windows of 4 frames" in note and "scored once" in note for note in cut.notes
    )


# --- which kind -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "kind", "outputs"),
    [
        (np.array(LABELS), "token_class", ("down", "up")),
        (np.array(list("ababab")), "sequence_class", ("a", "b")),
        (np.array([0, 2, 10, 0, 2, 10]), "sequence_class", ("0", "2", "10")),
        (np.array([0.0, 1, 0, 1, 0, 1]), "sequence_class", ("0.0", "1.0")),
        (np.linspace(0.1, 1, 6), "regression", ("y",)),
        (np.arange(12).reshape(6, 2), "regression", ("y0", "y1")),
    ],
)
def test_the_labels_tell_the_kind_and_it_is_said(
    tmp_path: Path, y: np.ndarray, kind: str, outputs: tuple[str, ...]
) -> None:
    data = Frames(as_npz(tmp_path / "a.npz", y=y)).load()
    assert data.spec.output == kind and data.spec.output_names == outputs
    assert any(note.startswith(f"the task is {kind}, since ") for note in data.notes)
    assert not any(
        "the task is" in note
        for note in Frames(as_npz(tmp_path / "a.npz", y=y), task=kind).load().notes
    )  # type: ignore[arg-type]


def test_numbers_stay_numbers_and_missing_ones_are_not_scored(tmp_path: Path) -> None:
    y = np.array([0.525, np.nan, 1.5, 2.5, 3.5, 4.25])
    data = Frames(as_npz(tmp_path / "a.npz", y=y), task="regression").load()
    found = torch.cat([part.targets for part in data.splits().values()])
    assert found.dtype is torch.float32
    assert sorted(found[~found.isnan()].tolist()) == [0.525, 1.5, 2.5, 3.5, 4.25] or np.allclose(
        sorted(found[~found.isnan()].tolist()), [0.525, 1.5, 2.5, 3.5, 4.25]
    )
    assert any("1 numbers are missing, and are not scored" in note for note in data.notes)


def test_several_columns_of_numbers_are_one_target_each(tmp_path: Path) -> None:
    lines = [f"g{row},{VALUES[row][f][0]},{row}.5,{row * 2}" for row in range(6) for f in range(3)]
    path = written(tmp_path / "a.csv", "\n".join(["g,x,speed,mass", *lines]))
    data = Frames(path, group_column="g", label_column=["speed", "mass"]).load()
    assert data.spec.output is Output.REGRESSION and data.spec.output_names == ("speed", "mass")
    pairs = torch.cat([part.targets for part in data.splits().values()]).tolist()
    assert sorted(pairs) == [[row + 0.5, row * 2.0] for row in range(6)]


# --- labels -----------------------------------------------------------------------------------


def with_labels(tmp_path: Path, labels: list[str]) -> str:
    lines = [f"g{i // 10},{i % 7},{label}" for i, label in enumerate(labels)]
    return written(tmp_path / "a.csv", "\n".join(["g,x,label", *lines]))


def test_two_spellings_are_said_and_mapped(tmp_path: Path) -> None:
    labels = ["Rest", "Preparation"] * 150
    labels[3] = "Preparação"
    path = with_labels(tmp_path, labels)
    data = Frames(path, group_column="g").load()
    assert len(data.spec.output_names) == 3
    (note,) = [note for note in data.notes if "two spellings" in note]
    assert "'Preparação' (1) and 'Preparation' (149)" in note
    mapped = Frames(path, group_column="g", label_names={"Preparação": "Preparation"}).load()
    assert mapped.spec.output_names == ("Preparation", "Rest")
    listed = Frames(path, group_column="g", label_names=["Preparação=Preparation"]).load()
    assert listed.digest() == mapped.digest()
    assert """'dataset.label_names=["Preparação=Preparation"]'""" in note
    with pytest.raises(InputError, match="dataset.label_names has 'x'; give a label, = and its"):
        Frames(path, group_column="g", label_names=["x"]).load()
    assert not any("spellings" in note for note in mapped.notes)
    with pytest.raises(
        InputError,
        match="dataset.label_names has 'Preperation', which no frame has; did you mean 'Prep",
    ):
        Frames(path, group_column="g", label_names={"Preperation": "x"}).load()


def test_a_label_that_training_lacks_is_said(tmp_path: Path) -> None:
    path = with_labels(tmp_path, ["a", "b"] * 15 + ["a", "c"] * 5)
    data = Frames(path, group_column="g", test_groups=["g3"], valid_groups=[]).load()
    assert data.spec.output_names == ("a", "b", "c")
    assert (
        "5 of 10 frames of test have the label 'c', which training lacks: it cannot be learned"
        in data.notes
    )


@pytest.mark.parametrize(
    ("labels", "keys", "says"),
    [
        (["a"] * 30, {"task": "token_class"}, "all 20 frames for training have the label 'a'; at"),
        (["a"] * 30, {}, "all 2 sequences for training have the label 'a'; at least two"),
        (["a", "b"] * 7 + [""] + ["a"] * 15, {}, "line 16: the label is nothing; give one"),
        (
            [f"{i}.5" for i in range(30)],
            {"task": "token_class"},
            "look like measurements.*task=regression",
        ),
        ([str(i) for i in range(30)], {}, "may be classes or measurements; give dataset.task=regr"),
        (
            [f"{i}.5" for i in range(30)],
            {},
            r"line \d+: label is '\d+.5', but '\d+.5' before in sequence 'g\d'; give a number",
        ),
        (
            ["a", "b"] * 15,
            {"task": "sequence_class"},
            r"line \d+: label is 'b', but 'a' before.*task=token_class",
        ),
        (
            ["1,5"] * 30,
            {"task": "regression"},
            r"line \d+, column 'label': '1,5' is no number; write a point",
        ),
        (
            ["3 m"] * 30,
            {"task": "regression"},
            "'3 m' is no number; give the number alone, without a unit",
        ),
        (["inf"] * 30, {"task": "regression"}, "'inf' is no finite number"),
        (["high"] * 30, {"task": "regression"}, "'high' is no number; give a number"),
        (["nan"] * 30, {"task": "regression"}, "label is missing in all sequences for training"),
        (["2.5"] * 30, {"task": "regression"}, "label is 2.5 in all sequences for training"),
    ],
)
def test_labels_that_cannot_be_learned_are_refused(
    tmp_path: Path, labels: list[str], keys: dict[str, Any], says: str
) -> None:
    lines = [f"g{i // 10}\t{i % 7}\t{label}" for i, label in enumerate(labels)]
    path = written(tmp_path / "a.tsv", "\n".join(["g\tx\tlabel", *lines]))
    with pytest.raises(InputError, match=says):
        Frames(path, group_column="g", valid_share=0.0, **keys).load()


# --- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty; its first line must name the columns"),
        ("x,y,label\n", "has no rows below the names"),
        ("1,2,3\n4,5,6\n", "line 1: holds numbers; it must name the columns"),
        ("x,y,lable\n1,2,a\n", "has no column 'label'; did you mean 'lable'.*dataset.label_column"),
        ("x,x,label\n1,2,a\n", "has 2 columns 'x'; rename one"),
        ("label\na\n", "has no column of features beside label"),
        ("x,y,label\n1,2,a\n1,,b\n", "line 3, column 'y': has no number .*dataset.missing=mean"),
        ("x,y,label\n1,2,a\nnan,2,b\n", "line 3, column 'x': has no number"),
        ("x,y,label\n1,2,a\ninf,2,b\n", "line 3, column 'x': 'inf' is no finite number"),
        ("x,y,label\n1,2,a\n1e40,2,b\n", "line 3, column 'x': '1e40' is larger than 1e.30"),
        ("x,y,label\n1,2,a\n3 m,2,b\n", "line 3, column 'x': '3 m' is no number; .*without a unit"),
        ("x,y,label\n1,2,a\nhi,2,b\n", "'hi' is no number; .*put it into dataset.ignore_columns"),
        ("x,y,label\n1,2,a\n1_000,2,b\n", "'1_000' is no number"),
        (
            'x,y,label\n1,2,a\n"1,5",2,b\n',
            "'1,5' is no number; write a point for the decimal comma",
        ),
        ("x,y,label\n1,2,a\n1,2\n", "line 3: has 2 fields, but the first line names 3 columns"),
        (
            "t,x,label\n" + "\n".join(f"{i},{i % 3},{'ab'[i % 2]}" for i in range(20)),
            r"column 't' only rises, as a time stamp.*dataset.ignore_columns, or .*\[t, x\]",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_named_with_line_and_column(
    tmp_path: Path, content: str, says: str
) -> None:
    path = written(tmp_path / "a.csv", content)
    with pytest.raises(InputError, match=f"a.csv.*{says}"):
        Frames(path, test_path=path).load()


def test_a_column_that_rises_is_a_feature_if_it_is_named(tmp_path: Path) -> None:
    content = "t,x,label\n" + "\n".join(f"{i},{i % 3},{'ab'[i % 2]}" for i in range(20))
    path = written(tmp_path / "a.csv", content)
    for keys, names in (
        ({"feature_columns": ["t", "x"]}, ("t", "x")),
        ({"ignore_columns": ["t"]}, ("x",)),
    ):
        data = Frames(path, test_path=path, valid_path=path, **keys).load()  # type: ignore[arg-type]
        assert data.spec.features is not None and data.spec.features.names == names


def test_tables_of_different_width_are_refused(tmp_path: Path) -> None:
    folder = Path(as_folder(tmp_path / "a"))
    written(folder / "r7.csv", "x,y,z,label\n1,2,3,up\n")
    with pytest.raises(
        InputError, match="r7.csv: has 3 features, but the tables before have 2: 'z' is not in all"
    ):
        Frames(str(folder)).load()
    other = as_npz(tmp_path / "b.npz", x=np.zeros((6, 7, 3)))
    path = as_npz(tmp_path / "a.npz")
    with pytest.raises(
        InputError, match="b.npz: has the features 3, but .*a.npz has 2; give the same"
    ):
        Frames(path, test_path=other).load()


def test_missing_values_are_the_mean_if_asked_for(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:, 2, 1] = np.nan
    path = as_npz(tmp_path / "a.npz", x=values)
    with pytest.raises(InputError, match="sequence 0, frame 2, column 1: has no number"):
        Frames(path).load()
    data = Frames(path, missing="mean").load()
    for part in data.splits().values():
        assert torch.allclose(part.tokens[:, 2, 1], torch.tensor(0.0), atol=1e-6)
        assert is_real(part.tokens).all()
    assert any("7.14% of the values of training are missing" in note for note in data.notes)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"y": np.zeros(5)}, r"y has shape \(5,\) .*x has 6 sequences"),
        ({"x": np.array([["a"] * 7] * 6)}, "x has shape .*; give numbers"),
        ({"x": np.array([[1], [2, 3]], dtype=object)}, "array x holds Python objects"),
        ({"x": np.full((6, 7, 2), np.inf)}, r"x\[0, 0, 0\] is inf; give finite numbers"),
        ({"lengths": np.zeros(6, dtype=int)}, r"lengths\[0\] is 0; give 1 to 7"),
        ({"lengths": np.zeros(6)}, "lengths has shape .*float64; give .6,. integers"),
        ({"groups": np.zeros(5, dtype=int)}, r"groups has shape \(5,\)"),
        ({"z": np.zeros(5)}, "has an array 'z'; known are x, y, lengths"),
        ({"y": np.array([["a", "b"]] * 6)}, r"y has shape \(6, 2\); give a label a sequence"),
        ({"split": np.array(["train"] * 5 + ["later"])}, "split is 'later'; give one of train"),
        ({"y": np.array(list("ab" * 3))}, "has 1 label of 7 frames; give a label a frame"),
    ],
)
def test_what_is_wrong_with_arrays_is_named(tmp_path: Path, arrays: Any, says: str) -> None:
    path = as_npz(tmp_path / "a.npz", **arrays)
    task = "token_class" if "a label a frame" in says else None
    with pytest.raises(InputError, match=says):
        Frames(path, task=task).load()  # type: ignore[arg-type]


def test_what_is_no_npz_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros(3), y=np.zeros(3))
    with pytest.raises(InputError, match="a.npz: has no column 'x'"):
        Frames(str(tmp_path / "a.npz")).load()
    for content in (b"", b"PK\x03\x04 no archive", b"text"):
        with pytest.raises(InputError, match="b.npz: cannot be read .*numpy.savez"):
            Frames(written(tmp_path / "b.npz", content)).load()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"test_groups": ["r9"]}, "dataset.test_groups has 'r9', which is no group; did you mean"),
        ({"test_groups": ["r0"], "valid_groups": ["r0"]}, "both have 'r0'; give each group to one"),
        (
            {"test_groups": [f"r{i}" for i in range(6)]},
            "no sequence is left for train|to draw from",
        ),
        ({"test_groups": []}, "no sequence is left for test"),
        ({"task": "token_class", "label_column": ["label", "x"]}, "there are 2 columns of labels"),
    ],
)
def test_groups_that_cannot_be_are_refused(tmp_path: Path, keys: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Frames(as_folder(tmp_path / "a"), **keys).load()


def test_one_sequence_alone_cannot_be_split(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "\n".join([HEADER, *rows(0)]))
    with pytest.raises(InputError, match="groups to draw from are 1 .a.: a sequence is held out"):
        Frames(path).load()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"path": "absent"}, "dataset.path is absent: there is no such file"),
        ({"path": "gestures.tar.gz"}, "It is not shipped: .*Gesture Phase Segmentation"),
        ({"path": "a.csv", "label_column": "z"}, "has no column 'z'"),
        ({"path": "a.txt"}, "a.txt: give a table, .csv or .tsv .also .gz., a folder or .tar.gz"),
        ({"path": "empty"}, "empty: has no .csv or .tsv files"),
        ({"test_path": "a.csv"}, "dataset.test_path is a.csv, but dataset.path is null"),
        ({"stride": 3}, "dataset.stride is 3 and dataset.window is None"),
        ({"window": 3, "stride": 4}, "dataset.stride is 4 and dataset.window is 3; give a stride"),
        (
            {"ignore_columns": ["label"]},
            "dataset.label_column and dataset.ignore_columns name 'label'",
        ),
        ({"feature_columns": ["x", "x"]}, "dataset.feature_columns twice name 'x'"),
    ],
)
def test_keys_that_cannot_work_are_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.csv", "\n".join([HEADER, *rows(0)]))
    written(tmp_path / "a.txt", "text")
    (tmp_path / "empty").mkdir()
    names = (
        *("path", "valid_path", "test_path", "feature_columns", "ignore_columns"),
        *("group_column", "window", "stride"),
    )
    node = {"_target_": NAME, **dict.fromkeys(names), "label_column": "label", **keys}
    faults = "\n".join(frames_can_be_read(node))
    assert re.search(says, faults), faults


def test_the_videos_of_gestures_are_read() -> None:
    path = SHARED / "shapes" / "gestures.tar.gz"
    if not path.is_file():
        pytest.skip("the data are not here")
    with pytest.raises(InputError, match="column 'timestamp' only rises"):
        Frames(str(path), label_column="phase").load()
    data: Data = Frames(
        str(path),
        label_column="phase",
        ignore_columns=["timestamp"],
        label_names={"Preparação": "Preparation"},
        test_groups=["b1"],
        window=200,
        stride=100,
    ).load()
    assert data.spec.output_names == ("Hold", "Preparation", "Rest", "Retraction", "Stroke")
    assert int((data.test.targets != IGNORE).sum()) == 1073
    assert data.spec.features is not None and data.spec.features.size == 18
    assert isinstance(data.spec.features.scale, Scale)
