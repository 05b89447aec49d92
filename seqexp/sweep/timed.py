"""Seconds that a run will take, by a few timed updates: `dry_run=timed`.

The updates are those of the run's beginning, of a model of their own. Nothing of them is kept:
data, random streams and the number of threads are afterwards as they were.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from seqexp.build import Parts, prepare, prepare_training, total_steps
from seqexp.data import Batch, Data, Sequences
from seqexp.trainer.loop import fit, scored_batches
from seqexp.trainer.score import evaluate, scored_window
from seqexp.trainer.training import Training

SECONDS = 2.0
"""That updates are timed for, and at most twice as long where there is a validation to time."""

WARM, MOST = 2, 50
"""Updates that come before those that are timed, and how many are timed at most."""

WINDOWS = 20
"""Of a text that are scored to time a pass over it."""


@dataclass(frozen=True)
class Timed:
    """Seconds of the pieces of a training.

    Args:
        update: of one, on average.
        valid: of a pass over validation.
        test: of a pass over the test.
        starts: of the trials of initial weights.
    """

    update: float
    valid: float
    test: float
    starts: float = 0.0

    def total(self, steps: int, epochs: float) -> float:
        """Of so many updates and validations, and the test."""
        return steps * self.update + epochs * self.valid + self.test + self.starts


def timed(parts: Parts, data: Data) -> Timed:
    """Time the first updates of a run, and some of its validation.

    Raises:
        InputError: as `prepare_training`.
    """
    with untouched():
        device = prepare(parts.settings, parts.threads)
        training = prepare_training(parts, data, device)
        own = data.to(device)
        update, epoch = _seconds_of_updates(training, own)
        if update is None:  # of a model that is fitted at once, an epoch has no updates
            return Timed(0.0, epoch, _seconds_of_pass(training, own.test))
        settings = parts.settings
        share = settings.start_epochs / max(1, settings.epochs) if settings.starts > 1 else 0.0
        return Timed(
            update,
            _seconds_of_pass(training, own.valid),
            _seconds_of_pass(training, own.test),
            settings.starts * share * total_steps(settings, data) * update,
        )


def _seconds_of_updates(training: Training, data: Data) -> tuple[float | None, float]:
    """Of an update on average, None where there are none; and of the last epoch that ended."""
    seconds: list[float] = []
    of_epoch, began, last = 0.0, time.perf_counter(), time.perf_counter()
    for report in fit(training, data):
        now = time.perf_counter()
        if report.kind == "test":
            break
        if report.kind == "epoch":  # in its last piece it has validated
            of_epoch = now - last
        else:
            seconds.append(now - last)
        is_enough = len(seconds) > WARM and now - began > SECONDS
        if is_enough or len(seconds) >= WARM + MOST or (of_epoch and not seconds):
            break
        last = time.perf_counter()
    warm = seconds[WARM:] or seconds
    return (sum(warm) / len(warm) if warm else None), of_epoch


def _seconds_of_pass(training: Training, split: Sequences) -> float:
    """Of scoring a split, by as much of it as there is time for."""
    if not len(split):
        return 0.0
    window, scored = scored_window(split, training.window), 0
    total, began = split.tokens.shape[0] * split.tokens.shape[1], time.perf_counter()

    def some() -> Iterator[Batch]:
        nonlocal scored
        for batch in scored_batches(split, training.settings):
            longest = split.tokens.shape[1]
            if split.is_stream:  # of which there is one batch: of that, some windows
                longest = min(longest, WINDOWS * (window or longest))
                batch = batch.part(0, longest, 0)
            scored += len(batch) * longest
            yield batch
            if time.perf_counter() - began > SECONDS / 4:
                return

    with training.averaged():
        evaluate(training.model, training.task, some(), window, training.task.whole())
    return (time.perf_counter() - began) * total / max(1, scored)


@contextmanager
def untouched() -> Iterator[None]:
    """Within, random numbers are drawn and threads are set; afterwards all is as before."""
    states = random.getstate(), np.random.get_state(), torch.get_num_threads()
    deterministic = torch.get_deterministic_debug_mode()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_num_threads(states[2])
        torch.set_deterministic_debug_mode(deterministic)
