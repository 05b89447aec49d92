"""Keeps one page on what a run learned, where it learned motifs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqexp.callback.base import Observed
from seqexp.checkpoint.provenance import sizes
from seqexp.interpret.filters.tomtom import Learned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = ("test/accuracy", "test/auroc", "test/auprc", "test/loss_nats", "best/epoch")


def keep_report(
    title: str,
    max_shown: int,
    run: Observed,
    learned: Learned,
    baselines: Sequence[Mapping[str, Any]],
    where: "Figure | None",
) -> None:
    """Write `report.html`; does nothing for runs without filters, or where nothing is kept."""
    if not learned.filters or not run.tracker.keeps:
        return
    from seqexp.interpret.filters.report import Page, report_page

    data, story = run.data, run.story
    said = ("test/auroc", "test/auprc") if baselines else ()  # in the table of methods
    metrics = story.result.metrics
    names = [name for name in RESULTS if name in metrics and name not in said]
    page = Page(
        title=title,
        history=story.history,
        results=[{"metric": name, "value": metrics[name]} for name in names],
        baselines=baselines,
        data=[
            {"fact": key, "value": value if isinstance(value, int) else str(value)}
            for key, value in sizes(data).items()
            if key not in ("notes", "vocabulary") and value is not None
        ],
        notes=data.notes,
        learned=learned,
        symbols=data.spec.vocabulary.symbols,
        output_names=data.spec.output_names,
        max_shown=max_shown,
        where=where,
    )
    run.tracker.text(report_page(page), "report.html")
