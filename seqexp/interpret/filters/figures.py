"""Figures of learned filters: heat maps and sequence logos, large and sharp."""

import base64
import json
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.data import Pattern
from seqexp.interpret.filters.alignment import aligned
from seqexp.interpret.filters.card import DEAD
from seqexp.interpret.filters.extraction import LearnedFilter, shown
from seqexp.interpret.filters.matrix import information
from seqexp.interpret.letters import MAX_LETTERS, centred, have_logo, label_of, letter_of, numbered
from seqexp.interpret.logo import draw_logo
from seqexp.utils.drawing import colour_legend, literal, mark_places, plain_ticks, titled
from seqexp.utils.names import one_line


def filter_figure(
    filters: Sequence[LearnedFilter],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    title: str,
    max_shown: int,
) -> Figure:
    """One column a filter: weights as heat map and logo, the exciting windows' logo, the pattern.

    The best filters are shown, best first; dead ones only where all are.
    """
    drawn, note = shown(filters, max_shown)
    figure, blocks = blocks_of_axes(len(drawn), 4 if patterns else 3, 2.2, title, note)
    for learned, axes in zip(drawn, blocks, strict=True):
        _heat_map(axes[0], learned, symbols)
        _logo(axes[1], learned.weights, symbols, "weights, centred", of_weights=True)
        label = f"{learned.hits} exciting windows [bits]" if learned.hits else DEAD
        _logo(axes[2], information(learned.ppm), symbols, label)
        if patterns:
            _planted(axes, learned, symbols, patterns)
        for one in axes:
            plain_ticks(one)
    return literal(figure)


def blocks_of_axes(
    count: int, rows: int, row_height: float, title: str, note: str
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a block of axes below each other for each filter, two blocks side by side.

    Args:
        count: blocks.
        rows: axes of a block.
        row_height: inches.
        title: of the figure.
        note: below the title; may be empty.
    """
    per_line = min(2, count)
    lines = -(-count // per_line)
    height = row_height * rows * lines + 0.8
    figure = Figure(figsize=(8.5 * per_line, height))
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{note}".strip(), fontsize=13 if note else 18, y=1 - 0.25 / height)
    # fixed margins: a layout engine would draw everything twice
    grid = figure.add_gridspec(
        rows * lines,
        per_line,
        left=0.06 / per_line + 0.01,
        right=1 - 0.06 / per_line,
        bottom=0.45 / height,
        top=1 - 0.9 / height,
        hspace=0.55,
        wspace=0.16,
    )
    places = [divmod(index, per_line) for index in range(count)]
    return figure, [
        [figure.add_subplot(grid[line * rows + row, column]) for row in range(rows)]
        for line, column in places
    ]


_PAGE = """<!doctype html><meta charset="utf-8"><title>filters while they form</title>
<style>body {{font-family: sans-serif; text-align: center}} img {{max-width: 100%}}
input {{width: 60%}} output {{display: inline-block; min-width: 9rem; text-align: left}}</style>
<p><input type="range" min="0" max="{last}" value="{last}" id="step"
 aria-label="epoch"> <output id="when" for="step"></output></p>
<img id="image" alt="logos of the filters">
<script>
const frames = {frames};
const names = {names};
const step = document.getElementById("step"), image = document.getElementById("image");
step.oninput = () => {{
 image.src = "data:image/png;base64," + frames[step.value];
 document.getElementById("when").textContent = names[step.value];
}};
step.oninput();
</script>
"""


def slider_page(
    frames: Mapping[int, bytes], kept: bytes | None = None, kept_epoch: int | None = None
) -> str:
    """One HTML page, complete in itself, that shows the PNG images of a series with a slider.

    Args:
        frames: by epoch.
        kept: image of the weights that were tested and kept, the last position; None: there is
            none.
        kept_epoch: that they are of; None: no epoch was chosen.
    """
    images = {f"epoch {step}": frames[step] for step in sorted(frames)}
    if kept is not None:
        images["kept" if kept_epoch is None else f"kept: epoch {kept_epoch}"] = kept
    encoded = [base64.b64encode(image).decode() for image in images.values()]
    return _PAGE.format(
        last=len(encoded) - 1, frames=json.dumps(encoded), names=json.dumps(list(images))
    )


def draw_bits(
    axes: Axes,
    heights: Float[np.ndarray, "width symbols"],
    symbols: Sequence[str],
    label: str,
    first: int = 1,
) -> None:
    """A logo of information, from 0 to all that a place can tell."""
    _logo(axes, heights, symbols, label, first=first)


def _heat_map(axes: Axes, learned: LearnedFilter, symbols: Sequence[str]) -> None:
    limit = float(np.abs(learned.weights).max()) or 1.0
    width = len(learned.weights)
    extent = (0.5, width + 0.5, len(symbols) - 0.5, -0.5)  # places are counted from 1
    image = axes.imshow(
        learned.weights.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent
    )
    colour_legend(axes, image, limit)
    if len(symbols) <= MAX_LETTERS:
        shown = [label_of(symbol) for symbol in symbols]
        axes.set_yticks(range(len(symbols)), shown, fontsize=10 if len(symbols) < 8 else 5)
    mark_places(axes.xaxis, range(1, width + 1))
    largest = one_line(learned.consensus, 40)
    title = f"filter {learned.index}: weights; largest: {largest}"
    titled(axes, title, 13)


def _logo(
    axes: Axes,
    heights: Float[np.ndarray, "width symbols"],
    symbols: Sequence[str],
    label: str,
    of_weights: bool = False,
    first: int = 1,
) -> None:
    titled(axes, label, 14)
    if not have_logo(symbols):
        axes.text(0.5, 0.5, "no logo: symbols are not letters", ha="center", va="center")
        axes.set_axis_off()
        return
    if of_weights:
        heights = centred(heights)
    if not heights.any():
        axes.text(0.5, 0.5, "nothing", ha="center", va="center", fontsize=14, color="grey")
        axes.set_axis_off()
        return
    draw_logo(axes, heights, [letter_of(symbol) for symbol in symbols], first)
    if not of_weights:
        axes.set_ylim(0, np.log2(len(symbols)))
    mark_places(axes.xaxis, numbered(first, len(heights)))
    axes.tick_params(labelsize=11)


def _planted(
    axes: Sequence[Axes],
    learned: LearnedFilter,
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
) -> None:
    """Draw the nearest pattern on the last axes, under the filter's columns that it agrees with.

    All axes get the same places, so that a column can be followed down.
    """
    below = aligned(learned, symbols, patterns)
    _logo(axes[-1], information(below.ppm), symbols, below.label, first=below.first)
    for axis in axes:
        axis.set_xlim(below.places[0] - 0.6, below.places[1] + 0.6)
