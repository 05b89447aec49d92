"""Optimizers that step all weights in one pass: as those that step one after the other."""

from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir
from torch import nn

from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
from seqexp.config.check import ConfigError, check
from seqexp.config.instantiate import build
from seqexp.config.own import arguments

OPTIMIZERS = sorted(file.stem for file in (ROOT / "conf" / "optimizer").glob("*.yaml"))

FUSED = [name for name in OPTIMIZERS if name != "lazy-adam"]  # which always is


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", list(overrides))


def stepped(*overrides: str) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    """After 300 steps, of weights of several shapes, one of them without a gradient."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((3,), (5, 7), (64, 33), (1,), (2, 3, 4), (6,))
    parameters = [
        nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]
    node = check(composed(*overrides))["optimizer"]
    optimizer: torch.optim.Optimizer = build(arguments("optimizer", node), params=parameters)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.99**step)
    for _ in range(300):
        for parameter in parameters[:-1]:
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = parameter.detach() + noise
        optimizer.step()
        schedule.step()
    return optimizer, parameters


def test_there_are_optimizers_to_try() -> None:
    assert {"adam", "adamw", "sgd"} <= set(FUSED)


@pytest.mark.parametrize("way", ["false", "null"])
@pytest.mark.parametrize(
    "given",
    [
        *((f"optimizer={name}",) for name in FUSED),
        ("optimizer=adam", "+optimizer.amsgrad=true", "+optimizer.weight_decay=0.1"),
        ("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true"),
        ("optimizer=sgd", "optimizer.momentum=0.5", "optimizer.weight_decay=0.1"),
    ],
)
def test_fused_steps_are_those_of_loops_up_to_rounding(given: tuple[str, ...], way: str) -> None:
    optimizer, fused = stepped(*given)
    assert optimizer.param_groups[0]["fused"]
    other, loops = stepped(*given, f"optimizer.fused={way}")
    assert not other.param_groups[0]["fused"]
    _, start = stepped(*given, "optimizer.lr=0")
    assert not torch.allclose(fused[2], start[2], atol=0.01)
    for one, two in zip(fused, loops, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("key", ["foreach", "differentiable"])
@pytest.mark.parametrize("name", FUSED)
def test_fused_and_something_else_are_refused_before_any_data_are_read(name: str, key: str) -> None:
    given = (f"optimizer={name}", f"+optimizer.{key}=true")
    with pytest.raises(ConfigError, match=f"optimizer.{key} is true, but optimizer.fused is true"):
        check(composed(*given))
    assert check(composed(*given, "optimizer.fused=false"))
