"""The space that a search looks for good values in: what may vary, and how far.

It stands in `sweeper.search`, by key (with dots, or nested), or on the command line in Hydra's own
words: `model=lstm,rnn`, `optimizer.lr=interval(1e-4,1e-1)`, `tag(log,interval(1e-4,1e-1))`,
`int(interval(16,256))`, `range(16,257,16)`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from seqexp.utils.nearest import CLOSE_OPTION, did_you_mean

BOUNDS = ("low", "high", "log", "step")
_KNOWN = ", ".join(BOUNDS)

NOT_SEARCHED = ("launcher", "sweeper", "tracking", "paths", "optimized_metric", "hydra")
"""Parts of a config that no run depends on."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are whole.

    Args:
        log: draw the logarithm evenly, so that each factor of ten is as likely.
        step: only `low`, `low + step`, ...
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant."""
        steps = () if self.step is None else (self.step,)
        return all(isinstance(value, int) for value in (self.low, self.high, *steps))

    def ends(self) -> tuple[str, ...]:
        """The outermost values, as one writes them on the command line."""
        return tuple(dict.fromkeys((written(self.low), written(self.high))))


@dataclass(frozen=True)
class Choice:
    """Some values, as one writes them on the command line."""

    values: tuple[str, ...]

    def ends(self) -> tuple[str, ...]:
        """All of them: they have no order."""
        return self.values


Space = dict[str, Range | Choice]
"""Key -> the values that it may take."""


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[\w./-]+", value) else json.dumps(value)
    return json.dumps(value)


def read_space(search: Mapping[str, Any]) -> tuple[Space, list[str]]:
    """The space that `sweeper.search` describes, and what is wrong with it."""
    space: Space = {}
    faults: list[str] = []
    for key, value in _flat(search):
        where = f"sweeper.search.{key}"
        if key.partition(".")[0] in NOT_SEARCHED:
            faults.append(f"{where}: no result depends on it; search something else")
        elif isinstance(value, Mapping):
            found = _range_faults(where, value)
            faults += found
            if not found:
                space[key] = Range(**{str(name): bound for name, bound in value.items()})
        elif isinstance(value, Choice):
            space[key] = value
        elif isinstance(value, list) and value:
            space[key] = Choice(tuple(written(item) for item in value))
        else:
            faults.append(
                f"{where} is {value!r}; give a list of values, or {{low: LOW, high: HIGH}}"
            )
    return space, faults


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The space by dotted key; a mapping with a bound is a range, any other holds keys."""
    for name, value in node.items():
        is_range = isinstance(value, Mapping) and (not value or {*value} & {*BOUNDS})
        if isinstance(value, Mapping) and not is_range:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _range_faults(where: str, bounds: Mapping[str, Any]) -> list[str]:
    faults = []
    for name in bounds:
        if name not in BOUNDS:
            hint = did_you_mean(str(name), BOUNDS, close=CLOSE_OPTION)
            faults.append(f"{where}.{name}: unknown{hint or f'; known are {_KNOWN}'}")
    for name in ("low", "high"):
        if name not in bounds:
            faults.append(f"{where}.{name}: missing; give a number")
    for name in ("low", "high", "step"):
        value = bounds.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and name in bounds and not (name == "step" and value is None):
            faults.append(f"{where}.{name} is {value!r}; give a number")
    if "log" in bounds and not isinstance(bounds["log"], bool):
        faults.append(f"{where}.log is {bounds['log']!r}; give true or false")
    return faults or _order_faults(where, bounds)


def _order_faults(where: str, bounds: Mapping[str, Any]) -> list[str]:
    """The fault of a pair of bounds, each sound by itself."""
    low, high, step = bounds["low"], bounds["high"], bounds.get("step")
    if low > high:
        return [f"{where}: low is {low}, but high is {high}; give low <= high"]
    if bounds.get("log") and low <= 0:
        return [f"{where}: log is true, but low is {low}; give a low above 0, or log=false"]
    if bounds.get("log") and step is not None:
        return [f"{where}: log is true, but step is {step}; give one of them"]
    if step is not None and step <= 0:
        return [f"{where}.step is {step}; give a number above 0"]
    return []


def read_override(override: Override) -> dict[str, Any] | Choice:
    """A sweep of the command line, as it may stand in `sweeper.search`."""
    value = override.value()
    if isinstance(value, IntervalSweep):
        log = {"log": True} if "log" in value.tags else {}
        return {"low": value.start, "high": value.end, **log}
    if isinstance(value, RangeSweep) and isinstance(value.start, int):
        whole = range(value.start, int(value.stop or 0), int(value.step))
        if whole and whole.step > 0:  # the stop is left out, as in Python
            return {"low": whole[0], "high": whole[-1], "step": whole.step}
    return Choice(tuple(override.sweep_string_iterator()))
