"""Beam search against results by hand and against trying everything."""

import itertools
import math
from typing import Any

import pytest
import torch

from seqexp.decode.beam import Beam, Ending, beam_search
from seqexp.model.lstm import LSTM
from seqexp.spec import Output, TaskSpec, Vocabulary

CPU = torch.device("cpu")
START, A, B, END = 1, 2, 3, 4
SPEC = TaskSpec(Vocabulary(("<", "a", "b", ">")), 5, Output.NEXT_TOKEN, ("", "<", "a", "b", ">"))


class Chain(torch.nn.Module):
    """What follows depends on the last token alone, by a table of probabilities."""

    causal = True

    def __init__(self, table: dict[int, dict[int, float]]) -> None:
        super().__init__()
        self.logits = torch.full((5, 5), -torch.inf, dtype=torch.float64)
        for token, row in table.items():
            for following, probability in row.items():
                self.logits[token, following] = math.log(probability)

    def forward(self, tokens: torch.Tensor, carry: Any = None) -> tuple[torch.Tensor, Any]:
        return self.logits[tokens], (tokens[:, -1:],)


def search(model: Any, width: int, **rule: Any) -> list[tuple[list[int], float]]:
    found = beam_search(model, [START], width, Ending(**rule), CPU, forbidden=[START])
    return [(list(candidate.tokens), candidate.log_probability) for candidate in found]


def test_a_beam_finds_what_the_greedy_choice_misses() -> None:
    # a first is 0.6 x 0.5 = 0.30 at best; b first is 0.4 x 0.9 = 0.36
    model = Chain({START: {A: 0.6, B: 0.4}, A: {A: 0.5, B: 0.5}, B: {A: 0.9, B: 0.1}})
    assert search(model, 1, length=2)[0][1] == pytest.approx(math.log(0.30))
    best, second = search(model, 2, length=2)
    assert best == ([B, A], pytest.approx(math.log(0.36)))
    assert second[1] == pytest.approx(math.log(0.30))


def test_a_plain_sum_stops_at_once_and_a_mean_does_not() -> None:
    # ending at once is 0.2; each further letter 0.9, then the end 0.1: the sum of a longer one is
    # at most 0.8 x 0.1 = 0.08; by token, sqrt(0.08) = 0.28, and with all ten letters 0.76
    model = Chain({START: {A: 0.8, END: 0.2}, A: {A: 0.9, END: 0.1}})
    assert search(model, 3, end=END, max_length=10, length_power=0.0)[0][0] == []
    by_token = search(model, 3, end=END, max_length=10)
    assert by_token[0][0] == [A] * 10
    assert by_token[0][1] == pytest.approx(math.log(0.8 * 0.9**9 * 0.1))


def test_a_length_that_is_given_is_kept() -> None:
    model = Chain({START: {A: 0.1, END: 0.9}, A: {A: 0.3, B: 0.2, END: 0.5}, B: {END: 1.0}})
    found = beam_search(model, [START], 4, Ending(end=END, length=3), CPU)  # type: ignore[arg-type]
    assert {len(candidate.tokens) for candidate in found} == {3}
    assert all(candidate.has_ended for candidate in found)
    # a a b has 0.1 x 0.3 x 0.2 and then the end for certain; a a a then ends with 0.5 only
    assert found[0].tokens == (A, A, B)
    assert found[0].log_probability == pytest.approx(math.log(0.1 * 0.3 * 0.2))


def test_what_never_ends_is_given_up_at_the_greatest_length() -> None:
    model: Any = Chain({START: {A: 1.0}, A: {A: 1.0}})
    (found,) = beam_search(model, [START], 1, Ending(end=END, max_length=7), CPU)
    assert found.tokens == (A,) * 7 and not found.has_ended


@pytest.mark.parametrize("rule", [{"length": 4}, {"end": END, "length": 4}])
def test_a_beam_as_wide_as_all_there_is_finds_the_best_of_all(rule: dict[str, int]) -> None:
    torch.manual_seed(0)
    model = LSTM(SPEC, hidden_size=10, init="torch").double().eval()
    with torch.no_grad():
        model.head.output.weight.mul_(20)  # far from uniform
    letters = [A, B] if "end" in rule else [A, B, END]
    scored = []
    for tokens in itertools.product(letters, repeat=4):
        following = [*tokens, END] if "end" in rule else list(tokens)
        logits, _ = model(torch.tensor([[START, *following[:-1]]]))
        logits[:, :, [0, START]] = -torch.inf  # never chosen
        steps = torch.log_softmax(logits[0].detach(), dim=1)
        scored.append((list(tokens), float(steps[range(len(following)), following].sum())))
    scored.sort(key=lambda pair: -pair[1])
    found = search(model, 81, **rule)
    assert [tokens for tokens, _ in found[:10]] == [tokens for tokens, _ in scored[:10]]
    assert [value for _, value in found[:10]] == pytest.approx([value for _, value in scored[:10]])


def test_the_option_writes_the_best_with_its_certainty() -> None:
    model: Any = Chain({START: {A: 0.5, B: 0.5}, A: {B: 1.0}, B: {A: 1.0}})
    titles, texts = zip(
        *Beam(length=3, width=4, num_shown=2).write(model, [START], CPU), strict=True
    )
    assert sorted(texts) == [[A, B, A], [B, A, B]]
    assert titles[0] == f"beam 1, log-probability {math.log(0.5) / 3:.3f} a token"
