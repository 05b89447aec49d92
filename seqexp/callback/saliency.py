"""Shows in MLflow where in some test sequences a model finds its evidence."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

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
from seqexp.utils.beside import Make, Picture, pictures

MAX_SYMBOLS = 30
"""An alphabet whose every letter can be tried at every place."""

MAX_OUTPUTS = 4
"""Labels or numbers of which a figure is drawn."""

NUM_AGREEMENT = 50
"""Sequences for which it is known what was planted where, and compared."""


def show_where(
    settings: Filters | None,
    run: Observed,
    filters: Sequence[LearnedFilter],
) -> tuple[dict[str, float], dict[str, Picture]]:
    """Draw a figure of some sequences that hold what an output stands for; the last, and a few.

    Returns how well importance agrees with what was planted, where that is known, and the figures
    by path, that of the last output first. Does nothing where `why_nowhere` has a reason.
    """
    training, data = run.training, run.data
    if settings is None or why_nowhere(data.spec) is not None:
        return {}, {}
    draws = settings.num_traced > 0 and run.tracker.keeps
    # of several labels, something else was planted for each
    is_known = data.test.planted is not None and data.spec.output is Output.SEQUENCE_CLASS
    count = NUM_AGREEMENT if is_known else 0
    last, *others = outputs_shown(data.spec)
    traces = _traces(training, data, max(count, settings.num_traced if draws else 0), last)
    order = [learned.index for learned in ranked(filters) if learned.hits]
    makes: dict[str, Make] = {}
    if draws:
        makes |= _figure(traces[: settings.num_traced], order, run, last, "sequences")
        for output in others:
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", data.spec.output_names[output])[:40]
            of_output = _traces(training, data, settings.num_traced, output)
            makes |= _figure(of_output, order, run, output, f"{output + 1}_{name}")
    # a dead filter points to nothing
    strengths = np.array([learned.strength * (learned.hits > 0) for learned in filters])
    return (agreement(traces, strengths) if count else {}), pictures(makes)


def _figure(
    traces: Sequence[Trace], filters: Sequence[int], run: Observed, output: int, name: str
) -> dict[str, Make]:
    """How the figure is made, by its path; nothing without a sequence."""
    if not traces:
        return {}
    from seqexp.interpret.saliency.figure import where_figure

    spec = run.data.spec
    names, unit = spec.output_names, UNITS[spec.output]
    make = partial(where_figure, traces, spec.vocabulary.symbols, filters, names[output], unit)
    return {f"where/{name}.png": make}


UNITS = {
    Output.SEQUENCE_CLASS: "log-odds, nats",
    Output.MULTI_LABEL: "log-odds, nats",
    Output.REGRESSION: "standard deviations",
}
"""Of what is looked at, by the kinds with one prediction a sequence."""


def why_nowhere(spec: TaskSpec) -> str | None:
    """Why it is not shown where the evidence is; None where it is."""
    symbols = spec.vocabulary.symbols
    if spec.output not in UNITS:
        return "there is not one prediction a sequence"
    if spec.features is not None:
        return "the features of a position have no letters that could be replaced"
    if len(symbols) > MAX_SYMBOLS or any(len(symbol) != 1 for symbol in symbols):
        return f"symbols are no letters of an alphabet of {MAX_SYMBOLS} at most"
    if spec.context is not None:
        return "predictions depend on a context too"
    return None


def outputs_shown(spec: TaskSpec) -> list[int]:
    """The outputs of which a figure is drawn: the last, and of labels and numbers some others."""
    last = len(spec.output_names) - 1
    if spec.output is Output.SEQUENCE_CLASS:
        return [last]
    return [last, *range(last)][:MAX_OUTPUTS]


def _drawn(rows: Tensor, count: int, seed: int) -> list[int]:
    """So many of some rows at most, in their order."""
    if len(rows) > count:
        generator = torch.Generator().manual_seed(stream_seed(seed, "traced"))
        rows = rows[torch.randperm(len(rows), generator=generator)[:count].sort().values]
    return list(rows.tolist())


def _traces(training: Training, data: Data, count: int, output: int) -> list[Trace]:
    """Of sequences that hold what an output stands for; of numbers, of the largest tenth."""
    spec, test = data.spec, data.test
    has_most = _has_most(test.targets, spec, output)
    rows = _drawn(torch.nonzero(has_most)[:, 0], count, training.seed)
    model: Any = training.model.eval()
    return [
        trace(
            model,
            test.tokens[row].long().to(training.device),
            spec.vocabulary.symbols,
            output,
            None if test.planted is None else test.planted[row],
            is_alone=spec.output is not Output.SEQUENCE_CLASS,
            name=test.names[row] if test.names else None,
        )
        for row in rows
    ]


def _has_most(targets: Tensor, spec: TaskSpec, output: int) -> Tensor:
    if spec.output is Output.MULTI_LABEL:
        return targets[:, output] == 1
    if spec.output is Output.SEQUENCE_CLASS:
        return targets[:, 0] == output
    values = targets[:, output]
    return values >= values.nanquantile(0.9)
