"""The search: trials asked of Optuna, checked, run by Hydra's launcher in batches, told to Optuna.

The study is kept in the sweep's folder, which follows from what is searched: the same command goes
on where the last one ended, and one with more trials adds them.
"""

import hashlib
import importlib.util
import itertools
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus

from seqexp.checkpoint.provenance import is_result
from seqexp.config.groups import Config
from seqexp.errors import ConfigError, InputError, SweepError
from seqexp.metrics import IN_TRAINING, higher_is_better
from seqexp.sweep.grid.sweeper import UNNAMED, CheckedSweeper
from seqexp.sweep.job import Job, is_for_jobs, key_of
from seqexp.sweep.launcher import Launcher, refuse_unlaunchable
from seqexp.sweep.manifest import held
from seqexp.sweep.optuna.settings import Optuna
from seqexp.sweep.optuna.space import Choice, Space, read_override, read_space
from seqexp.utils import garbage
from seqexp.utils.files import RESULT, read_json, set_aside
from seqexp.utils.phases import phase
from seqexp.utils.progress import in_words

if TYPE_CHECKING:
    from optuna.trial import Trial

    from seqexp.sweep.optuna.parent_run import SearchRun
    from seqexp.sweep.optuna.study import Study

log = logging.getLogger("seqexp")

TIMED = "timed"
"""Value of `dry_run` that has updates timed."""

MOST_TIMED = 4
"""Of the outermost settings of a search, by which its time is told."""

MAX_COMBINATIONS = 64
"""Of groups' options, whose compositions are all checked before the first trial."""

PER_EPOCH = ("valid/", "best/valid_", *(f"train/{name}" for name in IN_TRAINING))
"""Metrics that are known after each epoch, as a pruner needs."""


@dataclass
class Asked:
    """A trial before it runs, and others that asked for the same values meanwhile."""

    trial: "Trial"
    values: dict[str, str]
    job: Job
    twins: list["Trial"]


class SearchingSweeper(CheckedSweeper):
    """Looks for the values that make `optimized_metric` best; see `conf/sweeper/optuna.yaml`."""

    def sweep(self, arguments: list[str]) -> Any:
        """Run all trials.

        Raises:
            ConfigError: before anything is run, if the search is not sound.
            SweepError: at the end, if no trial succeeded.
        """
        assert self.config is not None and self.launcher is not None and self.hydra_context
        if importlib.util.find_spec("optuna") is None:
            raise InputError("sweeper=optuna: a package is missing; pip install 'seqexp[optuna]'")
        garbage.resume()
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides(arguments)
        fixed = [str(o.input_line) for o in given if not o.is_sweep_override()]
        self.fixed = list(filter(is_for_jobs, fixed))
        if self.config.seeds is not None:
            raise InputError(f"seeds is {self.config.seeds}, which a search has no use for")
        base = self._checked([self.fixed])[0]
        self.settings: Optuna = base.part("sweeper")
        self.space = self._space(given)
        self._keys: dict[tuple[str, ...], list[str]] = {}
        self._nowhere: set[str] | None = None
        self._check_ends()
        self._check_pruner(base.config)
        with phase("loading PyTorch and Optuna"):  # only for a search that is good
            from seqexp.sweep.optuna.parent_run import SearchRun
            from seqexp.sweep.optuna.study import Study

        maximize = higher_is_better(base.config["optimized_metric"])
        if self.config.dry_run:
            self._say_search()
            return
        refuse_unlaunchable(base.config["launcher"])
        with self._place(base.config) as folder:
            self._prepare()
            epochs = base.config["trainer"]["epochs"]
            study = Study(self.settings, self.space, folder, maximize, epochs)
            taken_up = study.take_up()
            before = len(study.trials())
            if before or taken_up:
                log.info(f"{before} trials are there; {taken_up} were cut off, and are tried again")
            with phase("opening the store of runs"):
                run = SearchRun(base, study, self._folder())
            with run.recorded():
                self._run_trials(study, run)
            if run.num_done == 0:
                raise SweepError(f"all {len(study.trials())} trials failed")

    def _say_search(self) -> None:
        """Print the space that would be searched."""
        log.info(f"{self.settings.n_trials} trials by {self.settings.sampler}, none started, of")
        for key, found in self.space.items():
            log.info(f"  {key:32} {' to '.join(found.ends())}")
        if self.config is not None and self.config.dry_run == TIMED:
            self._say_time()

    def _say_time(self) -> None:
        """Print how long a trial takes, and all of them, by some of the outermost settings."""
        from seqexp.sweep.dry_run import Planner  # PyTorch

        ends = self._outermost()
        places = dict.fromkeys(
            round(i * (len(ends) - 1) / (MOST_TIMED - 1)) for i in range(MOST_TIMED)
        )
        planner, jobs = Planner(), [self._checked([list(ends[place])])[0] for place in places]
        plans = [planner.plan(job.label, {**job.config, "dry_run": TIMED}, None) for job in jobs]
        seconds = [plan.seconds for plan in plans if plan.seconds is not None]
        if not seconds:
            why = next((plan.fault for plan in plans if plan.fault), "the data are not here")
            log.info(f"no time is expected: {why}")
            return
        low, high = in_words(min(seconds)), in_words(max(seconds))
        count, workers = self.settings.n_trials, self._batch_size(jobs[0])
        told = f"expected: a trial takes about {low if low == high else f'{low} to {high}'}"
        told += f", {count} trials at most {in_words(count * max(seconds))}"
        if workers > 1:
            rounds = -(-count // workers)
            told += f", {in_words(rounds * max(seconds))} by {workers} workers"
        log.info(
            f"{told}, by a few timed updates of {len(seconds)} of the outermost settings. Reading"
            " the data, and what follows the test, come to that; a pruner stops some trials early."
        )

    # --- before the first trial ---------------------------------------------------------------

    def _space(self, given: Sequence[Override]) -> Space:
        """`sweeper.search` and the keys that the command line sweeps, less those it fixes."""
        search = dict(self.settings.search)
        space, faults = read_space(search)
        fixed = {key_of(o) for o in given if not o.is_sweep_override()}
        swept = {key_of(o): read_override(o) for o in given if o.is_sweep_override()}
        more, wrong = read_space(swept)
        space = {key: found for key, found in space.items() if key not in fixed} | more
        wrong = [fault.replace("sweeper.search.", "", 1) for fault in wrong]
        if not (space or faults or wrong):
            wrong = [
                "sweeper.search: there is nothing to search; give it in an experiment, or on the"
                " command line as model=lstm,rnn 'optimizer.lr=tag(log,interval(1e-4,1e-1))'"
            ]
        if faults or wrong:
            raise ConfigError([*faults, *wrong], " of the search")
        return space

    def _check_ends(self) -> None:
        """Check the outermost compositions: of every choice of groups, the lows and the highs."""
        assert self.hydra_context is not None
        faults: dict[str, str] = {}
        for values in self._all_options():
            try:
                self._checked([list(overrides) for overrides in self._ends_of(values)])
            except ConfigError as error:
                for fault in error.faults:  # each once, with the first job that has it
                    faults.setdefault(fault.partition("   (in the job")[0], fault)
        if faults:
            raise ConfigError(list(faults.values()), " of the search")

    def _ends_of(self, options: Mapping[str, str]) -> list[tuple[str, ...]]:
        """The lows and the highs, for one choice of groups."""
        ends = [self._ends(options, which) for which in range(self._num_ends())]
        return list(dict.fromkeys(tuple(self._overrides(end)) for end in ends))

    def _outermost(self) -> list[tuple[str, ...]]:
        """The lows and the highs, of every choice of groups."""
        return [ends for options in self._all_options() for ends in self._ends_of(options)]

    def _num_ends(self) -> int:
        return max(len(found.ends()) for found in self.space.values())

    def _ends(self, groups: Mapping[str, str], which: int) -> dict[str, str]:
        ends = {key: self.space[key].ends() for key in self.keys(groups)}
        return {**groups, **{key: end[which % len(end)] for key, end in ends.items()}}

    def _check_pruner(self, config: Config) -> None:
        metric = config["optimized_metric"]
        if self.settings.pruner != "none" and not metric.startswith(PER_EPOCH):
            raise InputError(
                f"sweeper.pruner is {self.settings.pruner}, but optimized_metric is {metric}, which"
                " is not known after each epoch; give best/valid_loss_nats, or sweeper.pruner=none"
            )

    def _is_group(self, key: str, found: object) -> bool:
        """Whether a key chooses a file of the config."""
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        return isinstance(found, Choice) and bool(loader.get_group_options(key))

    def keys(self, chosen: Mapping[str, str]) -> list[str]:
        """The keys that also vary where these options of groups are chosen.

        A key that only some options have is left out of the others.
        """
        groups = self.groups()
        options = tuple(chosen[key] for key in groups)
        if options not in self._keys:
            rest = [key for key in self.space if key not in groups]
            if self._nowhere is None:
                every = set().union(*(self._has(found, rest) for found in self._all_options()))
                self._nowhere = {*rest} - every
            # what no option has is a mistake, which the check shall speak about
            found = self._nowhere | self._has(dict(zip(groups, options, strict=True)), rest)
            self._keys[options] = [key for key in rest if key in found]
        return self._keys[options]

    def groups(self) -> list[str]:
        """Keys that choose a file of the config, on which other keys depend."""
        return [key for key, found in self.space.items() if self._is_group(key, found)]

    def _all_options(self) -> Iterator[dict[str, str]]:
        groups = self.groups()
        options = itertools.product(*(self.space[key].ends() for key in groups))
        for chosen in itertools.islice(options, MAX_COMBINATIONS):
            yield dict(zip(groups, chosen, strict=True))

    def _has(self, options: Mapping[str, str], keys: Sequence[str]) -> set[str]:
        """Those of the keys that a composition has."""
        config = self._checked([self._overrides(options)])[0].config
        return {key for key in keys if _is_in(config, key)}

    # --- where it is kept ---------------------------------------------------------------------

    @contextmanager
    def _place(self, config: Config) -> Iterator[Path]:
        """The folder of the study, for this process alone; one that is thrown away keeps nothing.

        Raises:
            InputError: if the same search runs already.
        """
        assert self.config is not None
        folder = self._folder()
        if folder is None:
            with tempfile.TemporaryDirectory() as name:
                yield Path(name)
            return
        if folder.name == UNNAMED:
            folder = folder.with_name(f"optuna-{self._identity(config)[:10]}")
            self._move_to(folder)
        with self._ended(), held(folder):
            if self.config.force:
                set_aside(folder)
            self._save_config()
            yield folder

    def _identity(self, config: Config) -> str:
        """SHA-256 of what is searched, for which metric, and how."""
        from seqexp.checkpoint.identity import fingerprint

        space = {key: asdict(found) for key, found in sorted(self.space.items())}
        names = ("sampler", "seed", "startup_trials", "pruner", "warmup_epochs")
        how = {name: getattr(self.settings, name) for name in names}
        told = [fingerprint(config), config["optimized_metric"], space, how]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    # --- the trials ---------------------------------------------------------------------------

    def _run_trials(self, study: "Study", run: "SearchRun") -> None:
        while (missing := self.settings.n_trials - len(study.trials())) > 0:
            batch = self._ask(study, run, min(missing, self._batch_size(run.base)))
            if not batch:
                continue
            assert self.launcher is not None
            overrides = [
                [
                    *asked.job.given,
                    *self._place_of(asked.job),
                    f"++sweeper.study={study.path}",
                    f"++sweeper.trial={asked.trial.number}",
                ]
                for asked in batch
            ]
            first = batch[0].trial.number
            returns = self.launcher.launch(overrides, initial_job_idx=first)
            for asked, returned in zip(batch, returns, strict=True):
                found = self._outcome(returned, run.base)
                for trial in (asked.trial, *asked.twins):
                    run.tell(trial, asked.values, found)

    def _batch_size(self, base: Job) -> int:
        launcher: Launcher = base.part("launcher")
        return self.settings.n_jobs or launcher.workers

    def _ask(self, study: "Study", run: "SearchRun", count: int) -> list[Asked]:
        """New trials; values that were tried before are told at once, and not run again."""
        batch: list[Asked] = []
        for _ in range(count):
            trial, values = study.ask(self.groups(), self.keys)
            earlier = run.result_of(values)
            twin = next((asked for asked in batch if asked.values == values), None)
            if earlier is not None:
                run.tell(trial, values, earlier)
            elif twin is not None:
                twin.twins.append(trial)
            else:
                try:
                    (job,) = self._checked([self._overrides(values)])
                    batch.append(Asked(trial, values, job, []))
                except ConfigError as error:
                    told = "; ".join(fault.partition("   (in the job")[0] for fault in error.faults)
                    run.tell(trial, values, {"status": "FAILED", "error": told, "metrics": {}})
        return batch

    def _overrides(self, values: Mapping[str, str]) -> list[str]:
        marks = {key: "" if self._is_group(key, self.space[key]) else "++" for key in values}
        return [*self.fixed, *(f"{marks[key]}{key}={value}" for key, value in values.items())]

    def _outcome(self, returned: JobReturn, base: Job) -> dict[str, Any]:
        folder = None
        if self._folder() is not None and returned.hydra_cfg is not None:
            folder = Path(returned.hydra_cfg.hydra.runtime.output_dir)
        return outcome(base, returned, folder)


def outcome(job: Job, returned: JobReturn | None, folder: Path | None) -> dict[str, Any]:
    """The result of a job: its `result.json`, or its launcher's return where there is none.

    `folder` is the job's; an interrupted launcher returns nothing, also for jobs that it finished.
    """
    found: dict[str, Any] = {"status": "NOT RUN", "metrics": {}, "run_id": None, "error": ""}
    if returned is not None and returned.status is JobStatus.COMPLETED:
        metric = job.config["optimized_metric"]
        found |= {"status": "FINISHED", "metrics": {metric: returned._return_value}}
    elif returned is not None:
        error = returned._return_value
        found |= {"status": "FAILED", "error": f"{type(error).__name__}: {error}"}
    if folder is not None and (folder / RESULT).is_file():
        read = read_json(folder / RESULT)
        if not isinstance(read, dict) or not is_result(read):
            raise InputError(f"{folder / RESULT}: is not what seqexp writes there; remove it")
        found |= read
    return found


def _is_in(config: Config, key: str) -> bool:
    node: Any = config
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            return False
        node = node[name]
    return True
