"""What a job of the command line is: the run that Hydra's config of it tells of, or several."""

import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.types import RunMode

from seqexp.errors import InputError, RunError, StoppedError
from seqexp.typed import command_line, written

if TYPE_CHECKING:
    from seqexp.facts import Start
    from seqexp.sweep.stacks import Member

log = logging.getLogger("seqexp")


def run_members(first: dict[str, Any], hydra_config: Any, members: Sequence["Member"]) -> list[Any]:
    """Several runs of a sweep in one go."""
    from seqexp.together import run_together

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
    """What is known of a run beside its config; `name` is that of its folder, where it is not the
    job's.
    """
    from seqexp.facts import Start

    is_sweep = hydra_config.mode is RunMode.MULTIRUN
    folder = Path(hydra_config.runtime.output_dir)
    folder = folder if name is None else folder.with_name(name)
    return Start(
        choices=choices(hydra_config.runtime.choices),
        overrides=overrides,
        folder=folder if hydra_config.output_subdir is not None else None,
        parent=os.environ.get("SEQEXP_PARENT_RUN") if is_sweep else None,
        name=run_label(overrides) if is_sweep else None,
        tags=tags or {},
    )


def run_label(overrides: Sequence[str]) -> str | None:
    """What a job of a sweep is called: its values, without where things are kept."""
    elsewhere = ("paths.", "tracking")
    return command_line(item for item in overrides if not item.startswith(elsewhere)) or None


def own_overrides(hydra_config: Any) -> list[str]:
    """What was typed of the run itself."""
    return [
        item
        for item in typed(hydra_config.overrides.task, hydra_config)
        if not item.startswith(("launcher", "sweeper"))
    ]


def typed(overrides: Sequence[str], hydra_config: Any) -> list[str]:
    """Overrides as a person types them, from what Hydra reads."""
    roots = roots_of(hydra_config)
    return [written(item, roots, overrides) for item in overrides]


def roots_of(hydra_config: Any) -> list[Path]:
    """The folders of configs that Hydra composed from."""
    sources = hydra_config.runtime.config_sources
    return [Path(source.path) for source in sources if source.schema == "file"]


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


def choices(chosen: Any) -> dict[str, str]:
    """The option taken of each of our groups."""
    return {
        str(group): str(option)
        for group, option in chosen.items()
        if not str(group).startswith(("hydra/", "launcher", "sweeper")) and option is not None
    }
