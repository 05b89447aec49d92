"""One run, from a checked config to what was learned: the only file that knows all parts."""

import json
import os
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
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
from seqexp.reporting import keep_report
from seqexp.say import description, say, say_start, say_summary
from seqexp.showing import Showing
from seqexp.signature import signature
from seqexp.spec import Data, Output, stream_seed
from seqexp.tracing import show_where
from seqexp.tracking.tracker import DataFacts, ModelFiles, Tracker
from seqexp.trainer.loop import Training, fit
from seqexp.trainer.settings import Settings
from seqexp.trainer.starts import best_start
from seqexp.writing import Writing

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
    data: Data = build(config["dataset"]).load()
    training, starts = best_start(
        lambda start: prepare_training(config, settings, data, device, start), data.to(device)
    )
    tracker: Tracker = build(config["tracking"])
    show = Showing(config["interpret"], tracker, training, data)
    write = Writing(config["decode"], tracker, training, data)
    digest = data.digest()
    result = Result(run_id=tracker.start(run_facts(config, start, digest)))
    with recording(tracker, result, start, began):
        tracker.data(DataFacts(data_name(config, start), digest, sizes(data)))
        tracker.text(json.dumps(config, indent=2), "config.json")
        num_parameters = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
        facts = {"model/parameters": float(num_parameters), "train/starts": float(starts)}
        log_metrics(tracker, result, facts, step=0)
        say_start(config, start, data, num_parameters)
        history: dict[int, Mapping[str, float]] = {}
        for report in fit(training, data.to(device)):
            log_metrics(tracker, result, report.metrics, report.step)
            say(report, settings)
            if report.kind == "epoch":
                history[report.step] = report.metrics
            if report.kind == "epoch" and show.is_due():
                log_metrics(tracker, result, show.forming(), report.step)
            if report.kind == "epoch" and write.is_due():
                write.while_learning()
        learned = show.learned()
        where, figure = show_where(show.settings, tracker, training, data, learned.filters)
        log_metrics(tracker, result, {**learned.metrics, **where}, training.epoch)
        found, table = compare_with_baselines(
            show.settings, tracker, data, show.database, result.metrics
        )
        log_metrics(tracker, result, found, step=0)
        keep_report(config, start, tracker, data, result, learned, history, table, figure)
        write.at_the_end()
        keep_model(config, tracker, training, data)
        tracker.describe(description(result, learned))
    say_summary(config, start, tracker, result, learned)
    return result


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
    # the same as use_deterministic_algorithms, which also imports torch's compiler, for 2 seconds
    torch.set_deterministic_debug_mode("error" if settings.deterministic else "default")
    torch.backends.cudnn.benchmark = not settings.deterministic
    use_gpu = settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def prepare_training(
    config: Config, settings: Settings, data: Data, device: torch.device, start: int = 0
) -> Training:
    """Model, optimizer and schedule, initialised by the seed and the number of the start.

    Raises:
        InputError: if the model is too large, or the optimizer or schedule refuses its settings.
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
    optimizer = build_torch("optimizer", config["optimizer"], params=list(model.parameters()))
    supplied: dict[str, Any] = {"optimizer": optimizer, "total_steps": total_steps(settings, data)}
    wanted = signature(config["schedule"]["_target_"]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    scheduler = build_torch("schedule", config["schedule"], **supplied)
    return Training(model, optimizer, scheduler, settings, config["seed"], device)


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
