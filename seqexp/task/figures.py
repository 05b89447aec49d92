"""Pictures of what a model predicts for a whole split."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from seqexp.task.base import MOST_BARS, MOST_PANELS
from seqexp.task.calibration import binned, calibration_error
from seqexp.task.ranking import auprc, auroc
from seqexp.utils.names import one_line
from seqexp.utils.panels import Counts, Curves, Matrix, Points, Sizes
from seqexp.utils.paper import Paper, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 5000
"""Of a scatter; of more, as many are drawn, evenly spaced in their order."""

MOST_STEPS = 1000
"""Corners of a curve."""

PAD = 0.12
"""Inches around axes with their labels: with less, the one at the left touches the edge."""

BLUE, GREY = "#2a6fbb", "#888888"

SIZES = Sizes(label=15, number=14)
"""Of fonts, pixels."""

FEW_CURVES = 3
"""Whose names have room among them."""

EDGES = (-0.02, 1.02)
"""Of an axis of shares."""

Curve = tuple[Float[np.ndarray, " items"], Bool[np.ndarray, " items"]]
"""Scores, and which items are positive."""


def confusion_matrix(
    truth: Int[np.ndarray, " items"], predicted: Int[np.ndarray, " items"], names: Sequence[str]
) -> bytes:
    """Counts of each true and predicted class; the shade is the share of the true class."""
    size = len(names)
    counts = np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    labels, cell = [_short(name) for name in names], max(36, 200 // size)
    matrix = Matrix(
        2 * shares - 1,
        {place: [_count(int(count))] for place, count in np.ndenumerate(counts) if count},
        labels,
        labels,
        "Blues",
        ("1", "0.5", "0"),
        side="true",
        below="predicted",
        title="share of the true class",
    )
    left, top, right, below = matrix.margins(cell, SIZES)
    box = left, top, left + cell * size, top + cell * size
    paper = Paper(box[2] + right, box[3] + below)
    matrix.draw(paper, box, SIZES)
    return paper.png()


def roc_curves(curves: Mapping[str, Curve]) -> bytes:
    """Share of positives found against share of negatives, a curve a class or label."""
    drawn: dict[str, Points] = {}
    for name, (scores, is_positive) in curves.items():
        found, false = _found(scores, is_positive)
        area = auroc(scores, is_positive) or 0.0
        x, y = _thinned(false / max(1, false[-1]), found / max(1, found[-1]))
        drawn[_named(name, area, drawn)] = x, y
    chance: Points = [0.0, 1.0], [0.0, 1.0]
    panel = Curves(
        drawn, EDGES, EDGES, dashed={"chance: 0.500": chance}, title="AUROC", corner="bottom right"
    )
    return _square(replace(panel, side=["true positive rate"], below="false positive rate"))


def precision_recall_curves(curves: Mapping[str, Curve]) -> bytes:
    """Precision against recall, a curve a class or label; dashed: the share of positives."""
    drawn: dict[str, Points] = {}
    shares: dict[str, Points] = {}
    for name, (scores, is_positive) in curves.items():
        found, false = _found(scores, is_positive)
        area = auprc(scores, is_positive) or 0.0
        precision = np.append(1.0, found[1:] / np.maximum(1, found[1:] + false[1:]))
        x, y = _thinned(found / max(1, found[-1]), precision)
        # a precision holds from one recall to the next
        steps = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]
        share = float(is_positive.mean())
        named = _named(name, area, drawn)
        drawn[named], shares[named] = steps, ([0.0, 1.0], [share, share])
    panel = Curves(drawn, EDGES, EDGES, dashed=shares, title="AUPRC", corner="bottom left")
    return _square(replace(panel, side=["precision"], below="recall"))


def reliability(
    confidence: Float[np.ndarray, " items"],
    is_right: Bool[np.ndarray, " items"],
    what: str = "probability of the predicted class",
) -> bytes:
    """How often predictions are right that a model gives a probability, in bins of it.

    The error is the mean distance from the diagonal, weighted by the number in each bin.

    Source: Guo et al. (2017), eq. 3.
    """
    counts, means, shares = binned(confidence, is_right)
    there = counts > 0
    error = calibration_error(confidence, is_right)
    diagonal: Points = [0.0, 1.0], [0.0, 1.0]
    above = Curves(
        {f"expected calibration error {error:.3f}": (means[there], shares[there])},
        EDGES,
        EDGES,
        side=["share that is right" if "predicted" in what else "share that is there"],
        dashed={"as often as it says": diagonal},
        has_dots=True,
        whole=False,
        corner="top left",
    )
    below = Counts(
        counts[None].astype(int),
        [BLUE],
        (0.0, 1.0),
        side=["count"],
        below=what,
        share=0.9,
        whole=False,
    )
    paper = Paper(530, 560)
    above.draw(paper, (78, 14, 510, 340), SIZES)
    below.draw(paper, (86, 392, 502, 506), SIZES)
    return paper.png()


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


def _named(name: str, area: float, taken: Mapping[str, object]) -> str:
    """A curve's name with its area; two may have the same short name."""
    named = f"{_short(name)}: {area:.3f}"
    return named if named not in taken else f"{named} ({len(taken) + 1})"


def _square(panel: Curves) -> bytes:
    """Curves of shares, as long across as up."""
    is_full = len(panel.points) > FEW_CURVES
    wide = max(map(text_width, panel.points)) if is_full else 0
    paper = Paper(530 + wide + 30 * is_full, 510)
    corner = "outside" if is_full else panel.corner
    replace(panel, whole=False, corner=corner).draw(paper, (78, 14, 510, 446), SIZES)
    return paper.png()


def _open(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    return one_line(name if len(name) <= 24 else f"{name[:23]}…")


def _count(value: int) -> str:
    return str(value) if value < 10_000 else f"{value / 1000:.0f}k"
