"""All figures of a sweep, from what is known of its jobs."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seqexp.metrics import higher_is_better
from seqexp.sweep.manifest import Manifest
from seqexp.sweep.table import compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name


def drawn(
    manifest: Manifest, results: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, "Figure"]]:
    """Figures by file: of the points, of what was learned when, and of gradients.

    `results` are what each job left of itself.
    """
    from seqexp.sweep.figures import curves_figure, points_figure

    found = compared(manifest)
    if found[0].point.values(manifest.metric):
        better = higher_is_better(manifest.metric)
        yield "comparison.png", points_figure(found, manifest.metric, better)
    metric = curve_of(manifest.metric)
    curves: dict[str, list[dict[int, float]]] = {row.point.label: [] for row in found}
    for name, entry in manifest.jobs.items():
        curve = _curve(results[name], metric)
        if curve:
            curves[manifest.label(entry, "seed") or "all seeds"].append(curve)
    if any(curves.values()):
        yield "curves.png", curves_figure(curves, metric)
    gradients = [
        (short(manifest.label(entry, "seed")) or "all seeds", flow)
        for name, entry in manifest.jobs.items()
        if (flow := results[name].get("gradient_flow"))
    ]
    if gradients:
        from seqexp.interpret.flow_figures import comparison_figure

        yield "gradient_flow/comparison.png", comparison_figure(gradients)


def curve_of(metric: str) -> str:
    """The metric of each epoch that shows how a metric of a run came about."""
    kind = metric.rpartition("/")[2].removeprefix("valid_")
    return "valid/accuracy" if kind == "accuracy" else "valid/loss_nats"


def _curve(result: Mapping[str, Any], metric: str) -> dict[int, float]:
    """A metric by epoch; nothing where it was not measured."""
    history: Mapping[str, Mapping[str, float]] = result.get("history", {})
    return {int(epoch): row[metric] for epoch, row in history.items() if metric in row}


def short(label: str) -> str:
    """Overrides by the last part of their keys."""
    return re.sub(r"(^| )[\w.]*\.(?=\w+=)", r"\1", label)
