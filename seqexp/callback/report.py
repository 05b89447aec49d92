"""Keeps one page on what a run learned."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from seqexp.callback.base import Callback, Observed
from seqexp.callback.console import summary_names
from seqexp.callback.denoise import Denoised, sentences, table_rows
from seqexp.callback.filters import LearnedFilters
from seqexp.callback.outcome import by_class, intervals, worst, worst_of
from seqexp.callback.predictions import Predictions
from seqexp.callback.samples import Samples
from seqexp.callback.spent import memory, seconds_by_part
from seqexp.callback.written import Written
from seqexp.checkpoint.provenance import sizes
from seqexp.checkpoint.result import Result
from seqexp.data import Data, Sequences
from seqexp.interpret.filters.extraction import Filters
from seqexp.interpret.states import over
from seqexp.metrics import HEADLINE
from seqexp.spec import Output, is_real
from seqexp.utils.beside import png_of
from seqexp.utils.names import one_line
from seqexp.utils.phases import DRAWING

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

    from seqexp.utils.beside import Picture

MAX_READ = 5000
"""Positions of a sequence that states are computed of."""

NAMED = 5
"""Classes, labels or numbers that a sentence names."""

WORDS = {
    Output.SEQUENCE_CLASS: "a class of each",
    Output.MULTI_LABEL: "labels of each",
    Output.REGRESSION: "numbers of each",
    Output.TOKEN_CLASS: "a class of each position",
    Output.NEXT_TOKEN: "the next symbol",
    Output.READ_ERRORS: "how reads differ from what they are of",
}

BESIDE = ("best/epoch",)
"""Metrics on the page that are not of the test."""


class HasFigures(Protocol):
    """A callback that has drawn something for the page."""

    @property
    def figures(self) -> Mapping[str, "Figure | Picture | bytes"]:
        """By what they are called."""


class Page(Callback):
    """Writes `report.html`, of every run that keeps anything.

    Args:
        title: of the page.
        command: what was typed.
        differing: key, value and default of what differs from the defaults.
        settings: of what is read of filters; None where that is off.
        run: that ends.
        filters: what they learned.
        predictions: pictures of the test.
        denoised: pictures of how reads err.
        writers: what a model of the next token writes, or one of targets.
        others: further callbacks that have drawn figures.
    """

    doing = ("drawing report.html", DRAWING)

    def __init__(
        self,
        title: str,
        command: str,
        differing: Sequence[tuple[str, Any, Any]],
        settings: Filters | None,
        run: Observed,
        filters: LearnedFilters,
        predictions: Predictions,
        denoised: Denoised,
        writers: Sequence[Samples | Written],
        others: Sequence[HasFigures] = (),
    ) -> None:
        self.differing, self.others = differing, others
        self.title, self.command, self.settings, self.run = title, command, settings, run
        self.filters, self.predictions, self.denoised = filters, predictions, denoised
        self.writers = writers

    def at_end(self, result: Result) -> None:
        """Put what others have measured and drawn on one page."""
        learned = self.filters.found
        if not self.run.tracker.keeps:
            return
        from seqexp.interpret.filters.report import Page as Content
        from seqexp.interpret.filters.report import report_page

        data, metrics = self.run.data, result.metrics
        spec, methods = data.spec, self.filters.methods
        said = ("test/auroc", "test/auprc") if methods else ()  # in the table of methods
        names = summary_names(metrics, spec.output)
        shown = [name for name in names if name.startswith(("test/", "baseline/", *BESIDE))]
        predicted = self.run.training.predicted
        kept = {} if predicted is None else predicted.tensors()
        content = Content(
            title=self.title,
            command=self.command,
            differing=[
                {"key": key, "value": _value(value), "default": _value(default)}
                for key, value, default in self.differing
            ],
            by_class=by_class(spec, kept) if kept else [],
            also={name: png_of(figure) for name, figure in self._also(kept)},
            took=self._took(),
            said=[*sentences(self.denoised.rows), *self._of_writers()],
            decoded=table_rows(self.denoised.rows),
            about=about(data),
            intervals=intervals(spec, kept) if kept else {},
            worst=worst(self.run, kept) if kept else [],
            written=next((one.final for one in self.writers if one.final), ""),
            history=self.run.story.history,
            results=[{"metric": n, "value": metrics[n]} for n in shown if n not in said],
            baselines=methods,
            data=[{"fact": key, "value": _fact(value)} for key, value in self._facts(metrics)],
            notes=data.notes,
            learned=learned,
            symbols=spec.vocabulary.symbols,
            output_names=spec.output_names,
            max_shown=self.settings.max_shown if self.settings is not None else 0,
            where=self.filters.where,
            headline=HEADLINE[spec.output],
            metrics=metrics,
            pictures=self.predictions.figures,
            families=self.filters.families,
            family_figures=self.filters.family_figures,
            pairs=self.filters.pairs,
        )
        self.run.tracker.text(report_page(content), "report.html")

    def _also(self, kept: Mapping[str, Tensor]) -> "Iterator[tuple[str, Figure | Picture | bytes]]":
        """Further figures by their names."""
        yield from self.denoised.figures.items()
        for one in self.others:
            yield from one.figures.items()
        yield from self._states(kept).items()

    def _facts(self, metrics: Mapping[str, float]) -> list[tuple[str, Any]]:
        """What is known of the data, and what the run took."""
        known = {
            key: value
            for key, value in sizes(self.run.data).items()
            if key not in ("notes", "vocabulary") and value is not None
        }
        return list(known.items())

    def _of_writers(self) -> list[str]:
        """What was written for the test, in sentences."""
        return [said for one in self.writers if isinstance(one, Written) for said in one.said]

    def _took(self) -> list[dict[str, str]]:
        """Seconds by part, and memory."""
        parts = seconds_by_part(self.run.story, self.run.data)
        rows = [{"part": part, "took": f"{seconds:,.1f} s"} for part, seconds in parts.items()]
        sizes = [
            {"part": what, "took": f"{most / 2**20:,.0f} MiB"} for what, most in memory().items()
        ]
        return [*rows, *sizes]

    def _states(self, kept: Mapping[str, Tensor]) -> dict[str, "Figure"]:
        """Hidden states and gates of a recurrent network over the test sequence that went worst."""
        training, data = self.run.training, self.run.data
        spec, test = data.spec, data.test
        if spec.context is not None or not len(test):
            return {}
        number = worst_of(spec, kept) if kept else 0
        row = test.tokens[number]
        row = row[is_real(row[None])[0]][:MAX_READ]
        row = row if row.is_floating_point() else row.long()  # kept in few bytes
        model: Any = training.model
        model.eval()
        found = over(model, row.to(training.device))
        if found is None:
            return {}
        from seqexp.interpret.states_figure import states_figure

        symbols = [] if spec.features is not None else spec.vocabulary.decode(row.tolist())
        name = test.names[number] if test.names else f"sequence {number + 1}"
        which = "the first of the test" if number == 0 and not kept else "which cost most"
        title = f"gates and hidden states over {one_line(name)} of the test, {which}"
        shown = symbols[found.first - 1 :]
        return {"gates and hidden states": states_figure(found, shown, title)}


def about(data: Data) -> str:
    """The data in a sentence."""
    spec = data.spec
    counts = [f"{len(split):,} for {use}" for use, split in _uses(data) if len(split)]
    made = spec.features
    symbols = spec.vocabulary.symbols  # without padding
    some = f": {', '.join(symbols)}" if len(symbols) <= NAMED else ""
    what = f"one of {len(symbols):,} symbols{some}" if made is None else f"{made.size:,} numbers"
    names = [one_line(name) for name in spec.output_names]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" * (len(names) > NAMED))
    asked = f"; it predicts {WORDS[spec.output]}"
    if spec.output is Output.NEXT_TOKEN and spec.context is not None:
        asked += " of what belongs to a context"
    elif names and spec.output not in (Output.NEXT_TOKEN, Output.READ_ERRORS):
        asked += f": {shown}"
    longest = data.train.tokens.shape[1] if len(data.train) else 0
    kind = "Pieces of a text" if data.train.is_stream else "Sequences"
    length = f"{longest:,}" if spec.length == longest else f"at most {longest:,}"
    begins = f"{kind} of {length} positions, each {what}"
    return f"{begins}; {', '.join(counts)}{asked}."


def _value(value: Any) -> str:
    """As one would type it; nothing where there is no default."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _uses(data: Data) -> list[tuple[str, Sequences]]:
    return [("training", data.train), ("validation", data.valid), ("the test", data.test)]


def _fact(value: Any) -> int | str:
    """A count as it is; of symbols and features, how many; of the scoring, what was chosen."""
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return str(value)
    if "vocabulary" in value:
        return f"{len(value['vocabulary']):,} symbols"
    if "size" in value:
        return f"{value['size']:,} numbers a position: {', '.join(value['names'])}".rstrip(": ")
    return ", ".join(f"{key} {one}" for key, one in value.items() if one and key != "scale")
