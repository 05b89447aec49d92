"""Files of numbers and pictures are read one record at a time, with the same results."""

import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seqexp.cli.predict import MAX_NUMBERS, batches
from seqexp.dataset.recordings.arrays import read_npz, stream_npz
from seqexp.dataset.recordings.recording import Recording
from seqexp.dataset.recordings.tables import Columns, read_tables, stream_tables
from seqexp.errors import InputError
from seqexp.inference.pictures import questions
from seqexp.inference.prediction import Given
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Features, Output, TaskSpec, Vocabulary

TABLES = {
    "one.csv": "a,b,who\n1,2,x\n3,4,x\n5,6,y\n",
    "two.csv": "b,a,who\n2,1,y\n4,3,y\n",
    "apart.csv": "a,b,who\n1,2,x\n5,6,y\n3,4,x\n",
}


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def same(streamed: Iterable[Recording], read: Iterable[Recording]) -> bool:
    one, other = (
        [(r.group, r.values.tolist(), list(r.places)) for r in found] for found in (streamed, read)
    )
    return one == other and len(one) > 0


@pytest.mark.parametrize("group", [None, "who"])
def test_tables_one_at_a_time_are_those_that_are_read_together(
    tmp_path: Path, group: str | None
) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    members = {f"in/{name}": text.encode() for name, text in [*TABLES.items()][::-1]}
    archive = packed(tmp_path / "a.tar.gz", members)
    columns = Columns((), ("a", "b"), (), group)
    for path in (folder, archive, *(folder / name for name in TABLES)):
        assert same(stream_tables(path, columns), read_tables(path, columns)[0])
    for path in (tmp_path, packed(tmp_path / "b.tar.gz", {"a.txt": b"1"})):
        with pytest.raises(InputError, match="files .also .gz.; give one a sequence"):
            list(stream_tables(path, columns))


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_one_row_at_a_time_are_those_that_are_read_together(
    tmp_path: Path, order: str
) -> None:
    x = np.asarray(np.random.default_rng(0).normal(size=(5, 4, 3)), order=order)
    others = {"y": np.zeros(5), "lengths": np.array([4, 1, 2, 3, 4]), "groups": np.arange(5) * 2}
    for number, values in enumerate((x, x[:, :, 0], x.astype(">f4"))):
        np.savez_compressed(tmp_path / f"{number}.npz", x=values, **others)
        recordings, names = stream_npz(tmp_path / f"{number}.npz")
        known = read_npz(tmp_path / f"{number}.npz", has_numbers=False)
        assert same(recordings, known[0]) and names == known[1]


def test_damaged_arrays_are_told(tmp_path: Path) -> None:
    for x in (np.array([[{}]]), np.zeros(3), np.array([["a"]])):
        np.savez(tmp_path / "a.npz", x=x)
        with pytest.raises(InputError, match="array x holds Python|x has shape"):
            stream_npz(tmp_path / "a.npz")
    x = np.zeros((2, 3, 1))
    x[1, 2] = np.inf
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(InputError, match=r"x\[1, 2, 0\] is inf"):
        list(stream_npz(tmp_path / "a.npz")[0])


def peak(records: Iterable[object]) -> tuple[int, int]:
    """How many there are, and the most bytes that were held at once."""
    tracemalloc.start()
    count = sum(1 for _ in records)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, most


def test_memory_does_not_grow_with_the_number_of_arrays(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((40, 1000, 64)))  # 20 MB
    count, most = peak(stream_npz(tmp_path / "a.npz")[0])
    assert count == 40 and most < 5e6


def test_a_sequence_of_a_table_is_there_before_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,who\n1,2,x\n3,4,x\n5,wrong,y\n")
    found = stream_tables(tmp_path / "a.csv", Columns((), ("a", "b"), (), "who"))
    assert next(found).values.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(InputError, match="a.csv, line 4, column 'b': 'wrong' is no number"):
        next(found)


def asking(size: int) -> SavedModel:
    words = Vocabulary(("what", "is", "this"))
    spec = TaskSpec(words, 2, Output.SEQUENCE_CLASS, ("no", "yes"), context=Features(size))
    return SavedModel(None, spec, {})  # type: ignore[arg-type]  (which is not asked)


def test_questions_hold_few_pictures_and_read_them_in_any_order(tmp_path: Path) -> None:
    files, folder = {}, tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for number in range(100):
        Image.new("L", (64, 64), number).save(folder / "images" / f"{number}.png")
        files[f"data/images/{number}.png"] = (folder / "images" / f"{number}.png").read_bytes()
    asked = [["what is this", number * 37 % 100] for number in range(150)]
    (folder / "questions.json").write_text(json.dumps(asked))
    archive = packed(
        tmp_path / "a.tar.gz", {**files, "data/questions.json": json.dumps(asked).encode()}
    )
    for source in (folder, archive):
        found = [one.context for one in questions(asking(64), str(source))]
        assert [float(np.asarray(c)[0, 0]) for c in found] == pytest.approx(
            [number / 255 for _, number in asked]
        )
        count, most = peak(questions(asking(64), str(source)))
        assert count == 150 and most < 3e6  # all pictures are 1.6 MB of float32, and more unpacked


def test_a_batch_is_bounded_in_numbers_too() -> None:
    given = [Given("a", np.zeros((4, MAX_NUMBERS // 8), np.float32))] * 3
    assert [len(batch) for batch in batches(given, 256)] == [2, 1]
