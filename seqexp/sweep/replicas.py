"""Jobs of a sweep that are trained in one go: which they are, and how their process is told.

A launcher knows one job, the first; of the others, its process is told in what they differ.
"""

import copy
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from hydra.core.utils import JobReturn, JobStatus

from seqexp.config.groups import Config
from seqexp.sweep.job import Job, is_for_jobs

TOLD = "SEQEXP_TOGETHER"
"""Environment variable of one launched job that tells it all whose runs it is."""

SHARED = ("device", "precision", "num_threads", "deterministic", "max_minutes")
"""Keys of a trainer that are settings of a process, or of all that is computed in it."""


@dataclass(frozen=True)
class Member:
    """One of the runs of a launched job.

    Args:
        name: of its folder, beside that of the first.
        overrides: what it is given, as one would type it.
        values: in which its config differs from the first's, by dotted key.
    """

    name: str
    overrides: tuple[str, ...]
    values: Mapping[str, Any]

    def config(self, first: Config) -> Config:
        """Its config."""
        config: Config = copy.deepcopy(first)
        for key, value in self.values.items():
            node = config
            *path, last = key.split(".")
            for part in path:
                node = node[part]
            node[last] = value
        return config


def stacks(jobs: Sequence[Job], replicas: int | None) -> list[list[Job]]:
    """The jobs in groups that are trained in one go, of at most `replicas` and of like size."""
    if replicas is None:
        return [[job] for job in jobs]
    alike: dict[str, list[Job]] = {}
    for job in jobs:
        alike.setdefault(_kind(job.config), []).append(job)
    groups = []
    for found in alike.values():
        count = -(-len(found) // replicas)
        ends = [len(found) * number // count for number in range(count + 1)]
        groups += [found[start:stop] for start, stop in zip(ends[:-1], ends[1:], strict=True)]
    return groups


def told(jobs: Sequence[Job]) -> list[str]:
    """Overrides that tell a launched job whose runs it is; nothing where it is one run."""
    if len(jobs) == 1:
        return []
    first = _leaves(jobs[0].config)
    members = []
    for job in jobs:
        values = {k: v for k, v in _leaves(job.config).items() if first[k] != v}
        overrides = tuple(filter(is_for_jobs, job.overrides))
        members.append(asdict(Member(job.name, overrides, values)))
    # quoted as an address is, so that Hydra's grammar finds nothing to read in it
    return [f"+hydra.job.env_set.{TOLD}='{quote(json.dumps(members), safe='')}'"]


def members() -> list[Member]:
    """Whose runs this process's job is; none where it is one run."""
    text = os.environ.get(TOLD)
    if text is None:
        return []
    return [
        Member(item["name"], tuple(item["overrides"]), item["values"])
        for item in json.loads(unquote(text))
    ]


def parted(returned: JobReturn, jobs: Sequence[Job]) -> list[JobReturn]:
    """The return of a launched job, for each of its runs."""
    if len(jobs) == 1:
        return [returned]
    if returned.status is not JobStatus.COMPLETED:
        return [returned for _ in jobs]
    return [
        replace(
            returned,
            status=JobStatus.FAILED if isinstance(value, Exception) else JobStatus.COMPLETED,
            _return_value=value,
        )
        for value in returned.return_value
    ]


def _kind(config: Config) -> str:
    """The facts that replicas must share: the model, the way of computing, and the set of keys."""
    shared = [config["trainer"][key] for key in SHARED]
    target = config["dataset"]["_target_"]
    return json.dumps([config["model"], target, shared, sorted(_leaves(config))])


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; a list is a value."""
    found = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            found.update(_leaves(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found
