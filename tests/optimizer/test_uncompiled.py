"""Optimizers step alike with PyTorch's compiler and without it."""

import importlib
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

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


def refuse_unnoticed_steps() -> None:
    """Hooks are called, of one optimizer and of all, and a profiler sees a step."""
    weight, seen = nn.Parameter(torch.ones(2)), list[str]()
    optimizer = torch.optim.SGD([weight], lr=0.1)
    weight.grad = torch.ones(2)
    handles = [
        optimizer.register_step_pre_hook(lambda *given: seen.append("before")),
        optimizer.register_step_post_hook(lambda *given: seen.append("after")),
        register_optimizer_step_post_hook(lambda *given: seen.append("after all")),
    ]
    optimizer.step()
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert seen == ["before", "after", "after all"]
    assert weight.detach().allclose(torch.tensor(0.8))
    with torch.profiler.profile() as profiler:
        optimizer.step()
    assert "Optimizer.step#SGD.step" in [event.key for event in profiler.key_averages()]


def main() -> None:
    """Step without the compiler, with it, and with it imported by another."""
    keep_compiler_out()
    without = {name: stepped(name) for name in OPTIMIZERS}
    assert COMPILER not in sys.modules
    refuse_unnoticed_steps()
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
