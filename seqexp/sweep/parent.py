"""The sweep's own run in MLflow: parent of its jobs' runs, with the table that compares them."""

import csv
import io
import logging
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from seqexp.config import build
from seqexp.metrics import higher_is_better
from seqexp.sweep.sweeper import Job, outcome
from seqexp.tracking.tracker import RunFacts, Status, Tracker

log = logging.getLogger("seqexp")

SHOWN = (
    "test/accuracy",
    "test/loss_nats",
    "test/bits_per_token",
    "best/valid_accuracy",
    "best/valid_loss_nats",
    "motif/correlation",
)


class Parent:
    """A run that stands for a sweep.

    Args:
        jobs: all of its jobs.
        swept: the keys that differ among them.
        folder: of the sweep's files; None writes none.
    """

    def __init__(self, jobs: Sequence[Job], swept: Sequence[str], folder: Path | None) -> None:
        self.jobs, self.swept, self.folder = jobs, swept, folder
        self.metric: str = jobs[0].config["optimized_metric"]
        self.tracker: Tracker = build(jobs[0].config["tracking"])
        names = sorted({job.config["experiment_name"] or job.dataset for job in jobs})
        facts = RunFacts(
            experiment="+".join(names),
            name="sweep " + " ".join(swept),
            params={"sweep": " ".join(swept), "jobs": str(len(jobs))},
            tags={"seqexp.sweep": str(folder)},
        )
        self.run_id = self.tracker.start(facts)

    def close(self, returns: Sequence[JobReturn], status: Status | None = None) -> list[str]:
        """Keep and print the table; returns the jobs that failed, each with its reason.

        `status` is the sweep's own, where it was cut off; None follows from its jobs.
        """
        padded = [*returns, *[None] * (len(self.jobs) - len(returns))]
        found = [
            outcome(job, returned, self.folder / str(index) if self.folder else None)
            for index, (job, returned) in enumerate(zip(self.jobs, padded, strict=True))
        ]
        rows = self._rows(found)
        self.tracker.describe(_markdown(rows))
        self.tracker.table(rows, "comparison.json")
        self.tracker.text(_csv(rows), "comparison.csv")
        self._draw(found)
        best = rows[0][self.metric]
        if isinstance(best, float):
            self.tracker.metrics({self.metric: best}, step=0)  # of the best job
        failed = [
            f"{self._label(job)}: {result['error'].partition(chr(10))[0]}"
            for job, result in zip(self.jobs, found, strict=True)
            if result["status"] == "FAILED"
        ]
        self.tracker.finish(status or ("FAILED" if failed else "FINISHED"))
        narrow = [{k: v for k, v in row.items() if k not in ("run id", "error")} for row in rows]
        log.info("\n" + _markdown(narrow))
        links = dict(self.tracker.links(self.metric, higher_is_better(self.metric)))
        if links:
            links = {"this sweep": links.pop("this run"), **links}
            log.info("\n" + "\n".join(f"  {name:12}  {value}" for name, value in links.items()))
        return failed

    def _draw(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Keep one figure of the curves that the jobs left."""
        curves = [
            (_short(self._label(job, "seed")) or "all seeds", result["gradient_flow"])
            for job, result in zip(self.jobs, found, strict=True)
            if result.get("gradient_flow")
        ]
        if curves:
            from seqexp.interpret.flow_figures import comparison_figure

            self.tracker.figure(comparison_figure(curves), "gradient_flow/comparison.png")

    def _label(self, job: Job, but: str = "") -> str:
        """What sets a job apart from the others, but for one key."""
        keys = {*self.swept} - {but}
        return " ".join(o for o in job.overrides if o.partition("=")[0] in keys)

    def _rows(self, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """One row a job, the best by the optimized metric first."""
        metrics = dict.fromkeys([self.metric, *SHOWN])
        rows = []
        for job, result in zip(self.jobs, found, strict=True):
            given = dict(item.partition("=")[::2] for item in job.overrides)
            rows.append(
                {
                    **{key: given.get(key, "") for key in self.swept},
                    "status": result["status"],
                    **{name: result["metrics"].get(name) for name in metrics},
                    "seconds": round(result.get("seconds", 0.0), 1),
                    "run id": result["run_id"] or "",
                    "error": result["error"].partition("\n")[0],
                }
            )
        for column in [name for name in SHOWN if all(row[name] is None for row in rows)]:
            if column != self.metric:
                for row in rows:
                    del row[column]
        sign = -1 if higher_is_better(self.metric) else 1

        def order(row: dict[str, Any]) -> tuple[bool, float]:
            value = row[self.metric]
            is_number = value is not None and not math.isnan(value)
            return (not is_number, sign * value if is_number else 0.0)

        return sorted(rows, key=order)


def _short(label: str) -> str:
    """Overrides by the last part of their keys."""
    return re.sub(r"(^| )[\w.]*\.(?=\w+=)", r"\1", label)


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    columns = [key for key in rows[0] if any(row[key] not in ("", None) for row in rows)]
    cells = [columns, ["---"] * len(columns)]
    cells += [[_shown(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in cells)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
