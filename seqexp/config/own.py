"""Keys of a group that seqexp reads itself, beside the arguments of the class that it names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

from seqexp.config.signature import Parameter, Signature, signature

ShareOfRate = Annotated[float, Ge(0), Le(1)]
"""Of `optimizer.lr`."""


@dataclass(frozen=True)
class OfModel:
    """Keys of every model.

    Args:
        from_run: the run whose weights a model starts from: its id, or the first few letters of it,
            perhaps with the digest of these weights, as ID@DIGEST; None: initial weights.
    """

    from_run: str | None = None


@dataclass(frozen=True)
class OfOptimizer:
    """Keys of every optimizer.

    Args:
        groups: shares of the learning rate, by the beginning of the names of weights; under
            `depth`, the share that each layer has of the rate of the layer above it.
    """

    groups: dict[str, ShareOfRate] | None = None


_CLASSES = {"model": OfModel, "optimizer": OfOptimizer}


def own_parameters(group: str) -> dict[str, Parameter]:
    """The keys that seqexp reads itself at a group of the config; none of any other key."""
    found = _CLASSES.get(group)
    if found is None:
        return {}
    return signature(f"{found.__module__}.{found.__qualname__}").parameters


def with_own(group: str, found: Signature) -> Signature:
    """What may stand at a group: the arguments of the class that it names, and keys of our own."""
    return Signature({**found.parameters, **own_parameters(group)}, found.takes_any)


def arguments(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A group without our own keys: what the class that it names is built from."""
    own = own_parameters(group)
    return {key: value for key, value in node.items() if key not in own}
