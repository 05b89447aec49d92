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
from seqexp.spec import Output
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
    Does nothing for models that do not classify and for large alphabets.
    """
    tracker, training, data = run.tracker, run.training, run.data
    symbols = data.spec.vocabulary.symbols
    fits = len(symbols) <= MAX_SYMBOLS and all(len(symbol) == 1 for symbol in symbols)
    if settings is None or not fits or data.spec.output is not Output.SEQUENCE_CLASS:
        return {}, None
    draws = settings.num_traced > 0 and tracker.keeps
    count = NUM_AGREEMENT if data.test.planted is not None else 0
    traces = _traces(training, data, max(count, settings.num_traced if draws else 0))
    order = [learned.index for learned in ranked(filters) if learned.hits]
    figure = None
    if draws and traces:
        from seqexp.interpret.saliency.figure import where_figure

        name = data.spec.output_names[-1]
        figure = where_figure(traces[: settings.num_traced], symbols, order, name)
        tracker.figure(figure, "where/sequences.png")
    # a dead filter points to nothing
    strengths = np.array([learned.strength * (learned.hits > 0) for learned in filters])
    return (agreement(traces, strengths) if count else {}), figure


def _drawn(rows: Tensor, count: int, seed: int) -> list[int]:
    """So many of some rows at most, in their order."""
    if len(rows) > count:
        generator = torch.Generator().manual_seed(stream_seed(seed, "traced"))
        rows = rows[torch.randperm(len(rows), generator=generator)[:count].sort().values]
    return list(rows.tolist())


def _traces(training: Training, data: Data, count: int) -> list[Trace]:
    output = len(data.spec.output_names) - 1
    rows = _drawn(torch.nonzero(data.test.targets[:, 0] == output)[:, 0], count, training.seed)
    model: Any = training.model.eval()
    test = data.test
    return [
        trace(
            model,
            test.tokens[row].long().to(training.device),
            data.spec.vocabulary.symbols,
            output,
            None if test.planted is None else test.planted[row],
        )
        for row in rows
    ]
