"""Replicas of every kind of task: each is what it would be by itself."""

import pytest
import torch
from forms import FEATURES, LETTERS, OUTPUTS, model_of
from kinds import data_of
from together import Pair, as_one, told, weights

from seqexp.spec import Input, Output
from seqexp.task.kinds import of
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training


def made(seed: int, output: Output, made_of: Input, context: Input | None = None) -> Pair:
    data = data_of(output, made_of, context)
    torch.manual_seed(seed)
    model = model_of("cnn1d", data.spec)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    settings = Settings(epochs=2, batch_size=9, log_every_steps=2)
    return Training(
        model, optimizer, constant, settings, seed, torch.device("cpu"), of(data.spec)
    ), data


@pytest.mark.parametrize("made_of", [LETTERS, FEATURES], ids=["letters", "features"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_replicas_of_a_kind_are_what_each_is_alone(output: Output, made_of: Input) -> None:
    if output is Output.NEXT_TOKEN and made_of is FEATURES:
        return  # numbers have no next token
    separate, stacked = ([made(seed, output, made_of) for seed in range(3)] for _ in range(2))
    expected = [list(fit(*pair)) for pair in separate]
    found, errors, together = as_one(stacked)
    assert errors == [None] * 3 and not together.refused and together.done
    for before, after in zip(expected, found, strict=True):
        assert told(after) == pytest.approx(told(before), rel=1e-6, abs=1e-7)
    for (one, _), (other, _) in zip(separate, stacked, strict=True):
        torch.testing.assert_close(weights(other), weights(one), rtol=0, atol=1e-6)


def test_sequences_with_a_context_are_trained_one_by_one_and_it_is_said() -> None:
    pairs = [made(seed, Output.SEQUENCE_CLASS, LETTERS, LETTERS) for seed in range(2)]
    found, errors, together = as_one(pairs)
    assert errors == [None, None] and not together.done
    assert "a context" in together.refused
    (alone, data) = made(1, Output.SEQUENCE_CLASS, LETTERS, LETTERS)
    assert told(found[1]) == told(list(fit(alone, data)))
