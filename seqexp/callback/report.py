"""Keeps one page on what a run learned."""

import sys
from collections.abc import Mapping
from typing import Any

from seqexp.callback.base import Callback, Observed
from seqexp.callback.console import summary_names
from seqexp.callback.denoise import Denoised
from seqexp.callback.filters import LearnedFilters
from seqexp.callback.outcome import intervals, worst
from seqexp.callback.predictions import Predictions
from seqexp.callback.samples import Samples
from seqexp.checkpoint.provenance import sizes
from seqexp.checkpoint.result import Result
from seqexp.data import Data, Sequences
from seqexp.interpret.filters.extraction import Filters
from seqexp.metrics import HEADLINE
from seqexp.spec import Output
from seqexp.utils.names import one_line
from seqexp.utils.phases import DRAWING

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


class Page(Callback):
    """Writes `report.html`, of every run that keeps anything.

    Args:
        title: of the page.
        command: what was typed.
        settings: of what is read of filters; None where that is off.
        run: that ends.
        filters: what they learned.
        predictions: pictures of the test.
        denoised: pictures of how reads err.
        samples: what a model of the next token writes.
    """

    doing = ("drawing report.html", DRAWING)

    def __init__(
        self,
        title: str,
        command: str,
        settings: Filters | None,
        run: Observed,
        filters: LearnedFilters,
        predictions: Predictions,
        denoised: Denoised,
        samples: Samples,
    ) -> None:
        self.title, self.command, self.settings, self.run = title, command, settings, run
        self.filters, self.predictions, self.denoised = filters, predictions, denoised
        self.samples = samples

    def at_end(self, result: Result) -> None:
        """Put what others have measured and drawn on one page."""
        learned = self.filters.found
        pictures = {**self.predictions.figures, **self.denoised.figures}
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
            about=about(data),
            intervals=intervals(spec, kept) if kept else {},
            worst=worst(self.run, kept) if kept else [],
            written=self.samples.final,
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
            pictures=pictures,
            families=self.filters.families,
            family_figures=self.filters.family_figures,
            pairs=self.filters.pairs,
        )
        self.run.tracker.text(report_page(content), "report.html")

    def _facts(self, metrics: Mapping[str, float]) -> list[tuple[str, Any]]:
        """What is known of the data, and what the run took."""
        known = {
            key: value
            for key, value in sizes(self.run.data).items()
            if key not in ("notes", "vocabulary") and value is not None
        }
        seconds = metrics.get("time/train_seconds")
        if seconds is not None:
            known["seconds of training"] = f"{seconds:,.1f}"
        if (most := memory()) is not None:
            known["most memory of the process"] = f"{most / 2**20:,.0f} MiB"
        return list(known.items())


def memory() -> int | None:
    """The most that this process has had, bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # on Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def about(data: Data) -> str:
    """The data in a sentence."""
    spec = data.spec
    counts = [f"{len(split):,} for {use}" for use, split in _uses(data) if len(split)]
    made = spec.features
    what = f"one of {len(spec.vocabulary):,} symbols" if made is None else f"{made.size:,} numbers"
    names = [one_line(name) for name in spec.output_names]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" * (len(names) > NAMED))
    asked = f"; it predicts {WORDS[spec.output]}" + (
        f": {shown}" if names and spec.output is not Output.NEXT_TOKEN else ""
    )
    longest = data.train.tokens.shape[1] if len(data.train) else 0
    kind = "Pieces of a text" if data.train.is_stream else "Sequences"
    begins = f"{kind} of at most {longest:,} positions, each {what}"
    return f"{begins}: {', '.join(counts)}{asked}."


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
