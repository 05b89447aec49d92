"""The n-grams that excite a filter, of a model written by hand."""

from typing import Any

import pytest
import torch

from seqexp.interpret.filters.extraction import Filters
from seqexp.interpret.filters.ngrams import read_ngrams
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import Output, TaskSpec, Vocabulary, WordEncoding

WORDS = ("<unk>", "not", "good", "film")
UNKNOWN, NOT, GOOD, FILM = 1, 2, 3, 4


@pytest.fixture(params=["same", "valid", "causal"])
def model(request: Any) -> CNN1D:
    """Filter 0 counts 2 for `not` and 1 for a `good` after it, less 0.5; filter 1 is dead."""
    spec = TaskSpec(
        Vocabulary(WORDS), 2, Output.SEQUENCE_CLASS, ("a", "b"), 5, WordEncoding("head", "left")
    )
    model = CNN1D(spec, num_filters=2, filter_width=2, padding=request.param)
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.weight[0, NOT - 1, 0] = 2
        model.conv.weight[0, GOOD - 1, 1] = 1
        model.conv.bias.copy_(torch.tensor([-0.5, -1.0]))
    return model


TOKENS = torch.tensor(
    [
        [0, FILM, NOT, GOOD, FILM],
        [0, 0, NOT, GOOD, FILM],
        [NOT, FILM, UNKNOWN, GOOD, FILM],
        [FILM, FILM, FILM, FILM, NOT],  # the last word has no window of its own
        [0, 0, 0, 0, NOT],
    ]
)


def test_n_grams_are_ranked_once_each_by_activation(model: CNN1D) -> None:
    found = read_ngrams(model, TOKENS, WORDS, Filters())
    assert [(ngram.text, ngram.activation) for ngram in found] == [
        ("not good", 2.5),
        ("not film", 1.5),
        ("<unk> good", 0.5),
    ]
    assert [ngram.rank for ngram in found] == [1, 2, 3]
    assert {ngram.filter for ngram in found} == {0}  # the other is dead
    assert found[0].row() == {
        "filter": 0,
        "speaks for": "",  # outputs without names
        "rank": 1,
        "n-gram": "not good",
        "activation": 2.5,
    }


def test_filters_with_more_effect_come_first_with_what_they_speak_for(model: CNN1D) -> None:
    with torch.no_grad():
        model.conv.weight[1, FILM - 1, 1] = 2  # less 1: what stands before `film`
        model.head.output.weight.copy_(torch.tensor([[1.0, 0], [0, 4]]))
    found = read_ngrams(model, TOKENS, WORDS, Filters(), ("bad", "good"))
    order = [(ngram.filter, ngram.speaks_for) for ngram in found if ngram.rank == 1]
    assert order == [(1, "good"), (0, "bad")]


def test_letters_are_written_without_spaces(model: CNN1D) -> None:
    assert read_ngrams(model, TOKENS, tuple("?NGF"), Filters())[0].text == "NG"


def test_as_many_as_asked_for_are_shown(model: CNN1D) -> None:
    assert len(read_ngrams(model, TOKENS, WORDS, Filters(), shown=2)) == 2


def test_texts_shorter_than_a_filter_have_no_n_grams(model: CNN1D) -> None:
    assert read_ngrams(model, TOKENS[:, :1], WORDS, Filters()) == []
