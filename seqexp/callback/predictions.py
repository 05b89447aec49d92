"""Keeps pictures of what a model predicts for the test, and a table of its first sequences."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Num
from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Batch, Data
from seqexp.inference.text import joined
from seqexp.spec import (
    IGNORE,
    Carry,
    Output,
    ReadsContext,
    TaskSpec,
    is_real,
    is_scored,
)
from seqexp.task import kinds
from seqexp.task.base import (
    MOST_BARS,
    MOST_CLASSES,
    MOST_CURVES,
    MOST_PANELS,
    Cell,
    Task,
)
from seqexp.utils.beside import Make, Picture, pictures
from seqexp.utils.phases import DRAWING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

log = logging.getLogger("seqexp")

MAX_ROWS = 10_000
"""Of the table."""

MAX_POSITIONS = 2**18
"""Of the sequences in the table, their padding included: reading them takes a second or two."""

MAX_COLUMNS = 50
"""Classes whose probabilities are columns; of more, the likeliest class says enough."""

MAX_SHOWN = 200
"""Symbols of a sequence."""

ROWS = 100
"""Sequences at a time."""


class Predictions(Callback):
    """Keeps each picture of the kind of task as `predictions/NAME.png`, and `predictions/test.tsv`.

    Args:
        run: whose test is looked at.
    """

    doing = ("drawing what is predicted", DRAWING)

    def __init__(self, run: Observed) -> None:
        self.run = run
        self.figures: dict[str, Picture] = {}

    def before(self) -> None:
        """Say which pictures are left out."""
        for line in left_out(self.run.data.spec) if self.run.tracker.keeps else ():
            log.info(f"  predictions: {line}")

    def at_test(self) -> None:
        """Begin to draw what the loop has collected of the test."""
        whole = self.run.training.tested
        if whole is not None and self.run.tracker.keeps:
            makes = whole.figures()
            self.figures = pictures({name: partial(_literal, make) for name, make in makes.items()})

    def at_end(self, result: Result) -> None:
        """Keep the pictures, and write the table."""
        tracker, training = self.run.tracker, self.run.training
        if not tracker.keeps:
            return
        rows = list(table(training.model, self.run.data, training.device))
        if rows:
            tracker.text(_tsv(rows), "predictions/test.tsv")
        for name, figure in self.figures.items():
            tracker.figure(figure, f"predictions/{name}.png")


def _literal(make: Make) -> "Figure | bytes":
    made = make()
    if isinstance(made, bytes):
        return made
    from seqexp.utils.drawing import literal  # with Matplotlib

    return literal(made)


def left_out(spec: TaskSpec) -> list[str]:
    """What is not drawn, since nobody could read it."""
    count, kind = len(spec.output_names), spec.output
    if kind in (Output.SEQUENCE_CLASS, Output.TOKEN_CLASS) and count > MOST_CLASSES:
        return [f"no confusion matrix of {count:,} classes is drawn; of {MOST_CLASSES} at most"]
    if kind is Output.REGRESSION and count > MOST_PANELS:
        return [f"the first {MOST_PANELS} of {count:,} numbers are drawn"]
    if kind is not Output.MULTI_LABEL:
        return []
    curves = [f"no curves of {count:,} labels are drawn; of {MOST_CURVES} at most"]
    bars = [f"the {MOST_BARS} best of {count:,} labels have a bar"]
    return curves * (count > MOST_CURVES) + bars * (count > MOST_BARS)


def table(model: Any, data: Data, device: torch.device) -> Iterator[dict[str, Cell]]:
    """A row each of the first sequences of the test: what was true, what was predicted, the input.

    Nothing for tasks whose predictions are the next token, or the likelihood of a read.
    """
    if data.spec.output in (Output.NEXT_TOKEN, Output.READ_ERRORS) or not len(data.test):
        return
    task, test = kinds.of(data.spec), data.test
    count = min(MAX_ROWS, len(test), max(1, MAX_POSITIONS // test.tokens.shape[1]))
    first = test.chosen(torch.arange(count, device=test.tokens.device)).to(device)
    number = 0
    model.eval()
    for batch in first.batches(ROWS):
        logits = _logits(model, batch)
        for row, values in enumerate(_rows(task, logits, batch)):
            number += 1
            shown = _shown(batch.tokens[row], data.spec)
            yield {"row": number, **values, **({"sequence": shown} if shown else {})}


@torch.no_grad()
def _logits(model: Any, batch: Batch) -> Tensor:
    carry: Carry | None = None
    if batch.context is not None:
        assert isinstance(model, ReadsContext)
        carry = model.read(batch.context)
    logits: Tensor = model(batch.tokens, carry)[0]
    return logits


def _rows(task: Task, logits: Tensor, batch: Batch) -> Iterator[dict[str, Cell]]:
    """What was true and what was predicted, of each sequence of a batch."""
    spec, targets = task.spec, batch.targets
    if spec.output is Output.TOKEN_CLASS:  # labels of the positions that are scored
        scored = is_scored(targets)
        predictions = task.predictions(logits, scored)
        for row, (labels,) in enumerate(predictions):
            truth = [spec.output_names[i] for i in targets[row][scored[row]].tolist()]
            yield {"true": " ".join(truth), "predicted": labels}
        return
    predictions = task.predictions(logits)
    if spec.output is Output.SEQUENCE_CLASS:
        for label, shares in zip(targets[:, 0].tolist(), predictions, strict=True):
            yield _of_class(spec.output_names, label, shares)
        return
    for row, values in zip(targets.tolist(), predictions, strict=True):
        found: dict[str, Cell] = {}
        for name, target, value in zip(spec.output_names, row, values, strict=True):
            is_known = target == target and target != IGNORE  # NaN is not itself
            found[f"{name} true"] = target if is_known else ""
            found[f"{name} predicted"] = value
        yield found


def _of_class(names: Sequence[str], label: int, shares: Sequence[Cell]) -> dict[str, Cell]:
    largest = max(range(len(shares)), key=lambda index: shares[index])
    found: dict[str, Cell] = {
        "true": names[label] if label != IGNORE else "",
        "predicted": names[largest],
    }
    if len(names) > MAX_COLUMNS:
        return {**found, "probability": shares[largest]}
    return found | {f"P({name})": share for name, share in zip(names, shares, strict=True)}


def _shown(tokens: Num[Tensor, "time ..."], spec: TaskSpec) -> str:
    """The first symbols of a sequence; nothing of features."""
    if spec.features is not None:
        return ""
    return joined(tokens[is_real(tokens[None])[0]][:MAX_SHOWN].tolist(), spec.vocabulary)


def _tsv(rows: Sequence[dict[str, Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row.values()])
    return text.getvalue()
