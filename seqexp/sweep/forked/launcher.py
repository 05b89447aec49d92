"""`launcher=parallel`: each job in a process of its own, forked from one that has all imported."""

import contextlib
import importlib
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from seqexp.errors import RunError, StoppedError
from seqexp.sweep.forked.processes import STOPPED, Ended, each, start_server

PRELOADED = "seqexp.sweep.forked.preloaded"


class ForkedLauncher(Launcher):
    """Launches jobs in processes of this machine.

    Args:
        n_jobs: at once.
    """

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs
        self.config: DictConfig | None = None
        self.task_function: TaskFunction | None = None
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take the sweep's config, and what a job does."""
        self.config, self.task_function = config, task_function
        self.hydra_context = hydra_context

    def prepare(self) -> None:
        """Begin to import what all jobs need, beside what the caller still has to do."""
        start_server(PRELOADED)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        """Run all jobs; one that fails, or whose process is killed, stops no other."""
        setup_globals()
        assert self.config is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        self.prepare()
        threading.Thread(target=_import_for_the_end, daemon=True).start()
        shared = (self.hydra_context, self.config, self.task_function, Singleton.get_state())
        calls = [
            (initial_job_idx + number, tuple(overrides), *shared)
            for number, overrides in enumerate(job_overrides)
        ]
        found = each(execute, calls, self.n_jobs)
        return [
            _told(one, call[1]) if isinstance(one, Ended) else one
            for one, call in zip(found, calls, strict=True)
        ]


def _import_for_the_end() -> None:
    """Import what a sweep's own run needs, while this process only waits for jobs."""
    with contextlib.suppress(ImportError):
        importlib.import_module("seqexp.tracking.store.client")


def execute(
    number: int,
    overrides: Sequence[str],
    hydra_context: HydraContext,
    config: DictConfig,
    task_function: TaskFunction,
    singletons: Mapping[Any, Any],
) -> JobReturn:
    """Run one job, in its own process.

    Source: `hydra_plugins.hydra_joblib_launcher`, whose workers do the same.
    """
    setup_globals()
    Singleton.set_state(singletons)
    composed = hydra_context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = f"{composed.hydra.job.name}_{number}"
        composed.hydra.job.num = number
    HydraConfig.instance().set_config(composed)
    return run_job(
        hydra_context=hydra_context,
        config=composed,
        task_function=task_function,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _told(status: Ended, overrides: Sequence[str]) -> JobReturn:
    """The return of a job whose process has ended before it was done."""
    error: RunError
    if status == STOPPED:
        error = StoppedError("it was stopped")
    elif status < 0:
        error = RunError(f"its process was ended by {signal.Signals(-status).name}")
    else:
        error = RunError(f"its process ended with status {status}")
    return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=error)
