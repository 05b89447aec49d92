"""Motifs that are made, so that several can be planted without any download. Imports no torch."""

from collections.abc import Sequence

import numpy as np

from seqexp.formats.dna import LETTERS
from seqexp.formats.matrix import PositionFrequencyMatrix
from seqexp.seeding import UniformSource, stream_seed

WIDTHS = (16, 17, 18, 16)
"""Of the made motifs, in turn."""

NUM_MADE = 1
"""Beside a single motif, where several labels are asked for."""

_CLEAR, _EITHER = (97.0, 1.0, 1.0, 1.0), (49.0, 49.0, 1.0, 1.0)
"""Counts of the letters at a position: one letter, or one of two at each fifth."""


def made_motif(number: int) -> PositionFrequencyMatrix:
    """The motif of a number from 1: the same on every machine, whatever the seed of the data."""
    width = WIDTHS[(number - 1) % len(WIDTHS)]
    uniform = UniformSource(stream_seed(0, "made motif", number))(width, len(LETTERS))
    order = np.argsort(uniform, axis=1)
    pfm = np.empty((width, len(LETTERS)))
    for place in range(width):
        pfm[place, order[place]] = _EITHER if place % 5 == 4 else _CLEAR
    return PositionFrequencyMatrix(f"made-{number}", pfm)


def with_made(
    matrices: Sequence[PositionFrequencyMatrix], count: int | None, are_labels: bool
) -> list[PositionFrequencyMatrix]:
    """Motifs of files, then made ones.

    Args:
        matrices: of files.
        count: how many are made; None is one beside a single motif that is one of several labels,
            else none.
        are_labels: whether each motif is a label of its own.
    """
    if count is None:
        count = NUM_MADE if are_labels and len(matrices) == 1 else 0
    return [*matrices, *(made_motif(number) for number in range(1, count + 1))]


def width_of(matrices: Sequence[PositionFrequencyMatrix], are_labels: bool) -> tuple[int, str]:
    """Letters that a sequence needs, and what needs them, in words."""
    if are_labels and len(matrices) > 1:
        return sum(matrix.width for matrix in matrices), (
            f"{len(matrices)} motifs, which may all be in a sequence, are"
        )
    widest = max(matrices, key=lambda matrix: matrix.width)
    return widest.width, f"motif {widest.name} is"
