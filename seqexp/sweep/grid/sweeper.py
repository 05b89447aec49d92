"""The sweep: every combination of the values given with commas, checked before the first starts.

Hydra's own sweeper expands the combinations and its launcher runs them. This one adds what a
person expects of a sweep: all configs are checked first, the runs stand together below a parent
in MLflow, a job that fails does not stop the others, and a table compares them at the end. The
same command again runs only what is missing.
"""

import logging
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from seqexp.config.check import check
from seqexp.config.experiments import for_others
from seqexp.config.groups import WORDS, Config
from seqexp.config.typed import as_typed, command_line, roots_of, typed
from seqexp.errors import ConfigError, InputError, StoppedError, SweepError
from seqexp.sweep.adoption import adopt, adoptable, stand_for
from seqexp.sweep.forked.launcher import ForkedLauncher
from seqexp.sweep.job import (
    OF_A_SWEEP,
    Job,
    distinct,
    is_for_jobs,
    key_of,
    left_out,
    seeds_override,
    settled,
    sweep_identity,
    sweep_name,
    tells_apart,
)
from seqexp.sweep.launcher import refuse_unlaunchable
from seqexp.sweep.manifest import Manifest, differing, held
from seqexp.sweep.replicas import parted, stacks, told
from seqexp.tracking.labels import in_words, labels_after
from seqexp.utils import garbage, table
from seqexp.utils.files import LOCK, set_aside
from seqexp.utils.lock import is_held, wait_for
from seqexp.utils.phases import phase
from seqexp.utils.signals import Jobs

log = logging.getLogger("seqexp")

PARENT, SWEPT = "SEQEXP_PARENT_RUN", "SEQEXP_SWEPT"
"""Environment variables that tell the jobs the run id of their sweep, and the keys that differ."""

MAX_JOBS = 100_000
"""Of a sweep; all of them are composed and checked before the first one starts."""

MAX_JOBS_SHOWN = 3
"""Of those that have a fault, in a message."""

UNNAMED = "a-sweep"
"""What `hydra.sweep.dir` ends in where the sweep itself is to give its folder a name."""


EXPERIMENT = "experiment"


def _with_keys(grid: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each override, and its key."""
    return ((item, item.partition("=")[0]) for item in grid)


def _without_experiment_of(grid: Sequence[Override], given: Sequence[Override]) -> list[Override]:
    """The overrides of the command line, without the experiment where a grid names its own."""
    has_own = any(key_of(override) == EXPERIMENT for override in grid)
    return [o for o in given if not has_own or key_of(o) != EXPERIMENT]


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
        """Run all jobs that have not finished before.

        Raises:
            ConfigError: before anything is run, with the faults of every job.
            SweepError: at the end, if a job failed.
            StoppedError: at the end, if none did, but some were stopped.
        """
        garbage.resume()
        grids = self._combined(arguments)
        _refuse_uncountable(grids)
        combinations = [job for grid in grids for job in self.split_arguments(grid, None)[0]]
        jobs = self._checked(combinations)
        _refuse_useless(jobs)
        jobs = self._distinct(jobs)
        swept = {key_of(o) for grid in grids for o in grid if o.is_sweep_override()}
        swept |= differing([dict(o.partition("=")[::2] for o in j.overrides) for j in jobs])
        config = jobs[0].config
        self._name_folder(sweep_identity(self._base(), grids), sorted(swept))
        if config["dry_run"]:
            self._say_plan(jobs, swept)
            return []
        refuse_unlaunchable(config["launcher"])
        with self._ended(), held(self._folder()):
            if config["force"] and (folder := self._folder()):
                set_aside(folder)
            manifest = Manifest.read(self._folder())
            manifest.expect(jobs, sorted(swept))
            adopt(jobs, manifest)
            return self._go_on(jobs, manifest)

    # --- the story ----------------------------------------------------------------------------

    def _go_on(self, jobs: Sequence[Job], manifest: Manifest) -> list[list[JobReturn]]:
        missing = [job for job in jobs if manifest.entry(job).state != "FINISHED"]
        _say_what_is_there(jobs, manifest)
        _label_again(jobs, manifest)
        if not missing and manifest.closed == manifest.state_of_all():
            from seqexp.sweep.table import say_table

            say_table(manifest)
            return []
        self._save_config()
        manifest.closed = None
        manifest.save()

        self._prepare()
        with phase("loading PyTorch"):  # only for a sweep that is good
            from seqexp.sweep.grid.parent_run import Parent
        with phase("opening the store of runs"):
            parent = Parent(jobs[0], manifest)
        returns: list[JobReturn] = []
        try:
            for job in jobs:
                stand_for(job, manifest, parent.run_id)
            with have_told(parent.run_id, manifest.swept):
                for job_batch in self._batches(missing, manifest):
                    returns += self._launch(job_batch, len(returns), manifest)
        except BaseException as error:
            parent.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        parent.close()
        _raise_unfinished(jobs, manifest)
        return [returns]

    def _prepare(self) -> None:
        """Let a launcher that can begin with its own imports, beside ours."""
        if isinstance(self.launcher, ForkedLauncher):
            self.launcher.prepare()

    def _batches(self, jobs: Sequence[Job], manifest: Manifest) -> Iterator[list[Job]]:
        """Jobs to be launched together; what another process still runs comes last."""
        free = [job for job in jobs if manifest.entry(job).state != "RUNNING"]
        size = self.max_batch_size or max(1, len(free))
        for start in range(0, len(free), size):
            yield free[start : start + size]
        for job in jobs:
            if job not in free:
                self._wait_for(job, manifest)
                manifest.note([job], [])
                if manifest.entry(job).state != "FINISHED":
                    yield [job]

    def _wait_for(self, job: Job, manifest: Manifest) -> None:
        """A launcher's processes may outlive it, and finish their jobs."""
        folder = self._folder()
        assert folder is not None
        label = manifest.label(manifest.entry(job))
        log.info(f"{label}: another process is still running this; waiting for it")
        wait_for(folder / job.name)

    def _launch(self, jobs: Sequence[Job], first: int, manifest: Manifest) -> list[JobReturn]:
        assert self.launcher is not None
        groups = stacks(jobs, self._replicas())
        overrides = [
            [*filter(is_for_jobs, group[0].given), *self._place_of(group[0]), *told(group)]
            for group in groups
        ]
        returns: list[JobReturn] = []
        try:
            for group, returned in zip(
                groups, self.launcher.launch(overrides, initial_job_idx=first), strict=True
            ):
                returns += parted(returned, group)
        finally:
            manifest.note([job for group in groups for job in group], returns)
        return returns

    def _say_plan(self, jobs: Sequence[Job], swept: set[str]) -> None:
        from seqexp.sweep.dry_run import OF_A_LOG, say_plans  # imports torch

        folder = self._folder()
        shared = [item for item in jobs[0].overrides if item.partition("=")[0] not in swept]
        told = f"sweep of {len(jobs)} jobs, each with {command_line(shared) or 'the defaults'}"
        log.info(table.filled(told, table.columns() or OF_A_LOG) + "\n")
        if self._replicas() is not None:
            sizes = [str(len(group)) for group in stacks(jobs, self._replicas())]
            log.info(f"trained in one go, as stacks of models: {' and '.join(sizes)} of them\n")
        runs = []
        for job in jobs:
            own = [item for item in job.overrides if item.partition("=")[0] in swept]
            place = None if folder is None else folder / job.name
            if place is not None and not place.exists():
                place = adoptable(job, folder) or place
            runs.append((command_line(own), job.config, place))
        say_plans(runs)

    # --- what is swept ------------------------------------------------------------------------

    def _combined(self, arguments: list[str]) -> list[list[Override]]:
        """The overrides of each grid, with those of the command line and the seeds."""
        assert self.config is not None and self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides([*self._parse_config(), *arguments])
        _refuse_swept(given)
        grids = [parser.parse_overrides(grid) for grid in self._grids(given)]
        every = [*given, *(o for grid in grids for o in grid)]
        wanted = seeds_override(
            self.config.get("seeds"), every, self.config.get("seed"), self._replicas()
        )
        seeds = parser.parse_overrides(wanted)
        if seeds:  # where only one was given, it is the first of them
            given = [override for override in given if key_of(override) != "seed"]
        return [[*grid, *_without_experiment_of(grid, given), *seeds] for grid in grids]

    def _replicas(self) -> Any:
        """The number of runs that are trained in one go; not checked."""
        assert self.config is not None
        return OmegaConf.select(self.config, "trainer.replicas")

    def _grids(self, given: Sequence[Override]) -> list[list[str]]:
        """The grids, without those that give a key another value than the command line does.

        A grid may name an experiment of its own, in the place of the one that describes the grids.
        """
        lines = {key_of(override): str(override.input_line).lstrip("+") for override in given}
        roots = roots_of(self.config.hydra) if self.config is not None else []
        grids = [as_typed(words(grid), roots, is_sweep=True) for grid in self.grids]
        fitting = [
            grid
            for grid in grids
            if all(lines.get(key, o) == o or key == EXPERIMENT for o, key in _with_keys(grid))
        ]
        return fitting or [[]]

    def _checked(self, combinations: Sequence[Sequence[str]]) -> list[Job]:
        """Compose and check every job; their faults in one message."""
        assert self.config is not None and self.hydra_context is not None
        loader = self.hydra_context.config_loader
        shared = set(typed(combinations[0], self.config.hydra)).intersection(
            *(typed(overrides, self.config.hydra) for overrides in combinations)
        )
        jobs: list[Job] = []
        faults: dict[str, list[str]] = {}
        for overrides in combinations:
            composed: DictConfig = loader.load_sweep_config(self.config, list(overrides))
            dataset = str(composed.hydra.runtime.choices.dataset)
            others = for_others(composed.hydra)
            with open_dict(composed):
                del composed["hydra"]
            shown = tuple(filter(tells_apart, typed(overrides, self.config.hydra)))
            try:
                config = settled(check(composed, others=others))
                left = left_out(composed, others, shown)
                jobs.append(Job(shown, config, dataset, tuple(overrides), left))
            except ConfigError as error:
                own = command_line(item for item in shown if item not in shared)
                for fault in error.faults:
                    faults.setdefault(fault, []).append(own)
        if faults:
            number = len(combinations)
            noun = "job" if number == 1 else "jobs"
            told = [f"{fault}{_in_jobs(found, number)}" for fault, found in faults.items()]
            raise ConfigError(told, f" of the sweep ({number} {noun})")
        return jobs

    def _distinct(self, jobs: Sequence[Job]) -> list[Job]:
        """Each job once.

        Raises:
            InputError: if `seeds` is not the same for all.
        """
        assert self.config is not None
        if any(job.config["seeds"] != self.config.get("seeds") for job in jobs):
            raise InputError("seeds differs among the jobs; give seeds=N on the command line")
        found = distinct(jobs)
        if len(found) < len(jobs):
            more = len(jobs) - len(found)
            log.info(f"{more} of {len(jobs)} jobs are the same as others, and are run once")
        return found

    # --- where it is kept ---------------------------------------------------------------------

    def _base(self) -> Config:
        """The composition without what is swept, neither checked nor resolved."""
        assert self.config is not None
        plain = OmegaConf.to_container(self.config, resolve=False)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items() if key != "hydra"}

    def _folder(self) -> Path | None:
        assert self.config is not None
        keeps = self.config.hydra.output_subdir is not None
        return Path(self.config.hydra.sweep.dir) if keeps else None

    def _name_folder(self, identity: str, swept: Sequence[str]) -> None:
        """Give the sweep a folder that the same command finds again, unless it was given one."""
        folder = self._folder()
        if folder is not None and folder.name == UNNAMED:
            assert self.config is not None
            name = sweep_name(dict(self.config.hydra.runtime.choices), swept)
            self._move_to(folder.with_name(f"{name}-{identity[:10]}"))

    def _move_to(self, folder: Path) -> None:
        """Have the launcher, and each job, use this folder for the sweep."""
        assert self.config is not None and self.launcher is not None and self.hydra_context
        with open_dict(self.config):
            self.config.hydra.sweep.dir = str(folder)
            self.config.hydra.overrides.hydra.append(f"hydra.sweep.dir={_quoted(folder)}")
        # some launchers remember their folder from when they were made
        self.setup(
            config=self.config,
            hydra_context=self.hydra_context,
            task_function=self.launcher.task_function,  # type: ignore[attr-defined]
        )

    def _ended(self) -> AbstractContextManager[None]:
        """Within, a signal ends the jobs' processes before this one."""
        folder = self._folder()

        def are_busy() -> bool:
            return folder is not None and any(
                is_held(lock.parent) for lock in folder.glob(f"*/{LOCK}")
            )

        return Jobs(are_busy).ended()

    def _place_of(self, job: Job) -> list[str]:
        """The overrides that tell a worker process where to put a job."""
        return [f"hydra.sweep.subdir={_quoted(job.name)}"] if self._folder() is not None else []

    def _save_config(self) -> None:
        folder = self._folder()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            OmegaConf.save(self.config, folder / "multirun.yaml")


def _refuse_useless(jobs: Sequence[Job]) -> None:
    """Refuse typed keys that every job of a sweep would leave out.

    Raises:
        InputError: naming the first of them.
    """
    for key in sorted(frozenset.intersection(*(job.left_out for job in jobs))):
        group = key.partition(".")[0]
        raise InputError(
            f"{key}: no job of the sweep has a {group} that takes it; leave it out, or give another"
            f" {group} too"
        )


def _in_jobs(found: Sequence[str], number: int) -> str:
    """Which of a sweep's jobs have a fault: nothing where all have it."""
    if len(found) == number:
        return ""
    if len(found) == 1:
        return f"   (in the job {found[0]})"
    shown = "; ".join(found[:MAX_JOBS_SHOWN])
    more = "; ..." if len(found) > MAX_JOBS_SHOWN else ""
    return f"   (in {len(found)} of {number} jobs: {shown}{more})"


@contextmanager
def have_told(run_id: str | None, swept: Iterable[str]) -> Iterator[None]:
    """Have the jobs know their parent, and what they differ in."""
    os.environ.update({PARENT: run_id or "", SWEPT: " ".join(swept)})
    try:
        yield
    finally:
        del os.environ[PARENT], os.environ[SWEPT]


def _refuse_swept(given: Sequence[Override]) -> None:
    for override in given:
        key = key_of(override)
        is_one = key in OF_A_SWEEP or key.partition(".")[0] in WORDS
        if is_one and override.is_sweep_override():
            line = str(override.input_line).lstrip("+")
            raise InputError(f"{line}: is for a sweep as a whole; give one value")


def words(grid: str) -> list[str]:
    """The overrides of a grid, as a shell would split them.

    Raises:
        InputError: on a quote or a backslash that stands alone.
    """
    try:
        return shlex.split(grid)
    except ValueError as error:
        raise InputError(
            f"hydra.sweeper.grids has {grid!r}, which cannot be split into overrides"
            f" ({str(error).lower()}); give each quote its partner, and a \\ something behind it"
        ) from None


def _refuse_uncountable(grids: Sequence[Sequence[Override]]) -> None:
    """Refuse a sweep over no values, over far too many, or over what only a search chooses from."""
    for grid in grids:
        number = 1
        for override in grid:
            number *= _number_of_values(override) if override.is_sweep_override() else 1
        if number > MAX_JOBS:
            raise InputError(f"a sweep of more than {MAX_JOBS:,} jobs; give fewer values")


def _number_of_values(override: Override) -> int:
    """Number of values that a sweep gives a key; one more than `MAX_JOBS` stands for all above."""
    line = shlex.quote(str(override.input_line).lstrip("+"))
    if not override.is_discrete_sweep():
        raise InputError(f"{line}: an interval is for a search; add sweeper=optuna")
    try:
        number = sum(1 for _ in islice(override.sweep_string_iterator(), MAX_JOBS + 1))
    except (AssertionError, ArithmeticError, HydraException, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "it is for groups"
        raise InputError(f"{line}: no values come of it ({reason})") from error
    if number == 0:
        raise InputError(f"{line}: no values come of it; give some, as seed=0,1")
    return number


def _say_what_is_there(jobs: Sequence[Job], manifest: Manifest) -> None:
    """One line on what is left to do."""
    states = [manifest.entry(job).state for job in jobs]
    words: Mapping[str, str] = {
        "FINISHED": "finished before",
        "KILLED": "to be continued",
        "RUNNING": "still running in another process",
        "FAILED": "failed before, and tried again",
        "PENDING": "to run",
    }
    counts = [f"{states.count(state)} {told}" for state, told in words.items() if state in states]
    noun = "job" if len(jobs) == 1 else "jobs"
    where = f"; {manifest.folder}" if manifest.folder is not None else ""
    log.info(f"sweep of {len(jobs)} {noun}: {', '.join(counts)}{where}")


def _label_again(jobs: Sequence[Job], manifest: Manifest) -> None:
    """Give a sweep, and its jobs that have finished, the tags and notes of a later command."""
    given = labels_after(jobs[0].config)
    new = {key: value for key, value in given.items() if manifest.labels.get(key) != value}
    finished = [entry for entry in map(manifest.entry, jobs) if entry.state == "FINISHED"]
    run_ids = [run_id for run_id in (manifest.run_id, *(e.run_id for e in finished)) if run_id]
    if new and finished and run_ids:
        jobs[0].part("tracking").label(run_ids, new)
        if told := in_words(new):
            log.info(f"labelled in MLflow: {told}")
    manifest.labels.update(new)
    manifest.save()


def _raise_unfinished(jobs: Sequence[Job], manifest: Manifest) -> None:
    """End with what went wrong.

    Raises:
        SweepError: if a job failed.
        StoppedError: if none did, but one was stopped.
    """
    entries = [manifest.entry(job) for job in jobs]
    failed = [entry for entry in entries if entry.state == "FAILED"]
    if failed:
        told = [f"{manifest.label(entry)}: {entry.error.partition(chr(10))[0]}" for entry in failed]
        raise SweepError("\n  ".join([f"{len(failed)} of {len(jobs)} jobs failed", *told]))
    unfinished = sum(entry.state != "FINISHED" for entry in entries)
    if unfinished:
        raise StoppedError(
            f"{unfinished} of {len(jobs)} jobs were stopped; the same command goes on"
        )


def _quoted(value: object) -> str:
    """A text for Hydra's grammar, which would read some names as numbers."""
    return "'" + str(value).replace("'", r"\'") + "'"
