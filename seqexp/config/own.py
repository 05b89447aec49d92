"""Keys of a group that seqexp reads itself, beside the arguments of the class that it names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

from seqexp.config.signature import Parameter, Signature, signature
from seqexp.metrics import OwnMeasure

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


@dataclass(frozen=True)
class OfMetric:
    """Keys of every metric of a user's own.

    Args:
        higher_is_better: whether a larger value is the better one.
        unit: of it, in words; None: not told.
    """

    higher_is_better: bool
    unit: str | None = None


_CLASSES = {"model": OfModel, "optimizer": OfOptimizer}


def own_parameters(group: str) -> dict[str, Parameter]:
    """The keys that seqexp reads itself at a group of the config; none of any other key."""
    found = OfMetric if group.startswith("metrics.") else _CLASSES.get(group)
    if found is None:
        return {}
    return signature(f"{found.__module__}.{found.__qualname__}").parameters


def own_measures(config: Mapping[str, Any]) -> dict[str, OwnMeasure]:
    """The metrics of a user's own that a config has, by name; those at fault are left out."""
    section = config.get("metrics")
    found = {}
    for name, node in section.items() if isinstance(section, Mapping) else ():
        better = node.get("higher_is_better") if isinstance(node, Mapping) else None
        if isinstance(better, bool):
            found[str(name)] = OwnMeasure(better, node.get("unit"))
    return found


def with_own(group: str, found: Signature) -> Signature:
    """What may stand at a group: the arguments of the class that it names, and keys of our own."""
    return Signature({**found.parameters, **own_parameters(group)}, found.takes_any)


def arguments(group: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A group without our own keys: what the class that it names is built from."""
    own = own_parameters(group)
    return {key: value for key, value in node.items() if key not in own}
