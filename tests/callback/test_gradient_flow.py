"""Gradient flow within a run: when it is measured, what is kept, what it leaves alone."""

from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from seqexp.callback.base import Observed, closing, tell
from seqexp.callback.gradient_flow import Gradients
from seqexp.checkpoint.result import Result, Story
from seqexp.data import Data
from seqexp.dataset.chars import Chars
from seqexp.errors import InputError
from seqexp.interpret.gradient_flow.measure import GradientFlow
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.optimizer.schedule import constant
from seqexp.task.kinds import of
from seqexp.tracking.none import NoTracker
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.training import Training


def measured_every(epochs: int | None) -> GradientFlow:
    return GradientFlow(every_epochs=epochs, max_lag=6)


class Kept:
    """A tracker that remembers what it was given, by path or key."""

    keeps = True

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def metrics(self, values: Any, step: int) -> None:
        """Kept in the result, too."""

    def figure(self, figure: Figure, path: str) -> None:
        self.kept[path] = figure

    def table(self, rows: Any, path: str) -> None:
        self.kept[path] = rows

    def image(self, image: Any, key: str, step: int) -> None:
        self.kept[f"{key} {step}"] = image


@pytest.fixture
def data() -> Data:
    return Chars(num_chars=1000, batch_size=8).load()


def training(data: Data, model: Any = LSTM, **changes: Any) -> Training:
    torch.manual_seed(0)
    network = model(data.spec, dropout=0.2, **changes)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    settings = Settings(epochs=3, bptt=BPTT(k1=20), log_every_steps=1, test_weights="last")
    return Training(
        network, optimizer, constant(optimizer), settings, 0, torch.device("cpu"), of(data.spec)
    )


def followed(flow: Gradients, data: Data) -> list[int]:
    """Train as a run does; the epochs that were measured."""
    flow.before()
    for report in fit(flow.training, data):
        tell([flow], report)
    return [measured.epoch for measured in flow.flows]


def test_measuring_leaves_the_training_as_it_is_to_the_bit(data: Data) -> None:
    plain, measured = training(data, hidden_size=4), training(data, hidden_size=4)
    assert (
        followed(Gradients(measured_every(None), Observed(NoTracker(), plain, data)), data) == []
    )  # off by default
    flow = Gradients(measured_every(2), Observed(NoTracker(), measured, data))
    assert followed(flow, data) == [0, 2]
    weights = plain.model.state_dict()
    for name, tensor in measured.model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_figure_table_and_curves_are_kept_also_of_a_run_that_explodes(data: Data) -> None:
    tracker: Any = Kept()
    run, result = training(data, hidden_size=4), Result()
    flow = Gradients(measured_every(1), Observed(tracker, run, data, Story(result)))
    with pytest.raises(FloatingPointError), closing([flow]):
        followed(flow, data)
        raise FloatingPointError
    images = [f"gradient_flow {epoch}" for epoch in range(4)]
    assert [*tracker.kept] == [
        *images,
        "gradient_flow/gradient_flow.png",
        "gradient_flow/norms.json",
    ]
    rows = tracker.kept["gradient_flow/norms.json"]
    assert len(rows) == 4 * 7  # measurements and lags
    assert set(rows[0]) == {"epoch", "layer", "lag", "log10_dL_dh", "log10_dL_dc"}
    assert [row["log10_dL_dc"] for row in rows if row["lag"] == 0] == [None] * 4
    assert len(flow.updates) == run.step
    assert [moment["epoch"] for moment in result.gradient_flow] == [0, 3]
    assert result.gradient_flow[0]["log10_relative"][0] == 0


def test_a_model_without_states_is_refused(data: Data) -> None:
    with pytest.raises(InputError, match="gradient_flow.every_epochs is 1, but the model has no"):
        Gradients(measured_every(1), Observed(NoTracker(), training(data, CNN1D), data))
