"""Tables on pictures: `captions.tsv` and `questions.json`, a text on a picture each."""

import io
import json
from typing import Any

from seqexp.dataset.pictures.examples import Named
from seqexp.dataset.pictures.parts import Part, picture_name
from seqexp.errors import InputError
from seqexp.formats.records import column, read_table, shown, whole
from seqexp.formats.text import read_lines

CAPTIONS = "captions.tsv"
QUESTIONS = "questions.json"

IMAGE, CAPTION = "image", "caption"
"""Columns of `captions.tsv`; a file of two columns may have no names of them."""


def read_captions(part: Part) -> list[Named]:
    """Captions of a part, in the order of the file.

    Raises:
        InputError: naming the line, if the table is malformed, or a caption is empty.
    """
    rows = read_table(io.BytesIO(part.table), name=part.table_place, suffix=".tsv")
    first = next(rows, None)
    if first is None:
        raise InputError(f"{part.table_place}: is empty; give the columns {IMAGE} and {CAPTION}")
    place = f"{part.table_place}, line {first.line}"
    found = []
    if len(first.fields) == 2 and picture_name(first.fields[0]) in part.pictures:
        at_image, at_caption = 0, 1
        found.append(_caption(first.fields[0], first.fields[1], place))
    else:
        at_image = column(IMAGE, first.fields, place)
        at_caption = column(CAPTION, first.fields, place)
    for line, fields in rows:
        place = f"{part.table_place}, line {line}"
        found.append(_caption(fields[at_image], fields[at_caption], place))
    if not found:
        raise InputError(f"{part.table_place}: has no captions")
    return found


def _caption(image: str, caption: str, place: str) -> Named:
    if not image.strip():
        raise InputError(f"{place}: names no picture; give the number of images/N.png")
    if not caption.strip():
        raise InputError(f"{place}: has no caption; give one, or remove the line")
    return Named(picture_name(image), caption, "", place)


def read_questions(part: Part) -> list[Named]:
    """Questions of a part with their answers, in the order of the file.

    Raises:
        InputError: naming the file, and the question by its number from 0, if one is malformed.
    """
    place = part.table_place
    text = "\n".join(read_lines(io.BytesIO(part.table), name=place))
    try:
        entries = json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise InputError(f"{place}: is nested too deeply; {_LAYOUT}") from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place}, line {error.lineno}: is no JSON ({error.msg} at character {error.colno});"
            f" {_LAYOUT}"
        ) from error
    except ValueError as error:
        raise InputError(f"{place}: is no JSON ({error}); {_LAYOUT}") from error
    if not isinstance(entries, list) or not entries:
        what = "is an empty list" if entries == [] else f"is {_kind(entries)}"
        raise InputError(f"{place}: {what}; {_LAYOUT}")
    return [_question(entry, f"{place}, question {i}") for i, entry in enumerate(entries)]


_LAYOUT = 'give a list, as [["what colour is the circle?", "red", 7], ...], 7 for images/7.png'


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no value of JSON")


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", type(None): "null"}
    return kinds.get(type(value), "a single value")


def _question(entry: Any, place: str) -> Named:
    """One entry of the list.

    Raises:
        InputError: if it is no list of a question, its answer and a number.
    """
    if not isinstance(entry, list) or len(entry) != 3:
        what = f"a list of {len(entry)}" if isinstance(entry, list) else _kind(entry)
        raise InputError(f"{place}: is {what}; give [question, answer, number of the image]")
    question, answer, image = entry
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{place}: the question is {shown(question)}; give a text")
    if not isinstance(image, int) or isinstance(image, bool) or image < 0:
        raise InputError(
            f"{place}: the image is {shown(image)}; give the whole number of images/N.png"
        )
    return Named(str(image), whole(question, "question", place), _answer(answer, place), place)


def _answer(answer: Any, place: str) -> str:
    """An answer's class: a text, or a whole number as one."""
    if isinstance(answer, str) and answer.strip():
        return whole(answer.strip(), "answer", place)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return str(answer)
    hint = "; answers are classes: divide numbers into a few" if type(answer) is float else ""
    raise InputError(f"{place}: the answer is {shown(answer)}; give a text{hint}")
