"""Settings of launchers (`conf/launcher/*.yaml`), and the cores that their jobs share.

The launchers themselves are `forked/launcher.py`, and Hydra's plugins for submitit and Ray.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero
from seqexp.utils.workers import cores


class Launcher(Protocol):
    """Facts that a run needs of the place where it runs."""

    @property
    def workers(self) -> int:
        """Jobs that run at once."""
        ...

    def threads(self) -> int | None:
        """CPU threads that are a job's share; None leaves PyTorch's choice."""
        ...


@dataclass(frozen=True)
class Local:
    """One job after the other, in this process."""

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def threads(self) -> None:
        """All that PyTorch takes."""


@dataclass(frozen=True)
class Parallel:
    """Processes on this machine, by `seqexp.sweep.forked`.

    Args:
        jobs: at once.
    """

    jobs: Count

    @property
    def workers(self) -> int:
        """Its processes."""
        return self.jobs

    def threads(self) -> int:
        """The cores, shared out."""
        return share(cores(), self.jobs)


@dataclass(frozen=True)
class Slurm:
    """An array of Slurm jobs, by submitit.

    Args:
        jobs: that run at once, at most.
        minutes: time limit of a job.
        memory_gb: of a job.
        cpus: of a job.
        gpus: of a job; None asks for none.
        partition: None is the cluster's default.
        account: who is charged; None is the user's default.
        setup: shell lines before a job.
    """

    jobs: Count = 256
    minutes: Count = 60
    memory_gb: Count = 4
    cpus: Count = 1
    gpus: CountOrZero | None = None
    partition: str | None = None
    account: str | None = None
    setup: list[str] | None = None

    @property
    def workers(self) -> int:
        """Jobs at once."""
        return self.jobs

    def threads(self) -> int:
        """The cores that Slurm gives a job."""
        return self.cpus


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster.

    Args:
        jobs: that run at once, of a cluster that is started here; None for one with an address.
        address: of a cluster; None starts one on this machine.
        cpus: of a job.
        gpus: of a job.
    """

    jobs: Count | None = None
    address: str | None = None
    cpus: Count = 1
    gpus: CountOrZero = 0

    @property
    def workers(self) -> int:
        """Jobs at once, where that is known."""
        return self.jobs or cores()

    def threads(self) -> int:
        """The cores of this machine, shared out; of a cluster elsewhere, what it gives a job."""
        return self.cpus if self.address is not None else share(cores(), self.workers)


def share(num_cores: int, workers: int) -> int:
    """Threads for each of some workers: none shall be without, and together not too many."""
    return max(1, num_cores // workers)


def refuse_missing_commands(launcher: Mapping[str, Any]) -> None:
    """Refuse to launch by what is not on this machine, before anything is written.

    Raises:
        InputError: naming the launcher and what is missing.
    """
    if launcher["_target_"] == f"{Slurm.__module__}.Slurm" and shutil.which("srun") is None:
        raise InputError(
            "launcher is slurm, but this machine has no command srun; start the sweep where Slurm"
            " is, or give launcher=parallel"
        )
