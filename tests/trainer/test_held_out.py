"""The loss of a text that is held out is that of the text read once, however it is trained on."""

from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from torch.nn.functional import cross_entropy

from seqexp.config.instantiate import build
from seqexp.config.own import arguments
from seqexp.data import Data
from seqexp.dataset.chars import Chars
from seqexp.optimizer.schedule import constant
from seqexp.spec import TaskSpec
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.training import Training

MODELS = sorted(
    file.stem
    for file in (ROOT / "conf" / "model").glob("*.yaml")
    if file.stem not in ("read-errors", "ngrams", "kneser-ney")  # no next tokens, or solved
)
CPU = torch.device("cpu")


def data(batch_size: int) -> Data:
    return Chars(num_chars=12_000, batch_size=batch_size, valid_share=0.2, test_share=0.3).load()


def model_of(name: str, spec: TaskSpec) -> Any:
    torch.manual_seed(3)
    node = yaml.safe_load((ROOT / f"conf/model/{name}.yaml").read_text())
    return build(arguments("model", node), spec=spec).double()


def read_once(model: Any, data: Data, split: str) -> float:
    sequences = data.splits()[split]
    tokens, targets = sequences.tokens.reshape(-1).long(), sequences.targets.reshape(-1).long()
    with torch.no_grad():
        logits, _ = model(tokens[None])
    return float(cross_entropy(logits[0], targets))


class Second(Processes):
    """The second of two processes, which has no row of a text that is one row."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def averaging(self, losses: Any, uses_all: bool = True) -> Any:
        return losses


def losses(name: str, batch_size: int, k1: int | None, **given: Any) -> dict[str, float]:
    """Of validation and test after an epoch that changes nothing."""
    loaded = data(batch_size)
    model = model_of(name, loaded.spec).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    settings = Settings(epochs=1, bptt=BPTT(k1), log_every_steps=None)
    training = Training(
        model, optimizer, constant(optimizer), settings, 0, CPU, of(loaded.spec), **given
    )
    found: dict[str, float] = {}
    for report in fit(training, loaded):
        found |= report.metrics
    return found


def test_there_are_models() -> None:
    assert {"rnn", "lstm", "stacked-rnn", "cnn1d"} <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_held_out_loss_is_that_of_one_reading_for_every_batch_size(name: str) -> None:
    loaded = data(32)
    model = model_of(name, loaded.spec).eval()
    for batch_size, k1 in ((1, 3000), (32, 50), (64, 300)):
        found = losses(name, batch_size, k1)
        for split in ("valid", "test"):
            expected = read_once(model, loaded, split)
            assert found[f"{split}/loss_nats"] == pytest.approx(expected, rel=1e-9)


def test_a_process_without_a_row_of_the_text_scores_nothing() -> None:
    assert "valid/loss_nats" not in losses("rnn", 8, 100, processes=Second(1, 2))
