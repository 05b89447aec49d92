"""Two runs on one test: which is better, beyond the draw of its sequences?

Sequences of the test are drawn again with replacement, the same for both runs: the spread of the
difference is that of the test, not of seeds. Of classes, McNemar's exact test beside it.

Source: Efron & Tibshirani (1993), percentile interval; McNemar (1947), exact by the binomial.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from seqexp.errors import InputError
from seqexp.inference.ensemble import Scores, comparable, refuse_unlike
from seqexp.metrics import HEADLINE
from seqexp.spec import IGNORE, Output, TaskSpec
from seqexp.sweep.statistics import LEVEL
from seqexp.task.sequence_class import probabilities

SAMPLES = 2000

FEWEST = 200
"""Samples of a large test, of which more would take minutes."""

MAX_WORK = 10**9
"""Predictions x samples."""

Weights = Float[np.ndarray, " predictions"]
"""How often each prediction is in a sample."""

Measure = Callable[[Weights], float]


@dataclass(frozen=True)
class Difference:
    """The first run's measure minus the second's, and its 95 % interval.

    Args:
        measure: its name without the split.
        values: of both runs.
        difference: of the first minus the second.
        low: end of the interval.
        high: its other end.
    """

    measure: str
    values: tuple[float, float]
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class McNemar:
    """Sequences that one run alone predicts rightly, and the two-sided p-value."""

    first_alone: int
    second_alone: int
    p: float


@dataclass(frozen=True)
class Pair:
    """Two runs on one test.

    Args:
        rows: sequences of the test.
        samples: that were drawn.
        differences: of each headline of the kind of task.
        mcnemar: None unless sequences have a class each.
    """

    rows: int
    samples: int
    differences: tuple[Difference, ...]
    mcnemar: McNemar | None


def pair_of(first: Scores, second: Scores, names: tuple[str, str], seed: int = 0) -> Pair:
    """Compare two runs.

    Raises:
        InputError: if they predict different things, or were tested on different sequences.
    """
    kinds = [(one.spec.output, one.spec.output_names) for one in (first, second)]
    if kinds[0] != kinds[1]:
        raise InputError(f"{names[0]} and {names[1]} predict different things")
    refuse_unlike(dict(zip(names, (first, second), strict=True)))
    spec, targets, numbers = first.spec, first.test.targets, first.test.numbers
    both = [comparable(one.spec, one.test.logits) for one in (first, second)]
    _, rows = torch.unique(numbers, return_inverse=True)
    count = int(rows.max()) + 1 if len(rows) else 0
    if not count:
        return Pair(0, 0, (), None)
    samples = max(FEWEST, min(SAMPLES, MAX_WORK // len(rows)))
    measures = [dict(measures_of(spec, one, targets)) for one in both]
    differences = _differences(measures, rows.numpy(), count, samples, seed)
    is_class = spec.output is Output.SEQUENCE_CLASS
    mcnemar = _mcnemar(*(_right(spec, one, targets) for one in both)) if is_class else None
    return Pair(count, samples, tuple(differences), mcnemar)


def _differences(
    measures: Sequence[dict[str, Measure]],
    rows: Int[np.ndarray, " predictions"],
    count: int,
    samples: int,
    seed: int,
) -> Iterator[Difference]:
    ours, theirs = measures
    draw = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in ours if name in theirs}
    for _ in range(samples):
        drawn = np.bincount(draw.integers(count, size=count), minlength=count)
        weights = drawn.astype(float)[rows]
        for name, differences in found.items():
            differences.append(ours[name](weights) - theirs[name](weights))
    once = np.ones(len(rows))
    for name, differences in found.items():
        values = ours[name](once), theirs[name](once)
        known = np.array([one for one in differences if math.isfinite(one)])
        if len(known) and all(map(math.isfinite, values)):
            tail = (1 - LEVEL) / 2
            low, high = np.quantile(known, [tail, 1 - tail]).tolist()
            yield Difference(name, values, values[0] - values[1], low, high)


def _mcnemar(ours: Bool[np.ndarray, " items"], theirs: Bool[np.ndarray, " items"]) -> McNemar:
    first, second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return McNemar(first, second, binomial_p(first, second))


def binomial_p(first: int, second: int) -> float:
    """Two-sided p-value of so many heads and tails of a fair coin."""
    total, fewer = first + second, min(first, second)
    if not total:
        return 1.0
    log_half = total * math.log(2)
    terms = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - log_half
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * sum(math.exp(term) for term in terms))


# --- measures of a weighted test ------------------------------------------------------------------


def measures_of(
    spec: TaskSpec,
    predictions: Float[Tensor, "predictions columns"],
    targets: Num[Tensor, "predictions labels"],
) -> Iterator[tuple[str, Measure]]:
    """The headline measures of a kind of task, as functions of how often each prediction counts."""
    wanted = HEADLINE[spec.output]
    if spec.output is Output.REGRESSION:
        pairs = list(zip(predictions.numpy().T, targets.double().numpy().T, strict=True))
        for name in wanted:
            yield name, partial(_mean_over, [partial(_of_numbers, name, *one) for one in pairs])
        return
    if spec.output is Output.MULTI_LABEL:
        scores, truth = predictions.numpy(), targets.numpy()
        areas = [
            _area(scores[:, i], truth[:, i] == 1, truth[:, i] != IGNORE)
            for i in range(truth.shape[1])
        ]
        yield "auroc", partial(_mean_over, areas)
        known = (truth != IGNORE).astype(float)
        right = ((scores > 0) == (truth == 1)) * known
        yield "accuracy", partial(_share, right.sum(axis=1), known.sum(axis=1))
        return
    right, truth = _right(spec, predictions, targets), targets[:, 0].numpy()
    if spec.output is Output.NEXT_TOKEN:
        nats = -predictions.gather(1, targets.long())[:, 0].numpy()
        yield "perplexity", lambda w: math.exp(float(w @ nats) / float(w.sum()))
    yield "accuracy", partial(_share, right.astype(float), np.ones(len(right)))
    if "auroc" in wanted and len(spec.output_names) == 2:
        yield "auroc", _area(predictions[:, 0].numpy(), truth == 1, truth != IGNORE)
    if "macro_f1" in wanted:
        yield "macro_f1", partial(_macro_f1, truth, _predicted(spec, predictions))


def _predicted(
    spec: TaskSpec, predictions: Float[Tensor, "predictions columns"]
) -> Int[np.ndarray, " predictions"]:
    found: np.ndarray = probabilities(predictions).argmax(dim=1).numpy()
    return found


def _right(
    spec: TaskSpec,
    predictions: Float[Tensor, "predictions columns"],
    targets: Num[Tensor, "predictions labels"],
) -> Bool[np.ndarray, " predictions"]:
    right: np.ndarray = _predicted(spec, predictions) == targets[:, 0].numpy()
    return right


def _share(
    right: Float[np.ndarray, " predictions"], of: Float[np.ndarray, " predictions"], w: Weights
) -> float:
    total = float(w @ of)
    return float(w @ right) / total if total else math.nan


def _mean_over(parts: Sequence[Measure], w: Weights) -> float:
    """The mean of those that are defined."""
    values = [value for part in parts if math.isfinite(value := part(w))]
    return sum(values) / len(values) if values else math.nan


def _area(
    scores: Float[np.ndarray, " items"],
    is_positive: Bool[np.ndarray, " items"],
    is_known: Bool[np.ndarray, " items"],
) -> Measure:
    """AUROC: chance that a positive scores higher than a negative; ties count half."""
    places = np.flatnonzero(is_known)
    places = places[np.argsort(scores[places], kind="stable")]
    starts = np.flatnonzero(np.diff(scores[places], prepend=-np.inf))
    positive = is_positive[places].astype(float)

    def area(w: Weights) -> float:
        if not len(places):
            return math.nan
        ours = w[places]
        above = np.add.reduceat(ours * positive, starts)
        below = np.add.reduceat(ours * (1 - positive), starts)
        pairs = above.sum() * below.sum()
        wins = above @ (np.cumsum(below) - below / 2)
        return float(wins / pairs) if pairs else math.nan

    return area


def _macro_f1(
    truth: Int[np.ndarray, " items"], predicted: Int[np.ndarray, " items"], w: Weights
) -> float:
    """Mean of the classes' F1, over the classes that are true or predicted somewhere."""
    most = int(max(truth.max(), predicted.max())) + 1
    right, true, said = (
        np.bincount(column, weights, minlength=most)
        for column, weights in ((truth, w * (truth == predicted)), (truth, w), (predicted, w))
    )
    there = true + said > 0
    return float((2 * right[there] / (true[there] + said[there])).mean())


def _of_numbers(
    name: str,
    predicted: Float[np.ndarray, " items"],
    truth: Float[np.ndarray, " items"],
    w: Weights,
) -> float:
    """MSE, R2 or Pearson's correlation where the target is known."""
    known = ~np.isnan(truth) & (w > 0)
    w, predicted, truth = w[known], predicted[known], truth[known]
    total = w.sum()
    if not total:
        return math.nan
    error = float(w @ np.square(predicted - truth) / total)
    if name == "mse":
        return error
    ours, theirs = predicted - w @ predicted / total, truth - w @ truth / total
    variance = float(w @ np.square(theirs) / total)
    if variance <= 0:
        return math.nan
    if name == "r2":
        return 1 - error / variance
    spread = math.sqrt(float(w @ np.square(ours) / total) * variance)
    return float(w @ (ours * theirs) / total) / spread if spread else math.nan
