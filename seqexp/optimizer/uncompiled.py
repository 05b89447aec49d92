"""Keeps PyTorch's compiler from being imported by optimizers that are not compiled.

PyTorch's optimizers import `torch._dynamo` when they are made, and at each step, only to tell it to
leave them alone. The import takes as long as PyTorch's own.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch

COMPILER = "torch._dynamo"


def keep_compiler_out() -> None:
    """Let PyTorch's optimizers do without the compiler until something else imports it.

    From then on they call it as before. Functions that look otherwise than in the PyTorch releases
    known to us are left as they are: then the compiler is imported, and nothing else changes.
    """
    if COMPILER in sys.modules:
        return
    for cls in vars(torch.optim).values():
        if not (isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)):
            continue
        for function in vars(cls).values():
            if _comes_from(function, "_disable_dynamo.<locals>.inner"):
                _leave_alone(function)
        step = vars(cls).get("step")
        if _comes_from(step, "_use_grad_for_differentiable.<locals>._use_grad"):
            setattr(cls, "step", _without_breaks(step))  # noqa: B010


def _comes_from(function: Any, name: str) -> bool:
    """Whether a decorator has made a function, and keeps the one that it is around."""
    code = getattr(function, "__code__", None)
    return getattr(code, "co_qualname", "") == name and hasattr(function, "__wrapped__")


def _leave_alone(outer: Any) -> None:
    """Have a function that the compiler must not compile run as it is.

    PyTorch keeps what the compiler makes of the inner function in its `__dynamo_disable`.
    """
    inner = outer.__wrapped__

    @functools.wraps(inner)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if COMPILER not in sys.modules:
            return inner(*args, **kwargs)
        vars(inner).pop("__dynamo_disable", None)
        return outer(*args, **kwargs)

    setattr(inner, "__dynamo_disable", plain)  # noqa: B010


def _without_breaks(outer: Any) -> Callable[..., Any]:
    """A step that breaks no graph, as there is none; gradients are recorded as the outer one does.

    Source: `torch.optim.optimizer._use_grad_for_differentiable`.
    """
    inner = outer.__wrapped__

    @functools.wraps(outer)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if COMPILER in sys.modules:
            return outer(self, *args, **kwargs)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return inner(self, *args, **kwargs)

    return step
