"""Means of several runs' predictions: against scores by hand, laws, and files of others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.errors import InputError
from seqexp.inference import ensemble
from seqexp.inference.ensemble import Scores, Split, comparable, fitted_weights, mean, metrics_of
from seqexp.spec import NO_SYMBOLS, Output, Scale, Scoring, TaskSpec

COUNT = 400


def spec(output: Output, names: int, outputs: int | None = None, **scoring: Any) -> TaskSpec:
    labels = tuple(f"name{index}" for index in range(names))
    return TaskSpec(NO_SYMBOLS, outputs or names, output, labels, scoring=Scoring(**scoring))


def split(logits: Tensor, targets: Tensor, digest: str = "same") -> Split:
    return Split(digest, logits, targets, torch.arange(len(logits)))


def noisy(
    output: Output, names: int, noise: float, seed: int = 0, digest: str = "same"
) -> tuple[Scores, Tensor]:
    """A run whose log-odds are right but for its own noise."""
    truth = torch.randn(COUNT, names, generator=torch.Generator().manual_seed(99))
    if output is Output.REGRESSION:
        targets = truth * 3 + 5
    elif output is Output.MULTI_LABEL:
        targets = (truth > 0).long()
    else:
        targets = truth.argmax(dim=1, keepdim=True)
    own = torch.randn(COUNT, names, generator=torch.Generator().manual_seed(seed))
    scale = Scale((5.0,) * names, (3.0,) * names) if output is Output.REGRESSION else None
    about = spec(output, names, scale=scale)
    one = split(truth + noise * own, targets, digest)
    return Scores(about, one, one), targets


KINDS = [
    (Output.SEQUENCE_CLASS, 2, "accuracy"),
    (Output.SEQUENCE_CLASS, 4, "macro_f1"),
    (Output.MULTI_LABEL, 3, "auroc"),
    (Output.TOKEN_CLASS, 3, "accuracy"),
    (Output.NEXT_TOKEN, 4, "accuracy"),
    (Output.REGRESSION, 2, "r2"),
]


@pytest.mark.parametrize(("output", "names", "measure"), KINDS)
def test_the_mean_of_noisy_runs_is_better_than_each(
    output: Output, names: int, measure: str
) -> None:
    runs = [noisy(output, names, 1.0, seed)[0] for seed in range(4)]
    parts = [comparable(run.spec, run.test.logits) for run in runs]
    alone = [metrics_of(runs[0].spec, part, runs[0].test.targets)[measure] for part in parts]
    together = metrics_of(runs[0].spec, mean(parts, [0.25] * 4), runs[0].test.targets)
    assert together[measure] > max(alone)


def test_one_output_and_two_outputs_of_two_classes_have_a_common_mean() -> None:
    (two, targets) = noisy(Output.SEQUENCE_CLASS, 2, 0.5)
    odds = two.test.logits[:, 1:] - two.test.logits[:, :1]
    one = comparable(spec(Output.SEQUENCE_CLASS, 2, outputs=1), odds)
    assert torch.allclose(one, comparable(two.spec, two.test.logits), atol=1e-6)
    by_hand = ((odds[:, 0] > 0).long() == targets[:, 0]).double().mean()
    assert metrics_of(two.spec, one, targets)["accuracy"] == pytest.approx(float(by_hand))


def test_numbers_are_averaged_in_the_unit_of_their_targets() -> None:
    (run, targets) = noisy(Output.REGRESSION, 1, 0.0)
    other = replace(run.spec, scoring=Scoring(scale=Scale((1.0,), (2.0,))))
    logits = (targets - 1.0) / 2.0  # exact, by another scale
    parts = [comparable(run.spec, run.test.logits), comparable(other, logits)]
    found = metrics_of(run.spec, mean(parts, [0.5, 0.5]), targets)
    assert found["mse"] == pytest.approx(0, abs=1e-9) and "loss_nats" not in found


def test_missing_labels_are_not_scored() -> None:
    (run, targets) = noisy(Output.MULTI_LABEL, 3, 0.0)
    gaps = targets.clone()
    gaps[::2, 0] = -100
    found = metrics_of(run.spec, comparable(run.spec, run.test.logits), gaps)
    assert found["accuracy"] == 1


@pytest.mark.parametrize(("output", "names", "measure"), KINDS)
def test_weights_by_validation_find_the_run_that_knows_more(
    output: Output, names: int, measure: str
) -> None:
    good, _ = noisy(output, names, 0.3, 1)
    bad, targets = noisy(output, names, 3.0, 2)
    weights = fitted_weights([good, bad], [0, 1])
    assert weights is not None and weights[0] > 3 * weights[1] >= 0
    parts = [comparable(run.spec, run.test.logits) for run in (good, bad)]
    by_weights = metrics_of(good.spec, mean(parts, weights), targets)[measure]
    assert by_weights > metrics_of(good.spec, mean(parts, [0.5, 0.5]), targets)[measure]
    if output is Output.REGRESSION:
        assert sum(weights) == pytest.approx(1)


def test_runs_of_one_point_share_a_weight() -> None:
    runs = [noisy(Output.SEQUENCE_CLASS, 3, 1.0, seed)[0] for seed in range(3)]
    weights = fitted_weights(runs, [0, 1, 0])
    assert weights is not None and weights[0] == weights[2] != weights[1]


def test_weights_need_the_same_validation() -> None:
    one, _ = noisy(Output.SEQUENCE_CLASS, 3, 1.0)
    other = replace(one, valid=split(one.test.logits, one.test.targets, "another"))
    assert fitted_weights([one, other], [0, 1]) is None
    assert fitted_weights([one, replace(one, valid=None)], [0, 1]) is None


def test_what_has_no_common_mean_is_refused_with_the_two_runs() -> None:
    one, _ = noisy(Output.SEQUENCE_CLASS, 3, 1.0)
    elsewhere, _ = noisy(Output.SEQUENCE_CLASS, 3, 1.0, digest="other rows")
    with pytest.raises(InputError, match="a and b were tested on different sequences"):
        ensemble.refuse_unlike({"a": one, "b": elsewhere})
    labels, _ = noisy(Output.MULTI_LABEL, 3, 1.0)
    with pytest.raises(InputError, match="a predicts sequence class of name0, .*b multi label"):
        ensemble.refuse_unlike({"a": one, "b": labels})


@pytest.mark.parametrize(("output", "names", "measure"), KINDS)
def test_a_file_gives_back_what_was_kept(
    tmp_path: Path, output: Output, names: int, measure: str
) -> None:
    run, _ = noisy(output, names, 1.0)
    ensemble.write(tmp_path / ensemble.FILE, run)
    found = ensemble.read(tmp_path / ensemble.FILE)
    assert found.spec == run.spec and found.test.fits(run.test)
    assert torch.equal(found.test.logits, run.test.logits)
    assert found.valid is not None and torch.equal(found.valid.targets, run.test.targets)


def test_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    run, _ = noisy(Output.SEQUENCE_CLASS, 3, 1.0)
    file = tmp_path / ensemble.FILE
    ensemble.write(file, run)
    whole = file.read_bytes()
    for content in (b"", b"{}", whole[:-10], whole.replace(b"sequence_class", b"sequence_clasX")):
        file.write_bytes(content)
        with pytest.raises(InputError, match="predictions.safetensors"):
            ensemble.read(file)
    ensemble.write(file, replace(run, test=replace(run.test, numbers=torch.arange(7))))
    with pytest.raises(InputError, match="do not fit"):
        ensemble.read(file)
