"""Targets of contexts: against every sequence there is, and laws of batches and padding."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.decode.beam import Beam
from seqexp.decode.polish import Polish
from seqexp.decode.sample import Sample
from seqexp.decode.targets import (
    Target,
    Writing,
    how_to_write,
    write,
    write_targets,
    writes_targets,
)
from seqexp.errors import InputError
from seqexp.formats.ends import ends_for, ends_of
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.spec import Carry, Features, Output, TaskSpec, Vocabulary, is_real

SYMBOLS = ("<s>", "</s>", "<unk>", "a", "b", "c")
BEGIN, END = 1, 2
SPEC = TaskSpec(
    Vocabulary(SYMBOLS),
    7,
    Output.NEXT_TOKEN,
    ("padding", *SYMBOLS),
    context=Vocabulary(tuple("uvwxyz")),
)
GREEDY = Writing(max_length=8)
BEAM = Writing(width=4, max_length=8)


class Reader(nn.Module):
    """Random next-token probabilities from the mean of a context, its length and all before."""

    causal = True

    def __init__(self, seed: int, sharpness: float = 3.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding, self.symbols = nn.Embedding(7, 16), nn.Embedding(7, 16)
        self.cell, self.output = nn.GRUCell(16, 16), nn.Linear(16, 7)
        self.sharpness = sharpness
        self.output.bias.data[END] += 0.3  # so that most end

    def read(self, context: Tensor) -> Carry:
        real = is_real(context)
        if context.is_floating_point():
            vectors = torch.nan_to_num(context).repeat(1, 1, 8)
        else:
            vectors = self.embedding(context)
        total = (vectors * real[:, :, None]).sum(1)
        return (torch.tanh(total / real.sum(1, keepdim=True) * 3),)

    def forward(self, tokens: Tensor, carry: Carry | None = None) -> tuple[Tensor, Carry]:
        assert carry is not None
        (state,) = carry
        outputs = []
        for token in tokens.T:
            state = self.cell(self.symbols(token), state)
            outputs.append(self.output(state) * self.sharpness)
        return torch.stack(outputs, dim=1), (state,)


def contexts(seed: int, rows: int = 12) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    found = torch.randint(1, 7, (rows, 5), generator=draw)
    lengths = torch.randint(1, 6, (rows, 1), generator=draw)
    return found * (torch.arange(5) < lengths)


def targets(model: nn.Module, given: Tensor, how: Writing) -> list[Target]:
    return write_targets(model, SPEC.vocabulary, given, how)  # type: ignore[arg-type]


def log_probability(model: Reader, context: Tensor, tokens: tuple[int, ...]) -> float:
    """Of a target and its end, in one pass; padding, begin and <unk> are never written."""
    ids = torch.tensor([[BEGIN, *tokens, END]])
    logits, _ = model(ids[:, :-1], model.read(context[None]))
    logits[:, :, [0, 1, 3]] = -torch.inf
    steps = torch.log_softmax(logits, dim=2)[0].gather(1, ids[0, 1:, None])
    return float(steps.detach().double().sum())


@pytest.mark.parametrize("seed", range(5))
def test_a_search_of_width_1_is_the_greedy_choice(seed: int) -> None:
    model, given = Reader(seed), contexts(seed)
    greedy, search = (targets(model, given, how) for how in (GREEDY, replace(BEAM, width=1)))
    assert [found.tokens for found in greedy] == [found.tokens for found in search]
    assert [found.has_ended for found in greedy] == [found.has_ended for found in search]
    for one, other in zip(greedy, search, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_search_as_wide_as_all_there_is_finds_the_best_of_all(power: float) -> None:
    model, given = Reader(7), contexts(7, rows=3)
    ways = [way for n in range(4) for way in itertools.product((4, 5, 6), repeat=n)]
    found = targets(model, given, Writing(width=100, length_power=power, max_length=4))
    for context, target in zip(given, found, strict=True):
        scored = {way: log_probability(model, context, way) for way in ways}
        best = max(ways, key=lambda way: scored[way] / (len(way) + 1) ** power)
        assert target.tokens == best
        assert target.log_probability == pytest.approx(scored[best], abs=1e-4)


@pytest.mark.parametrize("how", [GREEDY, BEAM])
def test_log_probabilities_are_those_of_one_pass(how: Writing) -> None:
    model, given = Reader(1), contexts(1)
    found = targets(model, given, how)
    assert any(target.has_ended for target in found)
    for context, target in zip(given, found, strict=True):
        if target.has_ended:
            expected = log_probability(model, context, target.tokens)
            assert target.log_probability == pytest.approx(expected, abs=1e-4)


def test_a_search_finds_more_probable_targets_than_the_greedy_choice() -> None:
    sums, better = [], 0
    for seed in range(10):
        model, given = Reader(seed), contexts(seed)
        wide = Writing(width=30, length_power=0.0, max_length=8)
        pairs = zip(targets(model, given, GREEDY), targets(model, given, wide), strict=True)
        both = [(a, b) for a, b in pairs if a.has_ended and b.has_ended]
        sums += [b.log_probability - a.log_probability for a, b in both]
        better += sum(a.tokens != b.tokens for a, b in both)
    assert better and min(sums) > -1e-5


@pytest.mark.parametrize("how", [GREEDY, BEAM])
def test_a_batch_is_its_contexts_one_by_one(how: Writing) -> None:
    model, given = Reader(2), contexts(2)
    together = targets(model, given, how)
    alone = [targets(model, context[None], how)[0] for context in given]
    assert [found.tokens for found in together] == [found.tokens for found in alone]
    assert len({found.tokens for found in together}) >= 3


@pytest.mark.parametrize("how", [GREEDY, BEAM])
@pytest.mark.parametrize("kind", ["tokens", "features"])
def test_padding_of_contexts_changes_nothing(how: Writing, kind: str) -> None:
    model, given = Reader(3), contexts(3)
    if kind == "features":
        real, shifted = is_real(given), given[:, :, None].float()
        given = torch.cat([shifted, shifted.cos()], 2).masked_fill(~real[:, :, None], torch.nan)
    fill = torch.nan if kind == "features" else 0
    width = [*given.shape[:1], 3, *given.shape[2:]]
    padding = torch.full(width, fill, dtype=given.dtype)
    expected = [found.tokens for found in targets(model, given, how)]
    for padded in (torch.cat([given, padding], 1), torch.cat([padding, given], 1)):
        assert [found.tokens for found in targets(model, padded, how)] == expected


@pytest.mark.parametrize("how", [replace(GREEDY, max_length=3), replace(BEAM, max_length=3)])
def test_what_never_ends_is_given_up_at_the_greatest_length(how: Writing) -> None:
    model = Reader(0)
    with torch.no_grad():
        model.output.bias[END] = -torch.inf
    for found in targets(model, contexts(0), how):
        assert len(found.tokens) == 3 and not found.has_ended


@pytest.mark.parametrize("how", [GREEDY, BEAM])
def test_begin_padding_and_unknown_are_never_written(how: Writing) -> None:
    model = Reader(0)
    with torch.no_grad():
        model.output.bias[[0, 1, 3]] = 100.0
    written = write(model, SPEC, contexts(0), how)  # type: ignore[arg-type]
    assert {symbol for row in written for symbol in row} <= {"a", "b", "c"}


def test_writing_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    model = Reader(0)
    torch.manual_seed(0)
    targets(model, contexts(0), BEAM)
    assert torch.equal(torch.rand(1), expected)


def test_decode_says_how_to_write() -> None:
    assert how_to_write(Sample(temperatures=(0.0,), length=9)) == Writing(max_length=9)
    assert how_to_write(Beam(width=3, length=None)) == Writing(3, 1.0, 300)
    assert how_to_write(Polish()) is None and how_to_write(None) is None


def test_tasks_with_a_context_and_ends_write_targets() -> None:
    assert writes_targets(SPEC)
    assert writes_targets(replace(SPEC, context=Features(2)))
    assert not writes_targets(replace(SPEC, context=None))
    assert not writes_targets(replace(SPEC, output=Output.TOKEN_CLASS))
    assert not writes_targets(replace(SPEC, vocabulary=Vocabulary(("a", "b"))))


def test_ends_are_symbols_that_the_data_lack() -> None:
    assert ends_for({"a", "b"}) == ("<", ">")
    assert ends_for({"a", ">"}) == ("<s>", "</s>")
    with pytest.raises(InputError, match="<s> </s>"):
        ends_for({"<", "</s>"})
    assert ends_of(("<", "a", "<s>", "</s>", ">")) == ("<", ">")
    assert ends_of(("<s>", "<", ">", "</s>")) == ("<s>", "</s>")
    assert ends_of(("a", "<", ">")) == ("<", ">")
    assert ends_of(("a", "<s>")) is None


MODELS = {
    "lstm": lambda: LSTM(SPEC, hidden_size=12, init="torch"),
    "lstm, additive": lambda: LSTM(
        SPEC, hidden_size=12, attention="additive", encoder_bidirectional=True, init="torch"
    ),
    "stacked-rnn, dot": lambda: StackedRNN(SPEC, hidden_size=12, attention="dot", init="torch"),
    "cnn1d": lambda: CNN1D(SPEC, filter_width=3, num_filters=12),
}
"""Name -> a small model that reads a context."""


@pytest.mark.parametrize("how", [GREEDY, BEAM])
@pytest.mark.parametrize("name", MODELS)
def test_laws_hold_for_every_model(name: str, how: Writing) -> None:
    torch.manual_seed(5)
    model: Any = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)  # far from uniform
    given = contexts(5)
    expected = [found.tokens for found in targets(model, given, how)]
    assert len(set(expected)) > 1
    alone = [targets(model, context[None], how)[0].tokens for context in given]
    padded = targets(model, torch.cat([given, torch.zeros(12, 4, dtype=torch.long)], 1), how)
    assert alone == expected and [found.tokens for found in padded] == expected
    if how is GREEDY:
        search = targets(model, given, replace(BEAM, width=1))
        assert [found.tokens for found in search] == expected
