"""One run, from a checked config to what was learned: the only file that knows all parts."""

import contextlib
import ctypes
import json
import multiprocessing
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

import torch
from torch import nn

from seqexp import saved
from seqexp.checkpoint import store
from seqexp.config import Config, build
from seqexp.dataset.soundness import checked
from seqexp.errors import InputError, RunError, StoppedError
from seqexp.facts import DATA, Result, Start, Story, data_name, origin_of, run_facts, sizes
from seqexp.files import full_disk
from seqexp.folder import CHECKPOINTS, TWIN, RunFolder, owned
from seqexp.model.parts import TokenInput
from seqexp.recurring import Recurrences
from seqexp.saving import Saving
from seqexp.say import description, say, say_again, say_start, say_summary, summary
from seqexp.signature import signature
from seqexp.spec import Data, Model, Output, WordVectors, stream_seed
from seqexp.stopping import Stop, sigterm_raises
from seqexp.sweep.launchers import Launcher
from seqexp.terminal import Progress
from seqexp.tracking.none import NoTracker
from seqexp.tracking.tracker import DataFacts, ModelFiles, Tracker
from seqexp.trainer.lazy_adam import LazyAdam
from seqexp.trainer.loop import alone, fit, steps
from seqexp.trainer.processes import Processes, joined
from seqexp.trainer.settings import Settings
from seqexp.trainer.starts import choose_start
from seqexp.trainer.training import Training, Work
from seqexp.trainer.trial import refuse_other_things, try_model, try_optimizer
from seqexp.watching import Log, Watching

ALONE = Processes()

MAX_TOKENS_OF_A_GRADIENT = 5000
"""Of a stream without truncation."""

ROWS_COUNTED = 1000
"""Sequences whose targets are counted together."""


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
    settings: Settings = build(config["trainer"])
    device = prepare(settings, build(config["launcher"]))
    with contextlib.ExitStack() as stack:
        stack.enter_context(room_on_disk())
        processes = stack.enter_context(joined(device.type == "cuda"))
        if not processes.is_first:
            config, start = silent(config), Start()
        folder = stack.enter_context(owned(start.folder))
        if config["force"]:
            folder.set_aside()
        data = load(config, settings)
        origin = origin_of(config, data, processes.count)
        left: tuple[str | None, Result | None] = (folder.run_id(origin), folder.result())
        run_id, finished = processes.told(left)
        if finished is not None:
            say_again(finished)
            return finished
        state = processes.told(at_step(folder, folder.checkpoint(origin), step))
        training, starts = yield from begin(
            config, settings, data, device, processes, state is None
        )
        tracker: Tracker = build(config["tracking"])
        both_ways = directions(config, settings, device, folder, stop)
        watch = Watching(config, tracker, training, data, both_ways)
        story, recurrences = Story(), Recurrences(training, data)
        parts = {**watch.parts(), "story": story, "recurrences": recurrences}
        saving = Saving(folder, origin, training, parts, stop)
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


def shown(training: Training, data: Data) -> Progress:
    """A bar for who waits at a terminal; of several processes, the first one shows it."""
    steps = total_steps(training.settings, data)
    split, unit = data.train, "tokens" if data.train.is_stream else "sequences"
    count = split.tokens.numel() if split.is_stream else len(split)
    is_alone = multiprocessing.parent_process() is None  # a worker of a sweep has no terminal
    per_step = count * training.settings.epochs / steps
    return Progress(training, steps, unit, per_step, training.processes.is_first and is_alone)


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


def silent(config: Config) -> Config:
    """For a process that only helps: it trains, and says, draws and keeps nothing."""
    parts = dict.fromkeys(("interpret", "decode", "gradient_flow"))
    return {**config, **parts, "tracking": {"_target_": f"{NoTracker.__module__}.NoTracker"}}


# --- building the parts -----------------------------------------------------------------------


def prepare(settings: Settings, launcher: Launcher) -> torch.device:
    """Set PyTorch up and choose the device.

    Raises:
        InputError: if a GPU is asked for that is not there.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer.device is cuda, but PyTorch sees no GPU; give auto or cpu")
    num_threads = settings.num_threads or launcher.threads()
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    keep_freed_memory()
    # the same as use_deterministic_algorithms, which also imports torch's compiler, for 2 seconds
    torch.set_deterministic_debug_mode("error" if settings.deterministic else "default")
    # which would fill each buffer with NaN before it is written: a tenth of the step of an LSTM
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not settings.deterministic
    use_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def keep_freed_memory() -> None:
    """Have the C library use again what it frees, where it is glibc.

    Otherwise the buffers of each step are fetched from the system, and filled with zeros by it:
    a fifth of the step of an LSTM. Larger ones, as where 1000 sequences are scored, go back: what
    is kept of one size has no room for the next, and would raise the peak by a quarter.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, 2**26)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**30)  # M_TRIM_THRESHOLD


def load(config: Config, settings: Settings) -> Data:
    """The data.

    Raises:
        InputError: if they are not sound.
    """
    name = config["dataset"]["_target_"]
    with told_whose("dataset", name):
        dataset = build(config["dataset"])
        if not callable(getattr(dataset, "load", None)):
            raise InputError(f"dataset {name} has no method load(); it returns a seqexp.spec.Data")
        loaded = dataset.load()
    data = checked(loaded, name)
    return validated(data, settings).at_most(settings.max_sequences, config["seed"])


def validated(data: Data, settings: Settings) -> Data:
    """The data, with a note if there is nothing to validate on.

    Raises:
        InputError: if the training would wait for a better epoch then.
    """
    if len(data.valid) and any(batch.num_scored() for batch in data.valid.batches(ROWS_COUNTED)):
        return data
    if settings.patience is not None:
        raise InputError(
            f"trainer.patience is {settings.patience}, but there is nothing to validate on:"
            " valid has no rows, or no target that is scored; give validation data, or"
            " patience=null"
        )
    if settings.test_weights != "best":
        return data
    note = "nothing to validate on: the weights of the last epoch are tested and kept"
    return replace(data, notes=(*data.notes, note))


@contextmanager
def told_whose(part: str, name: str) -> Iterator[None]:
    """Say of an error of a class that is not ours whose it is; its traceback stays."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not name.startswith("seqexp."):
            error.add_note(f"raised by {part} {name}, which is no part of seqexp")
        raise


def begin(
    config: Config,
    settings: Settings,
    data: Data,
    device: torch.device,
    processes: Processes = ALONE,
    is_new: bool = True,
) -> Generator[Work, None, tuple[Training, int]]:
    """A training that starts from the best initial weights, and how many were tried.

    One that is not new gets the weights that it had, so none are tried.

    Raises:
        InputError: as `prepare_training`.
    """

    def make(start: int) -> Training:
        return prepare_training(config, settings, data, device, start, processes)

    if not is_new:
        return make(0), 0
    return (yield from choose_start(make, data.to(device)))


def prepare_training(
    config: Config,
    settings: Settings,
    data: Data,
    device: torch.device,
    start: int = 0,
    processes: Processes = ALONE,
) -> Training:
    """Model, optimizer and schedule, initialised by the seed and the number of the start.

    Raises:
        InputError: if the model is too large, does not fit pretrained vectors, or the optimizer or
            schedule refuses its settings.
    """
    refuse_endless_gradients(settings, data)
    torch.manual_seed(stream_seed(config["seed"], "initial weights", *([start] if start else [])))
    model: Any = build_model(config, data, device)
    name = config["model"]["_target_"]
    if start == 0 and not name.startswith("seqexp."):
        try_model(model, data, settings, device, name)
    if data.vectors is not None:
        start_from_vectors(model, data.vectors)
    optimizer = build_optimizer(config, model, device)
    if isinstance(optimizer, LazyAdam):
        step_lazily(optimizer, model, processes)
    supplied: dict[str, Any] = {"optimizer": optimizer, "total_steps": total_steps(settings, data)}
    wanted = signature(config["schedule"]["_target_"]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    scheduler = build_torch("schedule", config["schedule"], **supplied)
    kind = json.dumps([config["model"], data.spec.to_dict()])
    seed = config["seed"]
    extent = (data.train.num_batches(settings.batch_size), data.train.tokens.shape[1])
    more: dict[str, Any] = {"processes": processes, "kind": kind, "extent": extent}
    return Training(model, optimizer, scheduler, settings, seed, device, **more)


def build_model(config: Config, data: Data, device: torch.device) -> nn.Module:
    """The model with its initial weights.

    Raises:
        InputError: if it is too large, or is nothing that can be trained.
    """
    name = config["model"]["_target_"]
    try:
        with told_whose("model", name):
            model = refuse_other_things(build(config["model"], spec=data.spec), name)
        return model.to(device)
    except ValueError as error:
        if name.startswith("seqexp."):
            raise
        raise InputError(f"model {name} refuses its arguments: {error}") from error
    except (MemoryError, RuntimeError) as error:
        if "allocate" not in str(error) and not isinstance(error, MemoryError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"model: its weights do not fit into memory ({reason})") from error


def build_optimizer(config: Config, model: nn.Module, device: torch.device) -> Any:
    """The optimizer of a model's weights, which can take a step on this device.

    Raises:
        InputError: if it refuses its settings.
    """

    def make(weights: list[nn.Parameter]) -> Any:
        return build_torch("optimizer", config["optimizer"], params=weights)

    optimizer = make(list(model.parameters()))
    if not isinstance(optimizer, LazyAdam):
        try_optimizer(make, device)
    return optimizer


def step_lazily(optimizer: LazyAdam, model: nn.Module, processes: Processes) -> None:
    """Hand the model's tables of token vectors to an optimizer that steps them as they are read.

    Raises:
        InputError: if there are several processes, each of which would read other rows.
    """
    if processes.count > 1:
        raise InputError(
            f"optimizer is lazy-adam, but there are {processes.count} processes, which read other"
            " rows each; give optimizer=adam, or one process"
        )
    for module in model.modules():
        if isinstance(module, TokenInput) and isinstance(module.table, nn.Parameter):
            module.on_reading = optimizer.serve(module.table)


def start_from_vectors(model: nn.Module, vectors: WordVectors) -> None:
    """Put pretrained vectors into a model's input.

    Raises:
        InputError: if it has none that learns vectors of their size.
    """
    inputs = [module for module in model.modules() if isinstance(module, TokenInput)]
    if not inputs:
        raise InputError("dataset.vectors: the model has no TokenInput that could take vectors")
    for module in inputs:
        module.start_from(vectors)


def directions(
    config: Config, settings: Settings, device: torch.device, folder: RunFolder, stop: Stop
) -> dict[str, Any]:
    """Whether reads are written backwards, and how to train the same model the other way round."""
    backwards = bool(config["dataset"].get("reverse"))

    def train_twin() -> Model:
        twin = {**config, "dataset": {**config["dataset"], "reverse": not backwards}}
        data = load(twin, settings)
        own, origin = folder.within(TWIN), origin_of(twin, data)
        state = own.checkpoint(origin)
        training, _ = alone(begin(twin, settings, data, device, is_new=state is None))
        parts = {"recurrences": Recurrences(training, data)}
        saving = Saving(own, origin, training, parts, stop)
        if state is not None:
            saving.restore(state)
        with stop.listening(), shown(training, data) as progress:
            for report in fit(training, data.to(device)):
                progress.after(report)
                say(report, settings)
                saving.after(report, NoTracker())
        return training.model

    return {"backwards": backwards, "train_twin": train_twin}


def refuse_endless_gradients(settings: Settings, data: Data) -> None:
    """A gradient through a whole text fills the memory, and would be one update an epoch."""
    time = data.train.tokens.shape[1]
    truncates = settings.bptt is not None and settings.bptt.k1 is not None
    if data.train.is_stream and not truncates and time > MAX_TOKENS_OF_A_GRADIENT:
        raise InputError(
            f"trainer.bptt.k1 is null, so that a gradient would go back through {time:,} tokens of"
            " the text; give trainer=tbptt, or trainer.bptt.k1 and k2"
        )


def total_steps(settings: Settings, data: Data) -> int:
    """Updates of the whole training, if it is not stopped early."""
    windows = 1
    if settings.bptt is not None and settings.bptt.k1 is not None:
        is_label = data.spec.output is Output.SEQUENCE_CLASS  # scored in one window a sequence
        windows = 1 if is_label else -(-data.train.tokens.shape[1] // settings.bptt.k1)
    return settings.epochs * data.train.num_batches(settings.batch_size) * windows


def build_torch(part: str, node: Mapping[str, Any], **supplied: Any) -> Any:
    """An object of PyTorch's, whose constructor checks more than its signature tells."""
    try:
        with told_whose(part, node["_target_"]):
            return build(node, **supplied)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InputError(f"{part}: {error} ({dict(node)})") from error


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
        saved.save(path, training.model, spec, config)
        example = saved.decode(data.test.tokens[0, :200].tolist(), spec)
        tracker.model(ModelFiles(path, saved.__name__, saved.output_columns(spec), example))
