"""One sequence of two: the beginning of one and the end of another."""

import edlib

CUTS = (0.25, 0.5, 0.75)
"""Where a sequence is cut, as shares of its length."""


def join(forward: str, backward: str) -> list[str]:
    """Each beginning of `forward` with what `backward` has after it, at a few cuts.

    What was written from the left is surest at its beginning, what was written from the right at
    its end. The place of a cut in the other is that in their alignment with the fewest edits.
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
