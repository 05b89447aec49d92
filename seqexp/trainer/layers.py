"""The weights of a model by layer: which are frozen, and at which rate each is trained."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from seqexp.errors import InputError
from seqexp.utils.nearest import did_you_mean

DEPTH = "depth"
"""Key of `optimizer.groups`: the share that a layer has of the rate of the one above it."""

LOWEST, HIGHEST = ("encoder", "context", "bridges"), ("attention", "head")
"""Parts that are below or above all others, wherever a model defines them."""


def layers_of(names: Sequence[str]) -> list[list[str]]:
    """Names of weights by layer, from the lowest to the head; both directions are one layer."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_layer(name), []).append(name)
    return [found[key] for key in sorted(found, key=_height)]  # sorting keeps the model's order


def _layer(name: str) -> str:
    parts = name.split(".")
    if parts[0] in (*LOWEST[1:], *HIGHEST):
        return parts[0]
    numbered = next((place for place, part in enumerate(parts) if part.isdigit()), 0)
    return re.sub(r"\bbackwards\b", "forwards", ".".join(parts[: numbered + 1]))


def _height(layer: str) -> int:
    """Of the lowest parts below 0, of most 0."""
    part = layer.split(".")[0]
    if part in LOWEST:
        return LOWEST.index(part) - len(LOWEST)
    return 1 + HIGHEST.index(part) if part in HIGHEST else 0


def freeze(model: nn.Module, frozen: Sequence[str]) -> None:
    """Keep weights as they are: those of these names, of parts of the model, or of patterns.

    Raises:
        InputError: on a name that no weight has, and if no weight is left.
    """
    weights = dict(model.named_parameters())
    for pattern in frozen:
        matched = [name for name in weights if _matches(name, pattern)]
        if not matched:
            raise _no_weight("trainer.freeze", pattern, [*weights])
        for name in matched:
            weights[name].requires_grad_(False)
    if not any(weight.requires_grad for weight in weights.values()):
        raise InputError(
            f"trainer.freeze is {[*frozen]}, which freezes every weight; leave one to be trained"
        )


def grouped(
    model: nn.Module, shares: Mapping[str, float], rate: float
) -> Iterator[dict[str, object]]:
    """Groups of a model's weights for an optimizer, the highest rate first.

    Args:
        model: whose weights.
        shares: of the rate, by the beginning of names; see `DEPTH`.
        rate: of all others.

    Raises:
        InputError: on a name that no weight has.

    Source: Howard & Ruder (2018), sec. 3.2, discriminative fine-tuning.
    """
    weights = dict(model.named_parameters())
    found = dict.fromkeys(weights, 1.0)
    layers = layers_of([*weights])
    for distance, layer in enumerate(reversed(layers)):
        found.update(dict.fromkeys(layer, shares.get(DEPTH, 1.0) ** distance))
    for start, share in sorted(shares.items(), key=lambda item: len(item[0])):
        if start == DEPTH:
            continue
        matched = [name for name in weights if _matches(name, start)]
        if not matched:
            raise _no_weight("optimizer.groups", start, [*weights])
        found.update(dict.fromkeys(matched, share))
    for share in sorted(set(found.values()), reverse=True):
        chosen = [weights[name] for name, own in found.items() if own == share]
        yield {"params": chosen, "lr": rate * share}


def thaw(weights: Mapping[str, nn.Parameter], epoch: int, every: int) -> None:
    """Train the head alone at first, and one layer more after so many epochs.

    Args:
        weights: that are not frozen for good, by name.
        epoch: from 1.
        every: epochs.

    Source: Howard & Ruder (2018), sec. 3.3, gradual unfreezing.
    """
    layers = layers_of([*weights])
    count = 1 + (epoch - 1) // every
    trained = {name for layer in layers[-count:] for name in layer}
    for name, weight in weights.items():
        weight.requires_grad_(name in trained)


def _matches(name: str, pattern: str) -> bool:
    """Whether a name is this one, lies in a part of this name, or fits the pattern."""
    return name == pattern or name.startswith(f"{pattern}.") or fnmatchcase(name, pattern)


def _no_weight(key: str, pattern: str, names: Sequence[str]) -> InputError:
    parts = dict.fromkeys(
        ".".join(pieces[:count])
        for pieces in (name.split(".") for name in names)
        for count in range(1, len(pieces) + 1)
    )
    hint = did_you_mean(pattern, [*parts]) or f"; there are {', '.join(names)[:300]}"
    return InputError(f"{key} names {pattern!r}, which no weight of the model has{hint}")
