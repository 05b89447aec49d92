"""The course notebook's channel: copies of a sequence with insertions, deletions, substitutions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from seqexp.formats.dna import LETTERS
from seqexp.seeding import UniformSource


@dataclass(frozen=True)
class ErrorRates:
    """Shares of the range [0, 1) of one draw; the rest copies the base."""

    insertion: float
    deletion: float
    substitution: float

    def expected_length(self, length: int) -> tuple[float, float]:
        """Mean and variance of a read's length.

        For each base, insertions are drawn until one draw is none: k of them with probability
        pi^k (1 - pi), so pi / (1 - pi) on average, with variance pi / (1 - pi)^2. That last draw
        is uniform over the rest of the range: it deletes with probability pd / (1 - pi).
        """
        stays = 1 - self.deletion / (1 - self.insertion)
        mean = self.insertion / (1 - self.insertion) + stays
        variance = self.insertion / (1 - self.insertion) ** 2 + stays * (1 - stays)
        return length * mean, length * variance


def random_sequence(length: int, seed: int) -> str:
    """Letters, each with a chance of a quarter."""
    return _text((UniformSource(seed)(length) * len(LETTERS)).astype(int))


def read_out(sequence: str, rates: ErrorRates, seed: int) -> str:
    """One copy through the channel.

    For each base: while r < pi, a random letter is inserted and r drawn again. Then the next `pd`
    of the range of the same r delete the base, the next `ps` write a random letter (which may be
    the base itself), the rest writes the base. After the last base nothing is inserted.

    Source: `sim_error` of the course notebook.
    """
    bases = np.array([LETTERS.index(letter) for letter in sequence], dtype=int)
    r, letters = _draws(len(bases), rates.insertion, seed)
    is_insertion = r < rates.insertion
    base: np.ndarray = np.cumsum(~is_insertion) - ~is_insertion  # which base a draw is for
    is_deletion = ~is_insertion & (r < rates.insertion + rates.deletion)
    is_copy = r >= rates.insertion + rates.deletion + rates.substitution
    written = np.where(is_copy, bases[base], letters)
    return _text(written[~is_deletion])


def _draws(
    num_bases: int, insertion: float, seed: int
) -> tuple[Float[np.ndarray, " draws"], Int[np.ndarray, " draws"]]:
    """As many draws as the bases need, with a random letter for each."""
    uniform = UniformSource(seed)
    draws = np.empty((0, 2))
    while (draws[:, 0] >= insertion).sum() < num_bases:
        draws = np.concatenate([draws, uniform(num_bases, 2)])
    ends = np.flatnonzero(draws[:, 0] >= insertion)  # draws that deal with a base
    draws = draws[: ends[num_bases - 1] + 1] if num_bases else draws
    return draws[:, 0], (draws[:, 1] * len(LETTERS)).astype(int)


def _text(letters: Int[np.ndarray, " length"]) -> str:
    return "".join(LETTERS[letter] for letter in letters)
