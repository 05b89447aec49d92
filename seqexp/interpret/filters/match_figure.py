"""A filter's motif and what it resembles, one above the other, place by place."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.figures import blocks_of_axes, draw_bits
from seqexp.interpret.filters.matrix import information, reverse_complement
from seqexp.interpret.filters.tomtom import MIN_BITS, Hit, matchable
from seqexp.utils.drawing import literal, plain_ticks
from seqexp.utils.names import one_line


def match_figure(
    filters: Sequence[LearnedFilter],
    hits: Sequence[Hit],
    symbols: Sequence[str],
    against: str,
    max_shown: int,
) -> Figure:
    """The best filters' motifs, each above its most significant target.

    Args:
        filters: what was learned.
        hits: significant ones only; of these the best of each filter is shown.
        symbols: A, C, G and T, in the order of the matrices.
        against: what the filters were compared with, for the title.
        max_shown: filters in the figure.
    """
    drawn, note = shown(filters, max_shown)
    best = {hit.filter_index: hit for hit in sorted(hits, key=lambda hit: -hit.p_value)}
    figure, blocks = blocks_of_axes(len(drawn), 2, 2.1, f"learned motifs against {against}", note)
    for learned, axes in zip(drawn, blocks, strict=True):
        draw_pair(axes[0], axes[1], learned, best.get(learned.index), symbols)
        for one in axes:
            plain_ticks(one)
    return literal(figure)


def draw_pair(
    above: Axes, below: Axes, learned: LearnedFilter, hit: Hit | None, symbols: Sequence[str]
) -> None:
    """A motif, and its target with the same places below each other; or why there is none."""
    title = f"filter {learned.index} [bits]: {learned.hits} windows, effect {learned.strength:.2g}"
    draw_bits(above, information(learned.motif), symbols, title)
    if hit is None:
        below.text(0.5, 0.5, why_no_hit(learned), ha="center", va="center", fontsize=14)
        below.set_axis_off()
        return
    ppm, first = place_hit(hit, symbols)
    strand = ", reverse strand" if hit.reverse else ""
    label = f"{one_line(hit.target.name, 40)}{strand}: p {hit.p_value:.1e}, q {hit.q_value:.1e}"
    draw_bits(below, information(ppm), symbols, label, first)
    for axes in (above, below):
        last = max(len(learned.motif), first + len(ppm) - 1)
        axes.set_xlim(min(1, first) - 0.6, last + 0.6)


def place_hit(hit: Hit, symbols: Sequence[str]) -> tuple[Float[np.ndarray, "width symbols"], int]:
    """The target on the strand that was matched, and its first place, counted as the motif's."""
    ppm = reverse_complement(hit.target.ppm, symbols) if hit.reverse else hit.target.ppm
    return ppm, 1 - hit.offset


def why_no_hit(learned: LearnedFilter) -> str:
    """What a filter without a significant hit is."""
    if not learned.hits:
        return "dead: no window excites it"
    if not matchable(learned):
        return f"not compared: its motif tells less than {MIN_BITS:g} bits"
    return "no significant hit"
