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

from seqexp.interpret.letters import WIDTH, color, limits, stacked
from seqexp.utils.drawing import boxes_for_missing


@functools.cache
def _outline(letter: str) -> Path:
    """A letter that fills the unit square, from (0, 0) to (1, 1)."""
    bold = FontProperties(family="DejaVu Sans", weight="bold")
    with boxes_for_missing():
        path = TextPath((0, 0), letter, size=1, prop=bold)
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
    paths, colors = [], []
    for one in stacked(heights):
        outline, left = _outline(letters[one.symbol]), first + one.place - WIDTH / 2
        scaled = np.asarray(outline.vertices) * [WIDTH, one.height] + [left, one.bottom]
        paths.append(Path(scaled, outline.codes))
        colors.append(color(letters[one.symbol], one.symbol))
    axes.add_collection(PathCollection(paths, facecolors=colors, linewidths=0), autolim=False)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(first - 0.6, first + len(heights) - 0.4)
    axes.set_ylim(*limits(heights))
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
