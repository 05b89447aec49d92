"""Puts simpler methods beside what a run reached: a constant, and others on two classes of DNA."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from seqexp.callback import counted
from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import MANY, Data, Pattern, Sequences
from seqexp.interpret.filters.baselines import best_scan
from seqexp.interpret.filters.extraction import Filters
from seqexp.metrics import CONSTANT, METRICS, OF_KIND
from seqexp.spec import IGNORE, Output, TaskSpec, is_scored
from seqexp.task import kinds
from seqexp.task.base import Task
from seqexp.task.ranking import auprc, auroc, auroc_difference
from seqexp.task.regression import Regression
from seqexp.trainer.loop import scored_batches
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import evaluate
from seqexp.utils.phases import TESTING, phase

log = logging.getLogger("seqexp")

TINY = 1e-6
"""Counted for what training lacks: its logarithm is finite."""

MAX_COUNTED = 2**27
"""Targets that are counted for the constant; a text of more is not."""

MAX_SCORED = 2**26
"""Targets of the test x outputs that the constant is scored on."""

COUNTED = {"words": "regression on words of 6", "gapped_words": "the same with a letter skipped"}
"""Baselines of `seqexp.callback.counted`, as the table calls them."""

Scores = Float[np.ndarray, " sequences"]
"""Of a method, for the test."""

ROWS = 1000
"""Sequences at a time."""


class Constant(Callback):
    """Scores what knows nothing but the training targets, beside the result.

    Args:
        run: on whose data.
    """

    doing = ("scoring what knows nothing", TESTING)

    def __init__(self, run: Observed) -> None:
        self.run = run

    def at_end(self, result: Result) -> None:
        """Log `baseline/constant_*`, and of labels of tokens `baseline/token_accuracy`."""
        data = self.run.data
        if _is_too_large(data):
            log.info("baseline/constant_* is left out: there are too many targets")
        self.run.log(constant_metrics(data) | token_metrics(data), 0)


def constant_metrics(data: Data) -> dict[str, float]:
    """Metrics of the test where the same is always predicted: the training targets' shares, or of
    numbers their mean; nothing of very large texts.
    """
    if not {*OF_KIND[data.spec.output]} & {*CONSTANT}:  # as of read errors: nothing to be right on
        return {}
    if _is_too_large(data):
        return {}
    task = kinds.of(data.spec)
    logits = _constant(data.train, task)
    if logits is None:
        return {}
    nats, count, whole = 0.0, 0, task.whole()
    extras: Tensor | float = 0.0
    for targets in _targets(data.test):
        positions = targets.shape[1] if data.spec.per_position else 1
        always = logits.expand(len(targets), positions, -1)
        nats += float(task.nats(always, targets))
        count += int(is_scored(targets).sum())
        extras = extras + task.extras(always, targets).double()
        if whole is not None:
            whole.add(always, targets)
    if not count:
        return {}
    found = task.means(nats, count, torch.as_tensor(extras).tolist())
    found |= {} if whole is None else whole.metrics()
    named = {f"baseline/constant_{name}": value for name, value in found.items()}
    return {name: value for name, value in named.items() if name in METRICS}


def _is_too_large(data: Data) -> bool:
    scored = data.test.targets.numel() * data.spec.num_outputs
    return data.train.targets.numel() > MAX_COUNTED or scored > MAX_SCORED


def _constant(train: Sequences, task: Task) -> Float[Tensor, "1 1 outputs"] | None:
    """Logits of the shares of the training targets, or of their mean; None where none is known."""
    spec = task.spec
    if isinstance(task, Regression):
        mean = train.targets.double().nanmean(dim=0).cpu()
        if mean.isnan().any():
            return None
        is_rate = task.loss == "poisson"
        logits = mean.clamp(min=TINY).log() if is_rate else task.standardised(mean[None])
        return logits.view(1, 1, -1)
    if spec.output is Output.MULTI_LABEL:
        there = (train.targets == 1).sum(dim=0).double()
        absent = (train.targets == 0).sum(dim=0).double()
        return ((there + TINY).log() - (absent + TINY).log()).cpu().view(1, 1, -1)
    classes = max(2, spec.num_outputs)
    counts = torch.zeros(classes, dtype=torch.float64)
    for targets in _targets(train):
        counts += torch.bincount(targets[is_scored(targets)], minlength=classes).cpu()
    if not counts.sum():
        return None
    logits = (counts + TINY).log()
    if spec.num_outputs == 1:
        logits = logits[1:] - logits[:1]
    return logits.view(1, 1, -1)


def token_metrics(data: Data) -> dict[str, float]:
    """Accuracy of the label that each token has most often in training; the most frequent label
    where training lacks the token. Nothing unless tokens have labels.
    """
    spec = data.spec
    size, classes = len(spec.vocabulary), max(2, spec.num_outputs)
    is_labelled = spec.output is Output.TOKEN_CLASS and spec.features is None
    if not is_labelled or size * classes > MAX_SCORED or spec.context is not None:
        return {}
    counts = torch.zeros(size * classes, dtype=torch.int64)
    for batch in data.train.batches(ROWS):
        scored = is_scored(batch.targets)
        pairs = batch.tokens[scored] * classes + batch.targets[scored]
        counts += torch.bincount(pairs, minlength=size * classes).cpu()
    table = counts.view(size, classes)
    labels = torch.where(table.any(dim=1), table.argmax(dim=1), table.sum(dim=0).argmax())
    right = count = 0
    for batch in data.test.batches(ROWS):
        scored = is_scored(batch.targets)
        right += int((labels[batch.tokens[scored].cpu()] == batch.targets[scored].cpu()).sum())
        count += int(scored.sum())
    return {"baseline/token_accuracy": right / count} if count else {}


def _targets(split: Sequences) -> Iterator[Num[Tensor, "batch positions"]]:
    """All targets, some rows at a time; of a stream, some positions of its rows."""
    if not split.is_stream:
        for batch in split.batches(ROWS):
            yield batch.targets
        return
    for start in range(0, split.targets.shape[1], MANY):
        yield split.targets[:, start : start + MANY].long()


def compare_with_baselines(
    settings: Filters | None,
    run: Observed,
    database: Sequence[Pattern],
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Test AUROC and AUPRC of the baselines, and a table of them with the run's own.

    Nothing where that is not wanted, or there are not two classes of DNA, or only one to learn
    from. The run's seed draws the sequences that the best matrix is chosen on.
    """
    if settings is None or not settings.baselines:
        return {}, []
    data, metrics = run.data, run.story.result.metrics
    spec = data.spec
    if not has_baselines(spec):
        return {}, []
    train, test = _labelled(data.train), _labelled(data.test)
    if len(torch.unique(train.targets)) < 2:  # of one class, nothing can be told apart
        return {}, []
    truth = test.targets[:, 0].numpy() == 1
    own = _own_scores(run)
    model = Method("this model", metrics.get("test/auroc"), metrics.get("test/auprc"))
    methods = []
    for name, title in COUNTED.items():
        keys = (f"baseline/{name}_{measure}" for measure in ("auroc", "auprc"))
        if any(values := [metrics.get(key) for key in keys]):
            apart = _apart(own, counted.test_scores(data, name), truth)
            methods.append(Method(title, values[0], values[1], apart))
    found: dict[str, float] = {}
    if database:
        with phase(f"scanning sequences with {len(database):,} known motifs"):
            best, scores = best_scan(database, train, test, spec.vocabulary, run.training.seed)
        areas = (auroc(scores, truth), auprc(scores, truth))
        name = f"scan with {best.name}"
        methods.append(Method(name, areas[0], areas[1], _apart(own, scores, truth)))
        found = _named("matrix", areas)
    rows = [one.row() for one in (model, *methods)]
    run.tracker.table(rows, "baselines.json")
    for line in behind(model, methods):
        log.info(f"  {line}")
    return found, rows


def _apart(
    own: Scores | None, scores: Scores | None, truth: Bool[np.ndarray, " sequences"]
) -> tuple[float, float, float] | None:
    if own is None or scores is None or not len(own) == len(scores) == len(truth):
        return None
    return auroc_difference(own, scores, truth)


@dataclass(frozen=True)
class Method:
    """A method and how good it is on the test.

    Args:
        name: in tables.
        auroc: None where a class is missing.
        auprc: likewise.
        apart: the model's AUROC less this one's on the same sequences, and the ends of its 95 %
            interval; None of the model itself, and where predictions were not kept.
    """

    name: str
    auroc: float | None
    auprc: float | None
    apart: tuple[float, float, float] | None = None

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        apart = "" if self.apart is None else _interval(self.apart)
        areas = {"test AUROC": self.auroc, "test AUPRC": self.auprc}
        return {"method": self.name, **areas, "model - method, 95 % interval": apart}


def _interval(apart: tuple[float, float, float]) -> str:
    return f"{apart[0]:+.4f} ({apart[1]:+.4f} to {apart[2]:+.4f})"


def behind(own: Method, others: Sequence[Method]) -> list[str]:
    """A sentence for each method that the model is not ahead of."""
    sentences = []
    for other in others:
        if own.auroc is None or other.auroc is None or other.auroc < own.auroc:
            continue
        is_sure = other.apart is not None and other.apart[2] < 0
        is_level = not is_sure and f"{own.auroc:.4g}" == f"{other.auroc:.4g}"
        order = "behind" if is_sure else "level with" if is_level else "not ahead of"
        apart = "" if other.apart is None else f", difference {_interval(other.apart)}"
        sentences.append(
            f"the model is {order} {other.name}: test AUROC {own.auroc:.4g} and"
            f" {other.auroc:.4g}{apart}"
        )
    return sentences


def _own_scores(run: Observed) -> Scores | None:
    """The model's log-odds for the test, in its order."""
    training, predicted = run.training, Predicted()
    batches = scored_batches(run.data.test.to(training.device), training.settings)
    evaluate(training.model, training.task, batches, predicted=predicted)
    return counted.margins(predicted)


def has_baselines(spec: TaskSpec) -> bool:
    """Whether there are two classes of DNA, which simpler methods can be compared on."""
    two_classes = spec.output is Output.SEQUENCE_CLASS and len(spec.output_names) == 2
    return two_classes and spec.vocabulary.is_dna and spec.context is None


def _labelled(split: Sequences) -> Sequences:
    """The sequences whose class is known."""
    rows = torch.nonzero(split.targets[:, 0] != IGNORE)[:, 0]
    if len(rows) == len(split):
        return split
    return Sequences(split.tokens[rows], split.targets[rows])


def _named(name: str, areas: tuple[float | None, float | None]) -> dict[str, float]:
    keys = (f"baseline/{name}_auroc", f"baseline/{name}_auprc")
    return {key: area for key, area in zip(keys, areas, strict=True) if area is not None}
