"""Pictures that sequences have as context: with what is said of them, and what is attended to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

COLUMNS = 4
"""Pictures side by side."""

LONG = 46
"""Characters of a line below a picture."""

RIGHT, WRONG = "#1a7f37", "#c0392b"


class Said(NamedTuple):
    """A picture, lines of text on it, and whether the last of them is right."""

    picture: Float[ndarray, "rows columns *channels"]
    lines: Sequence[str]
    is_right: bool


def gallery(said: Sequence[Said], title: str) -> Figure:
    """Pictures side by side, each with its lines; the last line is green if it is right."""
    count = math.ceil(len(said) / COLUMNS)
    lines = max(len(item.lines) for item in said)
    figure = Figure(figsize=(2.9 * COLUMNS, (1.9 + 0.2 * lines) * count + 0.5))
    FigureCanvasAgg(figure)
    panels = figure.subplots(count, COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, item in zip(panels, said, strict=False):
        draw(panel, item.picture)
        for place, line in enumerate(item.lines):
            is_last = place == len(item.lines) - 1
            panel.annotate(
                one_line(line, LONG),
                (0.5, 0),
                (0, -12 - 12 * place),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=(RIGHT if item.is_right else WRONG) if is_last else "black",
            )
    figure.suptitle(one_line(title, 80))
    figure.tight_layout()
    return literal(figure)


def draw(panel: Axes, picture: Float[ndarray, "rows columns *channels"]) -> None:
    """A picture with its corners at 0 and 1."""
    panel.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(0, 1, 1, 0), aspect="auto")
    rows, columns = picture.shape[:2]
    panel.set_box_aspect(rows / columns)


def draw_attention(
    panel: Axes,
    picture: Float[ndarray, "rows columns *channels"],
    weights: Float[ndarray, "down across"],
) -> None:
    """A picture, dark where little is attended to."""
    draw(panel, picture)
    shade = np.zeros((*weights.shape, 4))
    shade[..., 3] = 0.85 * (1 - weights / max(weights.max(), 1e-9))
    panel.imshow(shade, extent=(0, 1, 1, 0), aspect="auto", interpolation="bilinear")
    rows, columns = picture.shape[:2]
    panel.set_box_aspect(rows / columns)


def attention_gallery(
    said: Sequence[Said], weights: Float[ndarray, "pictures down across"]
) -> Figure:
    """The same pictures, dark where the model did not look."""
    figure = gallery(said, "what is attended to: the rest is dark")
    for panel, item, own in zip(figure.axes, said, weights, strict=False):
        draw_attention(panel, item.picture, own)
    return figure
