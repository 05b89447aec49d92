"""Shuffled sequences: what remains when order is taken away, but not the neighbours' statistics."""

import random
from collections.abc import Callable

MAX_TREES = 10_000
"""Draws of last letters before giving up; a few are enough for any sequence."""


def dinucleotide_shuffle(sequence: str, seed: int) -> str:
    """The same letters in another order, with exactly the same counts of neighbouring pairs.

    The sequence is a walk over its letters; every walk that uses the same steps from the same
    start has the same pairs. Any alphabet; the first and the last letter stay. All such sequences
    have the same chance.

    Source: Altschul & Erickson (1985), the algorithm for doublets.
    """
    # Python promises the same numbers from random() for a seed in every release
    uniform = random.Random(seed).random
    steps: dict[str, list[str]] = {}  # letter -> the letters that follow it
    for letter, following in zip(sequence, sequence[1:], strict=False):
        steps.setdefault(letter, []).append(following)
    if len(steps) < 2:
        return sequence
    final = _last_steps(steps, sequence[-1], uniform)
    for letter, followers in steps.items():
        if letter in final:
            followers.remove(final[letter])
        _shuffle(followers, uniform)
        if letter in final:
            followers.append(final[letter])
    walk = [sequence[0]]
    taken = dict.fromkeys(steps, 0)
    for _ in range(len(sequence) - 1):
        letter = walk[-1]
        walk.append(steps[letter][taken[letter]])
        taken[letter] += 1
    return "".join(walk)


def _last_steps(
    steps: dict[str, list[str]], end: str, uniform: Callable[[], float]
) -> dict[str, str]:
    """For each letter but the end its last step, such that from everywhere they lead to the end.

    Only then does a walk that uses all steps exist.
    """
    for _ in range(MAX_TREES):
        final = {
            letter: followers[int(uniform() * len(followers))]
            for letter, followers in steps.items()
            if letter != end
        }
        if all(_leads_to(letter, end, final) for letter in final):
            return final
    raise RuntimeError(f"no last steps found in {MAX_TREES} draws")  # cannot be for a real walk


def _leads_to(letter: str, end: str, final: dict[str, str]) -> bool:
    for _ in final:
        letter = final[letter]
        if letter == end:
            return True
    return False


def _shuffle(items: list[str], uniform: Callable[[], float]) -> None:
    """Fisher & Yates; `random.shuffle` may change between releases."""
    for last in range(len(items) - 1, 0, -1):
        other = int(uniform() * (last + 1))
        items[last], items[other] = items[other], items[last]
