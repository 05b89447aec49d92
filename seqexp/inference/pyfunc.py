"""A saved model as MLflow loads it: raw strings or numbers in, a table out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqexp.errors import InputError
from seqexp.inference.asked import asked
from seqexp.inference.inputs import context_ids
from seqexp.inference.prediction import (
    Given,
    Values,
    columns,
    predicted,
    refuse_joined,
    standardised,
)
from seqexp.inference.saved_model import SavedModel, load
from seqexp.inference.text import encode, labelled
from seqexp.spec import Features, Input, Output, TaskSpec
from seqexp.tracking.tracker import Kind

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

SEQUENCE, CONTEXT = "sequence", "context"
"""Columns of what a model reads, where there are two."""

PARAMS: dict[str, Any] = {"calibrate": False, "strands": "one"}
"""Choices of a request, as `predict` has them, and their defaults."""


def input_columns(spec: TaskSpec) -> dict[str, Kind]:
    """Columns of what a served model reads; a single one has no name."""
    wanted = read_inputs(spec)
    if len(wanted) == 1:
        return {"": _kind(next(iter(wanted.values())))}
    return {name: _kind(made_of) for name, made_of in wanted.items()}


def read_inputs(spec: TaskSpec) -> dict[str, Input]:
    """What has to be given: the sequence, its context, or of what is to be written the context."""
    if spec.context is None:
        return {SEQUENCE: spec.input}
    if spec.output is Output.NEXT_TOKEN:
        return {CONTEXT: spec.context}
    return {CONTEXT: spec.context, SEQUENCE: spec.input}


def output_columns(spec: TaskSpec) -> dict[str, Kind]:
    """Columns of what a served model answers."""
    is_text = spec.output is Output.TOKEN_CLASS or (
        spec.output is Output.NEXT_TOKEN and spec.context is not None
    )
    return dict.fromkeys(columns(spec), "string" if is_text else "double")


class TextModel:
    """A saved model that reads texts or numbers: what MLflow serves."""

    def __init__(self, saved: SavedModel) -> None:
        self.saved = saved

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """A row a sequence; `model_input` is a table, or a list where there is one column.

        For NEXT_TOKEN the columns are the probabilities of the symbol after the text; with a
        context, what the model writes. `params` are those of `PARAMS`.
        """
        import pandas as pd  # half a second, which only predicting needs

        spec = self.saved.spec
        refuse_joined(spec, "the command predict has a row a token with per=token")
        saved = asked(self.saved, **{**PARAMS, **(params or {})})
        rows = predicted(saved, given_of(model_input, saved))
        return pd.DataFrame(rows, columns=list(columns(spec)))


def given_of(model_input: Any, saved: SavedModel) -> list[Given]:
    """The sequences of a table or list, as the model takes them.

    Raises:
        InputError: naming the row of one that it cannot read.
    """
    wanted = read_inputs(saved.spec)
    found = {name: _column(model_input, name, list(wanted)) for name in wanted}
    given = []
    for number, cells in enumerate(zip(*found.values(), strict=True), start=1):
        by_name = dict(zip(wanted, cells, strict=True))
        one = Given(str(number), ())
        if SEQUENCE in wanted:
            one = _sequence(by_name[SEQUENCE], saved, number)
        if CONTEXT in wanted:
            one = replace(one, context=_context(by_name[CONTEXT], saved, number))
        given.append(one)
    return given


def _sequence(cell: Any, saved: SavedModel, number: int) -> Given:
    spec = saved.spec
    if spec.features is not None:
        return Given(str(number), _numbers(cell, spec.features, f"row {number}"))
    text, place = str(cell), f"row {number}"
    if not text or (" " not in spec.vocabulary.ids and not text.strip()):
        raise InputError(f"{place}: is empty; give a text, or remove the row")
    if spec.words is not None and spec.per_position:
        words = list(text) if spec.words.unit == "letters" else text.split()
        ids, places = labelled(words, spec)
        return Given(str(number), ids, pieces=words, places=places)
    try:
        ids = encode(text, spec)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    if spec.words is not None and not any(ids):  # as training and `predict` refuse it
        raise InputError(f"{place}: the text has no word; remove the row")
    is_letters = spec.vocabulary.is_dna and not spec.per_position
    return Given(str(number), ids, pieces=text if is_letters else ())


def _context(cell: Any, saved: SavedModel, number: int) -> Values:
    made_of = saved.spec.context
    if isinstance(made_of, Features):
        return _numbers(cell, made_of, f"row {number}, {CONTEXT}")
    return context_ids(str(cell), saved, f"row {number}")


def _column(model_input: Any, name: str, wanted: Sequence[str]) -> list[Any]:
    """The cells of a column; of a table or list with one, whatever its name."""
    if hasattr(model_input, "iloc"):  # a DataFrame
        if len(wanted) == 1:
            return list(model_input.iloc[:, 0])
        if name not in model_input.columns:
            there = ", ".join(str(column) for column in model_input.columns)
            raise InputError(
                f"the table has no column {name!r}; the model reads {' and '.join(wanted)}, and"
                f" there are {there}"
            )
        return list(model_input[name])
    if len(wanted) > 1:
        raise InputError(f"the model reads a table with the columns {' and '.join(wanted)}")
    return [model_input] if isinstance(model_input, str) else list(model_input)


def _numbers(cell: Any, made_of: Features, place: str) -> Values:
    """Features of a list of a list of numbers a position, standardised as the training's."""
    try:
        found = np.array([list(position) for position in cell], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{place}: is no list of a list of numbers a position ({error}); give a table with one"
            " column, of which each cell is a sequence"
        ) from None
    if found.ndim != 2 or not len(found) or found.shape[1] != made_of.size:
        raise InputError(
            f"{place}: has the shape {found.shape}; the model reads {made_of.size} numbers a"
            " position"
        )
    if not np.isfinite(found).all():
        raise InputError(f"{place}: has nan or inf")
    return standardised(found, made_of).astype(np.float32)


def _kind(made_of: Input) -> Kind:
    return "features" if isinstance(made_of, Features) else "string"


def _load_pyfunc(path: str) -> TextModel:
    """What MLflow calls to load the model."""
    return TextModel(load(Path(path)))
