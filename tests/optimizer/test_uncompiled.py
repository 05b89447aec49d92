"""Optimizers step alike with PyTorch's compiler and without it."""

import importlib
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.optimizer.uncompiled import COMPILER, keep_compiler_out

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adam": {"fused": True},
    "AdamW": {"amsgrad": True},
    "SGD": {"momentum": 0.9, "nesterov": True},
    "RMSprop": {},
    "NAdam": {},
    "Adagrad": {},
}


def stepped(name: str) -> list[Tensor]:
    """Weights after some steps, of which one was taken by another optimizer with the same state."""
    make = getattr(torch.optim, name)
    weights = [nn.Parameter(torch.linspace(-1, 1, 5)), nn.Parameter(torch.ones(2))]
    optimizers = [make(weights[:1], lr=0.1, **OPTIMIZERS[name]) for _ in range(2)]
    for optimizer in optimizers:
        optimizer.add_param_group({"params": weights[1:], "lr": 0.01})
    for step in range(4):
        optimizer = optimizers[step == 3]
        if step == 3:
            optimizer.load_state_dict(optimizers[0].state_dict())
        optimizer.zero_grad()
        sum((weight.sin() ** 2).sum() for weight in weights).backward()  # type: ignore[union-attr]
        assert torch.is_grad_enabled()
        optimizer.step()
    return [weight.detach() for weight in weights]


def main() -> None:
    """Step without the compiler, with it, and with it imported by another."""
    keep_compiler_out()
    without = {name: stepped(name) for name in OPTIMIZERS}
    assert COMPILER not in sys.modules
    importlib.import_module(COMPILER)
    keep_compiler_out()
    for name in OPTIMIZERS:
        assert all(map(torch.equal, stepped(name), without[name])), name
    print(*OPTIMIZERS)


def test_steps_are_the_same_to_the_bit_and_import_no_compiler() -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == [*OPTIMIZERS], done.stderr


if __name__ == "__main__":
    main()
