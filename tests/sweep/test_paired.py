"""Two runs on one test: measures that are weighted, intervals, and McNemar's test."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from forms import ANY_MODEL
from kinds import data_of
from scipy.stats import binomtest

from seqexp.errors import InputError
from seqexp.inference.ensemble import Scores, Split, comparable, metrics_of
from seqexp.metrics import HEADLINE
from seqexp.spec import Output, is_scored
from seqexp.sweep.paired import binomial_p, measures_of, pair_of

NAMES = ("a", "b")


def scores_of(output: Output, seed: int, towards_truth: float = 0.0) -> Scores:
    data = data_of(output, rows=60)
    targets, spec = data.test.targets, data.spec
    scored = is_scored(targets)
    generator = torch.Generator().manual_seed(seed)
    if spec.per_position:
        numbers = torch.arange(len(targets))[:, None].expand_as(targets)[scored]
        targets = targets[scored][:, None]
    else:
        numbers = torch.nonzero(scored.any(dim=1))[:, 0]
        targets = targets[numbers]
    logits = torch.randn(len(targets), spec.num_outputs, generator=generator)
    if output is Output.SEQUENCE_CLASS and towards_truth:
        logits += towards_truth * torch.nn.functional.one_hot(targets[:, 0], spec.num_outputs)
    return Scores(spec, Split("same", logits, targets, numbers))


@pytest.mark.parametrize("output", ANY_MODEL)
def test_each_measure_is_that_of_the_run_and_a_weight_is_a_copy(output: Output) -> None:
    scores = scores_of(output, 0)
    spec, targets = scores.spec, scores.test.targets
    predictions = comparable(spec, scores.test.logits)
    measures = dict(measures_of(spec, predictions, targets))
    assert set(measures) == set(HEADLINE[output])
    reported = metrics_of(spec, predictions, targets)
    weights = torch.randint(0, 3, (len(targets),), generator=torch.Generator().manual_seed(4))
    copies = torch.repeat_interleave(torch.arange(len(targets)), weights)
    drawn = metrics_of(spec, predictions[copies], targets[copies])
    for name, measure in measures.items():
        assert measure(np.ones(len(targets))) == pytest.approx(reported[name], rel=1e-6)
        assert measure(weights.double().numpy()) == pytest.approx(drawn[name], rel=1e-6), name


def test_a_run_beside_itself_differs_by_nothing() -> None:
    pair = pair_of(scores_of(Output.SEQUENCE_CLASS, 0), scores_of(Output.SEQUENCE_CLASS, 0), NAMES)
    assert [(d.difference, d.low, d.high) for d in pair.differences] == [(0, 0, 0)] * 2
    assert pair.mcnemar is not None and pair.mcnemar.p == 1 and pair.rows == 60


def test_a_better_run_is_found_better_and_the_other_way_round() -> None:
    good, bad = scores_of(Output.SEQUENCE_CLASS, 0, 3.0), scores_of(Output.SEQUENCE_CLASS, 1)
    pair, turned = pair_of(good, bad, NAMES), pair_of(bad, good, NAMES)
    for one, other in zip(pair.differences, turned.differences, strict=True):
        assert 0 < one.low < one.difference < one.high <= 1
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=0.02)
    assert pair.mcnemar is not None and turned.mcnemar is not None
    assert pair.mcnemar.p == turned.mcnemar.p < 1e-3
    assert pair.mcnemar.first_alone == turned.mcnemar.second_alone


def test_the_interval_is_as_wide_as_the_spread_of_a_mean_says() -> None:
    """Of accuracies whose difference is -1, 0 or 1 a sequence: 1.96 standard errors to a side."""
    pair = pair_of(
        scores_of(Output.SEQUENCE_CLASS, 0, 1.0), scores_of(Output.SEQUENCE_CLASS, 1), NAMES
    )
    found, mcnemar = pair.differences[0], pair.mcnemar
    assert found.measure == "accuracy" and mcnemar is not None
    share = (mcnemar.first_alone + mcnemar.second_alone) / pair.rows
    error = np.sqrt((share - found.difference**2) / pair.rows)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 5), (7, 12), (30, 31), (400, 300)])
def test_mcnemar_is_the_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert binomial_p(first, second) == pytest.approx(expected, rel=1e-9)


def test_labels_of_positions_are_drawn_by_sequence_and_have_no_mcnemar() -> None:
    pair = pair_of(scores_of(Output.TOKEN_CLASS, 0), scores_of(Output.TOKEN_CLASS, 1), NAMES)
    assert pair.mcnemar is None and pair.rows == 60


def test_other_tests_and_other_kinds_are_refused() -> None:
    one = scores_of(Output.SEQUENCE_CLASS, 0)
    elsewhere = replace(one, test=replace(one.test, digest="other"))
    with pytest.raises(InputError, match="a and b were tested on different sequences"):
        pair_of(one, elsewhere, NAMES)
    with pytest.raises(InputError, match="a and b predict different things"):
        pair_of(one, scores_of(Output.TOKEN_CLASS, 0), NAMES)
