"""Figures of a sweep: its points side by side, and how each of them learned."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seqexp.metrics import MEASURES, OWN, higher_is_better, without_name
from seqexp.sweep.manifest import Manifest
from seqexp.sweep.statistics import Compared
from seqexp.sweep.table import compared
from seqexp.utils.drawing import literal
from seqexp.utils.names import one_line

MAX_POINTS = 30
"""Points that have room below each other."""

MAX_LABEL = 80
"""Characters of a label; two stand side by side."""

MAX_NAMED = 14
"""Points that a legend names."""

DECADES = 1.5
"""Values that span more are drawn by their logarithm."""

LOSS = "valid/loss_nats"
"""The curve that every run has."""

Curve = Mapping[int, float]
"""Values by epoch."""


def points_figure(found: Sequence[Compared], metric: str, higher_is_better: bool) -> Figure:
    """Each point with all its runs and their mean; and how far it is behind the best one.

    Args:
        found: the best first.
        metric: what is drawn.
        higher_is_better: of it.
    """
    shown = [row for row in found if row.point.values(metric)][:MAX_POINTS]
    pairs = [row for row in shown if row.difference is not None and row.difference.low is not None]
    figure = Figure(figsize=(15, 2.4 + 0.6 * len(shown)))
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 if pairs else 1, sharey=True, squeeze=False)[0]
    rows, height = len(shown), figure.get_figheight()
    top, bottom = 1 - 1.2 / height, 0.85 / height
    figure.subplots_adjust(left=0.26, right=0.97, top=top, bottom=bottom, wspace=0.05)
    better = "higher" if higher_is_better else "lower"
    more = f" (the best {rows} of {len(found)} points)" if rows < len(found) else ""
    figure.suptitle(f"{metric}: {better} is better{more}", fontsize=18, y=1 - 0.25 / height)
    _values_panel(panels[0], shown, metric)
    panels[0].set_yticks(range(rows), [_wrapped(row.point.label) for row in shown], fontsize=12)
    panels[0].set_ylim(rows - 0.5, -0.5)
    if pairs:
        _differences_panel(panels[1], shown)
    return literal(figure)


def _values_panel(axes: Axes, shown: Sequence[Compared], metric: str) -> None:
    colors, unit = _colors(len(shown)), _unit(shown)
    several = any(len(row.point.values(metric)) > 1 for row in shown)
    for place, (row, color) in enumerate(zip(shown, colors, strict=True)):
        values = list(row.point.values(metric).values())
        mean = float(np.mean(values))
        if len(values) > 1:
            axes.plot([min(values), max(values)], [place, place], color=color, linewidth=2)
            axes.plot(values, [place] * len(values), "o", color=color, alpha=0.45, markersize=8)
        axes.plot([mean], [place], "D", color=color, markeredgecolor="black", markersize=9)
    axes.set_title(f"{unit}s, and their mean ◆" if several else "each run", fontsize=14)
    axes.set_xlabel(metric, fontsize=13)
    every = [v for row in shown for v in row.point.values(metric).values()]
    if _is_wide(every):
        axes.set_xscale("log")
    _finish(axes)


def _differences_panel(axes: Axes, shown: Sequence[Compared]) -> None:
    """Mean differences to the best point, with their intervals, coloured by the verdict."""
    axes.axvline(0, color="black", linewidth=1)
    unit = _unit(shown)
    for place, row in enumerate(shown):
        paired = row.difference
        if paired is None:
            words = "the best" if place == 0 else f"no {unit} is shared"
            axes.annotate(words, (0, place), (8, 4), textcoords="offset points")
            continue
        color = _color_of(row.verdict)
        if paired.low is not None and paired.high is not None:
            axes.plot([paired.low, paired.high], [place, place], color=color, linewidth=4)
        axes.plot([paired.mean], [place], "D", color=color, markeredgecolor="black", markersize=9)
        across = axes.get_yaxis_transform()
        axes.text(0.99, place - 0.2, row.verdict, ha="right", color=color, transform=across)
    axes.set_title(f"behind the best, {unit} by {unit}; 95 % interval", fontsize=14)
    axes.set_xlabel("mean difference (paired t, not corrected)", fontsize=13)
    sizes = [abs(row.difference.mean) for row in shown if row.difference is not None]
    sizes = [size for size in sizes if size > 0]
    if sizes and max(sizes) > 10 * min(sizes):
        # by logarithm on both sides of zero: a small difference beside a large one is seen
        axes.set_xscale("symlog", linthresh=min(sizes))
    axes.margins(x=0.1)
    _finish(axes)
    axes.tick_params(left=False)


def _unit(shown: Sequence[Compared]) -> str:
    """What repeats a point."""
    return "seed" if all(row.point.folds is None for row in shown) else "fold"


def _color_of(verdict: str) -> str:
    if verdict.startswith("not"):
        return "grey"
    return "tab:orange" if "not after correction" in verdict else "tab:red"


def curves_figure(curves: Mapping[str, Sequence[Curve]], metric: str) -> Figure:
    """A metric by epoch: thin lines are runs, a thick one is the mean over the seeds of a point.

    Args:
        curves: of the runs of each point, by its label, the best first.
        metric: its name.
    """
    figure = Figure(figsize=(14, 9.5))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawn = {label: runs for label, runs in curves.items() if runs}
    lines = -(-min(len(drawn), MAX_NAMED) // 2)
    figure.subplots_adjust(left=0.08, right=0.98, top=0.92, bottom=0.1 + 0.03 * lines)
    figure.suptitle(f"{metric} by epoch, of {sum(map(len, drawn.values()))} runs", fontsize=18)
    colors = _colors(len(drawn))
    # the best is drawn last, above the others
    for place, (label, runs) in reversed(list(enumerate(drawn.items()))):
        name = one_line(label, MAX_LABEL)
        _draw_point(axes, runs, colors[place], f"{name} ({len(runs)})" if _many(drawn) else name)
    axes.set_xlabel("epoch", fontsize=14)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(metric, fontsize=14)
    if _is_wide([v for runs in drawn.values() for run in runs for v in run.values()]):
        axes.set_yscale("log")
    _finish(axes)
    handles, labels = axes.get_legend_handles_labels()
    handles, labels = handles[::-1], labels[::-1]
    if len(labels) > MAX_NAMED:
        handles, labels = handles[:MAX_NAMED], [*labels[: MAX_NAMED - 1], "... and more"]
    figure.legend(handles, labels, loc="lower center", ncols=2, fontsize=12)
    return literal(figure)


def _draw_point(axes: Axes, runs: Sequence[Curve], color: tuple[float, ...], label: str) -> None:
    alone = len(runs) == 1
    style = "o-" if max(len(run) for run in runs) < 3 else "-"
    for run in runs:
        width, alpha = (2.5, 1.0) if alone else (0.8, 0.6)
        named = label if alone else None
        axes.plot(*_arrays(run), style, color=color, label=named, linewidth=width, alpha=alpha)
    if not alone:
        # as far as all seeds go: a mean over those that are left would jump
        shared = sorted(set.intersection(*(set(run) for run in runs)))
        mean = [float(np.mean([run[epoch] for run in runs])) for epoch in shared]
        axes.plot(shared, mean, style, color=color, linewidth=3.5, label=label)


def _arrays(
    curve: Curve,
) -> tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, " epochs"]]:
    epochs = sorted(curve)
    return np.array(epochs, float), np.array([curve[epoch] for epoch in epochs], float)


def _many(drawn: Mapping[str, Sequence[Curve]]) -> bool:
    return any(len(runs) > 1 for runs in drawn.values())


def _is_wide(values: Sequence[float]) -> bool:
    finite = [value for value in values if np.isfinite(value)]
    if not finite or min(finite) <= 0:
        return False
    return bool(np.log10(max(finite) / min(finite)) > DECADES)


def _colors(count: int) -> list[tuple[float, ...]]:
    """As far apart as possible."""
    if count <= 10:
        return [tuple(color) for color in colormaps["tab10"](range(count))]
    return [tuple(color) for color in colormaps["turbo"](np.linspace(0.02, 0.95, count))]


def _wrapped(label: str) -> str:
    """A label in at most three lines."""
    return "\n".join(textwrap.wrap(one_line(label, 200), 38, max_lines=3, placeholder=" ..."))


def _finish(axes: Axes) -> None:
    axes.tick_params(labelsize=12)
    axes.grid(alpha=0.3)


if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name


def drawn(
    manifest: Manifest, results: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, "Figure"]]:
    """Figures by file: of the points, of what was learned when, and of gradients.

    `results` are what each job left of itself.
    """

    found = compared(manifest)
    if found[0].point.values(manifest.by):
        better = higher_is_better(manifest.by)
        yield "comparison.png", points_figure(found, manifest.by, better)
    metric = curve_of(manifest.by)
    if not any(_curve(result, metric) for result in results.values()):
        metric = LOSS
    curves: dict[str, list[dict[int, float]]] = {row.point.label: [] for row in found}
    for name, entry in manifest.jobs.items():
        curve = _curve(results[name], metric)
        if curve:
            curves[manifest.point(entry)].append(curve)
    if any(curves.values()):
        yield "curves.png", curves_figure(curves, metric)
    gradients = [
        (short(manifest.point(entry)), flow)
        for name, entry in manifest.jobs.items()
        if (flow := results[name].get("gradient_flow"))
    ]
    if gradients:
        from seqexp.interpret.gradient_flow.figures import comparison_figure

        yield "gradient_flow/comparison.png", comparison_figure(gradients)


def curve_of(metric: str) -> str:
    """The metric of each epoch that shows how a metric of a run came about."""
    measure = metric.rpartition("/")[2].removeprefix("valid_").removesuffix("_max")
    is_known = without_name(measure) in MEASURES or f"valid/{measure}" in OWN
    return f"valid/{measure}" if is_known else LOSS


def _curve(result: Mapping[str, Any], metric: str) -> dict[int, float]:
    """A metric by epoch; nothing where it was not measured."""
    history: Mapping[str, Mapping[str, float]] = result.get("history", {})
    return {int(epoch): row[metric] for epoch, row in history.items() if metric in row}


def short(label: str) -> str:
    """Overrides by the last part of their keys."""
    return re.sub(r"(^| )[\w.]*\.(?=\w+=)", r"\1", label)
