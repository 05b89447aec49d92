"""One run, from a checked config to its report."""

import contextlib
import gc
import json
import logging
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

# before torch starts CUDA: cuBLAS is deterministic only with this workspace
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch

from seqexp import build
from seqexp.build import Parts
from seqexp.callback.base import Callback, Curves, Observed, closing, listeners, tell
from seqexp.callback.baselines import Constant
from seqexp.callback.calibration import Calibration
from seqexp.callback.checkpoint import Checkpoints
from seqexp.callback.console import (
    Console,
    Summary,
    say_again,
    say_start,
    say_stopped,
    say_summary,
    size_of,
)
from seqexp.callback.continued import tell_again, tell_pictures
from seqexp.callback.counted import CountedNGrams
from seqexp.callback.denoise import Denoised
from seqexp.callback.filters import DrawnFilters, LearnedFilters
from seqexp.callback.gradient_flow import Gradients
from seqexp.callback.kernels import Kernels
from seqexp.callback.model import KeptModel
from seqexp.callback.own import own_callbacks
from seqexp.callback.pictures import Pictures
from seqexp.callback.predictions import Predictions
from seqexp.callback.progress import shown
from seqexp.callback.pruning import Pruning
from seqexp.callback.reads import Reads, train_twin
from seqexp.callback.report import Page
from seqexp.callback.samples import Samples
from seqexp.callback.scores import KeptPredictions
from seqexp.callback.speaking import SpeakingNGrams
from seqexp.callback.system_use import SystemUse
from seqexp.callback.tested import PredictionsOfTest
from seqexp.callback.written import Written
from seqexp.checkpoint import store
from seqexp.checkpoint.continuing import CONTINUED_FROM, Earlier, state_to_continue
from seqexp.checkpoint.folder import CHECKPOINTS, RunFolder, owned
from seqexp.checkpoint.identity import REPORTING_CODE
from seqexp.checkpoint.provenance import (
    DATA,
    data_name,
    model_name,
    origin_of,
    reports_of,
    run_facts,
    sizes,
)
from seqexp.checkpoint.result import Result, Start, Story
from seqexp.config.differing import differing
from seqexp.config.groups import Config
from seqexp.config.typed import command_line
from seqexp.errors import InputError, RunError, StoppedError
from seqexp.inference import from_run
from seqexp.metrics import HEADLINE
from seqexp.tracking.labels import in_words, labels_after, labels_of
from seqexp.tracking.tracker import DataFacts
from seqexp.trainer.distributed import Processes, joined
from seqexp.trainer.loop import fit
from seqexp.trainer.training import Update
from seqexp.trainer.update import update
from seqexp.utils import garbage
from seqexp.utils.files import full_disk
from seqexp.utils.phases import READING, STARTING, TESTING, WRITING, counted, phase
from seqexp.utils.signals import Stop, sigterm_raises

log = logging.getLogger("seqexp")


def run(
    config: Config,
    start: Start,
    update: Update = update,
    stop: Stop | None = None,
    step: int | None = None,
) -> Result:
    """Train, test, interpret and record one configuration, or resume it.

    Args:
        config: checked.
        start: what the command line knows of the run.
        update: does one update.
        stop: whether the run is to stop, of a caller that hears signals; None: the run hears them.
        step: of the checkpoint to resume from, in updates; None, or one that is not there: the
            newest.

    Raises:
        InputError: if the data or a place to write is not sound; no run was started then.
        RunError: if the run had to stop; it is recorded as failed.
        KeyboardInterrupt: if it was told to stop; it is recorded as killed, and can be resumed.
    """
    hearing = sigterm_raises() if stop is None else contextlib.nullcontext()
    is_alone = stop is None  # a stack of models keeps in step by itself
    stop = stop or Stop(config["trainer"]["max_minutes"])
    with hearing, counted() as spent, settled(config, start) as place:
        parts, folder, processes = place.parts, place.folder, place.processes
        with phase("reading the data", READING):
            data = build.load(parts)
            origin = origin_of(parts.config, data, processes.count)
        begun = begun_before(folder, origin, reports_of(parts.config), step)
        if is_alone:
            begun = gone_on_from(begun, parts.config, folder, origin)
        begun = processes.told(begun)
        if begun.result is not None and begun.state is None:
            say_again(begun.result)
            label_again(place, begun.result)
            return begun.result
        is_new = begun.state is None
        earlier = from_run.read(parts.config) if is_new else None
        with phase(beginning(parts, is_new), STARTING):
            training, starts = build.begin(
                parts, data, place.device, processes, is_new, earlier, update
            )
        story = Story(spent=spent)
        run = Observed(parts.tracker, training, data, story, known=begun.known)
        looking = observers(place, run, stop)
        checkpoints = Checkpoints(folder, origin, run, looking, stop)
        if begun.state is not None:
            checkpoints.resume(begun.state)
        callbacks = [*looking, checkpoints]  # last: they save what all have seen
        with phase("opening the store of runs", STARTING):
            start_recording(place, run, origin, begun, callbacks)
        with recording(run, folder), closing(callbacks):
            if is_new or begun.earlier is not None:
                tell_start(place, run, origin, starts)
                tell_earlier(place, run, begun, checkpoints)
            elif begun.changes:
                tell_changes(place, run, origin, begun)
            is_tested = train(run, callbacks, stop, update)
            if is_tested and processes.is_first:
                end(callbacks, run.story.result)
    say_summary(run.story.result)
    return run.story.result


@dataclass(frozen=True)
class Place:
    """Where a run is done, and what it is made of.

    Args:
        parts: what its config describes.
        start: what the command line knows of it.
        device: that it is trained on.
        processes: that train it.
        folder: its own.
    """

    parts: Parts
    start: Start
    device: torch.device
    processes: Processes
    folder: RunFolder


@contextmanager
def settled(config: Config, start: Start) -> Iterator[Place]:
    """The place of a run, for this process alone; a process that only helps keeps nothing.

    Raises:
        InputError: if a part, the device or the folder cannot be had.
        RunError: if the disk is full.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(room_on_disk())
        with phase("loading the parts of the run", STARTING):
            parts = build.parts(config)
        garbage.resume()
        device = build.prepare(parts.settings, parts.threads)
        processes = stack.enter_context(joined(device.type == "cuda"))
        if not processes.is_first:
            parts, start = build.parts(config, only_trains=True), Start()
        folder = stack.enter_context(owned(start.folder))
        if config["force"]:
            folder.set_aside()
        yield Place(parts, start, device, processes, folder)


def observers(place: Place, run: Observed, stop: Stop) -> list[Callback]:
    """The callbacks of a run, in the order in which they are called."""
    parts, start = place.parts, place.start
    title = f"{model_name(start)} on {data_name(parts.config, start)}, seed {parts.seed}"
    typed = f"python -m seqexp {command_line(start.overrides)}".rstrip()
    filters = LearnedFilters(parts.filters, run)
    predictions, samples = Predictions(run), Samples(parts.decoder, run)
    twin = partial(train_twin, parts, place.device, place.folder, stop)
    calibration = Calibration(run)
    denoised = Denoised(parts.decoder, run, getattr(parts.dataset, "channel", None))
    written, pictures = Written(parts.decoder, run), Pictures(run)
    reads = Reads(parts.decoder, run, parts.reads_backwards, twin)
    gradients = Gradients(parts.gradient_flow, run)
    drawn = (written, pictures, reads, gradients)
    differs = differing(parts.config, start.choices)
    seen = (filters, predictions, denoised, (samples, written), drawn)
    return [
        Curves(run),
        SystemUse(run, bool(parts.config["tracking"].get("system_metrics"))),
        Console(run.training.settings, run.data.spec.output),
        Kernels(run),
        Pruning(parts.sweeper, parts.optimized_metric, run),  # before who would draw for nothing
        gradients,
        Constant(run),
        CountedNGrams(run),
        SpeakingNGrams(run),
        calibration,
        predictions,
        PredictionsOfTest(run, start.folder),
        filters,
        samples,
        written,
        pictures,
        denoised,
        reads,
        *own_callbacks(parts.config, run),
        KeptModel(parts.config, run, calibration),  # sent while the page is drawn
        Page(title, typed, differs, parts.filters, run, *seen),
        DrawnFilters(filters),
        KeptPredictions(run, start.folder, start.is_job),
        Summary(parts.optimized_metric, run, filters, start.parent is not None),
        shown(run.training, run.data),
    ]


def beginning(parts: Parts, is_new: bool) -> str:
    """What is done before the first update, in words."""
    starts = parts.settings.starts
    if is_new and starts > 1:
        return f"trying {starts} initial weights"
    return "making the model"


def train(run: Observed, callbacks: Sequence[Callback], stop: Stop, update: Update) -> bool:
    """Train and test from wherever the training is; returns whether it came to its test."""
    with phase("looking at the model before it learns", STARTING):
        for callback in callbacks:
            callback.before()
    training, hearing = run.training, listeners(callbacks)
    with stop.listening():
        reports = fit(training, run.data.to(training.device), update)
        was_done = training.is_done
        while not training.is_done:
            if not tell(hearing, next(reports)):
                return False
        if not was_done:
            say_stopped(training)
        with phase(f"testing on {size_of(run.data.test)}", TESTING):
            tested = next(reports)
        return all(tell(hearing, report) for report in chain([tested], reports))


def end(callbacks: Sequence[Callback], result: Result) -> None:
    """Have all callbacks do what they do at the end of a run, and say what goes on."""
    gc.freeze()  # what is there already is not garbage, and takes long to look through
    try:
        for callback in callbacks:
            if type(callback).at_test is not Callback.at_test:
                with doing(callback):
                    callback.at_test()
        for callback in callbacks:
            with doing(callback):
                callback.at_end(result)
    finally:
        gc.unfreeze()


def doing(callback: Callback) -> contextlib.AbstractContextManager[None]:
    """Say what a callback does at the end, where that takes time."""
    return contextlib.nullcontext() if callback.doing is None else phase(*callback.doing)


# --- what was begun before --------------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """The part of a run that an earlier process has done: nothing, some of it, or all.

    Args:
        run_id: by which it is recorded.
        result: what came of it, if it has finished.
        state: of the checkpoint to resume from; of a finished run, where it is reported again.
        changes: a line for each difference in how the run is reported.
        earlier: the run of fewer epochs whose last state it is.
    """

    run_id: str | None = None
    result: Result | None = None
    state: dict[str, Any] | None = None
    changes: Sequence[str] = ()
    earlier: Earlier | None = None

    @property
    def mark(self) -> int | None:
        """The tracker's mark of what it has recorded; None: all of the run."""
        if self.result is not None:
            return None
        return 0 if self.state is None else int(self.state["mark"])

    @property
    def known(self) -> Mapping[str, float]:
        """Last values of the metrics of a finished run."""
        return {} if self.result is None else self.result.metrics


def begun_before(
    folder: RunFolder, origin: Mapping[str, str], reports: Mapping[str, str], step: int | None
) -> Begun:
    """The part of a run that its folder holds.

    A finished run resumes from its last checkpoint where only its reports have changed: nothing is
    left to train, and all that follows the training is done again.

    Raises:
        InputError: if it is of another run, or damaged.
    """
    run_id, result = folder.run_id(origin), folder.result()
    changes = folder.changed_reports(reports)
    if result is None:
        return Begun(run_id, None, at_step(folder, folder.checkpoint(origin), step), changes)
    if not changes or result.pruned is not None:  # a search stopped it before it was reported
        return Begun(run_id, result)
    return Begun(run_id, result, weights_of(folder, origin, changes), changes)


def label_again(place: Place, result: Result) -> None:
    """Give a finished run the tags and notes of a later command."""
    labels = place.folder.new_labels(labels_after(place.parts.config))
    if labels and result.run_id is not None and place.parts.tracker.keeps:
        place.parts.tracker.label([result.run_id], labels)
        place.folder.label(labels)
        if told := in_words(labels):
            log.info(f"labelled in MLflow: {told}")


def gone_on_from(
    begun: Begun, config: Config, folder: RunFolder, origin: Mapping[str, str]
) -> Begun:
    """What was begun; where that is nothing, the last state of the same run of fewer epochs."""
    if begun.result is not None or begun.state is not None:
        return begun
    found = state_to_continue(config, folder, origin)
    if found is None:
        return begun
    earlier, state = found
    return replace(begun, state=state, earlier=earlier)


def weights_of(
    folder: RunFolder, origin: Mapping[str, str], changes: Sequence[str]
) -> dict[str, Any] | None:
    """The last checkpoint of a finished run that is to be reported again; None: it stays as it is.

    Raises:
        InputError: if no checkpoint was kept, and another report is asked for.
    """
    state, told = folder.checkpoint(origin), "\n  ".join(changes)
    if state is not None:
        log.info(f"finished before; not trained, but reported again from its weights\n  {told}")
        return state
    if all(line.startswith(REPORTING_CODE) for line in changes):
        log.warning("its report is of other code, and no checkpoint was kept to report it again")
        return None
    raise InputError(
        f"{folder.path}: finished before, and cannot be reported again, because no checkpoint was"
        f" kept; force=true trains it anew\n  {told}"
    )


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


# --- recording --------------------------------------------------------------------------------


def start_recording(
    place: Place,
    run: Observed,
    origin: Mapping[str, str],
    begun: Begun,
    callbacks: Sequence[Callback],
) -> None:
    """Begin to record a run, or continue its record."""
    result = run.story.result
    known = begun.run_id or result.run_id  # by the folder, or by the checkpoint
    facts = run_facts(place.parts.config, place.start, origin, known, begun.mark)
    tags = dict(facts.tags)
    for callback in callbacks:
        tags.update(callback.tags())
    if begun.earlier is not None:
        tags[CONTINUED_FROM] = str(begun.earlier.result.run_id)
    headline = HEADLINE[run.data.spec.output]
    result.run_id = run.tracker.start(replace(facts, tags=tags, headline=headline))
    reports, labels = reports_of(place.parts.config), labels_of(place.parts.config)
    place.folder.begin(result.run_id, origin, reports, labels)


def tell_start(place: Place, run: Observed, origin: Mapping[str, str], starts: int) -> None:
    """Record and print the data, the config and the model."""
    config, model = place.parts.config, run.training.model
    dataset = data_name(config, place.start)
    run.tracker.data(DataFacts(dataset, origin[DATA], sizes(run.data)))
    run.tracker.text(json.dumps(config, indent=2), "config.json")
    for name, text in run.data.files.items():
        run.tracker.text(text, name)
    num_parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if not starts:  # of a run that goes on from an earlier one
        starts = int(run.story.result.metrics.get("train/starts", 1))
    run.log({"model/parameters": float(num_parameters), "train/starts": float(starts)}, 0)
    told = "\n".join(run.training.started_from)
    if told:
        run.tracker.text(told, "from_run.txt")
    say_start(model_name(place.start), dataset, run.data, num_parameters)
    if told:
        log.info(told)
    if run.training.average is not None:
        how = run.training.settings.average
        log.info(f"  validated, tested and kept are averaged weights (trainer.average={how})")


def tell_earlier(place: Place, run: Observed, begun: Begun, checkpoints: Checkpoints) -> None:
    """Record what a run shares with the one that it goes on from, and save it as its own."""
    if begun.earlier is None or begun.state is None:
        return
    tell_again(run, begun.earlier, place.parts.config["tracking"].get("uri"))
    tell_pictures(run, begun.state)
    checkpoints.save()


def tell_changes(place: Place, run: Observed, origin: Mapping[str, str], begun: Begun) -> None:
    """Record the config of a run that resumes with other reports; MLflow's parameters stay."""
    config = place.parts.config
    tags = run_facts(config, place.start, origin, begun.run_id, begun.mark).tags
    run.tracker.tags({**tags, "seqexp.reported_again": "\n".join(begun.changes)[:5000]})
    run.tracker.text(json.dumps(config, indent=2), "config.json")


@contextmanager
def recording(run: Observed, folder: RunFolder) -> Iterator[None]:
    """Close the run whatever happens, and leave its result in its folder."""
    tracker, story, result = run.tracker, run.story, run.story.result
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
            with phase("writing to the store of runs", WRITING):
                folder.label(tracker.finish(result.status))
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
