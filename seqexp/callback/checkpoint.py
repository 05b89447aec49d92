"""Saves a run as it goes on, stops it when it is told to, and goes on from what was saved."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.folder import RunFolder
from seqexp.checkpoint.resuming import refuse_unsound_parts
from seqexp.errors import InputError
from seqexp.trainer.sound import UnsoundError
from seqexp.trainer.state import restore, state_of
from seqexp.trainer.training import Report
from seqexp.utils.signals import Stop

log = logging.getLogger("seqexp")


class Checkpoints(Callback):
    """Writes checkpoints when they are due.

    Args:
        folder: where they go.
        origin: what they depend on, by key.
        run: whose training is saved.
        others: callbacks, of which those with a name are saved, too.
        stop: whether the run is to stop.
    """

    def __init__(
        self,
        folder: RunFolder,
        origin: Mapping[str, str],
        run: Observed,
        others: Sequence[Callback],
        stop: Stop,
    ) -> None:
        self.folder, self.origin, self.stop = folder, origin, stop
        self.tracker, self.training = run.tracker, run.training
        self.parts = {other.name: other for other in others if other.name is not None}
        self.saved, self.saved_step = time.monotonic(), run.training.step

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: if it is not one of such a run; nothing was loaded then.
        """
        fresh = {name: part.state() for name, part in self.parts.items()}
        try:
            refuse_unsound_parts(state, fresh, self.training.settings.epochs)
            restore(self.training, state["training"])
        except UnsoundError as error:
            raise InputError(
                f"{self.folder.path}: its checkpoint does not fit this run, and nothing was loaded:"
                f" {error}. Give a sound one, or force=true, which starts anew"
            ) from error
        for name, part in self.parts.items():
            part.restore(state["parts"][name])
        epoch, step = self.training.epoch, self.training.step
        if self.training.is_done:
            return
        log.info(f"goes on after update {step:,}, in epoch {epoch}")

    def after(self, report: Report) -> None:
        """Save what is due after a report of the loop, and leave if the run is to stop.

        Raises:
            KeyboardInterrupt, Terminated, StoppedError: with a checkpoint written.
        """
        if report.kind == "test":  # what follows is done again from the last checkpoint
            if self.stop.signal is not None:
                self.stop.leave()
            return
        # clocks and signals are not the same in all processes, but all have to do the same
        processes, device = self.training.processes, self.training.device
        if processes.any(self.stop.wanted, device):
            self._save()
            log.info(f"stopped after update {self.training.step:,}; {self._what_follows()}")
            self.stop.leave(self._what_follows())
        if processes.any(self._is_due(report), device):
            self._save()

    def _what_follows(self) -> str:
        """Whether there is something to go on from."""
        if self.folder.path is None:
            return "nothing was kept of it (tracking=none)"
        return "the same command goes on"

    def _is_due(self, report: Report) -> bool:
        settings = self.training.settings.checkpoint
        if settings is None:
            return False
        if report.kind == "epoch":
            every = settings.every_epochs
            is_due = self.training.is_done or (every is not None and report.step % every == 0)
        else:
            every = settings.every_steps
            # a window without a target takes no step: its step has been saved
            is_new = report.step != self.saved_step
            is_due = every is not None and report.step % every == 0 and is_new
        minutes = settings.every_minutes
        waited = time.monotonic() - self.saved
        return is_due or (minutes is not None and waited >= 60 * minutes)

    def save(self) -> None:
        """Write a checkpoint of the run as it stands."""
        self._save()

    def _save(self) -> None:
        state = {
            "origin": dict(self.origin),
            "mark": self.tracker.mark(),
            "training": state_of(self.training),
            "parts": {name: part.state() for name, part in self.parts.items()},
        }
        try:
            self.folder.save(state)
        except OSError as error:  # a full disk is no reason to lose what is being learned
            log.error(f"no checkpoint: {error.filename or self.folder.path}: {error.strerror}")
        self.saved, self.saved_step = time.monotonic(), self.training.step
