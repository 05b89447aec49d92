"""The sweep's own run in MLflow: parent of its jobs' runs, with tables and figures of them all."""

from seqexp.errors import RunError
from seqexp.sweep import ensemble, pooled
from seqexp.sweep.figures import drawn
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
from seqexp.tracking.tracker import RunFacts, Status, Tracker


class Parent:
    """A run that stands for a sweep; of one that was begun before, the same run.

    Args:
        job: one of its jobs.
        manifest: what is known of all; it keeps the run's id.
    """

    def __init__(self, job: Job, manifest: Manifest) -> None:
        self.manifest = manifest
        self.tracker: Tracker = job.part("tracking")
        swept = " ".join(manifest.swept)
        facts = RunFacts(
            experiment=job.config["experiment_name"] or job.dataset,
            name=f"sweep {swept}",
            params={"sweep": swept},
            tags={"seqexp.sweep": str(manifest.folder)},
            folder=manifest.folder,
            run_id=manifest.run_id,
            mark=manifest.mark,
            labels=manifest.labels,
        )
        self.run_id = manifest.run_id = self.tracker.start(facts)
        self.tracker.tags({"seqexp.cli.job": str(len(manifest.jobs))})
        manifest.save()

    def close(self, status: Status | None = None) -> None:
        """Keep and print the tables and figures of what there is.

        `status` is the sweep's own, where it was cut off; None follows from its jobs.
        """
        manifest, tracker = self.manifest, self.tracker
        found = ensemble.try_ensembles(manifest)
        manifest.said = ensemble.sentences(found)
        folders = {name: manifest.place(name) for name in manifest.jobs}
        manifest.pooled = pooled.pooled(manifest, folders)
        runs = rows_of_runs(manifest)
        tracker.describe(page(manifest))
        tracker.table(runs, "comparison.json")
        tracker.text(csv_text(runs), "comparison.csv")
        if has_seeds(points_of(manifest)):
            points = rows_of_points(manifest)
            tracker.table(points, "points.json")
            tracker.text(csv_text(points), "points.csv")
        if tracker.keeps:
            results = {name: manifest.result(name) for name in manifest.jobs}
            for path, figure in drawn(manifest, results):
                tracker.figure(figure, path)
        if found:
            tracker.table(ensemble.rows(found), "ensemble.json")
            tracker.table(ensemble.rows_of_weights(found), "ensemble_weights.json")
            tracker.metrics(ensemble.metrics(found), step=0)
        first = compared(manifest)[0].point
        if manifest.pooled:
            tracker.table(pooled.rows(manifest.pooled), "pooled.json")
            tracker.metrics(pooled.of_point(manifest.pooled, first.label), step=0)
        best = first.spread(manifest.by)
        if best is not None and manifest.best != [manifest.by, best.mean]:
            manifest.best = [manifest.by, best.mean]
            tracker.metrics({manifest.by: best.mean}, step=0)  # of the best point
        manifest.mark = tracker.mark()
        try:
            tracker.finish(status or self._status())
        except RunError:  # the disk is full
            manifest.save()
            say_table(manifest)
            raise
        links = dict(tracker.links(manifest.metric))
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
