"""Continuing a prompt."""

from typing import Any

import pytest
import torch

from seqexp.decode.sample import continue_prompt, draw
from seqexp.model.rnn import RNN
from seqexp.spec import Output, TaskSpec, Vocabulary

CPU = torch.device("cpu")
SPEC = TaskSpec(Vocabulary(tuple("abcd")), 5, Output.NEXT_TOKEN, tuple("-abcd"))


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return RNN(SPEC, hidden_size=20, init="torch")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(logits: list[float], temperature: float, top_k: int | None = None) -> list[float]:
    """Shares of 5,000 draws."""
    source, values = generator(), torch.tensor(logits, dtype=torch.float64)
    counts = torch.zeros(len(logits))
    for _ in range(5_000):
        counts[draw(values, temperature, top_k, source)] += 1
    return (counts / 5_000).tolist()


# 0.035 are five standard errors of a share of a half over 5,000 draws
def test_draws_follow_the_probabilities_and_never_pad() -> None:
    logits = torch.log(torch.tensor([9.0, 0.1, 0.2, 0.3, 0.4])).tolist()
    assert drawn(logits, 1.0) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=0.035)


def test_temperature_sharpens_and_top_k_cuts() -> None:
    logits = torch.log(torch.tensor([9.0, 0.1, 0.2, 0.3, 0.4])).tolist()
    # at half the temperature probabilities are squared: 1 4 9 16 of 30
    assert drawn(logits, 0.5) == pytest.approx([0, 1 / 30, 4 / 30, 9 / 30, 16 / 30], abs=0.035)
    assert drawn(logits, 1.0, top_k=2) == pytest.approx([0, 0, 0, 3 / 7, 4 / 7], abs=0.035)
    assert drawn(logits, 0.0) == [0, 0, 0, 0, 1]


def test_greedy_writing_equals_reading_everything_again_for_each_token(model: Any) -> None:
    written = continue_prompt(model, [1, 2], 15, 0.0, None, 0, CPU)
    tokens = [1, 2]
    for _ in range(15):
        logits, _ = model(torch.tensor([tokens]))
        tokens.append(int(logits[0, -1, 1:].argmax()) + 1)
    assert written == tokens[2:]


def test_the_same_seed_writes_the_same_text(model: Any) -> None:
    first, second, other = (continue_prompt(model, [1], 50, 1.0, None, s, CPU) for s in (0, 0, 1))
    assert first == second != other
    assert 0 not in first and len(first) == 50
