"""What no single key can tell: combinations that cannot work, each as one function.

Each rule names the parts of the config it reads and is asked only if these are sound by
themselves; defaults of constructors are filled in. They are in `dataset_rules`, `model_rules`,
`training_rules` and `tracking_rules`; none of them imports torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """One law over several keys; `function` yields a fault for each way it is broken."""

    parts: tuple[str, ...]
    function: Callable[[Config], Iterator[str]]


RULES: list[Rule] = []


def rule(*parts: str) -> Callable[[Callable[[Config], Iterator[str]]], None]:
    """Add a function to the rules, over these parts of the config."""
    return lambda function: RULES.append(Rule(parts, function))
