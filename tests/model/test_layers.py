"""The input of tokens: one-hot, learned, or started from pretrained vectors."""

from typing import Any

import pytest
import torch

from seqexp.build import start_from_vectors
from seqexp.data import WordVectors
from seqexp.errors import InputError
from seqexp.model.layers import MAX_ALPHABET, MAX_ONE_HOT, WORD_SIZE, TokenInput
from seqexp.model.lstm import LSTM
from seqexp.spec import Output, TaskSpec, Vocabulary


def vocabulary(size: int) -> Vocabulary:
    return Vocabulary(tuple(f"word {number}" for number in range(size)))


def network(size: int, embedding_size: Any) -> LSTM:
    spec = TaskSpec(vocabulary(size), 2, Output.SEQUENCE_CLASS, ("a", "b"), 4)
    return LSTM(spec, embedding_size=embedding_size, hidden_size=3)


def test_auto_is_one_hot_for_alphabets_and_learned_for_words() -> None:
    letters, words = network(MAX_ALPHABET, "auto"), network(MAX_ALPHABET + 1, "auto")
    assert letters.input.size == MAX_ALPHABET and not list(letters.input.parameters())
    assert words.input.size == WORD_SIZE
    assert words.input.table.shape == (MAX_ALPHABET + 2, WORD_SIZE)


def test_one_hot_vectors_of_too_many_words_are_refused() -> None:
    with pytest.raises(InputError, match="model.embedding_size is null, .* 5,001 numbers"):
        TokenInput(vocabulary(MAX_ONE_HOT + 1), None)


def test_pretrained_vectors_are_where_their_words_are_and_the_rest_stays() -> None:
    model = network(4, 3)
    before = model.input.table.detach().clone()
    start_from_vectors(model, WordVectors(torch.tensor([2, 4]), torch.eye(3)[:2]))
    after = model.input.table.detach()
    assert torch.equal(after[[2, 4]], torch.eye(3)[:2])
    assert torch.equal(after[[0, 1, 3]], before[[0, 1, 3]])


@pytest.mark.parametrize(("size", "shown"), [(5, "5"), (None, "None")])
def test_vectors_of_another_size_are_refused(size: int | None, shown: str) -> None:
    vectors = WordVectors(torch.tensor([1]), torch.ones(1, 3))
    says = f"model.embedding_size is {shown}, but dataset.vectors has 3 values a word; give"
    with pytest.raises(InputError, match=says):
        start_from_vectors(network(4, size), vectors)
    with pytest.raises(InputError, match="has no TokenInput"):
        start_from_vectors(torch.nn.Linear(2, 2), vectors)
