"""Figures of attributions: a logo of a window, a map of features, curves of deletion."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqexp.interpret.attributions.record import Explained
from seqexp.interpret.letters import label_of, letter_of
from seqexp.interpret.logo import draw_logo
from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

WIDTH = 80
"""Letters of a window."""

MAX_FEATURES = 40
"""That a map has names for."""


def logo_figure(one: Explained, symbols: Sequence[str], start: int, stop: int) -> Figure:
    """The letters of a window, as tall as what they add; the whole sequence is a line above."""
    figure = Figure(figsize=(13, 2.6))
    FigureCanvasAgg(figure)
    whole, logo = figure.subplots(2, 1, height_ratios=(1, 4))
    whole.fill_between(np.arange(1, len(one.values) + 1), one.values, color="#888", step="mid")
    whole.axvspan(start + 0.5, stop + 0.5, color="#f7b32b", alpha=0.35, zorder=-1)
    whole.set_xlim(0.5, len(one.values) + 0.5)
    whole.set_axis_off()
    part = np.array(one.symbols[start:stop])
    heights = (part[:, None] == np.array(symbols)) * one.values[start:stop, None]
    draw_logo(logo, heights, [letter_of(symbol) for symbol in symbols], first=start + 1)
    logo.set_ylabel("adds", fontsize=10)
    figure.subplots_adjust(left=0.06, right=0.995, top=0.99, bottom=0.12, hspace=0.08)
    return literal(figure)


def features_figure(one: Explained, names: Sequence[str]) -> Figure:
    """What each number of each position adds."""
    assert one.parts is not None
    count = one.parts.shape[1]
    figure = Figure(figsize=(13, 1.2 + 0.24 * min(count, MAX_FEATURES)))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    limit = float(np.abs(np.nan_to_num(one.parts)).max()) or 1.0
    extent = (0.5, len(one.values) + 0.5, count - 0.5, -0.5)
    image = axes.imshow(
        one.parts.T, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", extent=extent
    )
    figure.colorbar(image, ax=axes, pad=0.01)
    if len(names) == count <= MAX_FEATURES:
        axes.set_yticks(range(count), [one_line(label_of(name), 20) for name in names])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("position")
    figure.tight_layout()
    return literal(figure)


def deletion_figure(curves: Mapping[str, Sequence[float]], unit: str) -> Figure:
    """What is left of the prediction, by the share of positions that is taken away."""
    figure = Figure(figsize=(6.4, 3.6))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    share = [100 * value for value in curves["share"]]
    axes.plot(share, curves["by_chance"], color="#888", label="in a random order")
    axes.plot(share, curves["by_attribution"], color="#255c99", label="largest attribution first")
    axes.fill_between(
        share, curves["by_attribution"], curves["by_chance"], color="#255c99", alpha=0.12
    )
    axes.set_xlabel("% of the positions taken away")
    axes.set_ylabel(f"what is explained ({unit})")
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    return literal(figure)
