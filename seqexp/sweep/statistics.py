"""Which points of a sweep are better, over seeds: means, spreads, and paired differences.

A point is a combination of values without its seed. Two points that have runs of the same seeds
are compared seed by seed: what a seed does to both, as the data it draws, falls out.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

LEVEL = 0.95
"""Of the intervals; 1 - LEVEL is the level of the tests."""

FEW = 3
"""With fewer shared seeds, an interval says little."""

METHOD = (
    "± is the standard deviation over {repeats}. *Behind the best* is the mean difference to the"
    " best point over the {repeats} that both have, with its 95 % interval by Student's t (paired,"
    " not corrected for several comparisons). *Worse* also holds with Holm's correction for all"
    " comparisons with the best. The best was picked from these very runs, which favours it."
)
"""What a table of points says; of seeds, of folds, or of both."""

OF_FOLDS = (
    " Intervals over folds are wider than Student's, since folds"
    " share what they are trained on (Nadeau & Bengio 2003)."
)


@dataclass(frozen=True)
class Spread:
    """A metric over the runs of a point; `sd` divides by n - 1, and is None for a single run."""

    n: int
    mean: float
    sd: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Mean difference of two points over shared seeds, and its interval; None of a single one.

    `p` is that of the two-sided paired t test.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Point:
    """A combination of values, and its finished runs' metrics by seed.

    Args:
        label: its values, as one types them.
        runs: of the seeds, or seeds and folds, that finished.
        jobs: how many runs it should have.
        folds: parts of the data, each of which is the test of some of the runs; None: all have one
            test, or each its own.
    """

    label: str
    runs: Mapping[Any, Mapping[str, float]]
    jobs: int
    folds: int | None = None

    def values(self, metric: str) -> dict[Any, float]:
        """A metric by seed, or seed and fold, where it is a finite number."""
        found = {seed: metrics.get(metric) for seed, metrics in self.runs.items()}
        return {s: value for s, value in found.items() if value is not None and _is_finite(value)}

    def spread(self, metric: str) -> Spread | None:
        """A metric over all seeds; None where no run has it."""
        values = np.array(list(self.values(metric).values()))
        if not len(values):
            return None
        sd = float(values.std(ddof=1)) if len(values) > 1 else None
        return Spread(
            len(values), float(values.mean()), sd, float(values.min()), float(values.max())
        )


@dataclass(frozen=True)
class Compared:
    """A point beside the best one; `None` where they share no seed, or it is the best."""

    point: Point
    difference: Paired | None  # of the metric that is optimized
    test_difference: Paired | None
    verdict: str


def best_first(points: Sequence[Point], metric: str, higher_is_better: bool) -> list[Point]:
    """Sorted by the mean of a metric; those without it come last."""

    def order(point: Point) -> tuple[bool, float]:
        spread = point.spread(metric)
        sign = -1 if higher_is_better else 1
        return (spread is None, 0.0 if spread is None else sign * spread.mean)

    return sorted(points, key=order)


def compare(
    points: Sequence[Point], metric: str, test_metric: str | None, higher_is_better: bool
) -> list[Compared]:
    """Each point beside the best one, the best first."""
    ordered = best_first(points, metric, higher_is_better)
    best = ordered[0]
    found = [difference(point, best, metric) for point in ordered[1:]]
    corrected = iter(holm([one.p for one in found if one is not None and one.p is not None]))
    rows = [Compared(best, None, None, "best" if best.values(metric) else "")]
    for point, paired in zip(ordered[1:], found, strict=True):
        p = next(corrected) if paired is not None and paired.p is not None else None
        test = difference(point, best, test_metric) if test_metric is not None else None
        unit = "seed" if point.folds is None else "fold"
        words = verdict(paired, p, higher_is_better, unit) if point.values(metric) else ""
        rows.append(Compared(point, paired, test, words))
    return rows


def difference(point: Point, other: Point, metric: str) -> Paired | None:
    """A point's metric minus the other's, over the seeds and folds that both have."""
    ours, theirs = point.values(metric), other.values(metric)
    differences = [ours[repeat] - theirs[repeat] for repeat in sorted(ours) if repeat in theirs]
    return paired(differences, point.folds)


def paired(differences: Sequence[float], folds: int | None = None) -> Paired | None:
    """Mean, t interval and two-sided t test of paired differences.

    Args:
        differences: of runs, seed by seed, or fold by fold.
        folds: parts of the data of which each run tests on one. Then 1 / n in the variance of the
            mean is 1 / n + 1 / (folds - 1): the sizes of test to training.

    Source: Student (1908); two-sided, n - 1 degrees of freedom. Of folds: Nadeau & Bengio (2003).
    """
    n = len(differences)
    if not n:
        return None
    values = np.array(differences)
    mean = float(values.mean())
    if n == 1:
        return Paired(n, mean)
    if values.std() == 0:  # all differences are the same: scipy's p-value is NaN
        return Paired(n, mean, mean, mean, 1.0 if mean == 0 else 0.0)
    if folds is not None:
        return _paired_by_fold(values, folds)
    from scipy.stats import ttest_1samp  # half a second

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Precision loss")  # nearly equal differences
        test = ttest_1samp(values, 0.0)
    interval = test.confidence_interval(LEVEL)
    return Paired(n, mean, float(interval.low), float(interval.high), float(test.pvalue))


def _paired_by_fold(values: Float[np.ndarray, " runs"], folds: int) -> Paired:
    from scipy.stats import t as student  # half a second

    n, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) * math.sqrt(1 / n + 1 / (folds - 1))
    half = float(student.ppf((1 + LEVEL) / 2, n - 1)) * error
    p = float(2 * student.sf(abs(mean) / error, n - 1))
    return Paired(n, mean, mean - half, mean + half, p)


def holm(ps: Sequence[float]) -> list[float]:
    """P-values corrected for their number.

    Source: Holm (1979).
    """
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(np.argsort(ps, kind="stable").tolist()):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = largest
    return adjusted


def verdict(
    found: Paired | None, corrected: float | None, higher_is_better: bool, unit: str = "seed"
) -> str:
    """In words, whether a point is worse than the best one.

    `corrected` is the p-value after Holm's correction; `unit` is what repeats a point.
    """
    if found is None:
        return f"not distinguishable (no shared {unit})"
    if found.low is None or found.high is None or corrected is None:
        return f"not distinguishable (1 shared {unit})"
    weak = f" (weak: {found.n} {unit}s)" if found.n < FEW else ""
    if found.low <= 0 <= found.high:
        return f"not distinguishable{weak}"
    if (found.mean > 0) == higher_is_better:
        return f"better on the shared {unit}s{weak}"
    if corrected >= 1 - LEVEL:
        return f"worse, but not after correction{weak}"
    return f"worse{weak}"


def _is_finite(value: float) -> bool:
    return math.isfinite(value)
