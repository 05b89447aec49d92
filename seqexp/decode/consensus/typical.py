"""Reads that can be copies of one sequence, by their lengths and their errors."""

import math
from collections.abc import Sequence

from seqexp.decode.consensus.baselines import edit_distance

_FAR = 0.4
"""Errors a letter of a read that is no copy of the draft; unrelated sequences have 0.5."""

_SHORTEST = 20
"""Letters of a draft that can be told from an unrelated one."""


def typical(reads: Sequence[str]) -> list[str]:
    """The reads without those of foreign length, as a chopped one or two in one.

    A read is left out where its length differs from the median by more than insertions and
    deletions explain: by 3 roots of it and 5 letters, or 6 standard deviations of the lengths if
    that is more. One such read would set the width of the band for all.
    """
    if not reads:
        return []
    lengths = sorted(len(read) for read in reads)
    median = lengths[len(lengths) // 2]
    spread = sorted(abs(length - median) for length in lengths)[(len(lengths) - 1) // 2]
    allowed = max(3 * math.sqrt(median) + 5, 6 * 1.4826 * spread)
    return [read for read in reads if abs(len(read) - median) <= allowed]


def copies(reads: Sequence[str], draft: str) -> list[str]:
    """The typical reads without those that are no copies of the draft; all if most are none."""
    kept = typical(reads)
    if len(draft) < _SHORTEST:
        return kept
    near = [read for read in kept if edit_distance(read, draft) <= _FAR * len(draft)]
    return near if 2 * len(near) > len(kept) else kept
