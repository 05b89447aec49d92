"""Intervals of measures of a test."""

import numpy as np
import pytest

from seqexp.task.intervals import of_auroc, of_mean, of_share


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert of_share(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    low, high = of_share(10, 10)
    assert high == pytest.approx(1) and low == pytest.approx(0.7225, abs=1e-4)


def test_of_sequences_of_one_length_it_is_the_interval_of_their_means() -> None:
    means = np.random.default_rng(0).normal(2, 1, 50)
    found = of_mean(7 * means, np.full(50, 7.0))
    half = 1.959964 * means.std(ddof=1) / 50**0.5
    assert found == pytest.approx((means.mean() - half, means.mean() + half), rel=1e-5)
    assert of_mean(np.ones(1), np.ones(1)) is None


def test_long_sequences_count_by_their_positions() -> None:
    drawn = np.random.default_rng(1)
    means = []
    covered = 0
    for _ in range(400):
        counts = drawn.integers(1, 30, 60).astype(float)
        sums = drawn.binomial(counts.astype(int), drawn.beta(2, 2, 60)).astype(float)
        low, high = of_mean(sums, counts) or (0, 0)
        means.append(sums.sum() / counts.sum())
        covered += low < 0.5 < high
    assert 0.9 < covered / 400 < 0.98 and np.mean(means) == pytest.approx(0.5, abs=0.01)


def test_the_interval_of_an_auroc_covers_it_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(2)
    truth = np.arange(120) % 2 == 1
    covered = 0
    for _ in range(400):
        low, high = of_auroc(drawn.normal(size=120) + truth, truth) or (0, 0)
        covered += low < 0.7602 < high  # the normal distribution function at 1 / sqrt(2)
    assert 0.91 < covered / 400 < 0.98
    assert of_auroc(np.arange(3.0), np.array([True, False, False])) is None
