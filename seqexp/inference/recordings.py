"""Sequences of real numbers in a file, for a trained model: read as `dataset=frames` reads them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from seqexp.dataset.recordings.arrays import stream_npz
from seqexp.dataset.recordings.recording import Recording
from seqexp.dataset.recordings.tables import Columns, read_tables, stream_tables
from seqexp.dataset.recordings.windows import windows
from seqexp.errors import InputError
from seqexp.formats.records import STDIN, Format
from seqexp.inference.prediction import Given, standardised
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Features, Output


def recordings(
    saved: SavedModel, source: str, layout: Format, column: str | None
) -> Iterator[Given]:
    """Sequences of a table, a folder or archive of tables, or an .npz file.

    A table has the columns of the training; further ones, as labels, are not read. Rows are one
    sequence whose value of `column`, or of the training's `group_column`, is the same; without
    either, those of a file are.

    Raises:
        InputError: naming the file, and the line and column where there is one.
    """
    made_of, node = saved.spec.features, saved.dataset
    assert made_of is not None
    if source == STDIN or layout not in ("auto", "csv", "tsv", "npz"):
        raise InputError(
            f"input is {source} (format={layout}), but the model of this run reads"
            f" {made_of.size} numbers a position; give a .csv or .tsv table, a folder or .tar.gz of"
            " tables, or an .npz file"
        )
    path = Path(source)
    if not path.exists():
        raise InputError(f"input is {source}, which is not there")
    found, names = _read(path, made_of, column or node.get("group_column"))
    for one in found:
        _refuse_other_size(one, made_of, path)
        values = _as_trained(one, names, made_of, node)
        yield from _cut(one.group, values, node, saved.spec.output)


def _read(
    path: Path, made_of: Features, group: str | None
) -> tuple[Iterable[Recording], tuple[str, ...]]:
    """Recordings, one at a time, and names of their features in the order of the training.

    Of a model whose features have no names, those of a table are read whole: any of its columns
    may be one that is asked about.
    """
    if path.suffix.lower() == ".npz":
        found, names = stream_npz(path)
        if not names or not made_of.names or names == made_of.names:
            return found, made_of.names
        if set(names) != set(made_of.names):
            raise InputError(
                f"{path}: has the features {', '.join(names[:20]):.400}; the model reads"
                f" {', '.join(made_of.names[:20]):.400}"
            )
        order = [names.index(name) for name in made_of.names]
        turned = (replace(one, values=one.values[:, order]) for one in found)
        return turned, made_of.names
    if made_of.names:
        return _without_advice(path, Columns((), made_of.names, (), group)), made_of.names
    try:
        return read_tables(path, Columns((), None, (), group))
    except InputError as error:
        raise _for_predict(error) from error


def _without_advice(path: Path, columns: Columns) -> Iterator[Recording]:
    try:
        yield from stream_tables(path, columns)
    except InputError as error:
        raise _for_predict(error) from error


def _for_predict(error: InputError) -> InputError:
    """The message without advice that is for a training."""
    message = str(error)
    for advice in ("; name it by dataset.", "; or put it into dataset."):
        message = message.partition(advice)[0]
    return InputError(message)


def _refuse_other_size(one: Recording, made_of: Features, path: Path) -> None:
    if one.values.shape[1] != made_of.size:
        count = one.values.shape[1]
        shown = ", ".join(made_of.names[:20]) or "without names"
        raise InputError(
            f"{path}: has {count} numbers a position; the model reads {made_of.size} ({shown:.400})"
        )


def _as_trained(
    one: Recording, names: tuple[str, ...], made_of: Features, node: Mapping[str, Any]
) -> Float[np.ndarray, "time size"]:
    """Values as the dataset has standardised those of the training, with its means for missing
    ones where it has taken them.
    """
    values, scale = one.values, made_of.scale
    is_known = made_of.by_sequence or scale is not None
    missing = np.argwhere(np.isnan(values))
    if len(missing) and (node.get("missing") != "mean" or not is_known):
        frame, feature = map(int, missing[0])
        name = names[feature] if names else str(feature)
        raise InputError(
            f"{one.place(frame)}: {name!r:.60} is missing or no number; give a number, or train"
            " with dataset.missing=mean"
        )
    if scale is not None:
        values = np.where(np.isnan(values), np.array(scale.mean), values)
    return standardised(values, made_of).astype(np.float32)


def _cut(
    name: str, values: Float[np.ndarray, "time size"], node: Mapping[str, Any], output: Output
) -> Iterator[Given]:
    """Windows as those of the training; each frame has its label from one of them."""
    cut = windows(len(values), node.get("window"), node.get("stride"))
    for window in cut:
        part = values[window.start : window.stop]
        if output is Output.TOKEN_CLASS:
            places = range(window.scored_from - window.start, window.scored_to - window.start)
            yield Given(name, part, places=places, begins_at=window.scored_from)
        else:  # each counts for itself, as in the training
            frames = f", frames {window.start + 1} to {window.stop}" if len(cut) > 1 else ""
            yield Given(f"{name}{frames}", part)
