"""Means, paired intervals and their words, against values worked out by hand and scipy's."""

import numpy as np
import pytest
from scipy import stats

from seqexp.sweep.statistics import Point, compare, difference, holm, paired

METRIC = "test/accuracy"


def point(label: str, **seeds: float) -> Point:
    """A point whose metric is given by seed, as s0=0.5."""
    runs = {int(seed[1:]): {METRIC: value} for seed, value in seeds.items()}
    return Point(label, runs, max(3, len(runs)))


def test_a_paired_interval_is_students() -> None:
    found = paired([1.0, 2.0, 3.0])
    assert found is not None
    # standard error 1 / sqrt(3), and the 0.975 quantile of t with 2 degrees of freedom: 4.302653
    half = 4.302653 / 3**0.5
    assert (found.n, found.mean) == (3, 2.0)
    assert (found.low, found.high) == (
        pytest.approx(2 - half, abs=1e-6),
        pytest.approx(2 + half, abs=1e-6),
    )


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_intervals_and_p_values_equal_those_of_scipy(n: int) -> None:
    random = np.random.default_rng(n)
    first, second = random.normal(0, 1, n), random.normal(0.3, 2, n)
    found = paired((first - second).tolist())
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == (
        pytest.approx(interval.low, rel=1e-9),
        pytest.approx(interval.high, rel=1e-9),
    )


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    random = np.random.default_rng(0)
    found = [paired(random.normal(0.5, 1, 4).tolist()) for _ in range(2000)]
    ends = [(p.low, p.high) for p in found if p is not None]
    held = np.mean([low <= 0.5 <= high for low, high in ends if low is not None and high])
    assert len(ends) == 2000
    assert abs(held - 0.95) < 4 * (0.95 * 0.05 / 2000) ** 0.5  # of its standard error


def test_only_seeds_that_both_have_are_compared() -> None:
    # of the shared seeds 1 and 2: 0.5 - 0.25 and 0.75 - 0.25
    ours, theirs = point("a", s0=0.0, s1=0.5, s2=0.75), point("b", s1=0.25, s2=0.25, s3=1.0)
    found = difference(ours, theirs, METRIC)
    assert found is not None and (found.n, found.mean) == (2, 0.375)


def test_values_that_are_no_numbers_are_left_out() -> None:
    found = point("a", s0=0.5, s1=float("nan"), s2=float("inf"), s3=0.75)
    assert found.values(METRIC) == {0: 0.5, 3: 0.75}
    spread = found.spread(METRIC)
    assert spread is not None and (spread.n, spread.mean, spread.low, spread.high) == (
        *(2, 0.625),
        *(0.5, 0.75),
    )
    assert spread.sd == pytest.approx(0.25 / 2**0.5)  # n - 1 below the sum of squares


def test_holms_correction_by_hand() -> None:
    # the smallest times 3, the next times 2, and none below one before it
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_words_follow_from_the_intervals() -> None:
    best = point("best", s0=0.90, s1=0.80, s2=0.70)
    worse = point("worse", s0=0.50, s1=0.401, s2=0.299)  # 0.4 less, nearly constant
    level = point("level", s0=0.80, s1=0.90, s2=0.60)
    once = point("once", s0=0.10)
    other = point("other", s7=0.05)
    failed = point("failed")
    twice = point("twice", s0=0.90 - 0.61, s1=0.80 - 0.60)
    rows = compare([failed, other, once, twice, worse, level, best], METRIC, None, True)
    assert [row.point.label for row in rows] == [
        *("best", "level", "worse", "twice", "once", "other", "failed"),
    ]
    assert [row.verdict for row in rows] == [
        "best",
        "not distinguishable",
        "worse",
        "worse (weak: 2 seeds)",
        "not distinguishable (1 shared seed)",
        "not distinguishable (no shared seed)",
        "",
    ]
    lowest = compare([best, worse], METRIC, None, False)
    assert [row.point.label for row in lowest] == ["worse", "best"]


def test_one_of_many_comparisons_has_to_be_clearer() -> None:
    best = point("best", **{f"s{seed}": 0.0 for seed in range(5)})
    # t = -3.5 with 4 degrees of freedom: p = 0.025, below 0.05 alone but not among three
    shift = 3.5 * np.std([0, 1, 2, 3, 4], ddof=1) / 5**0.5
    values = {f"s{seed}": seed - 2 - shift for seed in range(5)}
    alone = compare([best, point("a", **values)], METRIC, None, True)
    assert alone[1].difference is not None and alone[1].difference.p == pytest.approx(0.0249, 1e-2)
    assert alone[1].verdict == "worse"
    many = compare([best, *(point(name, **values) for name in "abc")], METRIC, None, True)
    assert {row.verdict for row in many[1:]} == {"worse, but not after correction"}


def test_the_same_differences_leave_no_doubt() -> None:
    found = paired([0.5, 0.5])
    assert found is not None and (found.low, found.high, found.p) == (0.5, 0.5, 0.0)
    found = paired([0.0, 0.0])
    assert found is not None and (found.low, found.high, found.p) == (0.0, 0.0, 1.0)
    assert paired([]) is None
