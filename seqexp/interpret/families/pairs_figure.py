"""How the first motif families stand together."""

from dataclasses import replace

import numpy as np

from seqexp.interpret.families.family import Families
from seqexp.interpret.families.pairs import ARRANGEMENTS, MAX_DISTANCE, Pair
from seqexp.utils.names import one_line
from seqexp.utils.panels import Counts, Matrix, Sizes
from seqexp.utils.paper import Paper

MAX_SPACINGS = 6
"""Pairs whose distances are drawn."""

COLORS = ("#255c99", "#d62839", "#109648", "#f7b32b")
"""Of arrangements."""

SIZES = Sizes(label=14, number=12)

CELL, ROW, COLUMN = 84, 210, 420
"""Pixels of a cell of the matrix, and of the place of a pair's distances."""


def pairs_figure(families: Families) -> bytes:
    """How much more often than by chance two families, of which there are pairs, stand in one
    sequence, and how far apart.
    """
    matrix = together(families)
    left, _, right, below = matrix.margins(CELL, SIZES)
    rows, columns = matrix.values.shape
    box = left, 76, left + CELL * columns, 76 + CELL * rows
    drawn = sorted(families.pairs, key=lambda pair: pair.spacing_p)[:MAX_SPACINGS]
    drawn = [pair for pair in drawn if pair.counts.any()]
    lines = -(-len(drawn) // 2)
    start = max(box[2] + right, 380) + 40
    width = start + COLUMN * min(2, len(drawn))
    paper = Paper(width, max(box[3] + below, ROW * lines + 40))
    paper.text(start // 2, 20, "together in a sequence:", SIZES.label, room=start)
    paper.text(start // 2, 40, "log2 of seen to expected (* p < 0.01)", SIZES.label, room=start)
    matrix.draw(paper, box, SIZES)
    for place, pair in enumerate(drawn):
        x, y = start + COLUMN * (place % 2), ROW * (place // 2)
        is_last = place >= len(drawn) - 2
        panel = spacing(pair)
        if place:
            panel = replace(panel, names=())
        if is_last:
            panel = replace(panel, below="letters between them")
        panel.draw(paper, (x + 50, y + 34, x + COLUMN - 14, y + ROW - 34), SIZES)
    return paper.png()


def together(families: Families) -> Matrix:
    """Each pair's ratio, with its counts; below the diagonal."""
    numbers = sorted({number for pair in families.pairs for number in (pair.one, pair.other)})
    size = len(numbers)
    values = np.full((size - 1, size - 1), np.nan)
    texts = {}
    for pair in families.pairs:
        column, row = numbers.index(pair.one), numbers.index(pair.other) - 1
        values[row, column] = pair.log2_ratio
        stars = "*" if pair.p_value * len(families.pairs) < 0.01 else ""
        ratio = f"{pair.log2_ratio:+.2f}{stars}".replace("-", "\u2212")
        texts[row, column] = ratio, f"{pair.both:,} of", f"{pair.expected:,.0f}"
    limit = max(1.0, float(np.nanmax(np.abs(values))))
    names = [f"{n} {one_line(families.found[n - 1].name, 18)}" for n in numbers]
    scale = f"+{limit:.2g}", "0", f"\u2212{limit:.2g}"
    return Matrix(values / limit, texts, names[1:], names[:-1], "RdBu_r", scale)


def spacing(pair: Pair) -> Counts:
    """How often both stand so many letters apart, an arrangement a colour."""
    best = f"{pair.arrangement}, {pair.distance}: p = {pair.spacing_p:.1e}"
    return Counts(
        pair.counts,
        COLORS,
        (-0.5, MAX_DISTANCE + 0.5),
        f"1 is family {pair.one}, 2 is {pair.other}; {best}",
        [*ARRANGEMENTS],
        line=(np.arange(MAX_DISTANCE + 1), pair.by_chance.sum(axis=0), "by chance"),
    )
