"""Figures whose texts stand as they are, and their files."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.category import StrCategoryLocator
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage, BboxImage
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from matplotlib.transforms import Bbox, TransformedBbox

_MISSING = r"Glyph .* missing from|Matplotlib currently does not support"
"""Warnings of a font without a letter, or of letters that it does not join."""


def literal(figure: Figure) -> Figure:
    """Have no text of a figure read as mathematics, except the numbers of its axes.

    Texts hold names that others gave, and those may have dollar signs.
    """
    left: list[Artist] = [figure]
    while left:
        artist = left.pop()
        if isinstance(artist, Text):
            artist.set_parse_math(False)
        # the numbers that an axis makes itself, such as powers of ten, are not even made here
        left += _named(artist) if isinstance(artist, Axis) else artist.get_children()
    return figure


def _named(axis: Axis) -> list[Artist]:
    """What stands at an axis that it does not make itself: its label, and names of places."""
    found: list[Artist] = [axis.label]
    if isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator):
        found += [label for tick in axis.get_major_ticks() for label in (tick.label1, tick.label2)]
    return found


def colour_legend(axes: Axes, image: AxesImage, limit: float) -> None:
    """A narrow legend at the right of a map whose colours go from -limit to limit.

    It is drawn into the axes of the map: axes of its own, as a colour bar of Matplotlib's has,
    would take longer to draw than the map.
    """
    box = TransformedBbox(Bbox.from_bounds(1.004, 0.0, 0.008, 1.0), axes.transAxes)
    ramp = BboxImage(
        box, cmap=image.get_cmap(), norm=Normalize(-limit, limit), origin="lower", clip_on=False
    )
    ramp.set_data(np.linspace(-limit, limit, 32)[:, None])
    axes.add_artist(ramp)
    for height, value, align in (
        (1.0, limit, "top"),
        (0.5, 0.0, "center"),
        (0.0, -limit, "bottom"),
    ):
        text = f"{value:+.2g}" if value else "0"
        axes.text(1.016, height, text, va=align, fontsize=8, transform=axes.transAxes)


@contextmanager
def boxes_for_missing() -> Iterator[None]:
    """Without warnings of letters that the font lacks; a box stands for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _MISSING, UserWarning)
        yield


def save(figure: Figure, target: Path | BinaryIO, dpi: int | None = None) -> None:
    """Write a figure as a PNG file.

    Axes are placed for the first file, and stay so in others of the same figure.
    """
    if not hasattr(figure.canvas, "print_png"):
        FigureCanvasAgg(figure)
    size = figure.dpi if dpi is None else dpi
    with boxes_for_missing():
        _place_axes(figure, size)
        # files are a twentieth larger, and are written in two thirds of the time
        figure.savefig(target, format="png", dpi=size, pil_kwargs={"compress_level": 3})


_drawn: WeakKeyDictionary[Figure, bytes] = WeakKeyDictionary()


def png(figure: Figure) -> bytes:
    """A figure as a PNG file, drawn once: drawing takes longer than all that is drawn.

    Who changes the figure afterwards does not change the file.
    """
    if figure not in _drawn:
        file = io.BytesIO()
        save(figure, file)
        _drawn[figure] = file.getvalue()
    return _drawn[figure]


def _place_axes(figure: Figure, dpi: float) -> None:
    """Have a figure's layout place its axes, and end it.

    Matplotlib draws a figure with a layout twice for each file: first only to place its axes.
    """
    layout = figure.get_layout_engine()
    if layout is None:
        return
    own = figure.dpi
    figure.dpi = dpi
    layout.execute(figure)
    figure.dpi = own
    figure.set_layout_engine(None)  # "none" would keep a place for it, and have all drawn twice
