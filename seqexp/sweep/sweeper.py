"""The sweep: every combination of the values given with commas, checked before the first starts.

Hydra's own sweeper expands the combinations and its launcher runs them. This one adds what a
person expects of a sweep: all configs are checked first, the runs stand together below a parent
in MLflow, a job that fails does not stop the others, and a table compares them at the end.
"""

import json
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
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
    """Every combination, checked, run by Hydra's launcher, compared.

    Args:
        max_batch_size: jobs given to the launcher at once; None gives all.
        params: swept beside what the command line gives: values with commas, by key.
        grids: swept each by itself, one after the other: overrides with blanks between.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        grids: Sequence[str] = (),
    ) -> None:
        super().__init__(max_batch_size, params)
        self.grids = tuple(grids)

    def sweep(self, arguments: list[str]) -> Any:
        """Run all jobs.

        Raises:
            ConfigError: before anything is run, with the faults of every job.
            SweepError: at the end, if a job failed.
        """
        assert self.config is not None and self.launcher is not None and self.hydra_context
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides([*self._parse_config(), *arguments])
        grids = [[*parser.parse_overrides(grid), *given] for grid in self._grids(given)]
        combinations = [job for grid in grids for job in self.split_arguments(grid, None)[0]]
        jobs = self._checked(combinations)
        batches = list(self.split_overrides_to_chunks(combinations, self.max_batch_size))
        self._save_config()

        from seqexp.sweep.parent import Parent  # MLflow: only for a sweep that is good

        swept = {_key(o) for grid in grids for o in grid if o.is_sweep_override()}
        parent = Parent(jobs, sorted(swept | _differing(jobs)), self._folder())
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

    def _grids(self, given: Sequence[Override]) -> list[list[str]]:
        """The grids, without those that give a key another value than the command line does."""
        lines = {_key(override): str(override.input_line).lstrip("+") for override in given}
        grids = [shlex.split(grid) for grid in self.grids]
        fitting = [
            grid for grid in grids if all(lines.get(o.partition("=")[0], o) == o for o in grid)
        ]
        return fitting or [[]]

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


def _key(override: Override) -> str:
    return str(override.get_key_element()).lstrip("+")


def _differing(jobs: Sequence[Job]) -> set[str]:
    """Keys that not all jobs are given the same value of."""
    given = [dict(item.partition("=")[::2] for item in job.overrides) for job in jobs]
    keys = {key for values in given for key in values}
    return {key for key in keys if len({values.get(key) for values in given}) > 1}


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
