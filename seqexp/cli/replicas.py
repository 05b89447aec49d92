"""Trains several runs at once, with their updates stacked into one: `trainer.replicas`.

Each is the run that it would be alone, with its own folder, checkpoints and run in MLflow; one that
fails or is done early leaves the others to go on.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from seqexp.checkpoint import store
from seqexp.checkpoint.folder import CHECKPOINTS, RunFolder
from seqexp.checkpoint.result import Result, Start
from seqexp.config.groups import Config
from seqexp.errors import InputError
from seqexp.run import run
from seqexp.trainer.lockstep import Replica, train_in_lockstep
from seqexp.trainer.replicas import JointUpdates
from seqexp.utils.signals import Stop, sigterm_raises

log = logging.getLogger("seqexp")


class Labelled(Replica[Result]):
    """One of the runs.

    Args:
        label: what sets it apart from the others; it stands before all that the run says.
        config: checked.
        start: what the command line knows of the run.
        stop: whether all are to stop.
        step: of the checkpoint to resume from.
    """

    def __init__(
        self, label: str, config: Config, start: Start, stop: Stop, step: int | None
    ) -> None:
        super().__init__(partial(run, config, start, stop=stop, step=step))
        self.label, self.stop = label, stop

    def go_on(self) -> None:
        """To its next update, or to its end.

        Raises:
            KeyboardInterrupt: if it was told to stop where nobody listens.
        """
        with said_by(self.label):
            super().go_on()
        is_orderly = self.outcome is None or isinstance(self.outcome, Result | Exception)
        if isinstance(self.outcome, BaseException) and not is_orderly and self.stop.signal is None:
            raise self.outcome

    def cut_off(self, error: BaseException) -> None:
        """Raise an error where it waits, so that it closes what is open."""
        with said_by(self.label):
            super().cut_off(error)


def run_together(
    runs: Sequence[tuple[str, Config, Start]],
) -> list[Result | Exception]:
    """`run` for several at once: the result of each, or the error that it failed with.

    Raises:
        KeyboardInterrupt: if they were told to stop; all are recorded as killed, and can go on.
    """
    joint = JointUpdates()
    stop = Stop(runs[0][1]["trainer"]["max_minutes"])
    step = common_step(runs)
    replicas = [Labelled(label, config, start, stop, step) for label, config, start in runs]
    with sigterm_raises():
        try:
            train_in_lockstep(replicas, joint)
        except BaseException as error:
            for replica in replicas:
                replica.cut_off(error)
            raise
    _say_how(joint, len(runs))
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


def _say_how(joint: JointUpdates, count: int) -> None:
    """Say how much of the work was done as one."""
    total = joint.done + joint.left
    if joint.refused:
        log.warning(f"trained one by one: the model cannot be stacked ({joint.refused})")
    elif total:
        share = joint.done / total
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
