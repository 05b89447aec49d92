"""Settings of launchers (`conf/launcher/*.yaml`), and the cores that their jobs share.

The launchers themselves are `forked/launcher.py`, and Hydra's plugins for submitit and Ray.
"""

import importlib
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero
from seqexp.utils.workers import cores

CONNECTION_SECONDS = 5
"""In which a cluster has to answer."""


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
        jobs: that run at once, of a cluster that is started here; None is one a core. A cluster
            with an address has its own number.
        address: of a cluster that runs; None starts one on this machine.
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


def refuse_unlaunchable(launcher: Mapping[str, Any]) -> None:
    """Refuse what this machine or cluster cannot launch, before anything is written.

    Raises:
        InputError: naming the launcher's key and what is missing.
    """
    if launcher["_target_"] == f"{Ray.__module__}.Ray" and launcher["address"] is not None:
        _refuse_cluster(launcher)
    if launcher["_target_"] == f"{Slurm.__module__}.Slurm" and shutil.which("srun") is None:
        raise InputError(
            "launcher is slurm, but this machine has no command srun; start the sweep where Slurm"
            " is, or give launcher=parallel"
        )


def _refuse_cluster(launcher: Mapping[str, Any]) -> None:
    """Refuse a Ray cluster that is given a number of jobs, or that does not answer."""
    address = str(launcher["address"])
    if launcher["jobs"] is not None:
        raise InputError(
            f"launcher.jobs is {launcher['jobs']}, but the cluster {address} has its own number of"
            " jobs at once: its cores by launcher.cpus; give launcher.jobs=null"
        )
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would wait for five minutes
            socket.create_connection((host, int(port)), CONNECTION_SECONDS).close()
        else:
            ray = importlib.import_module("ray")  # an extra
            ray.init(address=address, log_to_driver=False, logging_level="error")
            ray.shutdown()
    except (OSError, ValueError, OverflowError) as error:
        reason = str(error).strip().partition("\n")[0][:300]
        raise InputError(
            f"launcher.address is {address}: no Ray cluster answers there ({reason}); start one by"
            " `ray start --head`, or give launcher.address=null"
        ) from error
