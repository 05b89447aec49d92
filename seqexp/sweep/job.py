"""The jobs of a sweep: combinations of values, composed and checked; and the sweep they make."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from seqexp.checkpoint.identity import code_digest, fingerprint, identity
from seqexp.config.check import set_aside
from seqexp.config.experiments import Others
from seqexp.config.groups import WORDS, Config
from seqexp.config.instantiate import build
from seqexp.errors import InputError

OF_A_SWEEP = ("seeds", "force", "dry_run", "trainer.replicas")
"""Keys that say what is to be done with a sweep, and nothing to its jobs."""

MAX_NAME = 60
"""Characters of a sweep's name."""


@dataclass(frozen=True)
class Job:
    """One combination of the sweep.

    Args:
        overrides: what it is given, as one would type it.
        config: checked.
        dataset: the option of that group.
        given: the same as `overrides`, as Hydra takes it.
        left_out: keys of `overrides` that its options leave out, since they are for others.
    """

    overrides: tuple[str, ...]
    config: Config
    dataset: str
    given: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()

    @cached_property
    def identity(self) -> str:
        """The identity of its run."""
        return identity(self.config)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.identity[:12]

    @property
    def label(self) -> str:
        """Its values, in one line."""
        return " ".join(self.overrides)

    def part(self, group: str) -> Any:
        """The object that its config describes in a group: `tracking`, `sweeper`, `launcher`."""
        return build(self.config[group])


def workers_of(config: Config) -> int:
    """Jobs that the launcher of a sweep runs at once."""
    return int(build(config["launcher"]).workers)


def settled(config: Config) -> Config:
    """A checked config in which the run that its model starts from has its whole name.

    Raises:
        InputError: if it cannot be found.
    """
    if config["model"].get("from_run") is None:
        return config
    from seqexp.inference import from_run  # PyTorch

    return from_run.settled(config)


def key_of(override: Override) -> str:
    """An override's key, without the plus signs that let it in."""
    return str(override.get_key_element()).lstrip("+")


def is_for_jobs(override: str) -> bool:
    """Whether a job has to know an override."""
    return override.lstrip("+").partition("=")[0] not in OF_A_SWEEP


def tells_apart(override: str) -> bool:
    """Whether an override may tell a job from others: it is for jobs, and no label of them."""
    key = override.lstrip("+").partition("=")[0]
    return is_for_jobs(override) and key.partition(".")[0] not in WORDS


def left_out(composed: DictConfig, others: Others, overrides: Sequence[str]) -> frozenset[str]:
    """The keys of a job's overrides that its options leave out, since they are for others."""
    given = frozenset(item.lstrip("+").partition("=")[0] for item in overrides)
    aside = set_aside(cast(Mapping[str, Any], composed), others)
    return given & {f"{group}.{key}" for group, keys in aside.items() for key in keys}


def seeds_override(
    seeds: object, given: Sequence[Override], seed: object = 0, replicas: object = None
) -> list[str]:
    """The override that repeats each point with the seeds 0 to `seeds` - 1; may be empty.

    Where nothing at all is swept, there are as many seeds from `seed` on as `replicas`.

    Raises:
        InputError: if a seed is given too.
    """
    is_swept = any(override.is_sweep_override() for override in given)
    if seeds is None and isinstance(replicas, int) and isinstance(seed, int) and not is_swept:
        return [f"++seed=range({seed},{seed + replicas})"] if replicas > 0 else []
    if not isinstance(seeds, int) or seeds < 1:
        return []  # the check says what is wrong with it
    for override in given:
        if key_of(override) == "seed":
            line = str(override.input_line).lstrip("+")
            raise InputError(f"seeds is {seeds} and {line} is given too; give one of them")
    return [f"++seed=range({seeds})"]


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """The jobs, each identity once."""
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(job.identity, job)
    return list(found.values())


def sweep_identity(base: Config, grids: Sequence[Sequence[Override]]) -> str:
    """SHA-256 of what all jobs share, the code, and the keys that are swept, grid by grid.

    The values of those keys are not in it: a sweep with one more is the same sweep.

    Args:
        base: the composition without the swept keys, unchecked and unresolved.
        grids: overrides of each grid.
    """
    swept = sorted(
        {
            tuple(sorted(key_of(o) if o.is_sweep_override() else _line(o) for o in grid))
            for grid in grids
        }
    )
    trusted = [name for name in base["trusted_packages"] if isinstance(name, str)]
    told = [fingerprint(base), code_digest(tuple(trusted)), _without_shared(swept)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _without_shared(grids: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """Grids without what all of them are given: that is in the base."""
    shared = {item for item in grids[0] if "=" in item and all(item in grid for grid in grids)}
    return [[item for item in grid if item not in shared] for grid in grids]


def sweep_name(choices: Mapping[str, str], swept: Sequence[str]) -> str:
    """A readable name: model and dataset where they are fixed, and what is swept."""
    fixed = [choices[group] for group in ("model", "dataset") if group not in swept]
    words = [*fixed, *(key.rpartition(".")[2] for key in swept)]
    return re.sub(r"[^\w-]+", "_", "-".join(words))[:MAX_NAME]


def _line(override: Override) -> str:
    return str(override.input_line).lstrip("+")
