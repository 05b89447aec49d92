"""Averages of weights: what they are of, and that what is validated and kept is the average."""

from typing import Any

import pytest
import torch
from config.test_check import composed
from trainer.test_loop import data, epochs, same, training, weights  # noqa: F401  (a fixture)

from seqexp.config.check import check
from seqexp.data import Data
from seqexp.errors import ConfigError
from seqexp.trainer.averages import WARM_UP
from seqexp.trainer.loop import fit
from seqexp.trainer.sound import UnsoundError
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Training

DECAY = 0.6


def run(given: Training, data: Data) -> list[dict[str, torch.Tensor]]:  # noqa: F811
    """The trained weights after each update, and at the end of each epoch those once more."""
    found = []
    for report in fit(given, data):
        if report.kind in ("update", "epoch"):
            found.append(weights(given))
    return found


def test_ema_equals_a_mean_written_out_by_hand(data: Data) -> None:  # noqa: F811
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 50, "log_every_steps": None}
    plain = training(data, **settings, test_weights="last")
    by_update = [found for number, found in enumerate(run(plain, data), 1) if number % 4]
    averaged = training(data, **settings, test_weights="last", average="ema", average_decay=DECAY)
    run(averaged, data)
    mean = by_update[0]
    for t, later in enumerate(by_update[1:], start=1):
        decay = min(DECAY, (1 + t) / (WARM_UP + t))
        mean = {name: decay * mean[name] + (1 - decay) * later[name] for name in mean}
    assert len(by_update) == 6
    for name, tensor in averaged.model.state_dict().items():
        torch.testing.assert_close(tensor, mean[name])


def test_swa_is_the_mean_of_the_ends_of_epochs(data: Data) -> None:  # noqa: F811
    settings: dict[str, Any] = {"epochs": 4, "log_every_steps": None, "test_weights": "last"}
    found = run(training(data, **settings), data)
    ends = found[len(found) // 4 - 1 :: len(found) // 4]
    averaged = training(data, **settings, average="swa", average_from=2)
    run(averaged, data)
    for name, tensor in averaged.model.state_dict().items():
        mean = torch.stack([end[name] for end in ends[1:]]).mean(dim=0)
        torch.testing.assert_close(tensor, mean)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_average_is_validated_and_kept_and_changes_no_training(
    kind: str,
    data: Data,  # noqa: F811
) -> None:
    plain, averaged = training(data, epochs=3), training(data, epochs=3, average=kind)
    reports = [list(fit(given, data)) for given in (plain, averaged)]
    losses = [
        [(metrics.get("train/loss_nats"), metrics.get("valid/loss_nats")) for metrics in found]
        for found in map(epochs, reports)
    ]
    assert [train for train, _ in losses[0]] == [train for train, _ in losses[1]]
    assert losses[0][-2] != losses[1][-2]
    # what is kept has the loss that was validated
    again = training(data, epochs=1)
    again.model.load_state_dict(averaged.best_weights)
    from seqexp.trainer.score import evaluate

    score = evaluate(again.model, again.task, data.valid.batches(100))
    best = averaged.best_metrics["best/valid_loss_nats"]
    assert score.nats / score.count == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("kind", ["ema", "swa"])
@pytest.mark.parametrize("stop", [3, 5, 9])
def test_a_resumed_average_has_the_same_bits(kind: str, stop: int, data: Data) -> None:  # noqa: F811
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 40, "average": kind}
    whole = training(data, **settings)
    list(fit(whole, data))
    cut = training(data, **settings)
    for number, _ in enumerate(fit(cut, data), 1):
        if number == stop:
            break
    resumed = training(data, seed=0, **settings)
    state = state_of(cut)
    restore(resumed, state)
    list(fit(resumed, data))
    assert same(weights(whole), weights(resumed))
    assert whole.average is not None
    assert resumed.average is not None
    assert same(whole.average.weights, resumed.average.weights)
    assert whole.average.count == resumed.average.count


def test_an_average_of_another_shape_or_age_is_not_loaded(data: Data) -> None:  # noqa: F811
    cut = training(data, epochs=3, average="ema")
    for _, _ in zip(range(3), fit(cut, data), strict=False):
        pass
    fresh = training(data, epochs=3, average="ema")
    state = state_of(cut)
    for change in ({"count": 4}, {"count": -1}, {"weights": {}}):
        with pytest.raises(UnsoundError, match="average"):
            restore(fresh, {**state, "average": {**state["average"], **change}})
    with pytest.raises(UnsoundError, match="average is None"):
        restore(fresh, {**state, "average": None})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (["trainer.average=ema", "optimizer=lazy-adam"], "trainer.average is ema, but optimizer"),
        (["trainer.average=swa", "trainer.average_from=30"], "trainer.average_from is 30"),
        (["trainer.average=sma"], "did you mean ema"),
        (["trainer.average_decay=1"], "trainer.average_decay is 1"),
    ],
)
def test_averages_that_cannot_be_are_refused(given: list[str], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        check(composed(*given))
