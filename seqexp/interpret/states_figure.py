"""A figure of hidden states and gates over one sequence."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seqexp.interpret.states import Over
from seqexp.utils.drawing import colour_legend, literal
from seqexp.utils.names import one_line


def states_figure(found: Over, symbols: Sequence[str], title: str) -> Figure:
    """Gates as lines, states as a map below them; symbols stand below each position.

    Args:
        found: of a sequence.
        symbols: of the positions that are shown; empty where they have none.
        title: of the figure.
    """
    units, count = found.states.shape
    figure = Figure(figsize=(12, 2.6 + 0.16 * units + 1.0))
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(1.6, max(1.0, 0.16 * units)))
    places = np.arange(found.first, found.first + count)
    for name, values in found.gates.items():
        upper.plot(places, values, label=name, marker=".", linewidth=1.2)
    upper.set_ylabel("gates, mean\nof all units")
    upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    limit = float(np.abs(found.states).max()) or 1.0
    extent = (places[0] - 0.5, places[-1] + 0.5, units - 0.5, -0.5)
    image = lower.imshow(
        found.states, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent
    )
    colour_legend(lower, image, limit)
    lower.set_yticks(range(0, units, 4), [f"unit {found.units[i]}" for i in range(0, units, 4)])
    lower.set_ylabel("hidden state")
    for axes in (upper, lower):
        axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
    if symbols:
        are_letters = all(len(symbol) == 1 for symbol in symbols)
        shown = [one_line(symbol, 14) for symbol in symbols]
        lower.set_xticks(places, shown, fontsize=9, rotation=0 if are_letters else 90)
        upper.set_xticks([])
    else:
        lower.set_xlabel("position")
    figure.suptitle(one_line(title, 100), fontsize=12)
    return literal(figure)
