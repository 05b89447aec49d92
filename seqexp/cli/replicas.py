"""Trains several runs at once, with their updates stacked into one: `trainer.replicas`.

Each is the run that it would be alone, with its own folder, checkpoints and run in MLflow; one that
fails or is done early leaves the others to go on.
"""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from seqexp.checkpoint import store
from seqexp.checkpoint.folder import CHECKPOINTS, RunFolder
from seqexp.checkpoint.result import Result, Start
from seqexp.config.groups import Config
from seqexp.errors import InputError
from seqexp.run import working
from seqexp.trainer.replicas import Together
from seqexp.trainer.training import Work
from seqexp.utils.signals import Stop, sigterm_raises

log = logging.getLogger("seqexp")


@dataclass
class Replica:
    """One of the runs, and what has come of it so far.

    Args:
        label: what sets it apart from the others.
        going: the run, up to its next update.
        work: that update; None where it has ended.
        outcome: what it has ended with.
    """

    label: str
    going: Generator[Work, None, Result]
    work: Work | None = None
    outcome: Result | BaseException | None = None

    def go_on(self) -> None:
        """To its next update, or to its end."""
        self.work = None
        with said_by(self.label):
            try:
                self.work = next(self.going)
            except StopIteration as end:
                self.outcome = end.value
            except BaseException as error:
                self.outcome = error

    def cut_off(self, error: BaseException) -> None:
        """End it where it is, so that it is closed as one that was interrupted."""
        if self.outcome is None:
            self.outcome = error
            with said_by(self.label), suppress(BaseException):
                self.going.throw(error)


def run_together(
    runs: Sequence[tuple[str, Config, Start]],
) -> list[Result | Exception]:
    """`run` for several at once: the result of each, or the error that it failed with.

    Raises:
        KeyboardInterrupt: if they were told to stop; all are recorded as killed, and can go on.
    """
    together = Together()
    stop = Stop(runs[0][1]["trainer"]["max_minutes"])
    step = common_step(runs)
    replicas = [Replica(label, working(config, start, stop, step)) for label, config, start in runs]
    with sigterm_raises():
        try:
            _go_on(replicas, together, stop)
        except BaseException as error:
            for replica in replicas:
                replica.cut_off(error)
            raise
    _say_how(together, len(runs))
    outcomes = [replica.outcome for replica in replicas]
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Result | Exception)]


def common_step(runs: Sequence[tuple[str, Config, Start]]) -> int | None:
    """The newest update after which all runs that have not ended have a checkpoint; None: none.

    A kill may fall between the checkpoints of two runs. From the same update on, all are in one
    stack again, as they would have been, and end with the same bits.
    """
    known = []
    for _, config, start in runs:
        folder = RunFolder(None if config["force"] else start.folder)
        if folder.path is not None and folder.result() is None:
            known.append(set(steps_kept(folder.path / CHECKPOINTS)))
    return max(set.intersection(*known), default=None) if known else None


def steps_kept(checkpoints: Path) -> Iterator[int]:
    """Updates after which there are sound checkpoints."""
    for file in store.files(checkpoints):
        with suppress(InputError):  # told where it is to be used
            yield int(store.read(file)["training"]["progress"]["step"])


def _go_on(replicas: Sequence[Replica], together: Together, stop: Stop) -> None:
    """Update after update, until all have ended."""
    while going := [replica for replica in replicas if replica.outcome is None]:
        for replica in going:
            replica.go_on()
            outcome = replica.outcome
            orderly = isinstance(outcome, Result | Exception) or stop.signal is not None
            if isinstance(outcome, BaseException) and not orderly:
                raise outcome  # told to stop where nobody listens: at once
        together.do([replica.work for replica in going if replica.work is not None])


def _say_how(together: Together, count: int) -> None:
    """Say how much of the work was done as one."""
    total = together.done + together.left
    if together.refused:
        log.warning(f"trained one by one: the model cannot be stacked ({together.refused})")
    elif total:
        share = together.done / total
        why = "" if share > 0.5 else "; the shapes of their batches, or their vocabularies, differ"
        log.info(
            f"\n{count} runs in one go: {share:.1%} of {total:,} updates were done as one{why}"
        )


@contextmanager
def said_by(label: str) -> Iterator[None]:
    """Put a label before all that is said."""

    def labelled(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        lines = text.lstrip("\n")
        before = "\n" * (len(text) - len(lines))
        between = "\n" if "\n" in lines else " "
        record.msg, record.args = f"{before}[{label}]{between}{lines}", ()
        return True

    log.addFilter(labelled)
    try:
        yield
    finally:
        log.removeFilter(labelled)
