"""What a run says to the person who started it: a line an epoch and a summary."""

import logging
from itertools import count

from seqexp.callback.base import Callback, Observed
from seqexp.callback.filters import LearnedFilters
from seqexp.checkpoint.result import Result
from seqexp.data import Data
from seqexp.interpret.filters.extraction import ranked
from seqexp.interpret.filters.tomtom import Learned
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Report
from seqexp.utils import table
from seqexp.utils.names import markdown, one_line

log = logging.getLogger("seqexp")


def say_start(model: str, dataset: str, data: Data, num_parameters: int) -> None:
    """One line on what is about to be done."""
    unit = "tokens" if data.train.is_stream else "sequences"
    counts = {
        name: split.tokens.numel() if split.is_stream else len(split)
        for name, split in data.splits().items()
    }
    splits = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    log.info(f"{model}, {num_parameters:,} parameters, on {dataset}: {splits} {unit}")
    for note in data.notes:
        log.info(f"  {note}")


def is_said(epoch: int, epochs: int) -> bool:
    """Whether an epoch has a line: the first ones, the last, and of many every 2nd, 5th, 10th..."""
    spacing = next(
        step * 10**power
        for power in count()
        for step in (1, 2, 5)
        if epochs <= 50 * step * 10**power
    )
    return epoch <= 10 or epoch == epochs or epoch % spacing == 0


class Console(Callback):
    """Says one line an epoch, or one every few where there are many.

    Args:
        settings: of the training.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def after(self, report: Report) -> None:
        """Say how an epoch went."""
        if report.kind == "epoch" and is_said(report.step, self.settings.epochs):
            _say(report, self.settings.epochs)


def _say(report: Report, epochs: int) -> None:
    shown = ("train/loss_nats", "valid/loss_nats", "valid/accuracy", "time/epoch_seconds")
    values = [f"{key} {report.metrics[key]:.4f}" for key in shown if key in report.metrics]
    best = "  *" if report.is_best else ""
    width = len(str(epochs))
    log.info(f"epoch {report.step:{width}}/{epochs}  {'  '.join(values)}{best}")


CALLED = {
    "best/valid_accuracy": "valid accuracy at the kept epoch",
    "best/valid_accuracy_max": "valid accuracy, highest of all epochs",
}
"""What a summary calls metrics whose keys alone could be misread."""


def summary_rows(result: Result, learned: Learned) -> dict[str, str]:
    """What a person wants to know at the end."""
    names = (
        "test/accuracy",
        "test/auroc",
        "test/auprc",
        "baseline/kmer_auroc",
        "baseline/scan_auroc",
        "test/loss_nats",
        "test/perplexity",
        "test/bits_per_token",
        "best/valid_accuracy",
        "best/valid_accuracy_max",
        "motif/correlation",
        "motif/p_value",
        "motif/recovered",
        "motif/mutagenesis_auroc",
        "reads/exact",
        "reads/edit_distance",
        "best/epoch",
        "time/train_seconds",
    )
    metrics = result.metrics
    rows = {CALLED.get(name, name): f"{metrics[name]:.4g}" for name in names if name in metrics}
    chance = [metrics.get(f"motif/correlation_chance{which}") for which in ("", "_95")]
    if "motif/correlation" in rows and None not in chance:
        median, high = chance
        rows["motif/correlation"] += (
            f"  (by chance, of random filters: median {median:.2g}, 95 of 100 below {high:.2g})"
        )
    if learned.filters:
        best = ranked(learned.filters)[0]
        rows[f"filter {best.index} reads"] = best.reading or "nothing: no place tells enough"
        hit = next((hit for hit in learned.known or () if hit.filter_index == best.index), None)
        if hit is not None:
            rows[f"filter {best.index} resembles"] = (
                f"{one_line(hit.target.name)} (q {hit.q_value:.1g})"
            )
    return rows


def description(result: Result, learned: Learned) -> str:
    """The summary for the run's page."""
    rows = summary_rows(result, learned)
    lines = [table.markdown(["", ""], ((name, markdown(value)) for name, value in rows.items()))]
    if learned.filters:
        lines += [
            "",
            "Under Artifacts: `filters/filters.png`, what the filters learned, and",
            "`filters/forming.html`, how they formed, with a slider over the epochs.",
        ]
    return "\n".join(lines)


class Summary(Callback):
    """Puts together what a person wants to know at the end.

    Args:
        metric: that sweeps compare by.
        run: that ends.
        filters: what they learned is part of it.
        has_parent: whether it is one of a sweep, whose own table says where to look.
    """

    def __init__(
        self, metric: str, run: Observed, filters: LearnedFilters, has_parent: bool
    ) -> None:
        self.metric, self.run = metric, run
        self.filters, self.has_parent = filters, has_parent

    def at_end(self, result: Result) -> None:
        """Describe the run on its page, and keep a small table, and where to look."""
        learned, tracker = self.filters.found, self.run.tracker
        tracker.describe(description(result, learned))
        rows = summary_rows(result, learned)
        if result.run_id:
            rows["run id"] = result.run_id
        if self.metric not in result.metrics:
            log.warning(f"optimized_metric is {self.metric}, which this run does not report")
        if not self.has_parent:
            rows |= tracker.links(self.metric)
        result.summary = rows


def say_summary(result: Result) -> None:
    """The table at the end."""
    rows = result.summary
    if not rows:  # a search has stopped it, and has said so
        return
    log.info("\n" + table.pairs(rows.items()))


def say_again(result: Result) -> None:
    """What a run has come to that had finished before."""
    log.info("finished before, and nothing is trained; force=true trains it anew")
    say_summary(result)
