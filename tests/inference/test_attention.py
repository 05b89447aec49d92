"""Attention as numbers: what `attention_weights` says, with the symbols of both sides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqexp.config.instantiate import build
from seqexp.data import Data
from seqexp.dataset.pairs import Pairs
from seqexp.errors import InputError
from seqexp.inference.attention import WHOLE, attention
from seqexp.inference.prediction import Given, predicted
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Features, Output, TaskSpec, Vocabulary

NODE = {"_target_": "seqexp.model.lstm.LSTM", "hidden_size": 4, "attention": "additive"}
DECODE = {"_target_": "seqexp.decode.sample.Sample", "length": 6}


def untrained(spec: TaskSpec, **keys: Any) -> SavedModel:
    torch.manual_seed(0)
    node = {**NODE, **keys}
    config = {"model": node, "decode": DECODE}
    return SavedModel(build(node, spec=spec).eval(), spec, config)


@torch.no_grad()
def expected(saved: SavedModel, tokens: Tensor, context: Tensor) -> np.ndarray:
    model: Any = saved.model
    weights: np.ndarray = model.attention_weights(tokens, model.read(context))[0].numpy()
    return weights


@pytest.fixture(scope="module")
def pairs() -> Data:
    return Pairs(num_made=30).load()


def test_rows_are_what_is_written_and_columns_the_symbols_of_the_context(pairs: Data) -> None:
    saved, ids = untrained(pairs.spec), pairs.spec.vocabulary.ids
    assert pairs.test.context is not None and isinstance(pairs.spec.context, Vocabulary)
    given = [Given("", (), row[row != 0].tolist()) for row in pairs.test.context[:5]]
    found = attention(saved, given)
    for one, own, (text,) in zip(given, found, predicted(saved, given), strict=True):
        assert " ".join(symbol for symbol in own.rows if symbol != ">") == text
        assert one.context is not None
        assert list(own.columns) == pairs.spec.context.decode(list(map(int, one.context)))
        assert own.weights.shape == (len(own.rows), len(own.columns))
        np.testing.assert_allclose(own.weights.sum(axis=1), 1, rtol=1e-5)
        before = [ids["<"], *(ids[symbol] for symbol in own.rows[:-1])]
        known = expected(saved, torch.tensor([before]), torch.tensor([list(one.context)]))
        np.testing.assert_allclose(own.weights, known, rtol=1e-5)


def test_padding_of_a_context_has_no_symbol_and_weight_0(pairs: Data) -> None:
    (own,) = attention(untrained(pairs.spec), [Given("", (), [0, 3, 4, 0, 0])])
    assert [symbol == "" for symbol in own.columns] == [True, False, False, True, True]
    assert (own.weights[:, [0, 3, 4]] == 0).all()
    np.testing.assert_allclose(own.weights.sum(axis=1), 1, rtol=1e-5)


def test_of_a_class_there_is_one_row_and_of_a_picture_a_column_a_patch(pairs: Data) -> None:
    answers = replace(pairs.spec, output=Output.SEQUENCE_CLASS, num_outputs=2)
    spec = replace(answers, output_names=("no", "yes"), context=Features(8))
    rows, picture = untrained(spec), torch.randn(1, 6, 8)
    given = [Given("", [4, 5, 6], picture[0].numpy())]
    (own,) = attention(rows, given)
    assert own.rows == (WHOLE,) and own.columns == ("1", "2", "3", "4", "5", "6")
    known = expected(rows, torch.tensor([[4, 5, 6]]), picture)
    np.testing.assert_allclose(own.weights, known, rtol=1e-5)
    patches = {"_target_": "seqexp.model.picture.PictureConvolution", "filters": 2, "layers": 1}
    (own,) = attention(untrained(spec, context_convolution=patches), given)
    assert own.columns == tuple(f"{row},{column}" for row in (1, 2, 3) for column in (1, 2, 3, 4))
    assert own.weights.shape == (1, 12)


def test_of_labelled_positions_there_is_a_row_each(pairs: Data) -> None:
    names = ("noun", "verb")
    spec = replace(pairs.spec, output=Output.TOKEN_CLASS, num_outputs=2, output_names=names)
    given = [Given("", [4, 5, 6, 7], [1, 2], ["a", "b"], [0, 2]), Given("", [4, 5], [1, 2])]
    of_words, of_ids = attention(untrained(spec), given)
    assert of_words.rows == ("a", "b") and of_words.weights.shape == (2, 2)
    assert of_ids.rows == spec.vocabulary.symbols[3:5]


def test_a_model_that_attends_to_nothing_says_what_it_lacks(pairs: Data) -> None:
    with pytest.raises(InputError, match="model.attention=none; train one with model.attention=ad"):
        attention(untrained(pairs.spec, attention="none"), [])
    without = replace(pairs.spec, context=None)
    with pytest.raises(InputError, match="what is attention, but .* have no context"):
        attention(untrained(without, attention="none"), [])
    pooled = SavedModel(
        build({"_target_": "seqexp.model.cnn1d.CNN1D"}, spec=pairs.spec),
        pairs.spec,
        {"model": {"_target_": "seqexp.model.cnn1d.CNN1D"}},
    )
    with pytest.raises(InputError, match="CNN1D. has no attention_weights"):
        attention(pooled, [])
