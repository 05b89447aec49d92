"""Several trainings in lockstep: each waits at its next update, and all of these are done together.

A training is a plain function that is called with the update to use. It waits inside of it, on a
stack of its own that `greenlet` keeps; all share one thread. So one of them runs at a time, in a
fixed order, and a signal reaches the one that runs as it reaches a training by itself.
"""

import contextvars
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from greenlet import greenlet

from seqexp.spec import Carry
from seqexp.trainer.replicas import JointUpdates
from seqexp.trainer.training import Update, Updates, Work
from seqexp.trainer.update import update

T = TypeVar("T")


class Replica(Generic[T]):
    """A training that waits at each of its updates.

    Args:
        train: called with the update to use.
    """

    def __init__(self, train: Callable[[Update], T]) -> None:
        self.train = train
        self.outcome: T | BaseException | None = None
        self.work: Work | None = None
        """The update at which it waits; None where it has ended."""
        self.done: tuple[Updates, Carry] | None = None
        """What came of that update; None: it is still to be done."""
        self._stack = greenlet(self._run)
        self._stack.gr_context = contextvars.copy_context()

    @property
    def has_ended(self) -> bool:
        """Whether its outcome is known."""
        return bool(self._stack.dead)

    def go_on(self) -> None:
        """Run to its next update, or to its end; do the update at which it waits first."""
        self.work = None
        self._stack.switch()

    def cut_off(self, error: BaseException) -> None:
        """Raise an error where it waits, so that it closes what is open."""
        if not self.has_ended:
            self.outcome = error
            with suppress(BaseException):  # of one that has not begun
                self._stack.throw(error)

    def _run(self) -> None:
        try:
            self.outcome = self.train(self._update)
        except BaseException as error:
            self.outcome = error

    def _update(self, work: Work) -> tuple[Updates, Carry]:
        self.work, self.done = work, None
        self._stack.parent.switch()  # whoever calls `go_on`
        return update(work) if self.done is None else self.done


def train_in_lockstep(replicas: Sequence[Replica[T]], joint: JointUpdates) -> None:
    """Update after update, until all have ended."""
    while going := [replica for replica in replicas if not replica.has_ended]:
        for replica in going:
            replica.go_on()
        update_together(going, joint)


def update_together(replicas: Sequence[Replica[T]], joint: JointUpdates) -> None:
    """Do the updates at which they wait, as far as that can be done as one."""
    waiting = [(replica, replica.work) for replica in replicas if replica.work is not None]
    results = joint.do([work for _, work in waiting])
    for (replica, _), result in zip(waiting, results, strict=True):
        replica.done = result
