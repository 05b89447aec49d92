"""What a run says to the person who started it: a line an epoch and a summary."""

import logging
from collections.abc import Collection, Sequence
from itertools import count

from seqexp.callback.base import Callback, Observed
from seqexp.callback.filters import LearnedFilters
from seqexp.checkpoint.result import Result
from seqexp.data import Data, Sequences
from seqexp.interpret.families.family import Families
from seqexp.interpret.families.words import NAMED, in_words
from seqexp.interpret.filters.extraction import ranked
from seqexp.interpret.filters.tomtom import Learned
from seqexp.metrics import DECODED, HEADLINE, METRICS, OF_KIND, OWN, compared_by, without_name
from seqexp.spec import Features, Output, TaskSpec
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Report, Training
from seqexp.utils import table
from seqexp.utils.names import markdown, one_line

log = logging.getLogger("seqexp")


NO_FAMILIES = Families()

MAX_OWN = 3
"""Metrics of the user's own in the line of an epoch."""

LOSSES = ("gaussian", "huber", "poisson")
"""Of seqexp; any other is the user's own."""

MAX_NAMED = 6
"""Classes, labels or numbers that are named at the start."""


def say_start(model: str, dataset: str, data: Data, num_parameters: int) -> None:
    """One line on what is about to be done, one on what is predicted, and the notes of the data."""
    unit = unit_of(data.train)
    splits = ", ".join(f"{count_of(split):,} {name}" for name, split in data.splits().items())
    log.info(f"{model}, {num_parameters:,} parameters, on {dataset}: {splits} {unit}")
    log.info(f"  {what_is_predicted(data.spec)}")
    for note in data.notes:
        log.info(f"  {note}")


def unit_of(split: Sequences) -> str:
    """What is counted of a split."""
    return "tokens" if split.is_stream else "sequences"


def count_of(split: Sequences) -> int:
    """How many sequences it has; of a stream, tokens."""
    return split.tokens.numel() if split.is_stream else len(split)


def size_of(split: Sequences) -> str:
    """How large it is, in words."""
    return f"{count_of(split):,} {unit_of(split)}"


def what_is_predicted(spec: TaskSpec) -> str:
    """The kind of task, its outputs, and what they are told from."""
    kind, names = spec.output, [one_line(name) for name in spec.output_names]
    if kind is Output.READ_ERRORS:
        return "how reads differ from the sequences that they are of, nats a read"
    count = len(names)
    if kind is Output.SEQUENCE_CLASS:
        said = f"one of {count:,} classes a sequence: {_named(names)}"
    elif kind is Output.MULTI_LABEL:
        said = f"{_counted(count, 'label')} a sequence, each there or not: {_named(names)}"
    elif kind is Output.REGRESSION:
        loss = one_line(spec.scoring.loss)
        said = f"regression of {_counted(count, 'number')} ({loss} loss): {_named(names)}"
    elif kind is Output.TOKEN_CLASS:
        said = f"one of {count:,} labels at each position: {_named(names)}"
    else:
        said = f"the next of {len(spec.vocabulary.symbols):,} symbols at each position"
    if spec.scoring.loss not in LOSSES and kind is not Output.REGRESSION:
        said += f"; {one_line(spec.scoring.loss)} is the loss"
    if spec.features is not None:
        said += f"; from {_counted(spec.features.size, 'number')} a position"
    if isinstance(spec.context, Features):
        said += f"; with a context of {_counted(spec.context.size, 'number')} a position"
    elif spec.context is not None:
        said += f"; with a context of {len(spec.context.symbols):,} symbols"
    return said


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _named(names: Sequence[str]) -> str:
    more = f", ... ({len(names):,})" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


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
        kind: of task, whose first headline that validation reports is said.
    """

    def __init__(self, settings: Settings, kind: Output) -> None:
        self.settings, self.kind = settings, kind

    def after(self, report: Report) -> None:
        """Say how an epoch went."""
        if report.kind == "epoch" and is_said(report.step, self.settings.epochs):
            _say(report, self.settings.epochs, self.kind)


def _say(report: Report, epochs: int, kind: Output) -> None:
    headline = (f"valid/{name}" for name in (*HEADLINE[kind], *OF_KIND[kind]))
    first = next((key for key in headline if key in report.metrics), "")
    own = [name for name in report.metrics if name in OWN][:MAX_OWN]
    names = ("train/loss_nats", "valid/loss_nats", first, *own, "time/epoch_seconds")
    shown = dict.fromkeys(names)
    values = [f"{key} {number(report.metrics[key])}" for key in shown if key in report.metrics]
    best = "  *" if report.is_best else ""
    width = len(str(epochs))
    log.info(f"epoch {report.step:{width}}/{epochs}  {'  '.join(values)}{best}")


def say_stopped(training: Training) -> None:
    """Why a training ended before its last epoch, and which weights are tested."""
    settings, epoch, best = training.settings, training.epoch, training.best_epoch
    if epoch < settings.epochs:
        count = f"{epoch - best} epoch{'s' if epoch - best > 1 else ''}"
        what = (
            f"is not better than {number(training.best_value or 0.0)} of epoch {best} for {count}"
        )
        if not best:  # none had a value that is finite
            what = f"has had no value for {count}"
        # a solver has a patience of its own
        key = "" if training.solver is not None else f" (trainer.patience={settings.patience})"
        log.info(f"stopped early after epoch {epoch}: {settings.monitor} {what}{key}")
    if settings.test_weights == "best" and best and best != epoch:
        log.info(f"tested are the weights of epoch {best}")


def number(value: float) -> str:
    """Four places after the point; of very large and very small numbers, four digits."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"


MOTIFS = ("motif/correlation", "motif/p_value", "motif/recovered", "motif/mutagenesis_auroc")

CALLED = {"best/valid_accuracy_max": "valid accuracy, highest of all epochs"}
"""What a summary calls a metric whose key alone could be misread."""


def called(name: str) -> str:
    """What a summary calls a metric."""
    own = OWN.get(name)
    if own is not None and own.unit is not None:
        return f"{_called(name)}, {one_line(own.unit)}"
    return _called(name)


def _called(name: str) -> str:
    kept = name.removeprefix("best/valid_")
    if name in CALLED or kept == name:
        return CALLED.get(name, name)
    return f"valid {kept.replace('_', ' ')} at the kept epoch"


def summary_names(metrics: Collection[str], kind: Output) -> list[str]:
    """Of the metrics of a run, what its summary shows: the headline of its kind first."""
    headline, loss = HEADLINE[kind], "test/loss_nats"
    measures = dict.fromkeys((*DECODED, *headline, *OF_KIND[kind]))  # what is written comes first
    tests = [f"test/{name}" for name in measures]
    first = f"test/{headline[0]}"
    singles = [name for name in metrics if without_name(name) == first != name][:MAX_NAMED]
    baselines = [
        name
        for name in METRICS
        if name.startswith("baseline/") and name.endswith(tuple(f"_{one}" for one in headline))
    ]
    wanted = (
        *(name for name in tests if name != loss),
        *(name for name in OWN if name.startswith("test/")),
        "test/ece_calibrated",
        *(singles if len(singles) > 1 else ()),
        *(*baselines, loss),
        *(f"best/valid_{name}" for name in headline),
        *(name for name in OWN if name.startswith("best/")),
        *("best/valid_accuracy_max", *MOTIFS, "reads/exact", "reads/edit_distance"),
        *("best/epoch", "best/strength", "best/order", "time/train_seconds"),
    )
    return [name for name in wanted if name in metrics]


def summary_rows(
    result: Result, learned: Learned, kind: Output, families: Families = NO_FAMILIES
) -> dict[str, str]:
    """What a person wants to know at the end."""
    metrics = result.metrics
    rows = {called(name): f"{metrics[name]:.4g}" for name in summary_names(metrics, kind)}
    chance = [metrics.get(f"motif/correlation_chance{which}") for which in ("", "_95")]
    if "motif/correlation" in rows and None not in chance:
        median, high = chance
        rows["motif/correlation"] += (
            f"  (by chance, of random filters: median {median:.2g}, 95 of 100 below {high:.2g})"
        )
    telling = families.telling[:NAMED]
    if telling:
        rows |= {f"motif family {one.index}": in_words(one, families.unit) for one in telling}
    elif learned.filters:
        best = ranked(learned.filters)[0]
        rows[f"filter {best.index} reads"] = best.reading or "nothing: no place tells enough"
        hit = next((hit for hit in learned.known or () if hit.filter_index == best.index), None)
        if hit is not None:
            rows[f"filter {best.index} resembles"] = (
                f"{one_line(hit.target.name)} (q {hit.q_value:.1g})"
            )
    return rows


def description(
    result: Result, learned: Learned, kind: Output, families: Families = NO_FAMILIES
) -> str:
    """The summary for the run's page."""
    rows = summary_rows(result, learned, kind, families)
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
        learned, families, tracker = self.filters.found, self.filters.families, self.run.tracker
        kind = self.run.data.spec.output
        tracker.describe(description(result, learned, kind, families))
        rows = summary_rows(result, learned, kind, families)
        if result.run_id:
            rows["run id"] = result.run_id
        by = compared_by(self.metric, result.metrics)
        if self.metric not in result.metrics:
            instead = f"; it is compared by {by}" if by != self.metric else ""
            log.warning(
                f"optimized_metric is {self.metric}, which this run does not report{instead}"
            )
        if not self.has_parent:
            rows |= tracker.links(self.metric)  # whose view the experiment has
        result.summary = rows


def say_summary(result: Result) -> None:
    """The table at the end."""
    rows = result.summary
    if not rows:  # a search has stopped it, and has said so
        return
    log.info("\n" + table.pairs(rows.items(), most=table.columns()))


def say_again(result: Result) -> None:
    """What a run has come to that had finished before."""
    log.info("finished before, and nothing is trained; force=true trains it anew")
    say_summary(result)
