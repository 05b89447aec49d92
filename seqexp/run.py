"""One run, from a checked config to what was learned: the only file that knows all parts."""

import contextlib
import json
import os
import tempfile
import time
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

# before torch starts CUDA: cuBLAS is deterministic only with this workspace
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

from torch import nn

from seqexp import build
from seqexp.callback.base import Log, Watching
from seqexp.callback.checkpoint import Saving
from seqexp.callback.console import description, say, say_again, say_start, say_summary, summary
from seqexp.callback.kernels import Recurrences
from seqexp.callback.progress import shown
from seqexp.callback.reads import directions
from seqexp.checkpoint import store
from seqexp.checkpoint.folder import CHECKPOINTS, RunFolder, owned
from seqexp.checkpoint.provenance import DATA, data_name, origin_of, run_facts, sizes
from seqexp.checkpoint.result import Result, Start, Story
from seqexp.config.groups import Config
from seqexp.data import Data
from seqexp.errors import InputError, RunError, StoppedError
from seqexp.inference import pyfunc, saved_model, text
from seqexp.tracking.tracker import DataFacts, ModelFiles, Tracker
from seqexp.trainer.distributed import joined
from seqexp.trainer.loop import alone, steps
from seqexp.trainer.training import Training, Work
from seqexp.utils.files import full_disk
from seqexp.utils.signals import Stop, sigterm_raises


def run(config: Config, start: Start) -> Result:
    """Train, test, interpret and record one configuration; or go on with what was begun.

    Raises:
        InputError: if the data or a place to write is not sound; no run was started then.
        RunError: if the run had to stop; it is recorded as failed.
        KeyboardInterrupt: if it was told to stop; it is recorded as killed, and can go on.
    """
    stop = Stop(config["trainer"]["max_minutes"])
    with sigterm_raises():
        return alone(working(config, start, stop))


def working(
    config: Config, start: Start, stop: Stop, step: int | None = None
) -> Generator[Work, None, Result]:
    """As `run`, and before each update the work that it is, for who has several runs go on at once.

    Of several checkpoints, the one after the update `step` is used; None: the newest.

    Raises:
        As `run`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(room_on_disk())
        parts = build.parts(config)
        device = build.prepare(parts.settings, parts.threads)
        processes = stack.enter_context(joined(device.type == "cuda"))
        if not processes.is_first:
            parts, start = build.parts(config, only_trains=True), Start()
        config, tracker = parts.config, parts.tracker
        folder = stack.enter_context(owned(start.folder))
        if config["force"]:
            folder.set_aside()
        data = build.load(parts)
        origin = origin_of(config, data, processes.count)
        left: tuple[str | None, Result | None] = (folder.run_id(origin), folder.result())
        run_id, finished = processes.told(left)
        if finished is not None:
            say_again(finished)
            return finished
        state = processes.told(at_step(folder, folder.checkpoint(origin), step))
        training, starts = yield from build.begin(parts, data, device, processes, state is None)
        watch = Watching(parts, training, data, directions(parts, device, folder, stop))
        story, recurrences = Story(), Recurrences(training, data)
        kept = {**watch.parts(), "story": story, "recurrences": recurrences}
        saving = Saving(folder, origin, training, kept, stop)
        if state is not None:
            saving.restore(state)
        mark = state["mark"] if state is not None else 0
        result = story.result
        known = run_id or result.run_id  # by the folder, or by the checkpoint
        start = replace(start, tags={**start.tags, **recurrences.tags()})
        result.run_id = tracker.start(run_facts(config, start, origin, known, mark))
        folder.begin(result.run_id, origin)
        log = partial(log_metrics, tracker, result)
        with recording(tracker, story, folder), watch.drawn_at_the_end(story):
            if state is None:
                tell_start(config, start, tracker, training, data, origin, log, starts)
                recurrences.say()
            yield from train(training, data, log, watch, story, saving, tracker)
            if not processes.is_first:
                return result
            if watch.prune.pruned:
                log(training.best_metrics, 0)
                watch.prune.record(tracker, result)
                return result
            learned = watch.at_the_end(config, start, story, log)
            keep_model(config, tracker, training, data)
            tracker.describe(description(result, learned))
            result.summary = summary(config, start, tracker, result, learned)
    say_summary(result)
    return result


def at_step(
    folder: RunFolder, newest: dict[str, Any] | None, step: int | None
) -> dict[str, Any] | None:
    """The checkpoint after an update, where there is one of the same run; else the newest."""
    if newest is None or folder.path is None or step is None:
        return newest
    if newest["training"]["progress"]["step"] == step:
        return newest
    for file in store.files(folder.path / CHECKPOINTS):
        with suppress(InputError):
            state: dict[str, Any] = store.read(file)
            is_same = state["origin"] == newest["origin"]
            if is_same and state["training"]["progress"]["step"] == step:
                return state
    return newest


def train(
    training: Training,
    data: Data,
    log: Log,
    watch: Watching,
    story: Story,
    saving: Saving,
    tracker: Tracker,
) -> Iterator[Work]:
    """Train and test from wherever the training is; look at the model, and save it, on the way."""
    watch.before(log)
    with saving.stop.listening(), shown(training, data) as progress:
        for report in steps(training, data.to(training.device)):
            if isinstance(report, Work):
                yield report
                continue
            if report.metrics:
                log(report.metrics, report.step)
            progress.after(report)
            if report.kind == "epoch":
                say(report, training.settings)
                story.history[report.step] = report.metrics
                if watch.prune.stops(report):
                    return
            watch.after(report, log)
            saving.after(report, tracker)


def tell_start(
    config: Config,
    start: Start,
    tracker: Tracker,
    training: Training,
    data: Data,
    origin: Mapping[str, str],
    log: Log,
    starts: int,
) -> None:
    """What is about to be done, and with what."""
    tracker.data(DataFacts(data_name(config, start), origin[DATA], sizes(data)))
    tracker.text(json.dumps(config, indent=2), "config.json")
    num_parameters = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
    log({"model/parameters": float(num_parameters), "train/starts": float(starts)}, 0)
    say_start(config, start, data, num_parameters)


# --- recording --------------------------------------------------------------------------------


@contextmanager
def recording(tracker: Tracker, story: Story, folder: RunFolder) -> Iterator[None]:
    """Close the run whatever happens, and leave its result in its folder."""
    result = story.result
    try:
        yield
    except BaseException as error:
        was_told_to = isinstance(error, KeyboardInterrupt | StoppedError)
        result.status = "KILLED" if was_told_to else "FAILED"
        result.error = f"{type(error).__name__}: {error}".strip(": ")
        if not was_told_to:
            result.traceback = traceback.format_exc()
            tracker.tags({"seqexp.error": result.error[:5000]})
            tracker.text(result.traceback, "traceback.txt")
        raise
    finally:
        result.seconds = time.monotonic() - story.began
        result.history = story.history
        try:
            tracker.finish(result.status)
        except RunError as error:  # a full disk has kept something from being written
            result.status, result.error = "KILLED", f"{type(error).__name__}: {error}"
            with suppress(OSError):  # which would hide what is missing
                folder.end(result)
            raise
        folder.end(result)


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Say that a disk is full, where that ends a run."""
    try:
        yield
    except OSError as error:
        told = full_disk(error)
        if told is None:
            raise
        raise RunError(told) from error


def log_metrics(tracker: Tracker, result: Result, metrics: Mapping[str, float], step: int) -> None:
    """Add a point to each curve, and keep the last values for the summary."""
    tracker.metrics(metrics, step)
    result.metrics.update(metrics)


def keep_model(config: Config, tracker: Tracker, training: Training, data: Data) -> None:
    """The tested weights, with all that is needed to load them from the run alone."""
    spec = data.spec
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        assert isinstance(training.model, nn.Module)
        saved_model.save(path, training.model, spec, config)
        example = text.decode(data.test.tokens[0, :200].tolist(), spec)
        tracker.model(ModelFiles(path, pyfunc.__name__, saved_model.output_columns(spec), example))
