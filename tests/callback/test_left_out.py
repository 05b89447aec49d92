"""What a run leaves out of its report is said before it trains, or done."""

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqexp.callback import saliency
from seqexp.callback.base import Observed
from seqexp.callback.filters import LearnedFilters
from seqexp.callback.pictures import Pictures
from seqexp.callback.predictions import left_out
from seqexp.callback.saliency import MAX_OUTPUTS, show_where, why_nowhere
from seqexp.callback.samples import Samples
from seqexp.data import Data, Sequences
from seqexp.decode.sample import Sample
from seqexp.interpret.filters.extraction import Filters
from seqexp.model.cnn1d import CNN1D
from seqexp.model.convolution import Convolution
from seqexp.model.lstm import LSTM
from seqexp.spec import Features, Output, TaskSpec, Vocabulary

DNA = Vocabulary(("A", "C", "G", "T"))


def spec_of(output: Output, count: int = 1, **changes: Any) -> TaskSpec:
    names = tuple(f"n {number}" for number in range(count))
    return replace(TaskSpec(DNA, count, output, names, length=12), **changes)


def data_of(spec: TaskSpec) -> Data:
    torch.manual_seed(0)
    tokens = torch.randint(1, 5, (30, 12))
    count = spec.num_outputs
    targets = torch.randn(30, count) if spec.output.has_numbers else torch.ones(30, count).long()
    return Data(spec, *[Sequences(tokens, targets)] * 3)


class Kept:
    """A tracker that keeps the names of figures."""

    keeps = True

    def __init__(self) -> None:
        self.figures: list[str] = []

    def figure(self, figure: Any, name: str) -> None:
        self.figures.append(name)


def observed(data: Data, model: Any) -> tuple[Observed, Kept]:
    training: Any = SimpleNamespace(model=model, device=torch.device("cpu"), seed=0)
    kept: Any = Kept()
    return Observed(kept, training, data), kept


@pytest.mark.parametrize("output", [Output.MULTI_LABEL, Output.REGRESSION])
def test_of_several_labels_or_numbers_a_few_have_a_figure_each(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saliency, "pictures", lambda makes: makes)  # drawing takes seconds
    data = data_of(spec_of(output, 6))
    run, kept = observed(data, CNN1D(data.spec, num_filters=2, filter_width=3))
    _, figures = show_where(Filters(num_traced=1), run, [])
    makes: Any = figures
    assert len(makes) == MAX_OUTPUTS and not kept.figures
    assert list(makes)[:2] == ["where/sequences.png", "where/1_n_0.png"]
    assert [make.args[3] for make in makes.values()][:2] == ["n 5", "n 0"]


SAID = {
    "labels at each position": (spec_of(Output.TOKEN_CLASS, 3), LSTM, "not one prediction a seq"),
    "features": (spec_of(Output.REGRESSION, features=Features(2)), LSTM, "no letters that could"),
    "words": (
        spec_of(Output.REGRESSION, vocabulary=Vocabulary(("a", "word"))),
        *(LSTM, "symbols are no letters"),
    ),
    "a context": (spec_of(Output.REGRESSION, context=DNA), LSTM, "depend on a context too"),
    "many numbers": (spec_of(Output.REGRESSION, 6), CNN1D, "of 4 of 6 outputs: n 0, n 1, n 2, n 5"),
}


@pytest.mark.parametrize("case", SAID)
def test_where_evidence_is_not_shown_a_line_says_why(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec, model, told = SAID[case]
    run, kept = observed(data_of(spec), model(spec))
    with caplog.at_level(logging.INFO, "seqexp"):
        LearnedFilters(Filters(), run).before()
    assert told in caplog.text
    if why_nowhere(spec) is not None:
        assert show_where(Filters(), run, []) == ({}, {}) and not kept.figures


def test_what_was_asked_for_in_vain_is_said(caplog: pytest.LogCaptureFixture) -> None:
    spec = spec_of(Output.REGRESSION, context=DNA)
    model = LSTM(spec, attention="dot", convolution=Convolution(filters=2))
    run, _ = observed(data_of(spec), model)
    with caplog.at_level(logging.INFO, "seqexp"):
        LearnedFilters(Filters(baselines=True, match=True, patterns=True), run).before()
        Samples(Sample(), run).before()
        Pictures(run).before()
    for told in (
        "interpret.baselines are for two classes",
        "interpret.patterns are of DNA",
        "the model has no filters, so motifs are not compared",
        "filters before recurrent layers are not read",
        "predict what=attention has its weights",
    ):
        assert told in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "seqexp"):
        LearnedFilters(None, run).before()
        Samples(None, run).before()
    assert not caplog.text


def test_pictures_of_too_many_classes_are_said_to_be_left_out() -> None:
    assert left_out(spec_of(Output.TOKEN_CLASS, 31)) and not left_out(
        spec_of(Output.TOKEN_CLASS, 30)
    )
    assert len(left_out(spec_of(Output.MULTI_LABEL, 61))) == 2
    assert left_out(spec_of(Output.REGRESSION, 10)) == ["the first 9 of 10 numbers are drawn"]
