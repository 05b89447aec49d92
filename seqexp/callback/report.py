"""Keeps one page on what a run learned, where it learned motifs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqexp.checkpoint.provenance import data_name, sizes
from seqexp.checkpoint.result import Start, Story
from seqexp.config.groups import Config
from seqexp.data import Data
from seqexp.interpret.filters.tomtom import Learned
from seqexp.tracking.tracker import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = ("test/accuracy", "test/auroc", "test/auprc", "test/loss_nats", "best/epoch")


def keep_report(
    config: Config,
    start: Start,
    tracker: Tracker,
    data: Data,
    story: Story,
    learned: Learned,
    baselines: Sequence[Mapping[str, Any]],
    where: "Figure | None",
) -> None:
    """Write `report.html`; does nothing for runs without filters, or where nothing is kept."""
    if not learned.filters or not tracker.keeps:
        return
    from seqexp.interpret.filters.report import Page, report_page

    model, dataset = start.choices.get("model", "model"), data_name(config, start)
    said = ("test/auroc", "test/auprc") if baselines else ()  # in the table of methods
    metrics = story.result.metrics
    names = [name for name in RESULTS if name in metrics and name not in said]
    page = Page(
        title=f"{model} on {dataset}, seed {config['seed']}",
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
        max_shown=config["interpret"]["max_shown"],
        where=where,
    )
    tracker.text(report_page(page), "report.html")
