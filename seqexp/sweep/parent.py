"""The sweep's own run in MLflow: parent of its jobs' runs, with tables and figures of them all."""

import re
from collections.abc import Mapping
from typing import Any

from seqexp.config import build
from seqexp.metrics import higher_is_better
from seqexp.sweep.job import Job
from seqexp.sweep.manifest import Manifest
from seqexp.sweep.table import (
    compared,
    csv_text,
    has_seeds,
    page,
    points_of,
    rows_of_points,
    rows_of_runs,
    say_table,
)
from seqexp.tracking.none import NoTracker
from seqexp.tracking.tracker import RunFacts, Status, Tracker


class Parent:
    """A run that stands for a sweep; of one that was begun before, the same run.

    Args:
        job: one of its jobs.
        manifest: what is known of all; it keeps the run's id.
    """

    def __init__(self, job: Job, manifest: Manifest) -> None:
        self.manifest = manifest
        self.tracker: Tracker = build(job.config["tracking"])
        swept = " ".join(manifest.swept)
        facts = RunFacts(
            experiment=job.config["experiment_name"] or job.dataset,
            name=f"sweep {swept}",
            params={"sweep": swept},
            tags={"seqexp.sweep": str(manifest.folder)},
            folder=manifest.folder,
            run_id=manifest.run_id,
            mark=manifest.mark,
        )
        self.run_id = manifest.run_id = self.tracker.start(facts)
        self.tracker.tags({"seqexp.jobs": str(len(manifest.jobs))})
        manifest.save()

    def close(self, status: Status | None = None) -> None:
        """Keep and print the tables and figures of what there is.

        `status` is the sweep's own, where it was cut off; None follows from its jobs.
        """
        manifest, tracker = self.manifest, self.tracker
        runs = rows_of_runs(manifest)
        tracker.describe(page(manifest))
        tracker.table(runs, "comparison.json")
        tracker.text(csv_text(runs), "comparison.csv")
        if has_seeds(points_of(manifest)):
            points = rows_of_points(manifest)
            tracker.table(points, "points.json")
            tracker.text(csv_text(points), "points.csv")
        if not isinstance(tracker, NoTracker):
            self._draw()
        best = compared(manifest)[0].point.spread(manifest.metric)
        if best is not None and manifest.best != [manifest.metric, best.mean]:
            manifest.best = [manifest.metric, best.mean]
            tracker.metrics({manifest.metric: best.mean}, step=0)  # of the best point
        manifest.mark = tracker.mark()
        tracker.finish(status or self._status())
        links = dict(tracker.links(manifest.metric, higher_is_better(manifest.metric)))
        if links:
            manifest.links = {"this sweep": links.pop("this run"), **links}
        if self._status() == "FINISHED":
            manifest.closed = manifest.state_of_all()
        manifest.save()
        say_table(manifest)

    def _status(self) -> Status:
        states = {entry.state for entry in self.manifest.jobs.values()}
        if "FAILED" in states:
            return "FAILED"
        return "FINISHED" if states == {"FINISHED"} else "KILLED"

    def _draw(self) -> None:
        """Keep figures of the points, of what was learned when, and of gradients."""
        from seqexp.sweep.figures import curves_figure, points_figure

        manifest = self.manifest
        results = {name: manifest.result(name) for name in manifest.jobs}
        found = compared(manifest)
        better = higher_is_better(manifest.metric)
        if found[0].point.values(manifest.metric):
            figure = points_figure(found, manifest.metric, better)
            self.tracker.figure(figure, "comparison.png")
        metric = curve_of(manifest.metric)
        curves: dict[str, list[dict[int, float]]] = {row.point.label: [] for row in found}
        for name, entry in manifest.jobs.items():
            curve = _curve(results[name], metric)
            if curve:
                curves[manifest.label(entry, "seed") or "all seeds"].append(curve)
        if any(curves.values()):
            self.tracker.figure(curves_figure(curves, metric), "curves.png")
        self._draw_gradients(results)

    def _draw_gradients(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep one figure of the gradients that the jobs left."""
        curves = [
            (short(self.manifest.label(entry, "seed")) or "all seeds", found)
            for name, entry in self.manifest.jobs.items()
            if (found := results[name].get("gradient_flow"))
        ]
        if curves:
            from seqexp.interpret.flow_figures import comparison_figure

            self.tracker.figure(comparison_figure(curves), "gradient_flow/comparison.png")


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
