"""Figures of gradient flow: of one run, of one moment for a slider, of the runs of a sweep.

Norms are drawn by their logarithm, so that 1e-60 has its place beside 1 and zero is left out.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from seqexp.interpret.gradient_flow.measure import BINS, LOWEST, Flow, LayerFlow
from seqexp.utils.drawing import literal, save
from seqexp.utils.names import one_line

Update = tuple[int, float, float]
"""Number of an update, norm of its gradient, and norm after clipping."""

MAX_LAYERS = 4
"""Layers that have room in one figure."""

MAX_RUNS = 14
"""Labels that have room below a comparison."""

MAX_LABEL = 70
"""Characters of a label; two stand side by side."""

MAX_NAMED = 7
"""Epochs that a legend names."""

FLOAT32 = float(np.log10(np.finfo(np.float32).eps))
"""log10 of the share that float32 still notices in a sum."""

LOWEST_SHOWN = -20.0
"""log10 of a share; curves of a comparison leave the panel there."""

_GATES = {"h": "tab:blue", "i": "tab:blue", "f": "tab:red", "o": "tab:green", "g": "tab:orange"}
_GATES |= {"r": "tab:blue", "z": "tab:red", "n": "tab:orange", "all": "black"}


def flow_figure(
    flows: Sequence[Flow], updates: Sequence[Update], clip_norm: float | None
) -> Figure:
    """All that was measured: norms by lag, layer by layer; updates, singular values and gates."""
    figure = Figure(figsize=(16, 11))
    FigureCanvasAgg(figure)
    # fixed margins: a layout engine would draw everything twice
    shown = _spread(len(flows[0].layers), MAX_LAYERS)
    edges = {"left": 0.06, "right": 0.985}
    top = figure.add_gridspec(1, len(shown), top=0.9, bottom=0.54, wspace=0.2, **edges)
    below = figure.add_gridspec(1, 3, top=0.42, bottom=0.06, wspace=0.22, **edges)
    figure.suptitle(
        "How far back does the gradient reach?\n"
        "Norm of ∂L(t)/∂h(t-j), for a loss L at one token t; geometric mean over sequences",
        fontsize=16,
    )
    limits = _limits([norm for flow in flows for layer in flow.layers for norm in _curves(layer)])
    for place, index in enumerate(shown):
        axes = figure.add_subplot(top[0, place])
        _lag_panel(axes, flows, index, limits)
        if place == len(shown) - 1:
            axes.legend(fontsize=11, ncols=2 if len(shown) == 1 else 1)
    _update_panel(figure.add_subplot(below[0, 0]), updates, clip_norm)
    _singular_panel(figure.add_subplot(below[0, 1]), flows)
    _gate_panel(figure.add_subplot(below[0, 2]), flows)
    return literal(figure)


def slider_image(flows: Sequence[Flow]) -> bytes:
    """The last measurement of the top layer beside the first, as a PNG file.

    It is square, with large labels: a card of the UI is small.
    """
    figure = Figure(figsize=(8, 8), dpi=100)
    FigureCanvasAgg(figure)
    figure.suptitle(_when(flows[-1].epoch), fontsize=22)
    axes, gates = figure.subplots(2, 1)
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.09, top=0.88, hspace=0.5)
    first, last = flows[0].layers[-1], flows[-1].layers[-1]
    for name in last.norms:
        style = "-" if name == "h" else "--"
        axes.plot(_seen(first.norms[name]), style, color="silver", linewidth=2)
        axes.plot(_seen(last.norms[name]), style, color="tab:blue", linewidth=3, label=name)
    _log_axis(axes, _limits([*_curves(first), *_curves(last)]), 14)
    axes.set_title("norm of ∂L(t)/∂h(t-j); grey: before training", fontsize=16)
    axes.set_xlabel("lag j", fontsize=15)
    if len(last.norms) > 1:
        axes.legend(fontsize=15)
    _gate_panel(gates, flows, size=15)
    file = io.BytesIO()
    save(figure, file)
    return file.getvalue()


def comparison_figure(
    runs: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
) -> Figure:
    """Runs by label, each with its first and last curve: log10 of the norm over that at lag 0.

    Runs of the same label, as those that differ in their seed, have one colour.
    """
    figure = Figure(figsize=(14, 10))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    labels = list(dict.fromkeys(label for label, _ in runs))
    figure.subplots_adjust(left=0.085, right=0.98, bottom=0.31, top=0.89, wspace=0.06)
    figure.suptitle(
        "How far back does the gradient reach? Its norm by lag, over that at lag 0", fontsize=19
    )
    colors = dict(zip(labels, _colors(len(labels)), strict=True))
    # the first are the widest: a curve that lies on another does not hide it
    widths = dict(zip(labels, np.linspace(4.5, 1.5, len(labels)).tolist(), strict=True))
    curves = [np.array(moment) for _, moments in runs for moment in _ends(moments)]
    limits = _limits(curves, LOWEST_SHOWN)
    titles = ((left, 0, "before training"), (right, -1, "at the last measurement"))
    for axes, place, title in titles:
        axes.axhline(0, color="silver", linewidth=1)
        named: set[str] = set()
        for label, moments in runs:
            curve = np.array(_ends(moments)[place])
            axes.plot(
                _seen(curve),
                color=colors[label],
                linewidth=widths[label],
                label=None if label in named else one_line(label, MAX_LABEL),
            )
            named.add(label)
        faint = "below: lost in a float32 sum beside lag 0"
        axes.axhline(FLOAT32, color="grey", linewidth=1.5, linestyle=":", label=faint)
        axes.set_title(title, fontsize=16)
        axes.set_xlabel("lag j, in tokens", fontsize=15)
        _log_axis(axes, limits, 14)
        axes.margins(x=0.02)
    left.set_ylabel("|∂L(t)/∂h(t-j)| / |∂L(t)/∂h(t)|", fontsize=15)
    # below both panels: overrides are long
    handles, names = right.get_legend_handles_labels()
    if len(names) > MAX_RUNS:
        handles, names = handles[:MAX_RUNS], [*names[: MAX_RUNS - 1], "... and more"]
    figure.legend(
        handles, names, loc="upper center", bbox_to_anchor=(0.5, 0.24), ncols=2, fontsize=14
    )
    return literal(figure)


# --- panels -----------------------------------------------------------------------------------


def _lag_panel(axes: Axes, flows: Sequence[Flow], index: int, limits: tuple[float, float]) -> None:
    """Norms by lag of one layer, a line a measurement, the newest in the brightest colour."""
    count = len(flows[0].layers)
    named = _spread(len(flows), MAX_NAMED)
    for place, (flow, color) in enumerate(zip(flows, _colors(len(flows), "viridis"), strict=True)):
        layer = flow.layers[index]
        for name, norms in layer.norms.items():
            label = _when(flow.epoch) + _vanished(norms)
            shown = label if place in named and name == "h" else None
            style = "-" if name == "h" else "--"
            axes.plot(_seen(norms), style, color=color, linewidth=2, label=shown)
    if index == count - 1 and list(flows[0].layers[-1].gates) == ["h"]:
        # |diag(tanh')| <= 1: no gradient of a vanilla cell grows faster
        norms = flows[0].layers[-1].norms["h"]
        largest = flows[0].layers[-1].singular_values["all"][0]
        bound = norms[0] + np.arange(len(norms)) * np.log10(largest)
        label = f"bound: times {largest:.3g} (σ max) a token, before training"
        axes.plot(bound, ":", color="grey", linewidth=2, label=label)
    if "c" in flows[0].layers[index].norms:
        axes.plot([], "--", color="grey", label="dashed: ∂L/∂c")
    _log_axis(axes, limits, 11)
    axes.set_xlabel("lag j: tokens back from the loss", fontsize=12)
    if count > 1:
        axes.set_title(f"layer {index + 1} of {count}", fontsize=13)


def _update_panel(axes: Axes, updates: Sequence[Update], clip_norm: float | None) -> None:
    """The gradient's norm from update to update, before clipping and after."""
    axes.set_title("norm of the whole gradient, by update", fontsize=13)
    seen = [update for update in updates if update[1] > 0]
    if not seen:
        axes.text(0.5, 0.5, "see trainer.log_every_steps", ha="center", transform=axes.transAxes)
        return
    steps, before, after = (np.array(column) for column in zip(*seen, strict=True))
    axes.set_yscale("log")
    clips = bool((after < before).any())
    axes.plot(steps, before, color="tab:orange", linewidth=1, label="before clipping")
    if clips:
        label = f"after clipping (of {np.mean(after < before):.0%})"
        axes.plot(steps, after, color="tab:blue", linewidth=1, label=label)
    if clip_norm is not None:
        label = f"trainer.clip_norm={clip_norm:g}"
        axes.axhline(clip_norm, color="black", linestyle="--", linewidth=1, label=label)
    elif not clips:
        axes.get_lines()[0].set_label("no clipping")
    axes.set_xlabel("update", fontsize=12)
    axes.margins(x=0)
    axes.legend(fontsize=11)


def _singular_panel(axes: Axes, flows: Sequence[Flow]) -> None:
    """Of the top layer's recurrent matrix, before training (dotted) and at last."""
    first, last = flows[0].layers[-1], flows[-1].layers[-1]
    axes.axhline(1, color="silver", linewidth=1)
    places = np.arange(1, len(last.singular_values["all"]) + 1)
    for name, values in last.singular_values.items():
        label = "W_hh" if name == "all" else f"gate {name}"
        axes.plot(places, first.singular_values[name], ":", color=_GATES[name], linewidth=2)
        axes.plot(places, values, "-", color=_GATES[name], linewidth=2, label=label)
    axes.set_ylim(bottom=0)
    axes.set_title(f"singular values of W_hh {_moments(flows)}", fontsize=13)
    axes.set_xlabel("rank", fontsize=12)
    axes.legend(fontsize=11)


def _gate_panel(axes: Axes, flows: Sequence[Flow], size: int = 13) -> None:
    """How open the gates of the top layer are, over all units, tokens and sequences."""
    first, last = flows[0].layers[-1], flows[-1].layers[-1]
    *sigmoids, new = last.gates
    for low, high in [(-1, -0.9), (0.9, 1), *([(0, 0.1)] if sigmoids else [])]:
        axes.axvspan(low, high, color="gainsboro", linewidth=0)
    for name, shares in last.gates.items():
        kind = "tanh" if name == new else "gate"
        axes.stairs(first.gates[name], BINS, color=_GATES[name], linestyle=":", linewidth=1.5)
        axes.stairs(shares, BINS, color=_GATES[name], linewidth=2, label=f"{kind} {name}")
    axes.set_xlim(-1, 1)
    axes.set_xlabel(f"activation (grey: saturated, {last.saturated:.0%} at last)", fontsize=size)
    axes.set_title(f"share of activations {_moments(flows)}", fontsize=size)
    axes.legend(fontsize=size - 2, loc="upper left")


# --- what panels share ------------------------------------------------------------------------


def _curves(layer: LayerFlow) -> list[Float[np.ndarray, " lags"]]:
    return list(layer.norms.values())


def _seen(norms: Float[np.ndarray, " lags"]) -> Float[np.ndarray, " lags"]:
    """Without what is zero, or too small for a number."""
    return np.where(norms > LOWEST, norms, np.nan)


def _vanished(norms: Float[np.ndarray, " lags"]) -> str:
    """Where a curve ends that would be below any axis."""
    gone = np.flatnonzero(norms <= LOWEST)
    return f": 0 from lag {gone[0]} on" if len(gone) else ""


def _limits(
    curves: Sequence[Float[np.ndarray, " lags"]], lowest: float = LOWEST
) -> tuple[float, float]:
    """Whole decades around curves of log10, at least two of them."""
    seen = np.concatenate([_seen(curve) for curve in curves])
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return -1.0, 1.0
    bottom = max(np.floor(seen.min() - 0.2), lowest)
    return float(bottom), float(max(np.ceil(seen.max() + 0.2), bottom + 2))


def _log_axis(axes: Axes, limits: tuple[float, float], size: int) -> None:
    axes.set_ylim(*limits)
    axes.margins(x=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"$10^{{{value:.0f}}}$"))
    axes.tick_params(labelsize=size)
    axes.grid(alpha=0.3)


def _colors(count: int, name: str = "") -> list[tuple[float, ...]]:
    """Along a map of colours, or as far apart as possible."""
    if name or count > 10:
        return [tuple(color) for color in colormaps[name or "turbo"](np.linspace(0, 0.92, count))]
    return [tuple(color) for color in colormaps["tab10"](range(count))]


def _spread(count: int, most: int) -> list[int]:
    """At most so many of `count` places, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(most, count))})


def _when(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "before training"


def _moments(flows: Sequence[Flow]) -> str:
    return f"{_when(flows[-1].epoch)}\n(dotted: {_when(flows[0].epoch)})"


def _ends(moments: Sequence[Mapping[str, Any]]) -> list[Sequence[float]]:
    return [moment["log10_relative"] for moment in (moments[0], moments[-1])]
