"""Figures of learned filters: heat maps and sequence logos.

Two sizes of one picture: square and small for the step slider of the MLflow UI, large and sharp
for a file.
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from seqexp.interpret.filters import (
    VISIBLE,
    LearnedFilter,
    shown,
)
from seqexp.interpret.logo import draw_logo
from seqexp.interpret.matrix import information, reverse_complement
from seqexp.spec import Pattern

MAX_LETTERS = 30
"""Symbols that a logo or the axis of a heat map can still show."""

MIN_AGREEMENT = 0.6
"""A pattern that correlates less is not drawn as if it lay on the filter."""

MAX_IN_SLIDER = 4
"""Logos that can be read on a small card."""


_DEAD = "dead: no window excites it"


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
    rows = 4 if patterns else 3
    per_line = min(2, len(drawn))
    lines = -(-len(drawn) // per_line)
    height = 2.2 * rows * lines + 0.8
    figure = Figure(figsize=(8.5 * per_line, height))
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{note}".strip(), fontsize=13 if note else 18, y=1 - 0.25 / height)
    # fixed margins: a layout engine would draw everything twice
    grid = figure.add_gridspec(
        rows * lines,
        per_line,
        left=0.06 / per_line + 0.01,
        right=0.99,
        bottom=0.45 / height,
        top=1 - 0.9 / height,
        hspace=0.55,
        wspace=0.12,
    )
    for index, learned in enumerate(drawn):
        line, column = divmod(index, per_line)
        axes = [figure.add_subplot(grid[line * rows + row, column]) for row in range(rows)]
        _heat_map(axes[0], learned, symbols)
        _logo(axes[1], learned.weights, symbols, "weights, centred", centred=True)
        label = f"{learned.hits} exciting windows [bits]" if learned.hits else _DEAD
        _logo(axes[2], information(learned.ppm), symbols, label)
        if patterns:
            _planted(axes, learned, symbols, patterns)
    return figure


def slider_image(
    filters: Sequence[LearnedFilter],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    title: str,
) -> UInt8[np.ndarray, "height width 3"]:
    """The best filters' logos, square, with large labels: a card of the MLflow UI is small."""
    drawn, _ = shown(filters, MAX_IN_SLIDER)
    panels = len(drawn) + (1 if patterns else 0)
    if len(drawn) == 1:
        panels += 1  # room for the weights as well
    figure = Figure(figsize=(8, 8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=22)
    axes = list(figure.subplots(panels, 1, squeeze=False).ravel())
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.05, top=0.88, hspace=0.6)
    if len(drawn) == 1:
        _logo(axes[-1 - len(patterns[:1])], drawn[0].weights, symbols, "weights, centred", True)
    for axis, learned in zip(axes, drawn, strict=False):
        label = f"filter {learned.index}: {learned.hits} windows [bits]"
        _logo(axis, information(learned.ppm), symbols, label if learned.hits else _DEAD)
    if patterns:
        _planted(axes, drawn[0], symbols, patterns)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


_PAGE = """<!doctype html><meta charset="utf-8"><title>filters while they form</title>
<style>body {{font-family: sans-serif; text-align: center}} img {{max-width: 100%}}
input {{width: 60%}}</style>
<p><input type="range" min="0" max="{last}" value="{last}" id="step"
 aria-label="epoch"></p><img id="image" alt="logos of the filters">
<script>
const frames = {frames};
const step = document.getElementById("step"), image = document.getElementById("image");
step.oninput = () => {{ image.src = "data:image/png;base64," + frames[step.value]; }};
step.oninput();
</script>
"""


def png(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """A PNG file of an image, without loss."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")  # optimized: 3 % smaller, in six times the time
    return file.getvalue()


def slider_page(frames: Mapping[int, bytes]) -> str:
    """One HTML page, complete in itself, that shows the PNG images of a series with a slider."""
    encoded = [base64.b64encode(frames[step]).decode() for step in sorted(frames)]
    return _PAGE.format(last=len(encoded) - 1, frames=json.dumps(encoded))


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
    axes.imshow(
        learned.weights.T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent
    )
    if len(symbols) <= MAX_LETTERS:
        shown = [VISIBLE.get(symbol, symbol) for symbol in symbols]
        axes.set_yticks(range(len(symbols)), shown, fontsize=10 if len(symbols) < 8 else 5)
    axes.set_xticks(range(1, width + 1))
    title = f"filter {learned.index}: weights within ±{limit:.2g}; largest: {learned.consensus}"
    axes.set_title(title, fontsize=13)


def _logo(
    axes: Axes,
    heights: Float[np.ndarray, "width symbols"],
    symbols: Sequence[str],
    label: str,
    centred: bool = False,
    first: int = 1,
) -> None:
    axes.set_title(label, fontsize=14)
    if len(symbols) > MAX_LETTERS or any(len(symbol) != 1 for symbol in symbols):
        axes.text(0.5, 0.5, "no logo: symbols are not letters", ha="center", va="center")
        axes.set_axis_off()
        return
    if centred:  # only differences between the symbols of one place matter
        heights = heights - heights.mean(axis=1, keepdims=True)
    if not heights.any():
        axes.text(0.5, 0.5, "nothing", ha="center", va="center", fontsize=14, color="grey")
        axes.set_axis_off()
        return
    draw_logo(axes, heights, [VISIBLE.get(symbol, symbol) for symbol in symbols], first)
    if not centred:
        axes.set_ylim(0, np.log2(len(symbols)))
    step = 1 if len(heights) <= 20 else 5  # or the numbers would run into each other
    axes.set_xticks([x for x in range(first, first + len(heights)) if step == 1 or x % step == 0])
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
    match = learned.match or learned.weight_match
    by_name = {pattern.name: pattern for pattern in patterns}
    pattern = by_name[match.pattern] if match is not None else patterns[0]
    ppm, first, label = pattern.ppm, 1, f"planted: {pattern.name}"
    if match is not None and match.correlation < MIN_AGREEMENT:
        label += f" (no agreement: correlation {match.correlation:.2f})"
    elif match is not None:
        label += f" (correlation {match.correlation:.2f}"
        label += ", reverse strand)" if match.reverse else ")"
        first = 1 - match.offset
        if match.reverse:
            ppm = reverse_complement(ppm, symbols)
            first = 1 - (len(ppm) - match.offset - len(learned.pfm))
    _logo(axes[-1], information(ppm), symbols, label, first=first)
    last = max(len(learned.pfm), first + len(ppm) - 1)
    for axis in axes:
        axis.set_xlim(min(1, first) - 0.6, last + 0.6)
