"""Where what was planted lies on a filter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqexp.data import Pattern
from seqexp.interpret.filters.extraction import LearnedFilter
from seqexp.interpret.filters.matrix import reverse_complement
from seqexp.utils.names import one_line

MIN_AGREEMENT = 0.6
"""A pattern that correlates less is not drawn as if it lay on the filter."""


@dataclass(frozen=True)
class Aligned:
    """The pattern nearest to a filter, and the number of its first place, the filter's being 1.

    `places` are the outermost of both.
    """

    ppm: Float[np.ndarray, "width symbols"]
    first: int
    label: str
    places: tuple[int, int]


def aligned(learned: LearnedFilter, symbols: Sequence[str], patterns: Sequence[Pattern]) -> Aligned:
    """Lay the nearest pattern under the columns that it agrees with, on the strand that does."""
    match = learned.match or learned.weight_match
    by_name = {pattern.name: pattern for pattern in patterns}
    pattern = by_name[match.pattern] if match is not None else patterns[0]
    ppm, first, label = pattern.ppm, 1, f"planted: {one_line(pattern.name, 40)}"
    if match is not None and match.correlation < MIN_AGREEMENT:
        label += f" (no agreement: correlation {match.correlation:.2f})"
    elif match is not None:
        label += f" (correlation {match.correlation:.2f}"
        label += ", reverse strand)" if match.reverse else ")"
        first = 1 - match.offset
        if match.reverse:
            ppm = reverse_complement(ppm, symbols)
            first = 1 - (len(ppm) - match.offset - len(learned.pfm))
    last = max(len(learned.pfm), first + len(ppm) - 1)
    return Aligned(ppm, first, label, (min(1, first), last))
