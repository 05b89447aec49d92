"""Targets that are written while a model learns and for the test: scored, kept, resumed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training import train

from seqexp.callback.base import Observed
from seqexp.callback.written import Written, contexts_of
from seqexp.checkpoint.result import Result
from seqexp.data import Data, Sequences
from seqexp.dataset.pairs import Pairs
from seqexp.decode.beam import Beam
from seqexp.decode.polish import Polish
from seqexp.decode.sample import Sample
from seqexp.spec import Carry, Features, Vocabulary
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Report


class Knows(torch.nn.Module):
    """Knows all targets by heart, but writes the first symbol of some twice; attends to a place."""

    causal, attention = True, "dot"

    def __init__(self, data: Data, wrong: int = 0) -> None:
        super().__init__()
        self.size, self.known, self.rows = len(data.spec.vocabulary), {}, []
        for split in (data.train, data.test, data.valid):
            assert split.context is not None
            for row, (context, targets) in enumerate(
                zip(split.context, split.targets, strict=True)
            ):
                ids = targets[targets > 0].tolist()
                if split is data.test and row < wrong:
                    ids = [ids[0], *ids]
                context = torch.nan_to_num(context).numpy()
                self.known[context[context != 0].tobytes()] = len(self.rows)
                self.rows.append(ids)

    def read(self, context: Tensor) -> Carry:
        found = [torch.nan_to_num(row).numpy() for row in context.cpu()]
        kind = np.float32 if context.is_floating_point() else np.int16
        keys = [self.known[row[row != 0].astype(kind).tobytes()] for row in found]
        return (torch.tensor(keys), torch.zeros(len(keys), dtype=torch.long))

    def forward(self, tokens: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        assert carry is not None
        rows, places = carry
        logits = torch.zeros(len(tokens), tokens.shape[1], self.size)
        for at, (row, place) in enumerate(zip(rows.tolist(), places.tolist(), strict=True)):
            for step in range(tokens.shape[1]):
                logits[at, step, self.rows[row][min(place + step, len(self.rows[row]) - 1)]] = 9
        return logits, (rows, places + tokens.shape[1])

    def attention_weights(self, tokens: Tensor, carry: Carry) -> Tensor:
        return torch.full((len(tokens), tokens.shape[1], 2), 0.5)

    def attended_shape(self, context: Tensor) -> tuple[int, ...]:
        return (2,)


class Kept:
    """A tracker that keeps texts, tables, tags, metrics, and the names of figures."""

    keeps = True

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.tables: dict[str, Any] = {}
        self.said: dict[str, str] = {}
        self.points: list[tuple[str, float, int]] = []
        self.figures: list[str] = []

    def metrics(self, values: Any, step: int) -> None:
        self.points += [(name, value, step) for name, value in values.items()]

    def table(self, rows: Any, name: str) -> None:
        self.tables[name] = rows

    def text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def tags(self, values: Any) -> None:
        self.said |= values

    def figure(self, figure: Any, name: str) -> None:
        self.figures.append(name)


class Trains:
    """What a callback asks of a training."""

    device, seed, settings = torch.device("cpu"), 0, Settings()

    def __init__(self, model: Any, epoch: int) -> None:
        self.model, self.epoch = model, epoch


def observed(data: Data, wrong: int = 0, epoch: int = 1) -> tuple[Any, Kept]:
    kept = Kept()
    return Observed(kept, Trains(Knows(data, wrong), epoch), data), kept  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data() -> Data:
    return Pairs(num_made=100).load()


@pytest.mark.parametrize("decoder", [Sample(), Beam(width=2)])
def test_the_test_is_written_scored_and_kept(data: Data, decoder: Any) -> None:
    run, kept = observed(data, wrong=3)
    written = Written(decoder, run)
    written.at_end(Result())
    (said,) = written.said
    assert said.startswith("Of 10 targets of the test, a share of 0.7 is written without a fault")
    metrics = run.story.result.metrics
    assert metrics["test/exact"] == pytest.approx(0.7)
    assert metrics["test/word_error"] == pytest.approx(0.3)
    assert metrics["test/edit_distance"] == pytest.approx(0.3)
    rows = kept.tables["samples/written.json"]
    assert len(rows) == 10 and [row["edits"] for row in rows] == [1, 1, 1, *[0] * 7]
    assert rows[5]["written"] == rows[5]["target"] and " " in rows[5]["target"]
    assert rows[5]["source"].isdigit()
    assert kept.figures == [f"attention/example_{place}.png" for place in range(5)]
    assert rows[0]["written"] in kept.texts["samples/final.txt"]
    assert {step for _, _, step in kept.points} == {0}


def test_some_of_validation_are_written_after_an_epoch_that_is_due(data: Data) -> None:
    for epoch, every, count in ((2, 2, 1), (3, 2, 0), (1, None, 0)):
        run, kept = observed(data, epoch=epoch)
        written = Written(Sample(every_epochs=every, num_valid=4), run)
        written.after(Report("epoch", epoch))
        assert len(kept.texts) == 2 * count
        assert ("valid/exact", 1.0, epoch) in kept.points or not count
    run, kept = observed(data)
    Written(Sample(num_valid=0), run).after(Report("epoch", 1))
    assert not kept.texts and not kept.points


def test_pages_come_back_with_a_checkpoint(data: Data) -> None:
    run, kept = observed(data)
    before = Written(Sample(num_valid=3), run)
    before.after(Report("epoch", 1))
    again = Written(Sample(num_valid=3), run)
    again.restore(before.state())
    run.training.epoch = 2
    again.after(Report("epoch", 2))
    assert kept.texts["samples/all.txt"].count("--- after epoch") == 2


@pytest.mark.parametrize("decoder", [None, Polish()])
def test_nothing_is_written_where_decode_is_off(data: Data, decoder: Any) -> None:
    run, kept = observed(data)
    written = Written(decoder, run)
    written.before()
    written.after(Report("epoch", 1))
    written.at_end(Result())
    assert not kept.points and not kept.texts


def test_tasks_without_a_context_are_left_alone(data: Data) -> None:
    run, kept = observed(data)
    object.__setattr__(run, "data", replace(data, spec=replace(data.spec, context=None)))
    Written(Sample(), run).at_end(Result())
    assert not kept.points


def test_a_vocabulary_without_ends_is_told(data: Data, caplog: pytest.LogCaptureFixture) -> None:
    run, kept = observed(data)
    symbols = tuple(f"{symbol}." for symbol in data.spec.vocabulary.symbols)
    spec = replace(data.spec, vocabulary=Vocabulary(symbols))
    object.__setattr__(run, "data", replace(data, spec=spec))
    with caplog.at_level("INFO", "seqexp"):
        Written(Sample(), run).before()
    assert "no targets are written: the vocabulary has no begin and end (< and >" in caplog.text


def test_rows_share_a_context_by_number_or_by_value() -> None:
    tokens = torch.ones(4, 2, dtype=torch.long)
    context = torch.tensor([[1, 2], [3, 0], [1, 2]])
    rows = torch.tensor([0, 1, 2, 1])
    assert contexts_of(Sequences(tokens, tokens, context=context, context_rows=rows)).tolist() == [
        *(0, 1, 0, 1),
    ]
    features = context[rows].float()[:, :, None]
    assert contexts_of(Sequences(tokens, tokens, context=features)).tolist() == [0, 1, 0, 1]


def test_contexts_of_features_are_written_for_too(data: Data) -> None:
    def with_features(split: Sequences) -> Sequences:
        assert split.context is not None
        numbers = split.context.float()[:, :, None]
        return replace(split, context=numbers.masked_fill(numbers == 0, torch.nan))

    spec = replace(data.spec, context=Features(1))
    splits = {name: with_features(split) for name, split in data.splits().items()}
    run, kept = observed(Data(spec, **splits), wrong=1)
    Written(Sample(), run).at_end(Result())
    assert run.story.result.metrics["test/exact"] == pytest.approx(0.9)
    assert kept.tables["samples/written.json"][0]["source"].startswith("context ")


def test_writing_changes_nothing_of_a_training(tmp_path: Path) -> None:
    small = ("dataset.num_made=60", "model.hidden_size=6", "tracking=none", "model.dropout=0.3")
    found = {}
    for decode in ("none", "beam"):
        metrics = train(
            tmp_path / decode,
            *("dataset=pairs", "model=lstm", "model.attention=dot", f"decode={decode}"),
            *small,
        ).metrics
        assert ("test/exact" in metrics) == ("valid/exact" in metrics) == (decode != "none")
        found[decode] = {name: metrics[name] for name in ("train/loss_nats", "test/loss_nats")}
    assert found["none"] == found["beam"]
