"""Our own loop: the whole run of a command, as `python -m seqexp` composes it.

`quiet` keeps nothing: no tracking, no checkpoints, no pictures, no points of `step/*`.
"""

import logging
import os
from collections.abc import Iterator
from unittest import mock

import torch

from seqexp.build import parts, prepare, prepare_training
from seqexp.checkpoint.result import Start
from seqexp.data import Data, Sequences
from seqexp.run import run
from seqexp.spec import TaskSpec
from seqexp.trainer.loop import fit
from seqexp.trainer.training import Report, Training, Update
from tests.benchmarks.gate import Gate
from tests.benchmarks.work import WITHOUT_DROPOUT, Work, composed

QUIET = ("tracking=none", "interpret=none", "decode=none", "gradient_flow=none")
QUIET += ("trainer.checkpoint=null", "trainer.log_every_steps=null")


def data_of(work: Work) -> Data:
    """The splits; there is no test that is ever reached."""
    small = torch.uint8 if len(work.spec["vocabulary"]) < 255 else torch.int32

    def split(name: str) -> Sequences:
        tokens, targets = work.arrays[f"{name}_tokens"], work.arrays[f"{name}_targets"]
        rows, read = torch.tensor(tokens).to(small), work.context_length
        context = rows[:, :read] if read else None
        own, wanted = rows[:, read:], torch.tensor(targets)
        return Sequences(own, wanted, is_stream=work.window is not None, context=context)

    valid = split("valid")
    return Data(TaskSpec.from_dict(work.spec), split("train"), valid, valid)


def losses(work: Work, variant: str) -> list[float]:
    """Of the first updates, each before it, by the loop itself."""
    without = {key: value for key, value in WITHOUT_DROPOUT.items() if key in work.model}
    changed = [f"model.{key}={value}" for key, value in without.items()]
    config = composed([*work.overrides, *QUIET, *changed, "trainer.log_every_steps=1"])
    made, data = parts(config, only_trains=True), data_of(work)
    device = prepare(made.settings, made.threads)
    training = prepare_training(made, data, device)
    found: list[float] = []
    for report in fit(training, data):
        found.append(report.metrics["step/loss_nats"])
        if len(found) == len(work.checked()):
            break
    return found


def train(work: Work, variant: str, gate: Gate) -> None:
    """For ever: the run's epochs have no end."""
    options = QUIET if variant == "quiet" else ()
    outputs = work.folder / f"ours-{variant or 'all'}"
    overrides = [*work.overrides, "trainer.epochs=1000000", f"paths.outputs={outputs}", *options]
    config = composed(overrides)
    # what a person sees
    logging.basicConfig(level=logging.INFO, format="%(message)s", filename=os.devnull)

    def gated(training: Training, data: Data, update: Update) -> Iterator[Report]:
        for report in fit(training, data, update):
            yield report  # and what comes of it is done: logged, drawn, saved
            gate.passed("epoch" if report.kind == "epoch" else "update")

    with (
        mock.patch("seqexp.build.load", lambda parts: data_of(work)),
        mock.patch("seqexp.run.fit", gated),
        mock.patch("seqexp.tracking.mlflow.PROMPT_SECONDS", 0.0),  # imported before what is timed
    ):
        run(config, Start(folder=None if variant == "quiet" else outputs / "runs" / "ours"))
