"""One sequence of two: the beginning of one and the end of another."""

from collections.abc import Callable, Sequence
from itertools import permutations

import edlib

from seqexp.decode.consensus.rank import Ranked

CUTS = tuple(part / 8 for part in range(1, 8))
"""Where a sequence is cut, as shares of its length."""

KEPT = 8
"""Candidates that are joined with each other."""

ROUNDS = 3
"""Of joins of joins: each can mend an error more."""


def best_join(
    candidates: Sequence[str], ranked: Callable[[Sequence[str]], list[Ranked]]
) -> list[Ranked]:
    """The candidates, and joins of the best of them among each other, by rank.

    Where two candidates have their errors at different places, one of their joins has neither. A
    candidate from the left and one from the right are such a pair: what is written from the left is
    surest at its beginning, what is written from the right at its end.
    """
    found = ranked(candidates)
    for _ in range(ROUNDS):
        best = [one.candidate for one in found[:KEPT]]
        joins = [joined for pair in permutations(best, 2) for joined in join(*pair)]
        found = ranked([*best, *joins])
        if [one.candidate for one in found[:KEPT]] == best:
            break
    return found


def join(forward: str, backward: str) -> list[str]:
    """Each beginning of `forward` with what `backward` has after it, at a few cuts.

    The place of a cut in the other is that in their alignment with the fewest edits.
    """
    if not forward or not backward:
        return []
    places = _places(forward, backward)
    joined = []
    for share in CUTS:
        cut = round(share * len(forward))
        joined.append(forward[:cut] + backward[places[cut] :])
    return joined


def _places(one: str, other: str) -> list[int]:
    """For each place between letters of `one`, that of `other` which is aligned to it."""
    cigar = edlib.align(one, other, task="path")["cigar"]
    places, place, number = [0], 0, ""
    for character in cigar:
        if character.isdigit():
            number += character
            continue
        for _ in range(int(number)):
            if character != "I":  # not a letter of `one` alone
                place += 1
            if character != "D":  # not a letter of `other` alone
                places.append(place)
        number = ""
    return places
