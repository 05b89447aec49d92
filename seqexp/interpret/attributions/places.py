"""Where in a sequence the evidence is: a window that can be read, and its place in a genome."""

import re

import numpy as np
from jaxtyping import Float

NAME = re.compile(r"(?P<contig>[^\s:]+):(?P<start>\d+)-(?P<end>\d+)(?:\((?P<strand>[+\-.])\))?")
"""As `bedtools getfasta` names sequences: from 0, the end not in it."""


def window_around(weights: Float[np.ndarray, " time"], width: int) -> tuple[int, int]:
    """The window of this width with the largest sum of absolute weights, from and to before."""
    time = len(weights)
    if time <= width:
        return 0, time
    sums = np.concatenate([[0.0], np.abs(np.nan_to_num(weights)).cumsum()])
    within = sums[width:] - sums[:-width]
    # of equal ones the middle, so that evidence does not stand at a side
    best = np.flatnonzero(within >= within.max() - 1e-12 * max(1.0, sums[-1]))
    start = int(best[len(best) // 2])
    return start, start + width


def place_of(name: str, length: int, start: int, end: int) -> str | None:
    """Coordinates of a part of a sequence whose name has those of the whole; None if it has none.

    They are given as the name gives them: from 0, the end not in it. On the minus strand, the first
    letter is the last of the interval.
    """
    found = NAME.fullmatch(name.split(maxsplit=1)[0]) if name.strip() else None
    if found is None or int(found["end"]) - int(found["start"]) != length:
        return None
    first, last, strand = int(found["start"]), int(found["end"]), found["strand"]
    low, high = (last - end, last - start) if strand == "-" else (first + start, first + end)
    return f"{found['contig']}:{low}-{high}{f'({strand})' if strand else ''}"
