"""Figures are the same pixels however their ticks are made."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.utils.drawing import mark_places, plain_ticks, png, titled


def drawn(is_plain: bool, low: float, high: float) -> bytes:
    """A figure of two panels, with ticks of Matplotlib's or plain ones."""
    figure = Figure(figsize=(5, 4))
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1)
    titled(above, "a title", 9)
    above.set_yticks(range(4), list("ACG$"), fontsize=10)
    _panel(above, is_plain)
    below.plot(np.arange(9), np.linspace(-2, 3, 9))
    titled(below, "", 9)
    _panel(below, is_plain)
    below.tick_params(labelsize=11)
    for axes in (above, below):
        axes.set_xlim(low, high)
        if is_plain:
            plain_ticks(axes)
    return png(figure)


def _panel(axes: Axes, is_plain: bool) -> None:
    places = range(-2, 7)
    if is_plain:
        mark_places(axes.xaxis, places)
    else:
        axes.set_xticks(places)


@pytest.mark.parametrize("limits", [(-2.6, 6.6), (0.4, 3.6), (0.4, 0.6)])
def test_plain_ticks_look_as_those_of_matplotlib(limits: tuple[float, float]) -> None:
    assert drawn(True, *limits) == drawn(False, *limits)


def test_axes_without_a_frame_keep_none() -> None:
    axes = Figure().add_subplot()
    axes.set_axis_off()
    plain_ticks(axes)
    assert not axes.texts and not axes.lines
