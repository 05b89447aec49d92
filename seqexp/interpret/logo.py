"""Sequence logos: stacks of letters, tall where a position matters.

logomaker draws the same picture, but makes the outline of each letter anew: a default run took 37 s
with it and 27 s without. Here an outline is made once and only moved and scaled.

Source: Schneider & Stephens (1990).
"""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

DNA_COLORS = {"A": "#109648", "C": "#255c99", "G": "#f7b32b", "T": "#d62839"}

_WIDTH = 0.92
"""Share of a place that its letters fill."""

_INVISIBLE = 0.005
"""Letters below this share of the highest stack are left out."""


@functools.cache
def _outline(letter: str) -> Path:
    """A letter that fills the unit square, from (0, 0) to (1, 1)."""
    path = TextPath(
        (0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    box = path.get_extents()
    # a stroke as thin as I or 1 is not stretched to a block
    width = max(box.width, 0.5)
    left = box.x0 - (width - box.width) / 2
    vertices = (np.asarray(path.vertices) - [left, box.y0]) / [width, box.height]
    return Path(vertices, path.codes)


def draw_logo(
    axes: Axes, heights: Float[np.ndarray, "width symbols"], letters: Sequence[str], first: int = 1
) -> None:
    """Stack letters of these heights; negative ones hang below the axis, upside down.

    Args:
        axes: where to draw; the limits are set to fit.
        heights: of each letter at each place.
        letters: the symbols, one character each.
        first: number of the first place on the x axis.
    """
    stacks = np.stack([heights.clip(min=0).sum(axis=1), heights.clip(max=0).sum(axis=1)])
    smallest = _INVISIBLE * np.abs(stacks).max()
    paths, colors = [], []
    for place, row in enumerate(heights, start=first):
        above, below = 0.0, 0.0
        for index in np.argsort(np.abs(row)):  # the largest outermost
            height = float(row[index])
            if abs(height) <= smallest:
                continue
            bottom = above if height > 0 else below  # upside down, a letter grows from its foot
            outline = _outline(letters[index])
            vertices = np.asarray(outline.vertices)
            scaled = vertices * [_WIDTH, height] + [place - _WIDTH / 2, bottom]
            paths.append(Path(scaled, outline.codes))
            colors.append(DNA_COLORS.get(letters[index], f"C{index % 10}"))
            if height > 0:
                above += height
            else:
                below += height
    axes.add_collection(PathCollection(paths, facecolors=colors, linewidths=0), autolim=False)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(first - 0.6, first + len(heights) - 0.4)
    low, high = float(stacks[1].min()), float(stacks[0].max())
    margin = 0.03 * (high - low) or 1.0
    axes.set_ylim(low - margin if low < 0 else 0, high + margin)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
