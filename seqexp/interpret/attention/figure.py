"""Attention as a picture: what each symbol that was written looked at."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

from seqexp.interpret.pictures import draw_attention
from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

MAX_SYMBOLS = 60
"""Of either side; more cannot be read."""

COLUMNS = 6
"""Pictures side by side."""


def attention_figure(
    weights: Float[ndarray, "written read"],
    written: Sequence[str],
    read: Sequence[str] | None,
    shape: Sequence[int],
    title: str,
    picture: Float[ndarray, "rows columns *channels"] | None = None,
) -> Figure:
    """A row a written symbol and a column a position; of a picture, one picture a written symbol.

    Args:
        weights: of each written symbol, which sum to 1 over what was read.
        written: symbols, the end among them.
        read: symbols of the context; None of features.
        shape: how the positions lie: in a row, or in the rows and columns of a picture.
        title: of the figure.
        picture: the context, where it is one that can be drawn.
    """
    if len(shape) == 2:
        return _pictures(weights, written, (shape[0], shape[1]), title, picture)
    weights, written = weights[:MAX_SYMBOLS, :MAX_SYMBOLS], written[:MAX_SYMBOLS]
    count = weights.shape[1]
    figure = Figure(figsize=(max(4.5, 0.32 * count + 2.5), max(3.0, 0.28 * len(written) + 1.8)))
    FigureCanvasAgg(figure)
    axes: Axes = figure.subplots()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(len(written)), [one_line(symbol, 20) for symbol in written])
    if read is not None:
        names = [one_line(symbol, 20) for symbol in read[:count]]
        is_wide = any(len(name) > 2 for name in names)
        axes.set_xticks(range(len(names)), names, rotation=90 if is_wide else 0)
    axes.set_xlabel("read")
    axes.set_ylabel("written")
    axes.set_title(one_line(title, 80))
    figure.colorbar(image, ax=axes, label="weight")
    figure.tight_layout()
    return literal(figure)


def _pictures(
    weights: Float[ndarray, "written read"],
    written: Sequence[str],
    shape: tuple[int, int],
    title: str,
    picture: Float[ndarray, "rows columns *channels"] | None,
) -> Figure:
    written = written[: 4 * COLUMNS]
    rows = math.ceil(len(written) / COLUMNS)
    figure = Figure(figsize=(1.8 * COLUMNS, 2.1 * rows + 0.6))
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, symbol, row in zip(panels, written, weights, strict=False):
        if picture is None:
            panel.imshow(row.reshape(shape), cmap="Blues", vmin=0)
        else:
            draw_attention(panel, picture, row.reshape(shape))
        panel.set_title(one_line(symbol, 20), fontsize=10)
    how = "lighter" if picture is not None else "darker"
    figure.suptitle(f"{one_line(title, 80)}\n{how} where more is attended to", fontsize=11)
    figure.tight_layout()
    return literal(figure)
