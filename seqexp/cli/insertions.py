"""What `marginalize` and `spacing` share: runs, their test as backgrounds, tables."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
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
from seqexp.inference.insertion.effects import Inserting, refuse_other_models
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import TaskSpec
from seqexp.utils.files import write_whole
from seqexp.utils.names import visible

Files = Literal["ask", "read"]

Row = Mapping[str, str | int | float]


ID_LETTERS = 8
"""Of a run, in tables and names of files."""


@dataclass(frozen=True)
class Asked:
    """The models that are asked, and the backgrounds that motifs are put into.

    The arguments are words of both command lines; `input` is a file of sequences, None the test of
    the first run.
    """

    place: Place
    which: Which
    background: Kind
    count: int
    input: str | None
    seed: int
    trusted: Sequence[str]
    files: Files

    @cached_property
    def store(self) -> Store:
        """Where the runs are."""
        return Store(self.place)

    @cached_property
    def models(self) -> dict[str, SavedModel]:
        """The models of one run, or of several, by the ids of their runs.

        Raises:
            InputError: if there is no such run, or a model predicts no one thing of DNA.
        """
        models, _ = chosen(self.store, self.which, EQUAL, self.trusted)
        for model in models.values():
            refuse_other_models(model.spec)
        return models

    @property
    def spec(self) -> TaskSpec:
        """Of the first model."""
        return next(iter(self.models.values())).spec

    def backgrounds(self, longest: int) -> list[Background]:
        """Sequences in which so many letters have room.

        Raises:
            InputError: if there is no such file, the data of the run cannot be had, or nothing is
                long enough.
        """
        rows = self._of_test() if self.input is None else self._of_file(self.input)
        size = len(self.spec.vocabulary.symbols)
        return backgrounds(rows, self.background, self.count, longest, size, self.seed)

    def inserting(self, found: Sequence[Background]) -> dict[str, Inserting]:
        """Each model with these backgrounds, by the first letters of its run's id."""
        return {
            name[:ID_LETTERS]: Inserting(model, found, self.seed)
            for name, model in self.models.items()
        }

    def _of_file(self, source: str) -> list[np.ndarray]:
        model = next(iter(self.models.values()))
        rows = [np.array(one.values, dtype=np.int64) for one in read(model, source, "auto", None)]
        if not rows:
            raise InputError(f"input is {source}, which holds no sequence")
        return rows

    def _of_test(self) -> list[np.ndarray]:
        first = next(iter(self.models))
        stored = self.store.config(self.store.find(first))
        tell_files(stored, first, self.place, self.files)
        try:
            whole = rebuilt(stored, first, self.place, self.trusted)
            data = load(parts(whole, only_trains=True))
        except InputError as error:
            raise InputError(
                f"{error}\n  backgrounds are made of the test of run {first[:ID_LETTERS]}, which"
                " cannot be read again; give other sequences by input=FILE"
            ) from error
        return rows_of_test(data.test, data.spec)


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
