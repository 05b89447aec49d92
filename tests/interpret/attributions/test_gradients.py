"""Integrated gradients on functions whose integrals are known by hand."""

import torch
from torch import Tensor

from seqexp.interpret.attributions.gradients import gradients, integrated_gradients


def one_row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


def test_of_a_product_each_factor_has_half_of_a_way_from_zero() -> None:
    """f = x y: the integral of y t over t is y / 2, so both have x y / 2."""
    end = one_row(3, 4)
    mean = integrated_gradients(lambda x, _: x[:, 0, 0] * x[:, 1, 0], 0 * end, end)
    torch.testing.assert_close(mean * end, one_row(6, 6), rtol=0, atol=1e-3)


def test_a_switch_anywhere_on_the_way_is_found() -> None:
    """f = 1000 relu(x - 0.37): a plain sum of 16 pieces misses by up to 31."""
    end = one_row(1)

    def margins(x: Tensor, _: Tensor) -> Tensor:
        return 1000 * torch.relu(x[:, 0, 0] - 0.37)

    mean = integrated_gradients(margins, 0 * end, end)
    assert abs(float(mean.sum()) - 630) < 1e-3


def test_sequences_of_a_batch_go_their_own_ways_and_padding_has_none() -> None:
    end = torch.tensor([[[1.0], [2.0]], [[3.0], [torch.nan]]])
    start = torch.where(end.isnan(), end, 0.0)

    def margins(x: Tensor, numbers: Tensor) -> Tensor:
        return (numbers + 1) * torch.nan_to_num(x).square().sum(dim=(1, 2))

    mean = integrated_gradients(margins, start, end)
    by_hand = torch.tensor([[1.0, 4.0], [18.0, 0.0]])
    torch.testing.assert_close((mean * torch.nan_to_num(end))[..., 0], by_hand, atol=1e-3, rtol=0)
    at_end = gradients(margins, end)
    assert at_end.flatten().tolist() == [2.0, 4.0, 12.0, 0.0]
