"""Pictures of what a model predicts for a whole split."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from seqexp.task.calibration import BINS, binned, calibration_error
from seqexp.task.ranking import auprc, auroc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 30
"""Of a confusion matrix that can be read."""

MOST_CURVES = 8
"""In one picture."""

MOST_BARS = 60

MOST_PANELS = 9

MOST_POINTS = 5000
"""Of a scatter; of more, as many are drawn, evenly spaced in their order."""

MOST_STEPS = 1000
"""Corners of a curve."""

PAD = 0.12
"""Inches around axes with their labels: with less, the one at the left touches the edge."""

BLUE, GREY = "#2a6fbb", "#888888"

Curve = tuple[Float[np.ndarray, " items"], Bool[np.ndarray, " items"]]
"""Scores, and which items are positive."""


def confusion_matrix(
    truth: Int[np.ndarray, " items"], predicted: Int[np.ndarray, " items"], names: Sequence[str]
) -> "Figure":
    """Counts of each true and predicted class; the shade is the share of the true class."""
    size = len(names)
    counts = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = 2.6 + 0.42 * size
    figure, axes = _figure(side + 0.8, side)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [_short(name) for name in names]
    axes.set_xticks(range(size), labels, rotation=90 if size > 4 else 0)
    axes.set_yticks(range(size), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for row, column in np.ndindex(size, size):
        if counts[row, column]:
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = _count(int(counts[row, column]))
            axes.text(
                column, row, text, ha="center", va="center", color=colour, fontsize=_text_size(size)
            )
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("share of the true class")
    return figure


def roc_curves(curves: Mapping[str, Curve]) -> "Figure":
    """Share of positives found against share of negatives, a curve a class or label."""
    figure, axes = _figure(5.2, 4.8)
    for name, (scores, is_positive) in curves.items():
        found, false = _found(scores, is_positive)
        area = auroc(scores, is_positive) or 0.0
        x, y = _thinned(false / max(1, false[-1]), found / max(1, found[-1]))
        axes.plot(x, y, label=f"{_short(name)}: {area:.3f}", lw=1.6)
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="chance: 0.500")
    _finish_curves(axes, "false positive rate", "true positive rate", "AUROC")
    return figure


def precision_recall_curves(curves: Mapping[str, Curve]) -> "Figure":
    """Precision against recall, a curve a class or label; dashed: the share of positives."""
    figure, axes = _figure(5.2, 4.8)
    for name, (scores, is_positive) in curves.items():
        found, false = _found(scores, is_positive)
        area = auprc(scores, is_positive) or 0.0
        precision = np.append(1.0, found[1:] / np.maximum(1, found[1:] + false[1:]))
        x, y = _thinned(found / max(1, found[-1]), precision)
        (line,) = axes.plot(x, y, drawstyle="steps-post", label=f"{_short(name)}: {area:.3f}")
        axes.axhline(float(is_positive.mean()), color=line.get_color(), lw=1, ls="--")
    _finish_curves(axes, "recall", "precision", "AUPRC")
    return figure


def reliability(
    confidence: Float[np.ndarray, " items"],
    is_right: Bool[np.ndarray, " items"],
    what: str = "probability of the predicted class",
) -> "Figure":
    """How often predictions are right that a model gives a probability, in bins of it.

    The error is the mean distance from the diagonal, weighted by the number in each bin.

    Source: Guo et al. (2017), eq. 3.
    """
    counts, means, shares = binned(confidence, is_right)
    there = counts > 0
    error = calibration_error(confidence, is_right)
    figure, axes = _figure(5.2, 5.6)
    axes.remove()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="as often as it says")
    label = f"expected calibration error {error:.3f}"
    above.plot(means[there], shares[there], "o-", color=BLUE, lw=1.6, ms=5, label=label)
    above.set_ylabel("share that is right" if "predicted" in what else "share that is there")
    above.set_ylim(-0.02, 1.02)
    above.legend(loc="upper left", frameon=False)
    below.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS, color=BLUE)
    below.set_xlabel(what)
    below.set_ylabel("count")
    below.set_xlim(-0.02, 1.02)
    return figure


def scatter(
    known: Mapping[str, tuple[Float[np.ndarray, " items"], Float[np.ndarray, " items"]]],
) -> "Figure":
    """Predictions against targets, a panel a value, with the line on which they are equal."""
    from matplotlib.figure import Figure

    panels = list(known.items())[:MOST_PANELS]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.3 * rows), layout="constrained", dpi=100)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (name, (predicted, truth)) in zip(grid, panels, strict=False):
        step = -(-len(truth) // MOST_POINTS)
        axes.scatter(truth[::step], predicted[::step], s=9, alpha=0.35, color=BLUE, lw=0)
        low = float(min(truth.min(), predicted.min()))
        high = float(max(truth.max(), predicted.max()))
        axes.plot([low, high], [low, high], color=GREY, lw=1, ls="--")
        axes.set_xlabel(f"{_short(name)}, true")
        axes.set_ylabel(f"{_short(name)}, predicted")
        error = float(np.square(predicted - truth).mean())
        of = f"{len(truth):,}" if step == 1 else f"{len(truth[::step]):,} of {len(truth):,}"
        axes.set_title(f"MSE {error:.4g}, n = {of}", fontsize=10)
        _open(axes)
    return figure


def bars(values: Mapping[str, float], what: str, chance: float) -> "Figure":
    """A bar a label, the largest first."""
    ordered = sorted(values.items(), key=lambda item: -item[1])[:MOST_BARS]
    names = [_short(name) for name, _ in ordered]
    heights = [value for _, value in ordered]
    figure, axes = _figure(6.4, 1.4 + 0.28 * len(names))
    places = range(len(names))
    axes.barh(places, heights, color=BLUE, height=0.7)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.axvline(chance, color=GREY, lw=1, ls="--")
    for place, value in zip(places, heights, strict=True):
        axes.text(max(value, 0.0) + 0.01, place, f"{value:.3f}", va="center", fontsize=8)
    axes.set_xlim(min(0.0, *heights, chance), 1.12)
    left_out = len(values) - len(names)
    more = f" ({left_out} more are lower)" if left_out else ""
    axes.set_xlabel(f"{what}; dashed: chance{more}")
    _open(axes)
    return figure


# --- parts of them --------------------------------------------------------------------------------


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=100)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=PAD, h_pad=PAD)
    return figure, figure.subplots()


def _found(
    scores: Float[np.ndarray, " items"], is_positive: Bool[np.ndarray, " items"]
) -> tuple[Int[np.ndarray, " places"], Int[np.ndarray, " places"]]:
    """True and false positives above each score that occurs, from none to all."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.flatnonzero(np.append(np.diff(scores[order]), -1.0))
    found = np.cumsum(is_positive[order])[last_of_ties]
    return np.append(0, found), np.append(0, last_of_ties + 1 - found)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer points of a long curve, its ends among them."""
    places = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_STEPS)).astype(int))
    return x[places], y[places]


def _finish_curves(axes: "Axes", x: str, y: str, area: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.legend(title=area, loc="best", fontsize=9)
    _open(axes)


def _open(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _count(value: int) -> str:
    return str(value) if value < 10_000 else f"{value / 1000:.0f}k"


def _text_size(size: int) -> float:
    return 10.0 if size <= 6 else 8.0 if size <= 15 else 6.0
