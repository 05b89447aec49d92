"""What a configuration that was stored may call: less than one that a person types.

Whoever writes it may be anybody. It may name classes of seqexp where they belong, PyTorch's
optimizers and schedules, and packages that the caller trusts; not what a module happens to import.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqexp.config import SUPPLIED, TARGET
from seqexp.errors import InputError
from seqexp.signature import home, is_module

HOMES: dict[str, tuple[str, ...]] = {
    "optimizer": ("torch.optim", "seqexp.trainer.lazy_adam"),
    "schedule": ("torch.optim", "seqexp.trainer.schedule"),
    "gradient_flow": ("seqexp.interpret",),
    "launcher": ("seqexp.sweep.launchers",),
    "sweeper": ("seqexp.sweep.grid", "seqexp.sweep.optuna"),
}
"""Where the targets of a group are defined; of others, in the package of the same name."""

FUNCTIONS = "seqexp.trainer.schedule"
"""Of ours, the module whose functions may be called, and not its classes only."""


def refuse_other_code(config: Mapping[str, Any], source: str, trusted: Sequence[str]) -> None:
    """Refuse a stored config that would call anything else; nothing is imported to find out.

    Args:
        config: groups by name.
        source: where it was stored, for the message.
        trusted: packages that the caller trusts; those that it names itself count for nothing.

    Raises:
        InputError: naming the key, its target and what is allowed.
    """
    for group, node in config.items():
        allowed = (*HOMES.get(group, (f"seqexp.{group}",)), *trusted)
        for key, target in _targets(group, node):
            if group not in SUPPLIED or not _is_in(target, allowed, trusted):
                raise InputError(
                    f"{source}: {key}.{TARGET} is {target!r}; allowed are names in"
                    f" {', '.join(allowed)}"
                )


def _targets(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        if TARGET in node:
            yield key, node[TARGET]
        for name, value in node.items():
            yield from _targets(f"{key}.{name}", value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _targets(f"{key}[{place}]", value)


def _is_in(target: Any, allowed: Sequence[str], trusted: Sequence[str]) -> bool:
    """Whether a name is defined in one of these packages, as far as the source tells."""
    if not isinstance(target, str) or not _begins(target, allowed):
        return False
    defined = home(target)
    if defined is None:  # made at run time: a package that is trusted may do that
        return _begins(target, trusted) and is_module(target.rpartition(".")[0])
    module, is_class = defined
    if _begins(f"{module}.", trusted):
        return True
    return _begins(f"{module}.", allowed) and (is_class or module == FUNCTIONS)


def _begins(name: str, packages: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)
