"""One run, from a checked config to what was learned: the only file that knows all parts."""

import ctypes
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

# before torch starts CUDA: cuBLAS is deterministic only with this workspace
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import nn

from seqexp import saved
from seqexp.comparing import compare_with_baselines
from seqexp.config import Config, build
from seqexp.errors import InputError
from seqexp.facts import RESULT, Result, Start, data_name, run_facts, sizes
from seqexp.flowing import Flowing
from seqexp.model.parts import TokenInput
from seqexp.reading import Reading
from seqexp.reporting import keep_report
from seqexp.say import description, say, say_start, say_summary
from seqexp.showing import Showing
from seqexp.signature import signature
from seqexp.spec import Data, Model, Output, WordVectors, stream_seed
from seqexp.tracing import show_where
from seqexp.tracking.tracker import DataFacts, ModelFiles, Tracker
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import Settings
from seqexp.trainer.starts import best_start
from seqexp.trainer.training import Training
from seqexp.writing import Writing

Log = Callable[[Mapping[str, float], int], None]
"""Adds a point to each of some curves, at this place of their x axis."""

History = dict[int, Mapping[str, float]]
"""Metrics by epoch."""

MAX_TOKENS_OF_A_GRADIENT = 5000
"""Of a stream without truncation."""


def run(config: Config, start: Start) -> Result:
    """Train, test, interpret and record one configuration.

    Raises:
        InputError: if the data or a place to write is not sound; no run was started then.
        RunError: if the run had to stop; it is recorded as failed.
    """
    began = time.monotonic()
    settings: Settings = build(config["trainer"])
    device = prepare(settings)
    data, training, starts = begin(config, settings, device)
    tracker: Tracker = build(config["tracking"])
    show = Showing(config["interpret"], tracker, training, data)
    write = Writing(config["decode"], tracker, training, data)
    read = Reading(
        config["decode"], tracker, training, data, **directions(config, settings, device)
    )
    flow = Flowing(config["gradient_flow"], tracker, training, data)
    digest = data.digest()
    result = Result(run_id=tracker.start(run_facts(config, start, digest)))
    log = partial(log_metrics, tracker, result)
    with recording(tracker, result, start, began), flow.drawn_at_the_end(result):
        tracker.data(DataFacts(data_name(config, start), digest, sizes(data)))
        tracker.text(json.dumps(config, indent=2), "config.json")
        num_parameters = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
        log({"model/parameters": float(num_parameters), "train/starts": float(starts)}, 0)
        say_start(config, start, data, num_parameters)
        history = train(training, data, log, show, write, flow)
        result.history = {epoch: dict(metrics) for epoch, metrics in history.items()}
        learned = show.learned()
        where, figure = show_where(show.settings, tracker, training, data, learned.filters)
        log({**learned.metrics, **where}, training.epoch)
        found, table = compare_with_baselines(
            show.settings, tracker, data, show.database, result.metrics
        )
        log(found, 0)
        keep_report(config, start, tracker, data, result, learned, history, table, figure)
        write.at_the_end()
        log(read.at_the_end(), 0)
        keep_model(config, tracker, training, data)
        tracker.describe(description(result, learned))
    say_summary(config, start, tracker, result, learned)
    return result


def train(
    training: Training, data: Data, log: Log, show: Showing, write: Writing, flow: Flowing
) -> History:
    """Train and test, and look at the model on the way; returns the metrics of each epoch."""
    history: History = {}
    if flow.is_due():
        log(flow.measure(), 0)
    for report in fit(training, data.to(training.device)):
        log(report.metrics, report.step)
        say(report, training.settings)
        flow.note(report)
        if report.kind != "epoch":
            continue
        history[report.step] = report.metrics
        if flow.is_due():
            log(flow.measure(), report.step)
        if show.is_due():
            log(show.forming(), report.step)
        if write.is_due():
            write.while_learning()
    return history


# --- building the parts -----------------------------------------------------------------------


def prepare(settings: Settings) -> torch.device:
    """Set PyTorch up and choose the device.

    Raises:
        InputError: if a GPU is asked for that is not there.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer.device is cuda, but PyTorch sees no GPU; give auto or cpu")
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    keep_freed_memory()
    # the same as use_deterministic_algorithms, which also imports torch's compiler, for 2 seconds
    torch.set_deterministic_debug_mode("error" if settings.deterministic else "default")
    torch.backends.cudnn.benchmark = not settings.deterministic
    use_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def keep_freed_memory() -> None:
    """Have the C library use again what it frees, where it is glibc.

    Otherwise the buffers of each step are fetched from the system, and filled with zeros by it:
    a fifth of the step of an LSTM.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            mallopt(option, 2**30)


def begin(config: Config, settings: Settings, device: torch.device) -> tuple[Data, Training, int]:
    """The data, a training that starts from the best initial weights, and how many were tried.

    Raises:
        InputError: as `prepare_training`, or if the data are not sound.
    """
    data: Data = build(config["dataset"]).load().at_most(settings.max_sequences)
    training, starts = best_start(
        lambda start: prepare_training(config, settings, data, device, start), data.to(device)
    )
    return data, training, starts


def prepare_training(
    config: Config, settings: Settings, data: Data, device: torch.device, start: int = 0
) -> Training:
    """Model, optimizer and schedule, initialised by the seed and the number of the start.

    Raises:
        InputError: if the model is too large, does not fit pretrained vectors, or the optimizer or
            schedule refuses its settings.
    """
    refuse_endless_gradients(settings, data)
    torch.manual_seed(stream_seed(config["seed"], "initial weights", *([start] if start else [])))
    try:
        model: Any = build(config["model"], spec=data.spec).to(device)
    except (MemoryError, RuntimeError) as error:
        if "allocate" not in str(error) and not isinstance(error, MemoryError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"model: its weights do not fit into memory ({reason})") from error
    if data.vectors is not None:
        start_from_vectors(model, data.vectors)
    optimizer = build_torch("optimizer", config["optimizer"], params=list(model.parameters()))
    supplied: dict[str, Any] = {"optimizer": optimizer, "total_steps": total_steps(settings, data)}
    wanted = signature(config["schedule"]["_target_"]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    scheduler = build_torch("schedule", config["schedule"], **supplied)
    return Training(model, optimizer, scheduler, settings, config["seed"], device)


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


def directions(config: Config, settings: Settings, device: torch.device) -> dict[str, Any]:
    """Whether reads are written backwards, and how to train the same model the other way round."""
    backwards = bool(config["dataset"].get("reverse"))

    def train_twin() -> Model:
        twin = {**config, "dataset": {**config["dataset"], "reverse": not backwards}}
        data, training, _ = begin(twin, settings, device)
        for report in fit(training, data.to(device)):
            say(report, settings)
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
        return build(node, **supplied)
    except (ValueError, TypeError) as error:
        raise InputError(f"{part}: {error} ({dict(node)})") from error


# --- recording --------------------------------------------------------------------------------


@contextmanager
def recording(tracker: Tracker, result: Result, start: Start, began: float) -> Iterator[None]:
    """Close the run whatever happens, and leave its result in its folder."""
    try:
        yield
    except BaseException as error:
        result.status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        result.error = f"{type(error).__name__}: {error}".strip(": ")
        if not isinstance(error, KeyboardInterrupt):
            tracker.tags({"seqexp.error": result.error[:5000]})
            tracker.text(traceback.format_exc(), "traceback.txt")
        raise
    finally:
        result.seconds = time.monotonic() - began
        tracker.finish(result.status)
        if start.folder is not None:
            content = json.dumps(asdict(result), indent=2)
            (start.folder / RESULT).write_text(content, encoding="utf-8")


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
