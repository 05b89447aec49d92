"""Pictures of two handwritten digits, composed of scikit-learn's scans: nothing to download.

The scans are divided first, so that no scan of a held-out picture was trained on. A picture has 10
rows and 20 columns. One digit lies in the left half, one in the right half, each moved by 0 to 2
rows and columns. What is said of a picture depends on the seed, the split and its number only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from seqexp.dataset.folds import Fold
from seqexp.dataset.pictures.examples import Entry, Examples
from seqexp.errors import InputError
from seqexp.seeding import UniformSource, stream_seed

SIDE = 8
"""Rows, and columns, of a scan."""

FREE = 3
"""Places of a scan in its half, down and across."""

HALF = SIDE + FREE - 1
"""Rows, and columns, of half a picture."""

BRIGHTEST = 16
"""The largest value of a scan."""

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Scans:
    """Scans of single digits with their values, 0 to 9."""

    pictures: Float32[np.ndarray, "scans 8 8"]
    digits: Int[np.ndarray, " scans"]


class Pair(NamedTuple):
    """The digits of a picture, and numbers from 0 to below 1 to draw what is said of it."""

    left: int
    right: int
    draws: tuple[float, ...]


Say = Callable[[Pair], list[tuple[str, str]]]
"""Texts on a picture, each with its answer, or an empty one."""


def scans_by_split(
    valid_share: float, test_share: float, seed: int, fold: Fold | None = None
) -> dict[str, Scans]:
    """The 1,797 scans, divided by digit; those of a fold are for the test, or a share.

    Raises:
        InputError: if a split lacks a digit.
    """
    from sklearn.datasets import load_digits  # 0.5 s, for this data only

    values, digits = load_digits(return_X_y=True)
    pictures = (values.reshape(-1, SIDE, SIDE) / BRIGHTEST).astype(np.float32)
    rows: dict[str, list[Int[np.ndarray, " scans"]]] = {"test": [], "valid": [], "train": []}
    places = range(len(digits))
    tested = None if fold is None else fold.tested(places, "scans", digits.tolist())
    for digit in range(10):
        of_digit = np.flatnonzero(digits == digit)
        bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, "scans", digit)))
        of_digit = of_digit[np.argsort(bits.random_raw(len(of_digit)), kind="stable")]
        num_test = round(test_share * len(of_digit))
        if tested is not None:
            is_in = np.array(tested)[of_digit]
            of_digit, num_test = np.append(of_digit[is_in], of_digit[~is_in]), int(is_in.sum())
        num_valid = round(valid_share * (len(of_digit) - num_test))
        rows["test"].append(of_digit[:num_test])
        rows["valid"].append(of_digit[num_test : num_test + num_valid])
        rows["train"].append(of_digit[num_test + num_valid :])
    for split, chosen in rows.items():
        is_wanted = split != "valid" or valid_share > 0
        if is_wanted and not all(len(found) for found in chosen):
            raise InputError(
                f"dataset.valid_share is {valid_share} and dataset.test_share is {test_share}: a"
                f" digit has no scan for {split}; give other shares"
            )
    found = {split: np.concatenate(chosen) for split, chosen in rows.items()}
    return {split: Scans(pictures[chosen], digits[chosen]) for split, chosen in found.items()}


def fold_notes(scans: Mapping[str, Scans], fold: Fold | None) -> list[str]:
    """The test in words, where it is a fold."""
    sizes = {split: len(found.digits) for split, found in scans.items()}
    return [] if fold is None else [fold.note(sizes["test"], sum(sizes.values()), "scans")]


def composed(
    scans: Mapping[str, Scans], sizes: Mapping[str, int], say: Say, num_draws: int, seed: int
) -> dict[str, Examples]:
    """Pictures of each split, of its own scans, with texts on them.

    Args:
        scans: by split.
        sizes: pictures by split.
        say: tells the texts on a picture.
        num_draws: random numbers that it needs.
        seed: selects all.
    """
    splits = {}
    for split, wanted in sizes.items():
        size = wanted if len(scans[split].digits) else 0  # without a share for validation
        draws = UniformSource(stream_seed(seed, "digits", split))(size, 6 + num_draws)
        pictures = np.zeros((size, HALF, 2 * HALF), np.float32)
        of_split = scans[split]
        chosen = (draws[:, :2] * len(of_split.digits)).astype(int)  # (pictures, halves)
        shifts = (draws[:, 2:6] * FREE).astype(int).reshape(size, 2, 2)  # halves, down and across
        entries = []
        for index in range(size):
            for half in (0, 1):
                down, across = shifts[index, half]
                across += half * HALF
                where = index, slice(down, down + SIDE), slice(across, across + SIDE)
                pictures[where] = of_split.pictures[chosen[index, half]]
            left, right = (int(digit) for digit in of_split.digits[chosen[index]])
            said = say(Pair(left, right, tuple(draws[index, 6:])))
            place = f"{split} picture {index}"
            entries += [Entry(index, text, answer, place) for text, answer in said]
        splits[split] = Examples(pictures[..., None], tuple(entries))
    return splits


def caption(pair: Pair) -> list[tuple[str, str]]:
    """`a three left of an eight`: article, digit, `left of`, article, digit."""
    return [(f"{_with_article(pair.left)} left of {_with_article(pair.right)}", "")]


NUM_DRAWS = 3
"""Random numbers for the questions on a picture."""


def questions(pair: Pair) -> list[tuple[str, str]]:
    """One question of each kind with its answer.

    `is there a three?` (half of them of a digit that is there), `what is left of the seven?`,
    `what is right of the seven?` and one of `which is larger?` and `which is smaller?`.
    """
    left, right, draws = pair
    others = [digit for digit in range(10) if digit not in (left, right)]
    is_there = draws[0] < 0.5
    asked = (left, right)[int(draws[1] * 2)] if is_there else others[int(draws[1] * len(others))]
    larger = draws[2] < 0.5
    pick = max if larger else min
    return [
        (f"is there {_with_article(asked)}?", "yes" if is_there else "no"),
        (f"what is left of the {WORDS[right]}?", WORDS[left]),
        (f"what is right of the {WORDS[left]}?", WORDS[right]),
        (f"which is {'larger' if larger else 'smaller'}?", WORDS[pick(left, right)]),
    ]


def _with_article(digit: int) -> str:
    return f"{'an' if digit == 8 else 'a'} {WORDS[digit]}"
