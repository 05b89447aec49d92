"""Shows in MLflow where in some test sequences a classifier finds its evidence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seqexp.callback.base import Observed
from seqexp.data import Data
from seqexp.interpret.filters.extraction import Filters, LearnedFilter, ranked
from seqexp.interpret.saliency.mutagenesis import Trace, agreement, trace
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec
from seqexp.trainer.training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

MAX_SYMBOLS = 30
"""An alphabet whose every letter can be tried at every place."""

NUM_AGREEMENT = 50
"""Sequences for which it is known what was planted where, and compared."""


def show_where(
    settings: Filters | None,
    run: Observed,
    filters: Sequence[LearnedFilter],
) -> tuple[dict[str, float], "Figure | None"]:
    """Keep a figure of some sequences that hold what the last output stands for.

    Returns how well importance agrees with what was planted, where that is known, and the figure.
    Does nothing where there is not one prediction a sequence, for large alphabets, features, and
    models that read a context.
    """
    tracker, training, data = run.tracker, run.training, run.data
    symbols = data.spec.vocabulary.symbols
    if settings is None or not has_evidence(data.spec):
        return {}, None
    draws = settings.num_traced > 0 and tracker.keeps
    # of several labels, something else was planted for each
    is_known = data.test.planted is not None and data.spec.output is Output.SEQUENCE_CLASS
    count = NUM_AGREEMENT if is_known else 0
    traces = _traces(training, data, max(count, settings.num_traced if draws else 0))
    order = [learned.index for learned in ranked(filters) if learned.hits]
    figure = None
    if draws and traces:
        from seqexp.interpret.saliency.figure import where_figure

        name, unit = data.spec.output_names[-1], UNITS[data.spec.output]
        figure = where_figure(traces[: settings.num_traced], symbols, order, name, unit)
        tracker.figure(figure, "where/sequences.png")
    # a dead filter points to nothing
    strengths = np.array([learned.strength * (learned.hits > 0) for learned in filters])
    return (agreement(traces, strengths) if count else {}), figure


UNITS = {
    Output.SEQUENCE_CLASS: "log-odds, nats",
    Output.MULTI_LABEL: "log-odds, nats",
    Output.REGRESSION: "standard deviations",
}
"""Of what is looked at, by the kinds with one prediction a sequence."""


def has_evidence(spec: TaskSpec) -> bool:
    """Whether each letter of a sequence can be tried, and what it does to one output."""
    symbols = spec.vocabulary.symbols
    are_letters = 0 < len(symbols) <= MAX_SYMBOLS and all(len(symbol) == 1 for symbol in symbols)
    is_one = len(spec.output_names) == 1 or spec.output is not Output.REGRESSION
    return are_letters and is_one and spec.output in UNITS and spec.context is None


def _drawn(rows: Tensor, count: int, seed: int) -> list[int]:
    """So many of some rows at most, in their order."""
    if len(rows) > count:
        generator = torch.Generator().manual_seed(stream_seed(seed, "traced"))
        rows = rows[torch.randperm(len(rows), generator=generator)[:count].sort().values]
    return list(rows.tolist())


def _traces(training: Training, data: Data, count: int) -> list[Trace]:
    """Of sequences that hold what the last output stands for; of numbers, of the largest tenth."""
    spec, test = data.spec, data.test
    output = len(spec.output_names) - 1
    rows = _drawn(torch.nonzero(_has_most(test.targets, spec))[:, 0], count, training.seed)
    model: Any = training.model.eval()
    return [
        trace(
            model,
            test.tokens[row].long().to(training.device),
            spec.vocabulary.symbols,
            output,
            None if test.planted is None else test.planted[row],
            is_alone=spec.output is not Output.SEQUENCE_CLASS,
        )
        for row in rows
    ]


def _has_most(targets: Tensor, spec: TaskSpec) -> Tensor:
    if spec.output is Output.MULTI_LABEL:
        return targets[:, -1] == 1
    if spec.output is Output.SEQUENCE_CLASS:
        return targets[:, 0] == len(spec.output_names) - 1
    values = targets[:, 0]
    return values >= values.nanquantile(0.9)
