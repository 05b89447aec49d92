"""Places of several motifs in a sequence, none over another."""

import numpy as np
from jaxtyping import Bool, Float, Int


def places(
    is_there: Bool[np.ndarray, "sequences motifs"],
    widths: Int[np.ndarray, " motifs"],
    length: int,
    order: Float[np.ndarray, "sequences motifs"],
    place: Float[np.ndarray, "sequences motifs"] | None,
) -> Int[np.ndarray, "sequences motifs"]:
    """Where each motif starts that is there; the values of others mean nothing.

    Args:
        is_there: which motifs a sequence has; all of them fit into it together.
        widths: letters of each.
        length: letters of a sequence.
        order: random numbers by which those that are there are sorted.
        place: random numbers in [0, 1) that share out the letters between them; None puts them side
            by side in the middle, the odd letter after them.
    """
    free = length - np.where(is_there, widths, 0).sum(axis=1)
    ordered = np.argsort(np.where(is_there, order, 2.0), axis=1, kind="stable")
    rows = np.arange(len(is_there))[:, None]
    taken = np.where(is_there, widths, 0)[rows, ordered]
    before = np.cumsum(taken, axis=1) - taken
    if place is None:
        gaps = np.repeat(free[:, None] // 2, len(widths), axis=1)
    else:
        shares = np.sort(np.where(is_there, place, 1.0), axis=1)
        gaps = np.floor(shares * (free[:, None] + 1)).astype(int)
    starts = np.empty_like(before)
    starts[rows, ordered] = before + gaps
    return starts
