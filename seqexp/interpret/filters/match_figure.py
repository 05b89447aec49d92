"""A filter's motif and what it resembles, one above the other, place by place."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.figures import sheet
from seqexp.interpret.filters.matrix import information, reverse_complement
from seqexp.interpret.filters.tomtom import MIN_BITS, Hit, matchable
from seqexp.interpret.panels import Logo, within
from seqexp.utils.names import one_line
from seqexp.utils.panels import Panel, Words


def match_figure(
    filters: Sequence[LearnedFilter],
    hits: Sequence[Hit],
    symbols: Sequence[str],
    against: str,
    max_shown: int,
) -> bytes:
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
    blocks = [match_panels(learned, best.get(learned.index), symbols) for learned in drawn]
    return sheet(blocks, 210, f"learned motifs against {against}", note)


def match_panels(learned: LearnedFilter, hit: Hit | None, symbols: Sequence[str]) -> list[Panel]:
    """A motif, and its target with the same places below each other; or why there is none."""
    title = f"filter {learned.index} [bits]: {learned.hits} windows, effect {learned.strength:.2g}"
    above = Logo(information(learned.motif), symbols, title)
    if hit is None:
        return [above, Words(why_no_hit(learned))]
    ppm, first = place_hit(hit, symbols)
    strand = ", reverse strand" if hit.reverse else ""
    label = f"{one_line(hit.target.name, 40)}{strand}: p {hit.p_value:.1e}, q {hit.q_value:.1e}"
    places = (min(1, first), max(len(learned.motif), first + len(ppm) - 1))
    return [within(one, places) for one in (above, Logo(information(ppm), symbols, label, first))]


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
