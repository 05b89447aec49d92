"""The best of several initial weights."""

import math
from typing import Any

import pytest
import torch

from seqexp.data import Data
from seqexp.dataset.motif import Motif
from seqexp.model.cnn1d import CNN1D
from seqexp.optimizer.schedule import constant
from seqexp.seeding import stream_seed
from seqexp.task.kinds import of
from seqexp.trainer.loop import fit
from seqexp.trainer.restarts import MAX_DEAD, best_start
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training


@pytest.fixture(scope="module")
def data() -> Data:
    return Motif(num_train=100, num_valid=20, num_test=20).load()


CPU = torch.device("cpu")


def maker(data: Data, settings: Settings, dead: Any = ()) -> Any:
    """Trainings whose initial weights the number decides; those in `dead` learn nothing."""
    made: list[int] = []

    def make(start: int) -> Training:
        made.append(start)
        torch.manual_seed(stream_seed(0, "initial weights", start))
        model = CNN1D(data.spec, num_filters=4, filter_width=19)
        if start in dead:
            with torch.no_grad():
                model.conv.bias.fill_(-100)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        return Training(model, optimizer, constant(optimizer), settings, 0, CPU, of(data.spec))

    return make, made


def test_one_start_is_not_tried_before(data: Data) -> None:
    make, made = maker(data, Settings())
    training, tried = best_start(make, data)
    assert (made, tried, training.epoch) == ([0], 1, 0)


def test_the_start_with_the_lowest_training_loss_begins_anew(data: Data) -> None:
    settings = Settings(starts=4, start_epochs=2, epochs=5)
    make, _ = maker(data, settings)
    losses = []
    for start in range(4):
        reports = [r for r in fit(make(start), data) if r.kind == "epoch"]
        losses.append(reports[1].metrics["train/loss_nats"])
    best = losses.index(min(losses))
    assert best > 0  # or the test could not fail
    training, tried = best_start(make, data)
    assert tried == 4 and training.epoch == training.step == 0
    for found, expected in zip(
        training.model.parameters(), make(best).model.parameters(), strict=True
    ):
        assert torch.equal(found, expected)


def test_dead_starts_are_started_again_until_one_learns(data: Data) -> None:
    make, made = maker(data, Settings(starts=2, start_epochs=3), dead=range(5))
    training, tried = best_start(make, data)
    assert tried == 6 and made[-1] == 5
    reports = [report for report in fit(training, data) if report.kind == "epoch"]
    assert reports[-1].metrics["train/loss_nats"] < 0.5


def test_where_nothing_can_be_learned_starts_come_to_an_end(data: Data) -> None:
    make, _ = maker(data, Settings(starts=2, start_epochs=1), dead=range(100))
    assert best_start(make, data)[1] == 2 + MAX_DEAD


def test_the_loss_of_knowing_only_how_frequent_targets_are(data: Data) -> None:
    assert of(data.spec).ignorance([data.train.targets]) == pytest.approx(math.log(2))
    targets = torch.tensor([[0], [0], [0], [1], [-100]])
    # three of four: 0.75 ln(4/3) + 0.25 ln 4
    expected = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert of(data.spec).ignorance([targets[:2], targets[2:]]) == pytest.approx(expected)
