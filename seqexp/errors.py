"""The errors that speak to the person at the keyboard: one message, no traceback."""

from collections.abc import Sequence


class InputError(Exception):
    """Something given to seqexp is wrong: a config value, a file, a folder. Exit status 2.

    The message names the key or file, the value, and what is allowed.
    """


class ConfigError(InputError):
    """All faults of one configuration, in one message."""

    def __init__(self, faults: Sequence[str], where: str = "") -> None:
        self.faults, self.where = tuple(faults), where
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        head = f"the configuration{where} has {count}; nothing was started"
        super().__init__("\n".join([head, *(f"  {fault}" for fault in self.faults)]))

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...], str]]:
        """Let the error cross the border of a worker process, with the same message."""
        return type(self), (self.faults, self.where)


class RunError(Exception):
    """A run that had to stop, for a reason that is no bug. Exit status 1."""


class LostProcessError(RunError):
    """Another process of a training by several has ended, or its machine has."""


class NonFiniteError(FloatingPointError, RunError):
    """A loss or gradient is inf or nan; raised before the step, so the weights are as they were."""


class SweepError(RunError):
    """At least one job of a sweep failed; the message lists them."""


class StoppedError(RunError):
    """A run whose time was over; the same command goes on with it. Exit status 130."""


class Terminated(KeyboardInterrupt):  # noqa: N818  (as KeyboardInterrupt, it is no error)
    """SIGTERM, raised as Ctrl-C is. Exit status 143."""
