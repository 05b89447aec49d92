"""The sweep: every combination of the values given with commas, checked before the first starts.

Hydra's own sweeper expands the combinations and its launcher runs them. This one adds what a
person expects of a sweep: all configs are checked first, the runs stand together below a parent
in MLflow, a job that fails does not stop the others, and a table compares them at the end.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict

from seqexp.config import Config, check
from seqexp.errors import ConfigError, SweepError

log = logging.getLogger("seqexp")

PARENT = "SEQEXP_PARENT_RUN"
"""Environment variable that tells the jobs the run id of their sweep."""


@dataclass(frozen=True)
class Job:
    """One combination of the sweep."""

    overrides: tuple[str, ...]
    config: Config
    dataset: str


class CheckedSweeper(BasicSweeper):
    """Every combination, checked, run by Hydra's launcher, compared."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run all jobs.

        Raises:
            ConfigError: before anything is run, with the faults of every job.
            SweepError: at the end, if a job failed.
        """
        assert self.config is not None and self.launcher is not None and self.hydra_context
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)
        jobs = self._checked([job for batch in batches for job in batch])
        self._save_config()

        from seqexp.sweep.parent import Parent  # MLflow: only for a sweep that is good

        swept = sorted(str(o.get_key_element()) for o in overrides if o.is_sweep_override())
        parent = Parent(jobs, [key.lstrip("+") for key in swept], self._folder())
        returns: list[JobReturn] = []
        os.environ[PARENT] = parent.run_id or ""
        try:
            for batch in batches:
                returns += self.launcher.launch(batch, initial_job_idx=len(returns))
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            parent.close(returns, "KILLED" if interrupted else "FAILED")
            raise
        finally:
            del os.environ[PARENT]
        failed = parent.close(returns)
        if failed:
            raise SweepError(f"{len(failed)} of {len(jobs)} jobs failed\n  " + "\n  ".join(failed))
        return [returns]

    def _checked(self, combinations: Sequence[Sequence[str]]) -> list[Job]:
        """Compose and check every job; their faults in one message."""
        assert self.config is not None and self.hydra_context is not None
        loader = self.hydra_context.config_loader
        jobs, faults = [], []
        for overrides in combinations:
            composed: DictConfig = loader.load_sweep_config(self.config, list(overrides))
            dataset = str(composed.hydra.runtime.choices.dataset)
            with open_dict(composed):
                del composed["hydra"]
            shown = tuple(item.lstrip("+") for item in overrides)
            try:
                jobs.append(Job(shown, check(composed), dataset))
            except ConfigError as error:
                faults += [f"{fault}   (in the job {' '.join(shown)})" for fault in error.faults]
        if faults:
            raise ConfigError(faults, f" of the sweep ({len(combinations)} jobs)")
        return jobs

    def _folder(self) -> Path | None:
        assert self.config is not None
        keeps = self.config.hydra.output_subdir is not None
        return Path(self.config.hydra.sweep.dir) if keeps else None

    def _save_config(self) -> None:
        folder = self._folder()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(self.config, folder / "multirun.yaml")


def outcome(job: Job, returned: JobReturn | None, folder: Path | None) -> dict[str, Any]:
    """What came of a job: its `result.json`, or what its launcher returned where there is none.

    `folder` is the job's; an interrupted launcher returns nothing, also for jobs that it finished.
    """
    found: dict[str, Any] = {"status": "NOT RUN", "metrics": {}, "run_id": None, "error": ""}
    if returned is not None and returned.status is JobStatus.COMPLETED:
        metric = job.config["optimized_metric"]
        found |= {"status": "FINISHED", "metrics": {metric: returned._return_value}}
    elif returned is not None:
        error = returned._return_value
        found |= {"status": "FAILED", "error": f"{type(error).__name__}: {error}"}
    if folder is not None and (folder / "result.json").is_file():
        read: Mapping[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        found |= read
    return found
