"""Pairs that seqexp makes: numbers in digits, and in words."""

import numpy as np

from seqexp.dataset.pairing.files import Pair
from seqexp.seeding import stream_seed

MAX_MADE = 10**5
"""Different numbers that there are."""

_SMALL = (
    *("zero", "one", "two", "three", "four"),
    *("five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = (
    *("twenty", "thirty", "forty", "fifty", "sixty"),
    *("seventy", "eighty", "ninety"),
)


def made_pairs(count: int, seed: int) -> list[Pair]:
    """So many different numbers below 100,000, drawn by the seed; as `4 2 7` and its words."""
    # NumPy promises the same raw bits for a seed in every release, but not the same shuffle
    bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, "pairs")))
    chosen = np.argsort(bits.random_raw(MAX_MADE), kind="stable")[:count].tolist()
    return [
        Pair(tuple(str(number)), tuple(in_words(number)), f"made pair {place}")
        for place, number in enumerate(chosen, start=1)
    ]


def in_words(number: int) -> list[str]:
    """Of 0 to 999,999, in English: `["four", "hundred", "twenty", "seven"]`."""
    if number >= 1000:
        rest = in_words(number % 1000) if number % 1000 else []
        return [*in_words(number // 1000), "thousand", *rest]
    if number >= 100:
        rest = in_words(number % 100) if number % 100 else []
        return [_SMALL[number // 100], "hundred", *rest]
    if number < 20:
        return [_SMALL[number]]
    return [_TENS[number // 10 - 2], *([_SMALL[number % 10]] if number % 10 else [])]
