"""Types that carry their range, for constructor signatures.

The config check reads them there, so that a limit has one home: beside the argument it limits.
"""

from typing import Annotated

from annotated_types import Ge, Gt, Interval, Le, Lt

Count = Annotated[int, Ge(1), Le(10**9)]
"""How many of something: at least one."""

CountOrZero = Annotated[int, Ge(0), Le(10**9)]
"""How many of something, possibly none."""

Size = Annotated[int, Ge(1), Le(2**16)]
"""A width of a layer, in units."""

Seed = Annotated[int, Ge(0), Lt(2**63)]
"""Selects all random numbers."""

Share = Annotated[float, Interval(ge=0, le=1)]
"""A part of a whole, 0 to 1."""

OpenShare = Annotated[float, Interval(gt=0, lt=1)]
"""A part of a whole, neither none nor all of it."""

HeldOutShare = Annotated[float, Interval(ge=0, le=0.9)]
"""A part of the data that is kept from training; 0 is none."""

Rate = Annotated[float, Interval(ge=0, lt=1)]
"""A probability or a decay, below 1."""

Positive = Annotated[float, Gt(0), Lt(float("inf"))]
"""A finite number above zero."""

NotNegative = Annotated[float, Ge(0), Lt(float("inf"))]
"""A finite number, zero or above."""

Temperature = Annotated[float, Interval(ge=0, le=100)]
"""Logits are divided by it before a symbol is drawn; 0 takes the most probable one."""

SLOWEST = 0.9999
"""Over sqrt(beta2), LazyAdam's largest beta1: with more, too many missed steps would be summed."""
