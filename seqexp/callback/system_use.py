"""Records the memory and the CPU time that a run takes, while it trains."""

import time
from collections.abc import Callable

import psutil
import torch

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.trainer.training import Report

EVERY_SECONDS = 10.0
"""Between two points, at least."""

MB = 1e6


class SystemUse(Callback):
    """A point on each curve of `system/` as a report comes, at most one in ten seconds.

    Nothing is measured between reports, so that training takes no time for it. The x axis is the
    update. MLflow shows these curves on a page of their own.

    Args:
        run: that is measured.
        is_wanted: whether it is.
        clock: seconds.
    """

    def __init__(
        self, run: Observed, is_wanted: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run, self.is_wanted, self.clock = run, is_wanted, clock
        self.process = psutil.Process()
        self.last = self.cpu = 0.0  # seconds, at the last point

    def before(self) -> None:
        """Add the first point of this process, and begin to count its CPU time."""
        if self.is_wanted:
            self._record(counts=False)

    def after(self, report: Report) -> None:
        """Add a point, where the last one is long ago."""
        if self.is_wanted and self.clock() - self.last >= EVERY_SECONDS:
            self._record()

    def at_end(self, result: Result) -> None:
        """Add the last point."""
        if self.is_wanted:
            self._record()

    def _record(self, counts: bool = True) -> None:
        """Points at this update; `system/` are no metrics of a result.

        `counts` is whether CPU time was counted since the last one.
        """
        now, cpu = self.clock(), self._cpu_seconds()
        values = {
            "system/process_memory_megabytes": self.process.memory_info().rss / MB,
            "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
        }
        if counts and now > self.last:
            values["system/process_cpu_percentage"] = 100 * (cpu - self.cpu) / (now - self.last)
        device = self.run.training.device
        if device.type == "cuda":
            values["system/gpu_memory_megabytes"] = torch.cuda.memory_allocated(device) / MB
        self.run.tracker.metrics(values, self.run.training.step)
        self.last, self.cpu = now, cpu

    def _cpu_seconds(self) -> float:
        """Of all threads of the process."""
        times = self.process.cpu_times()
        return float(times.user + times.system)
