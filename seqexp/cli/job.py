"""Turns one Hydra job into one run, or into several replicas."""

import json
import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from seqexp.cli.resolvers import NUM_PROCESSES, RANK, folder_name
from seqexp.config.typed import choices, command_line, typed
from seqexp.errors import InputError, RunError, StoppedError
from seqexp.tracking import check as tracking_rules  # noqa: F401  (its resolver)
from seqexp.tracking.store.delivery import import_ahead
from seqexp.utils import garbage
from seqexp.utils.phases import phase

if TYPE_CHECKING:
    from seqexp.checkpoint.result import Start
    from seqexp.sweep.replicas import Member

log = logging.getLogger("seqexp")


def run_members(first: dict[str, Any], hydra_config: Any, members: Sequence["Member"]) -> list[Any]:
    """Several runs of a sweep in one go."""
    from seqexp.cli.replicas import run_together

    runs, given = [], [set(member.overrides) for member in members]
    for member in members:
        own = [item for item in member.overrides if not all(item in items for items in given)]
        tags = {"seqexp.replicas": str(len(members))}
        start = start_of(hydra_config, member.overrides, member.name, tags)
        runs.append((command_line(own), member.config(first), start))
    labels = ", ".join(label for label, _, _ in runs)
    log.info(f"\njob {hydra_config.job.num}, {len(runs)} runs in one go: {labels}")
    outcomes = run_together(runs)
    return [
        told_failure(label, outcome)
        if isinstance(outcome, Exception)
        else outcome.metrics.get(config["optimized_metric"])
        for (label, config, _), outcome in zip(runs, outcomes, strict=True)
    ]


def start_of(
    hydra_config: Any,
    overrides: Sequence[str],
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> "Start":
    """The facts of a run beside its config; `name` is its folder's, where it is not the job's."""
    from seqexp.checkpoint.result import Start

    is_sweep = hydra_config.mode is RunMode.MULTIRUN
    folder = Path(hydra_config.runtime.output_dir)
    folder = folder if name is None else folder.with_name(name)
    return Start(
        choices=choices(hydra_config.runtime.choices),
        overrides=overrides,
        folder=folder if hydra_config.output_subdir is not None else None,
        parent=os.environ.get("SEQEXP_PARENT_RUN") if is_sweep else None,
        is_job=is_sweep,
        swept=swept_keys() if is_sweep else (),
        name=run_label(overrides) if is_sweep else None,
        tags=tags or {},
    )


def run_label(overrides: Sequence[str]) -> str | None:
    """The name of a job of a sweep: the values that differ, or all but places and labels."""
    swept = swept_keys()
    elsewhere = ("paths.", "tracking", "tags", "notes=")
    told = [item for item in overrides if not item.startswith(elsewhere)]
    differing = [item for item in told if item.lstrip("+").partition("=")[0] in swept]
    return command_line(differing or told) or None


def swept_keys() -> list[str]:
    """The keys in which the jobs of a sweep differ, as the sweep has said."""
    return os.environ.get("SEQEXP_SWEPT", "").split()


def own_overrides(hydra_config: Any, aside: Mapping[str, Sequence[str]]) -> list[str]:
    """The typed overrides of the run itself, without those that it sets aside."""
    left = {f"{group}.{key}" for group, keys in aside.items() for key in keys}
    return [
        item
        for item in typed(hydra_config.overrides.task, hydra_config)
        if not item.startswith(("launcher", "sweeper")) and item.partition("=")[0] not in left
    ]


def told_failure(what: str, error: Exception) -> Exception:
    """Say at once what failed; returns the error as one that can leave this process."""
    known = isinstance(error, InputError | RunError)
    word = "stopped" if isinstance(error, StoppedError) else "failed"
    log.error(f"{what} {word}: {error}", exc_info=None if known else error)
    return portable(error)


def portable(error: Exception) -> Exception:
    """The error, or one that says the same, where it cannot cross the border of a process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error of another package does when it is made again
        return RunError(f"{type(error).__name__}: {error}")
    return error


def job(config: DictConfig) -> Any:
    """One run, or several in one go; returns the optimized metric, which sweepers work on.

    Of several, it returns that of each, or the error that it failed with.
    """
    from seqexp.config.check import check, set_aside
    from seqexp.config.experiments import for_others
    from seqexp.sweep.job import settled
    from seqexp.sweep.replicas import members

    hydra_config = HydraConfig.get()
    is_sweep = hydra_config.mode is RunMode.MULTIRUN
    if not is_sweep:
        refuse_words_of_sweeps(hydra_config.runtime.choices)
    others = for_others(hydra_config)
    plain = settled(check(config, others=others))
    aside = set_aside(cast(Mapping[str, Any], config), others)
    refuse_typed(aside, hydra_config, is_sweep)
    for_sweeps = {"seeds": plain["seeds"], "trainer.replicas": plain["trainer"]["replicas"]}
    for key, value in for_sweeps.items():
        if value is not None and not is_sweep:
            raise InputError(f"{key} is {value}, which is for a sweep; add -m")
    if not is_sweep:
        tell_aside(plain, aside, others)
    if plain["dry_run"]:
        plan(plain, hydra_config)
        return None
    if not is_sweep and NUM_PROCESSES == 1:
        import_ahead(plain["tracking"])
    with phase("loading PyTorch"):
        # seconds of imports: only for a config that is good
        from seqexp.run import run

    if RANK > 0:
        log.setLevel(logging.ERROR)  # the first process speaks for all
    together = members()
    if together:
        return run_members(plain, hydra_config, together)
    start = start_of(hydra_config, own_overrides(hydra_config, aside))
    if is_sweep:
        log.info(f"\njob {hydra_config.job.num}: {command_line(start.overrides)}")
        tell_aside(plain, aside, others)
    try:
        result = run(plain, start)
    except Exception as error:
        if is_sweep:  # Hydra shows only the first job that failed
            raise told_failure(f"job {hydra_config.job.num}", error) from error
        raise
    return result.metrics.get(plain["optimized_metric"])


def tell_aside(
    config: Mapping[str, Any], aside: Mapping[str, Sequence[str]], others: Mapping[str, Any]
) -> None:
    """Say which settings of the experiment are for options that were not chosen, and which stay."""
    for group, keys in aside.items():
        left = ", ".join(f"{group}.{key}" for key in keys)
        log.info(f"left out of the experiment, for another {group}: {left}")
        kept = {key: config[group][key] for key in sorted(others.get(group, ())) if key not in keys}
        if kept:
            log.info(f"  kept: {', '.join(f'{group}.{_given(*item)}' for item in kept.items())}")


def _given(key: str, value: Any) -> str:
    return key if isinstance(value, Mapping) else f"{key}={json.dumps(value)}"


def refuse_typed(aside: Mapping[str, Sequence[str]], hydra_config: Any, is_sweep: bool) -> None:
    """A key that is set aside is of no use on the command line of a single run."""
    typed_keys = {item.lstrip("+").partition("=")[0] for item in hydra_config.overrides.task}
    for group, keys in aside.items():
        wrong = [key for key in keys if f"{group}.{key}" in typed_keys]
        if wrong and not is_sweep:
            option = hydra_config.runtime.choices.get(group)
            raise InputError(f"{group}.{wrong[0]}: unknown for {group}={option}; leave it out")


def refuse_words_of_sweeps(chosen: Any) -> None:
    """A launcher and a search are of use for several runs only."""
    for group, default in (("launcher", "local"), ("sweeper", "grid")):
        option = chosen.get(group)
        if option not in (None, default):
            raise InputError(f"{group}={option} is for a sweep; add -m, or give {group}={default}")


def plan(config: dict[str, Any], hydra_config: Any) -> None:
    """Say what a single run would do."""
    from seqexp.sweep.dry_run import say_plans

    garbage.resume()
    overrides = typed(hydra_config.overrides.task, hydra_config)
    folder = Path(hydra_config.runtime.output_dir)
    if folder == Path.cwd():  # of `dry`
        name = folder_name(choices(hydra_config.runtime.choices), config)
        folder = Path(config["paths"]["outputs"]).absolute() / "runs" / name
    label = command_line(item for item in overrides if not item.startswith("dry_run="))
    say_plans([(label, config, folder)])
