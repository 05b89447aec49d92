"""Writes the predictions of the whole test as a table: a row a sequence, or a row a position."""

import csv
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from jaxtyping import Float, Int, Num
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.spec import IGNORE, Output, TaskSpec
from seqexp.task import kinds
from seqexp.task.base import Cell
from seqexp.task.sequence_class import probabilities
from seqexp.trainer.loop import scored_batches
from seqexp.trainer.predicted import MAX_NUMBERS, Predicted
from seqexp.trainer.score import evaluate, scored_window
from seqexp.utils.files import appearing
from seqexp.utils.names import one_line
from seqexp.utils.phases import WRITING

log = logging.getLogger("seqexp")

FILE = "predictions.tsv"

MAX_COLUMNS = 50
"""Classes whose probabilities are columns; of more, that of the predicted one says enough."""

MAX_NAME = 1000
"""Characters of a name."""

ROWS = 4096
"""Predictions that are written together."""

TENSORS = ("numbers", "logits", "targets")


@dataclass(frozen=True, eq=False)
class Part:
    """What is predicted for some of the test, in its order.

    Args:
        numbers: of the rows of the test.
        logits: of each scored prediction.
        targets: of the same; several labels or numbers a row where the kind has them.
    """

    numbers: Int[Tensor, " predictions"]
    logits: Float[Tensor, "predictions outputs"]
    targets: Num[Tensor, "predictions labels"]


def parts_of_test(run: Observed) -> Iterator[Part]:
    """All that is scored of the test: as the loop has kept it, in the order of the test; of more
    than it keeps, predicted again in the batches of the loop.
    """
    training, test = run.training, run.data.test
    kept = {} if training.predicted is None else training.predicted.tensors()
    if kept:
        for start in range(0, len(kept["numbers"]), ROWS):
            yield Part(*(kept[name][start : start + ROWS] for name in TENSORS))
        return
    split = test.to(training.device)
    window = scored_window(split, training.window)
    for batch in scored_batches(split, training.settings):
        found = Predicted(limit=sys.maxsize)
        evaluate(training.model, training.task, [batch], window, predicted=found)
        tensors = found.tensors()
        if tensors:
            yield Part(*(tensors[name] for name in TENSORS))


class PredictionsOfTest(Callback):
    """Keeps `predictions.tsv` in the run's folder and with the run.

    Args:
        run: whose test is predicted.
        folder: of the run; None keeps it with the run alone.
    """

    doing = ("writing predictions.tsv", WRITING)

    def __init__(self, run: Observed, folder: Path | None) -> None:
        is_table = run.data.spec.output is not Output.READ_ERRORS
        self.run, self.folder = run, folder
        self.is_kept = is_table and (run.tracker.keeps or folder is not None)
        if is_table and run.training.predicted is None:
            run.training.predicted = Predicted()

    def at_end(self, result: Result) -> None:
        """Write the table; of next tokens only where the loop has kept their logits."""
        predicted, spec = self.run.training.predicted, self.run.data.spec
        if not self.is_kept or not len(self.run.data.test):
            return
        if spec.output is Output.NEXT_TOKEN and (predicted is None or predicted.is_too_large):
            log.info(
                f"{FILE} is left out: the test's tokens have more than {MAX_NUMBERS:,}"
                " probabilities"
            )
            return
        if self.folder is None:
            self.run.tracker.file(self._write, FILE)
            return
        file = self.folder / FILE
        self._write(file)
        self.run.tracker.file(lambda place: shutil.copyfile(file, place), FILE)

    def _write(self, file: Path) -> None:
        with (
            appearing(file) as opened,
            os.fdopen(
                *(opened.fileno(), "w"),
                encoding="utf-8",
                errors="backslashreplace",
                newline="",
                closefd=False,
            ) as text,
        ):
            write_table(text, self.run.data.spec, parts_of_test(self.run), self.run.data.test.names)


def write_table(
    file: TextIO, spec: TaskSpec, parts: Iterator[Part], names: Sequence[str] = ()
) -> None:
    """Write a header, and a row a prediction, as they come.

    Args:
        file: to write to.
        spec: of the dataset.
        parts: of the test.
        names: of the rows of the test; empty numbers them from 1.
    """
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(["name", *map(_shown, header(spec))])
    position, last = 0, -1
    for part in parts:
        numbers = part.numbers.tolist()
        named = [_shown(names[n]) if names else str(n + 1) for n in numbers]
        rows = [
            [name, *[f"{v:.9g}" if isinstance(v, float) else v for v in row]]
            for name, row in zip(named, table(spec, part), strict=True)
        ]
        if spec.per_position:
            for number, row in zip(numbers, rows, strict=True):
                position, last = (position + 1 if number == last else 1), number
                row.insert(1, str(position))
        writer.writerows(rows)


def header(spec: TaskSpec) -> list[str]:
    """Columns after the name."""
    names = spec.output_names
    if spec.per_position:
        return ["position", "target", "predicted", "probability"]
    if spec.output is Output.SEQUENCE_CLASS:
        if len(names) > MAX_COLUMNS:
            return ["target", "predicted", "probability"]
        return ["target", "predicted", *(f"P({name})" for name in names)]
    what = ["{} target", "{} predicted"] if len(names) > 1 else ["target", "predicted"]
    if spec.output is Output.MULTI_LABEL:
        what = ["{} target", "{} predicted", "P({})"]
    return [one.format(name) for name in names for one in what]


def table(spec: TaskSpec, part: Part) -> list[list[Cell]]:
    """A row a prediction; the cell of a target that is not known is empty."""
    if spec.per_position or spec.output is Output.SEQUENCE_CLASS:
        return _of_classes(spec, part)
    values = kinds.of(spec).predictions(part.logits[:, None])
    rows: list[list[Cell]] = []
    for targets, predicted in zip(part.targets.tolist(), values, strict=True):
        row: list[Cell] = []
        for target, value in zip(targets, predicted, strict=True):
            is_known = target == target and target != IGNORE  # NaN is not itself
            row.append(target if is_known else "")
            if spec.output is Output.MULTI_LABEL:
                assert isinstance(value, float)
                row.append(str(int(value > 0.5)))
            row.append(value)
        rows.append(row)
    return rows


def _of_classes(spec: TaskSpec, part: Part) -> list[list[Cell]]:
    """Target, prediction, and probability: of each class, or of the predicted one; of a next token
    that of the target.
    """
    is_next = spec.output is Output.NEXT_TOKEN
    names = list(map(_shown, columns_of_tokens(spec) if is_next else spec.output_names))
    shares = probabilities(part.logits)
    largest, predicted = shares.max(dim=1)
    targets = part.targets[:, 0].long()
    if is_next:
        largest = shares.gather(1, targets[:, None])[:, 0]
    has_all = not spec.per_position and len(names) <= MAX_COLUMNS
    cells = shares.tolist() if has_all else largest[:, None].tolist()
    rows = zip(targets.tolist(), predicted.tolist(), cells, strict=True)
    return [[names[target], names[found], *values] for target, found, values in rows]


def columns_of_tokens(spec: TaskSpec) -> tuple[str, ...]:
    """Symbols by the number of their output."""
    symbols = spec.vocabulary.symbols
    return symbols if len(symbols) == spec.num_outputs else ("padding", *symbols)


def _shown(name: str) -> str:
    """A name in one cell: without tabs and ends of lines."""
    return one_line(name, MAX_NAME)
