"""Pictures in files, for a trained model: read as `dataset=captions` and `questions` read them."""

import io
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from seqexp.dataset.pictures.parts import picture_name
from seqexp.dataset.pictures.tables import QUESTIONS
from seqexp.errors import InputError
from seqexp.formats.archives import in_any_order, is_archive, read_members
from seqexp.formats.folders import files_in
from seqexp.formats.png import MAX_BYTES, read_png
from seqexp.formats.records import STDIN
from seqexp.formats.text import read_lines
from seqexp.inference.prediction import Given
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.text import encode
from seqexp.spec import Features
from seqexp.utils.pixels import channels_of

PNG = ".png"

IMAGES = "images"
"""Folder of the pictures, beside the table."""

MAX_TABLE = 2**28
"""Bytes of a table of questions."""

MAX_KNOWN = 64
"""Pictures that are kept for the questions that follow."""

MAX_ALL = 2**31
"""Bytes of an archive, unpacked."""


def pictures(saved: SavedModel, source: str) -> Iterator[Given]:
    """Each picture of a folder or .tar.gz archive, or a single .png file, by its name.

    Raises:
        InputError: naming the picture that is damaged, or of another size than the training's.
    """
    count = 0
    for place, content in _files(_path(source), (PNG,)):
        count += 1
        yield Given(picture_name(place), (), rows_of(content, place, saved))
    if not count:
        raise InputError(f"input is {source}, which has no picture, {IMAGES}/N.png")


def questions(saved: SavedModel, source: str) -> Iterator[Given]:
    """Each question of a folder or .tar.gz archive with `images/N.png` and `questions.json`.

    The file is a list of `[question, N]`, or of `[question, answer, N]`, whose answers are not
    read.

    Raises:
        InputError: naming the question that is malformed, or whose picture is not there.
    """
    path = _path(source)
    with _openers(path, (PNG, ".json")) as files:
        tables = [place for place in files if PurePosixPath(place).name == QUESTIONS]
        if not tables:
            raise InputError(f"input is {source}, which has no {QUESTIONS} beside {IMAGES}/N.png")
        table = tables[-1]
        found = {picture_name(place): place for place in files if place.lower().endswith(PNG)}
        known: OrderedDict[str, Float[np.ndarray, "rows features"]] = OrderedDict()
        for number, (question, name) in enumerate(_questions(table, files[table]())):
            place = f"{table}, question {number}"
            if name not in found:
                raise InputError(f"{place}: there is no picture {IMAGES}/{name}{PNG}")
            if name not in known:
                known[name] = rows_of(files[found[name]](), found[name], saved)
            known.move_to_end(name)
            if len(known) > MAX_KNOWN:
                known.popitem(last=False)
            try:
                ids = encode(question, saved.spec)
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
            if not any(ids):
                raise InputError(f"{place}: the question is {question!r:.40}, which has no word")
            yield Given(f"{number}: {question}", ids, known[name])


def rows_of(content: bytes, place: str, saved: SavedModel) -> Float[np.ndarray, "rows features"]:
    """A picture as a sequence of its rows, the channels of a column side by side.

    Raises:
        InputError: if it is damaged, or of another size or more channels than the training's.
    """
    made_of, resize = saved.spec.context, saved.dataset.get("resize")
    assert isinstance(made_of, Features)
    picture = read_png(content, place, None if resize is None else (resize[0], resize[1]))
    rows, columns, channels = picture.shape
    wanted = channels_of(made_of.names) or 1
    if channels < wanted:
        picture = np.broadcast_to(picture, (rows, columns, wanted))
    elif channels > wanted:
        raise InputError(f"{place}: is in colours, and the model reads grey pictures")
    if columns * wanted != made_of.size:
        raise InputError(
            f"{place}: has {columns} columns, and the pictures of the training have"
            f" {made_of.size // wanted}; give the same size, or train with dataset.resize"
        )
    return np.ascontiguousarray(picture.reshape(rows, -1))


def _questions(place: str, content: bytes) -> Iterator[tuple[str, str]]:
    """Questions, and the names of their pictures."""
    try:
        entries: Any = json.loads("\n".join(read_lines(io.BytesIO(content), name=place)))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: is no JSON ({error})") from error
    expected = 'give a list, as [["what colour is the circle?", 7], ...], 7 for images/7.png'
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{place}: is no list, or an empty one; {expected}")
    for number, entry in enumerate(entries):
        where = f"{place}, question {number}"
        if not isinstance(entry, list) or len(entry) not in (2, 3):
            raise InputError(f"{where}: is {json.dumps(entry)[:60]}; {expected}")
        question, image = entry[0], entry[-1]
        if not isinstance(question, str) or not question.strip():
            raise InputError(f"{where}: the question is {json.dumps(question)[:60]}; give a text")
        if isinstance(image, bool) or not isinstance(image, int | str):
            raise InputError(f"{where}: the image is {json.dumps(image)[:60]}; give its number")
        yield question, picture_name(str(image))


def _path(source: str) -> Path:
    if source == STDIN:
        raise InputError("input is -, but pictures are read from a folder, archive or .png file")
    path = Path(source)
    if not path.exists():
        raise InputError(f"input is {source}, which is not there")
    return path


def _files(path: Path, endings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files of these endings: of a folder and its folder of images."""
    if is_archive(path):
        for member in read_members(path, endings, MAX_TABLE, MAX_ALL):
            yield f"{path}: {member.name}", member.content
        return
    for file in _outside(path, endings):
        yield str(file), _content(file)


@contextmanager
def _openers(path: Path, endings: tuple[str, ...]) -> Iterator[Mapping[str, Callable[[], bytes]]]:
    """What reads the content of each of these files, by its place."""
    if is_archive(path):
        with in_any_order(path, endings, MAX_TABLE, MAX_ALL) as members:
            yield {f"{path}: {name}": read for name, read in members.items()}
        return
    yield {str(file): partial(_content, file) for file in _outside(path, endings)}


def _outside(path: Path, endings: tuple[str, ...]) -> list[Path]:
    """Files of these endings that are in no archive."""
    if path.is_dir():
        folders = [path, *(folder for folder in (path / IMAGES,) if folder.is_dir())]
        return [file for folder in folders for file in files_in(folder, endings)]
    if path.suffix.lower() in endings:
        return [path]
    raise InputError(
        f"input is {path}, which is neither a folder, nor a .tar.gz archive, nor a {PNG} file"
    )


def _content(file: Path) -> bytes:
    most = MAX_BYTES if file.suffix.lower() == PNG else MAX_TABLE
    try:
        with file.open("rb") as opened:
            content = opened.read(min(most, file.stat().st_size) + 1)  # which it makes room for
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if len(content) > most:
        raise InputError(f"{file}: has more than {most:,} bytes")
    return content
