"""The start of a run, and its result."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqexp.tracking.tracker import Status


@dataclass(frozen=True)
class Start:
    """Facts that the command line knows beside the config."""

    choices: Mapping[str, str] = field(default_factory=dict)  # group -> option
    overrides: Sequence[str] = ()
    folder: Path | None = None  # of the run's files; None writes none
    parent: str | None = None  # run id of the sweep
    name: str | None = None
    is_job: bool = False  # of a sweep
    swept: Sequence[str] = ()  # keys in which the jobs of the sweep differ
    tags: Mapping[str, str] = field(default_factory=dict)  # beside those that every run has


@dataclass
class Result:
    """The result of a run."""

    status: Status = "FINISHED"
    run_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    pruned: int | None = None  # epoch after which a search stopped it, as worse than others
    traceback: str = ""
    gradient_flow: list[dict[str, Any]] = field(default_factory=list)  # first and last, by lag
    history: dict[int, dict[str, float]] = field(default_factory=dict)  # metrics by epoch
    summary: dict[str, str] = field(default_factory=dict)  # what a person wants to know


@dataclass
class Story:
    """The record of a run while it trains: its result, and the metrics of each epoch.

    `spent` has the seconds of this process by part of the run, as `seqexp.utils.phases` counts.
    """

    result: Result = field(default_factory=Result)
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)  # less what earlier processes took

    def state(self) -> dict[str, Any]:
        """The part of it that a checkpoint holds."""
        return {
            "run_id": self.result.run_id,
            "metrics": dict(self.result.metrics),
            "history": dict(self.history),
            "seconds": time.monotonic() - self.began,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint."""
        self.result.run_id = state["run_id"]
        self.result.metrics = dict(state["metrics"])
        self.history = dict(state["history"])
        self.began -= state["seconds"]
