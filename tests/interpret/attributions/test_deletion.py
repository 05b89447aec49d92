"""Deletion curves of a prediction that is a sum; windows around evidence and their places."""

import numpy as np
import pytest
import torch
from torch import Tensor

from seqexp.interpret.attributions.deletion import STEPS, Deletion
from seqexp.interpret.attributions.places import place_of, window_around


def num_real(tokens: Tensor, _: Tensor) -> Tensor:
    return (tokens == 2).sum(dim=1).double()


def test_a_perfect_order_takes_all_evidence_away_first() -> None:
    tokens = torch.ones(4, 40, dtype=torch.long)
    tokens[:, 7:9] = 2  # a twentieth of the sequence is all that counts
    deletion = Deletion()
    deletion.add(num_real, tokens[:2], (tokens[:2] == 2).double())
    deletion.add(num_real, tokens[2:], (tokens[2:] == 2).double())
    curves = deletion.curves()
    assert deletion.count == 4 and len(curves["share"]) == STEPS + 1
    assert curves["by_attribution"] == [2.0] + [0.0] * STEPS
    assert curves["by_chance"][0] == pytest.approx(2) and curves["by_chance"][-1] == 0
    area = deletion.area()
    assert area is not None and 0.3 < area < 0.7


def test_an_order_that_is_wrong_is_below_chance() -> None:
    tokens = torch.ones(4, 40, dtype=torch.long)
    tokens[:, 7:9] = 2
    deletion = Deletion()
    deletion.add(num_real, tokens, (tokens == 1).double())
    area = deletion.area()
    assert area is not None and area < -0.3


def test_padding_is_never_taken_away() -> None:
    tokens = torch.tensor([[2, 2, 0, 0]])
    deletion = Deletion()
    deletion.add(num_real, tokens, torch.tensor([[0.0, 1.0, 9.0, 9.0]]))
    assert deletion.curves()["by_attribution"][STEPS // 2] == 1.0


def test_the_window_holds_the_largest_sum_of_weights() -> None:
    weights = np.zeros(240)
    weights[100:110] = -1
    start, stop = window_around(weights, 80)
    assert stop - start == 80 and start <= 100 and stop >= 110
    assert start == pytest.approx(65, abs=1)  # evidence stands in the middle
    assert window_around(weights[:80], 80) == (0, 80)
    assert window_around(weights, 5)[0] in range(100, 106)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("chr1:1000-1240", "chr1:1080-1160"),
        ("chr1:1000-1240(+)", "chr1:1080-1160(+)"),
        ("chr1:1000-1240(-)", "chr1:1080-1160(-)"),
        ("chr1:1000-1240(-) peak", "chr1:1080-1160(-)"),
        ("chr1:1000-1250", None),  # is of another length
        ("peak_7", None),
        ("", None),
    ],
)
def test_a_window_has_its_place_in_the_genome(name: str, place: str | None) -> None:
    assert place_of(name, 240, 80, 160) == place


def test_the_first_letters_of_the_minus_strand_are_the_last_of_the_interval() -> None:
    assert place_of("chr1:1000-1240(-)", 240, 0, 80) == "chr1:1160-1240(-)"
    assert place_of("chr1:1000-1240(+)", 240, 0, 80) == "chr1:1000-1080(+)"
