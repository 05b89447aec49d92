"""Keeps one page on what a run learned."""

from collections.abc import Mapping
from typing import Any

from seqexp.callback.base import Callback, Observed
from seqexp.callback.console import summary_names
from seqexp.callback.denoise import Denoised
from seqexp.callback.filters import LearnedFilters
from seqexp.callback.predictions import Predictions
from seqexp.checkpoint.provenance import sizes
from seqexp.checkpoint.result import Result
from seqexp.interpret.filters.extraction import Filters
from seqexp.metrics import HEADLINE

BESIDE = ("best/epoch",)
"""Metrics on the page that are not of the test."""


class Page(Callback):
    """Writes `report.html`, where filters were read, predictions drawn or targets written.

    Args:
        title: of the page.
        settings: of what is read of filters; None where that is off.
        run: that ends.
        filters: what they learned.
        predictions: pictures of the test.
        denoised: pictures of how reads err.
    """

    def __init__(
        self,
        title: str,
        settings: Filters | None,
        run: Observed,
        filters: LearnedFilters,
        predictions: Predictions,
        denoised: Denoised,
    ) -> None:
        self.title, self.settings, self.run = title, settings, run
        self.filters, self.predictions, self.denoised = filters, predictions, denoised

    def at_end(self, result: Result) -> None:
        """Put what others have measured and drawn on one page."""
        learned = self.filters.found
        pictures = {**self.predictions.figures, **self.denoised.figures}
        is_written = self.run.data.spec.context is not None
        if not self.run.tracker.keeps or not (learned.filters or pictures or is_written):
            return
        from seqexp.interpret.filters.report import Page as Content
        from seqexp.interpret.filters.report import report_page

        data, metrics = self.run.data, result.metrics
        spec, methods = data.spec, self.filters.methods
        said = ("test/auroc", "test/auprc") if methods else ()  # in the table of methods
        names = summary_names(metrics, spec.output)
        shown = [name for name in names if name.startswith(("test/", "baseline/", *BESIDE))]
        content = Content(
            title=self.title,
            history=self.run.story.history,
            results=[{"metric": n, "value": metrics[n]} for n in shown if n not in said],
            baselines=methods,
            data=[{"fact": key, "value": _fact(value)} for key, value in _facts(sizes(data))],
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


def _facts(known: Mapping[str, Any]) -> list[tuple[str, Any]]:
    unsaid = ("notes", "vocabulary")
    return [(key, value) for key, value in known.items() if key not in unsaid and value is not None]


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
