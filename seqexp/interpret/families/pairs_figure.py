"""How the first motif families stand together."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.interpret.families.family import Families
from seqexp.interpret.families.pairs import ARRANGEMENTS, MAX_DISTANCE, Pair
from seqexp.utils.drawing import colour_legend, literal
from seqexp.utils.names import one_line

MAX_SPACINGS = 6
"""Pairs whose distances are drawn."""


def pairs_figure(families: Families) -> Figure:
    """How much more often than by chance two families, of which there are pairs, stand in one
    sequence, and how far apart.
    """
    numbers = sorted({number for pair in families.pairs for number in (pair.one, pair.other)})
    drawn = sorted(families.pairs, key=lambda pair: pair.spacing_p)[:MAX_SPACINGS]
    drawn = [pair for pair in drawn if pair.counts.any()]
    lines = max(2, -(-len(drawn) // 2))
    figure = Figure(figsize=(13, 2.1 * lines + 0.7))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        lines,
        3,
        width_ratios=(1.25, 1, 1),
        left=0.12,
        right=0.99,
        bottom=0.95 / (2.1 * lines + 0.7),
        top=1 - 0.6 / (2.1 * lines + 0.7),
        hspace=0.75,
        wspace=0.18,
    )
    _draw_together(figure.add_subplot(grid[:, 0]), families, numbers)
    for place, pair in enumerate(drawn):
        axes = figure.add_subplot(grid[place // 2, 1 + place % 2])
        _draw_spacing(axes, pair, with_legend=place == 0, is_last=place >= len(drawn) - 2)
    return literal(figure)


def _draw_together(axes: Axes, families: Families, numbers: Sequence[int]) -> None:
    size = len(numbers)
    values = np.full((size, size), np.nan)
    for pair in families.pairs:
        i, j = numbers.index(pair.one), numbers.index(pair.other)
        values[j, i] = pair.log2_ratio
        stars = "*" if pair.p_value * len(families.pairs) < 0.01 else ""
        text = f"{pair.log2_ratio:+.2f}{stars}\n{pair.both:,} of\n{pair.expected:,.0f}"
        axes.text(i, j, text, ha="center", va="center", fontsize=8)
    limit = max(1.0, float(np.nanmax(np.abs(values))))
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    colour_legend(axes, image, limit)
    names = [f"{n} {one_line(families.found[n - 1].name, 18)}" for n in numbers]
    axes.set_xticks(range(size - 1), names[:-1], fontsize=8, rotation=30, ha="right")
    axes.set_yticks(range(1, size), names[1:], fontsize=8)
    axes.set_xlim(-0.5, size - 1.5)
    axes.set_ylim(size - 0.5, 0.5)
    axes.set_title("together in a sequence: log2 of seen to expected\n(* p < 0.01)", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_spacing(axes: Axes, pair: Pair, with_legend: bool, is_last: bool) -> None:
    colours = ("#255c99", "#d62839", "#109648", "#f7b32b")
    distances = np.arange(MAX_DISTANCE + 1)
    edges = np.arange(MAX_DISTANCE + 2) - 0.5
    bottom = np.zeros(MAX_DISTANCE + 1)
    for row, name, colour in zip(pair.counts, ARRANGEMENTS, colours, strict=True):
        # a bar each would take longer to draw than all else
        top = bottom + row
        axes.stairs(top, edges, baseline=bottom, fill=True, color=colour, label=name, linewidth=0)
        bottom = top
    axes.plot(distances, pair.by_chance.sum(axis=0), color="black", linewidth=1, label="by chance")
    best = f"{pair.arrangement}, {pair.distance}: p = {pair.spacing_p:.1e}"
    axes.set_title(f"1 is family {pair.one}, 2 is {pair.other}; {best}", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    if is_last:
        axes.set_xlabel("letters between them", fontsize=8)
    if with_legend:
        axes.legend(fontsize=7, frameon=False, ncol=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
