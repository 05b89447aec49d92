"""Which way a matrix of a motif file lies: whether its rows are letters or positions.

Letters in front of rows, names of columns, and the shape tell it. Where four rows of four numbers
could be either, the rest of the file and the sums decide: the letters of a position add up to the
same everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from seqexp.formats.dna import LETTERS
from seqexp.formats.matrix import LOG_ODDS, MAX_NAME, Found

AMBIGUOUS = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
"""What a consensus letter stands for."""

SAME_SUM, MAX_UNEQUAL = 0.01, 0.1
"""How much sums that are the same differ at most, of the largest; and those of positions in a file
that no line says to be of motifs: any table of numbers could look so."""


@dataclass
class Row:
    """A row of numbers as it stands in the file."""

    line: int
    label: str  # a letter in front of the numbers, in capitals
    values: list[float]
    first: str  # the first number as it is written
    is_bracketed: bool


@dataclass
class Block:
    """A matrix as it stands in the file."""

    names: Sequence[str]
    line: int
    is_titled: bool = False  # by a line with '>'
    is_homer: bool = False
    order: list[int] | None = None  # of the letters' columns, where a line says it
    has_places: bool = False  # the first column numbers the positions
    rows: list[Row] = field(default_factory=list)  # while the block is read
    is_tight: bool = False  # no blank line between two rows

    @property
    def name(self) -> str:
        """What messages call it."""
        return next((name[:MAX_NAME] for name in self.names if name), "the motif")


@dataclass
class Matrix:
    """A block that has ended."""

    block: Block
    values: Float[np.ndarray, "rows columns"]
    lines: Int[np.ndarray, " rows"]
    labels: list[str]  # U as T; all empty where no row has one
    is_bracketed: bool
    first: str  # the first number as it is written


def ended(found: Found, block: Block) -> Matrix:
    """The block's rows, which are of one length."""
    rows = block.rows
    width = len(rows[0].values)
    for row in rows:
        if len(row.values) != width:
            raise found.fault(
                row.line,
                f"{block.name} has ragged rows: {len(row.values)} numbers here, {width} in its"
                " first row",
            )
    labels = [row.label.replace("U", "T") for row in rows]
    block.rows = []
    return Matrix(
        block,
        np.array([row.values for row in rows]),
        np.array([row.line for row in rows]),
        labels if any(labels) else [],
        any(row.is_bracketed for row in rows),
        rows[0].first,
    )


def shape_of(matrix: Matrix) -> str:
    """`letters` or `positions`, whichever the rows are; empty where the shape does not tell."""
    rows, columns = matrix.values.shape
    if matrix.block.order is not None or matrix.labels:
        return ""
    if columns == 4:
        return "positions" if matrix.block.is_homer or rows > 4 else ""
    return "letters" if rows == 4 and columns != 5 else ""


def add(found: Found, matrix: Matrix, usual: str) -> None:
    """Keep a matrix, turned so that a row is a position."""
    block, values, lines = matrix.block, matrix.values, matrix.lines
    if block.order is not None:
        found.add(block.names, values[:, block.order], lambda row, _: int(lines[row]))
        return
    order = [0, 1, 2, 3]
    if matrix.labels:
        side = _labelled(found, matrix)
        if side == "letters":
            order = [matrix.labels.index(letter) for letter in LETTERS]
    else:
        side = _unlabelled(found, matrix, usual)
    if side == "letters":
        found.add(block.names, values[order].T, lambda _, letter: int(lines[order[letter]]))
    else:
        found.add(block.names, values[:, -4:], lambda row, _: int(lines[row]))


def _labelled(found: Found, matrix: Matrix) -> str:
    """How a matrix lies whose rows begin with letters."""
    is_consensus = _is_consensus(matrix)
    if sorted(matrix.labels) == list(LETTERS):
        are_positions = is_consensus and _equal_sums(matrix.values) == "positions"
        return "positions" if are_positions and not matrix.is_bracketed else "letters"
    if is_consensus:
        return "positions"
    shown = ", ".join(label or "none" for label in matrix.labels[:8])
    raise found.fault(
        int(matrix.lines[0]),
        f"{matrix.block.name} has rows for {shown}{', ...' if len(matrix.labels) > 8 else ''};"
        " expected is one for each of A, C, G and T",
    )


def _is_consensus(matrix: Matrix) -> bool:
    """Whether each row is a position behind its consensus letter, as in ENCODE's files."""
    values, labels = matrix.values, matrix.labels
    if values.shape[1] != 4 or not all(labels) or matrix.is_bracketed:
        return False
    sums = values.sum(axis=1)
    return bool(np.ptp(sums) <= SAME_SUM * np.abs(sums).max()) and all(
        LETTERS[int(row.argmax())] in AMBIGUOUS[label]
        for row, label in zip(values, labels, strict=True)
    )


def _unlabelled(found: Found, matrix: Matrix, usual: str) -> str:
    """How a matrix of numbers alone lies."""
    block, values = matrix.block, matrix.values
    rows, columns = values.shape
    if (values < 0).any():
        line = int(matrix.lines[np.argwhere(values < 0)[0, 0]])
        raise found.fault(line, f"{block.name} has numbers below 0; {LOG_ODDS}")
    if columns == 5 and _is_numbered(values[:, 0]):
        if rows == 4 and not matrix.first.startswith("0"):
            raise _either_way(found, block, "4 by 5")
        return "positions"
    if columns != 4:
        if rows == 4:
            return "letters"
        raise found.fault(
            int(matrix.lines[0]),
            f"{block.name} has {rows} rows of {columns} numbers; expected are four rows (A, C, G,"
            " T) or four columns",
        )
    if rows > 4 or block.is_homer:
        sums = values.sum(axis=1)
        if not block.is_titled and np.ptp(sums) > MAX_UNEQUAL * sums.max():
            raise found.fault(
                int(matrix.lines[0]),
                f"{block.name} has positions that count {sums.min():g} to {sums.max():g} letters;"
                " if they are of a motif, put a line '>name' above them",
            )
        return "positions"
    side = usual or _equal_sums(values)
    is_one = rows == 1 and not usual and abs(values.sum() - 1) > SAME_SUM
    if not side or is_one or (side == "letters" and rows < 4):
        raise _either_way(found, block, f"{rows} by 4")
    return side


def _either_way(found: Found, block: Block, shape: str) -> Exception:
    return found.fault(
        block.line,
        f"{block.name} is {shape} without letters, and its rows could be letters or positions;"
        " begin the four rows with A, C, G and T, or put a line 'A C G T' above four columns",
    )


def _is_numbered(first: Float[np.ndarray, " rows"]) -> bool:
    """Whether a column counts the positions, from 0 or 1."""
    return bool(first[0] in (0, 1) and (first == first[0] + np.arange(len(first))).all())


def _equal_sums(values: Float[np.ndarray, "rows columns"]) -> str:
    """`positions` if the rows alone have equal sums, `letters` if the columns alone have."""
    with np.errstate(all="ignore"):
        rows, columns = (
            bool(np.ptp(sums) <= SAME_SUM * sums.max())
            for sums in (values.sum(axis=1), values.sum(axis=0))
        )
    if rows == columns:
        return ""
    return "positions" if rows else "letters"
