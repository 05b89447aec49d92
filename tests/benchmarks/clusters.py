"""Does it pay to train the networks of many clusters of reads as one batch of independent models?

Compares one step (forward and backward) of several LSTMs, one after the other by PyTorch's fused
layer, with the same as one stack: every matrix product over all models at once (`torch.baddbmm`).
Both compute the same; that is checked. Prints the time of the stack over that of the layers.

python tests/benchmarks/clusters.py --models 8 --pairs 7
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn


def one_by_one(layers: list[nn.LSTM], inputs: Tensor) -> Tensor:
    """Sum of all hidden states, model by model; `inputs` is (models, batch, time, size)."""
    return torch.stack([layer(x)[0].sum() for layer, x in zip(layers, inputs, strict=True)]).sum()


def stacked(weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """The same by weights of shape (models, size, 4 * hidden)."""
    num_models, batch, length, _ = inputs.shape
    hidden = weights["hh"].shape[1]
    projected = torch.baddbmm(weights["bias"], inputs.flatten(1, 2), weights["ih"])
    steps = projected.view(num_models, batch, length, -1).unbind(2)
    h = c = inputs.new_zeros(num_models, batch, hidden)
    total = inputs.new_zeros(())
    for step in steps:
        i, f, g, o = torch.baddbmm(step, h, weights["hh"]).chunk(4, dim=2)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        total = total + h.sum()
    return total


def seconds(work: Callable[[], Tensor]) -> float:
    began = time.process_time()
    work().backward()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=4, help="reads an update")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--length", type=int, default=220)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [nn.LSTM(22, given.hidden, batch_first=True) for _ in range(given.models)]
    inputs = torch.randn(given.models, given.batch, given.length, 22)
    weights = {
        "ih": torch.stack([layer.weight_ih_l0.detach().T for layer in layers]),
        "hh": torch.stack([layer.weight_hh_l0.detach().T for layer in layers]),
        "bias": torch.stack([(x.bias_ih_l0 + x.bias_hh_l0).detach()[None] for x in layers]),
    }
    weights = {name: tensor.contiguous().requires_grad_() for name, tensor in weights.items()}
    torch.testing.assert_close(
        stacked(weights, inputs), one_by_one(layers, inputs), rtol=1e-4, atol=1e-3
    )
    ratios = []
    for _ in range(given.pairs + 1):
        alone = seconds(lambda: one_by_one(layers, inputs))
        ratios.append(seconds(lambda: stacked(weights, inputs)) / alone)
    low, middle, high = statistics.quantiles(ratios[1:], n=4)
    print(
        f"{given.models} models of {given.hidden} units, {given.batch} reads of {given.length}:"
        f" stacked / one by one {middle:.2f} ({low:.2f} to {high:.2f})"
    )


if __name__ == "__main__":
    main()
