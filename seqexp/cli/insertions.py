"""What `marginalize` and `spacing` share: runs, their test as backgrounds, tables."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from seqexp.build import load, parts
from seqexp.cli.reproduce import rebuilt, tell_files
from seqexp.cli.run_lookup import Store
from seqexp.cli.several_runs import EQUAL, chosen
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.errors import InputError
from seqexp.inference.inputs import read
from seqexp.inference.insertion.backgrounds import Background, Kind, backgrounds, rows_of_test
from seqexp.inference.insertion.effects import refuse_other_models
from seqexp.inference.saved_model import SavedModel
from seqexp.utils.files import write_whole
from seqexp.utils.names import visible

Files = Literal["ask", "read"]

Row = Mapping[str, str | int | float]


def models_of(store: Store, which: Which, trusted: Sequence[str]) -> dict[str, SavedModel]:
    """The models of one run, or of several, by the ids of their runs.

    Raises:
        InputError: if there is no such run, or a model predicts no one thing of DNA.
    """
    models, _ = chosen(store, which, EQUAL, trusted)
    for model in models.values():
        refuse_other_models(model.spec)
    return models


def random_sequences(
    store: Store,
    place: Place,
    models: Mapping[str, SavedModel],
    source: str | None,
    kind: Kind,
    count: int,
    longest: int,
    seed: int,
    trusted: Sequence[str],
    files: Files,
) -> list[Background]:
    """Backgrounds made of a file, or of the test of the first run.

    Raises:
        InputError: if there is no such file, the data of the run cannot be had, or nothing is long
            enough.
    """
    (first, model), *_ = models.items()
    if source is not None:
        found = read(model, source, "auto", None)
        rows = [np.array(one.values, dtype=np.int64) for one in found]
        if not rows:
            raise InputError(f"input is {source}, which holds no sequence")
    else:
        run = store.find(first)
        stored = store.config(run)
        tell_files(stored, first, place, files)
        try:
            data = load(parts(rebuilt(stored, first, place, trusted), only_trains=True))
        except InputError as error:
            raise InputError(
                f"{error}\n  backgrounds are made of the test of run {first[:8]}, which cannot be"
                " read again; give other sequences by input=FILE"
            ) from error
        rows = rows_of_test(data.test, data.spec)
    size = len(model.spec.vocabulary.symbols)
    return backgrounds(rows, kind, count, longest, size, seed)


def table_of(rows: Sequence[Row], output: str | None) -> str:
    """A table as text: tabs between columns, commas for a file that ends with .csv."""
    comma = output is not None and output.lower().endswith(".csv")
    file = io.StringIO()
    writer = csv.writer(file, delimiter="," if comma else "\t", lineterminator="\n")
    writer.writerow(rows[0].keys())
    for row in rows:
        writer.writerow([_cell(value) for value in row.values()])
    return file.getvalue()


def _cell(value: str | int | float) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def aligned(rows: Sequence[Row]) -> str:
    """A table for a terminal."""
    texts = [list(rows[0].keys())]
    texts += [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in r.values()] for r in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in texts]
    return visible("\n".join(lines))


@contextmanager
def saying_what_cannot_be_written(path: Path) -> Iterator[None]:
    """Name the file that could not be written.

    Raises:
        InputError: in its place.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"output: {path} cannot be written ({error.strerror})") from error


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and say so."""
    with saying_what_cannot_be_written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    print(f"  {visible(str(path))}", file=sys.stderr)
