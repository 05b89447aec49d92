"""Keeps PyTorch's compiler from being imported by optimizers that are not compiled.

PyTorch's optimizers import `torch._dynamo` when they are made, and at each step, only to tell it to
leave them alone. The import takes as long as PyTorch's own.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

COMPILER = "torch._dynamo"

EVERYWHERE = (_global_optimizer_pre_hooks, _global_optimizer_post_hooks)
"""Hooks of all optimizers."""


def keep_compiler_out() -> None:
    """Let PyTorch's optimizers do without the compiler until something else imports it.

    From then on they call it as before. Functions that look otherwise than in the PyTorch releases
    known to us are left as they are: then the compiler is imported, and nothing else changes.
    """
    if COMPILER in sys.modules:
        return
    for cls in vars(torch.optim).values():
        if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
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

    It is noted for a profiler, and hooks are called, where there are any: to look for them is
    quicker than to open a range for a profiler that is not there.

    Source: `torch.optim.optimizer._use_grad_for_differentiable`, `Optimizer.profile_hook_step`.
    """
    inner = outer.__wrapped__

    @functools.wraps(outer)
    def plain(self: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return inner(self, *args, **kwargs)

    watched, compiled = _profiled(plain), _profiled(outer)

    @functools.wraps(outer)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if COMPILER in sys.modules:
            return compiled(self, *args, **kwargs)
        return (watched if _is_watched(self) else plain)(self, *args, **kwargs)

    step.hooked = True  # type: ignore[attr-defined]  # so that PyTorch wraps it no further
    return step


def _profiled(step: Callable[..., Any]) -> Callable[..., Any]:
    found: Callable[..., Any] = Optimizer.profile_hook_step(step)
    return found


def _is_watched(optimizer: Any) -> bool:
    """Whether a profiler or a hook wants to know of a step."""
    hooks = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    return any(hooks) or any(EVERYWHERE) or torch._C._autograd._profiler_enabled()
