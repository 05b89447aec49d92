"""One run, from a checked config to what was learned: the only file that knows all parts."""

import hashlib
import json
import logging
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

# before torch starts CUDA: cuBLAS is deterministic only with this workspace
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import torch
from torch import nn

import seqexp
from seqexp import saved
from seqexp.config import Config, build
from seqexp.errors import InputError, RunError
from seqexp.interpret.filters import Filters, LearnedFilter, motif_metrics, ranked, read_filters
from seqexp.metrics import higher_is_better
from seqexp.signature import signature
from seqexp.spec import Data, stream_seed
from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status, Tracker
from seqexp.trainer.loop import Report, Training, fit
from seqexp.trainer.settings import Settings

log = logging.getLogger("seqexp")

RESULT = "result.json"
"""File in a run's folder that a sweep reads its table from."""

NOT_IN_FINGERPRINT = ("paths", "tracking", "experiment_name", "optimized_metric")
"""Parts of a config that say where a run is kept, not what it computes."""


@dataclass(frozen=True)
class Start:
    """What the command line knows beside the config."""

    choices: Mapping[str, str] = field(default_factory=dict)  # group -> option
    overrides: Sequence[str] = ()
    folder: Path | None = None  # of the run's files; None writes none
    parent: str | None = None  # run id of the sweep
    name: str | None = None


@dataclass
class Result:
    """What came of a run."""

    status: Status = "FINISHED"
    run_id: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


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
    training = prepare_training(config, settings, data, device)
    tracker: Tracker = build(config["tracking"])
    digest = data.digest()
    result = Result(run_id=tracker.start(run_facts(config, start, digest)))
    with recording(tracker, result, start, began):
        tracker.data(DataFacts(data_name(config, start), digest, sizes(data)))
        tracker.text(json.dumps(config, indent=2), "config.json")
        num_parameters = sum(p.numel() for p in training.model.parameters() if p.requires_grad)
        log_metrics(tracker, result, {"model/parameters": float(num_parameters)}, step=0)
        say_start(config, start, data, num_parameters)
        for report in fit(training, data.to(device)):
            log_metrics(tracker, result, report.metrics, report.step)
            say(report, settings)
            if report.kind == "epoch":
                show_filters(config, tracker, result, training, data, report)
        filters = keep_filters(config, tracker, result, training, data)
        keep_model(config, tracker, training, data)
        tracker.describe(description(result, filters))
    say_summary(config, tracker, result, filters)
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
    use_gpu = settings.device == "cuda" or (
        settings.device == "auto" and torch.cuda.is_available()
    )
    return torch.device("cuda" if use_gpu else "cpu")


def prepare_training(
    config: Config, settings: Settings, data: Data, device: torch.device
) -> Training:
    """Model, optimizer and schedule, initialised by the seed.

    Raises:
        InputError: if the optimizer or schedule refuses its settings.
    """
    torch.manual_seed(stream_seed(config["seed"], "initial weights"))
    model: nn.Module = build(config["model"], spec=data.spec).to(device)
    optimizer = build_torch("optimizer", config["optimizer"], params=list(model.parameters()))
    total_steps = settings.epochs * data.train.num_batches(settings.batch_size)
    supplied: dict[str, Any] = {"optimizer": optimizer, "total_steps": total_steps}
    wanted = signature(config["schedule"]["_target_"]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    scheduler = build_torch("schedule", config["schedule"], **supplied)
    return Training(model, optimizer, scheduler, settings, config["seed"], device)


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


def log_metrics(
    tracker: Tracker, result: Result, metrics: Mapping[str, float], step: int
) -> None:
    """Add a point to each curve, and keep the last values for the summary."""
    tracker.metrics(metrics, step)
    result.metrics.update(metrics)


def run_facts(config: Config, start: Start, digest: str) -> RunFacts:
    """Name, params and tags of a run."""
    model, dataset = start.choices.get("model", "model"), data_name(config, start)
    params = {**flatten(config), **start.choices}
    params["overrides"] = " ".join(start.overrides)
    return RunFacts(
        experiment=config["experiment_name"] or dataset,
        name=start.name or f"{model}-{dataset}-seed{config['seed']}",
        params=params,
        tags={
            "seqexp.fingerprint": fingerprint(config),
            "seqexp.data_digest": digest,
            **code_version(),
        },
        parent=start.parent,
    )


def data_name(config: Config, start: Start) -> str:
    """The dataset's name on the command line, or its class where there was none."""
    return start.choices.get("dataset") or config["dataset"]["_target_"].rpartition(".")[2].lower()


def flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaves of a config by dotted key, as JSON writes them (texts without quotes)."""
    flat = {}
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def fingerprint(config: Config) -> str:
    """SHA-256 of all that a config says on what is computed."""
    counted = {key: value for key, value in config.items() if key not in NOT_IN_FINGERPRINT}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def code_version() -> dict[str, str]:
    """Commit of the source tree, if it is one, and versions of what computes."""
    tags = {"seqexp.version": seqexp.__version__, "seqexp.python": platform.python_version()}
    for package in ("torch", "numpy", "hydra-core", "mlflow"):
        tags[f"seqexp.{package}"] = metadata.version(package)
    folder = Path(seqexp.__file__).parent
    commit = git(folder, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = tags["seqexp.git_commit"] = commit
        tags["seqexp.git_dirty"] = json.dumps(bool(git(folder, "status", "--porcelain", ".")))
    return tags


def git(folder: Path, *arguments: str) -> str:
    """Output of a git command; nothing where there is no git or no repository."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def sizes(data: Data) -> dict[str, Any]:
    """Sequences a split, and what the tokens mean."""
    counts = {f"num_{name}": len(split) for name, split in data.splits().items()}
    return {**counts, **data.spec.to_dict()}


# --- what was learned -------------------------------------------------------------------------


def learned_filters(config: Config, training: Training, data: Data) -> list[LearnedFilter]:
    """The model's filters as they are now; none if it has none or nobody wants them."""
    if config["interpret"] is None or not hasattr(training.model, "filter_activations"):
        return []
    training.model.eval()
    tokens = data.train.tokens.to(training.device)
    symbols = data.spec.vocabulary.symbols
    return read_filters(training.model, tokens, symbols, data.patterns, build(config["interpret"]))


def show_filters(
    config: Config,
    tracker: Tracker,
    result: Result,
    training: Training,
    data: Data,
    report: Report,
) -> None:
    """Let the filters be seen while they form: one image of a series."""
    if config["interpret"] is None:
        return
    interpret: Filters = build(config["interpret"])
    every = interpret.every_epochs
    if every is None or (report.step % every and report.step != 1):
        return
    filters = learned_filters(config, training, data)
    if filters:
        from seqexp.interpret.figures import slider_image

        log_metrics(tracker, result, motif_metrics(filters), report.step)
        symbols, title = data.spec.vocabulary.symbols, f"after epoch {report.step}"
        image = slider_image(filters, symbols, data.patterns, title)
        tracker.image(image, "filters", report.step)


def keep_filters(
    config: Config, tracker: Tracker, result: Result, training: Training, data: Data
) -> list[LearnedFilter]:
    """Figure and table of the filters of the weights that were tested."""
    filters = learned_filters(config, training, data)
    if not filters:
        return []
    from seqexp.interpret.figures import filter_figure

    interpret: Filters = build(config["interpret"])
    log_metrics(tracker, result, motif_metrics(filters), training.epoch)
    symbols = data.spec.vocabulary.symbols
    title = "what the filters learned"
    figure = filter_figure(filters, symbols, data.patterns, title, interpret.max_shown)
    tracker.figure(figure, "filters/filters.png")
    tracker.table([filter_row(learned) for learned in filters], "filters/filters.json")
    counts = {
        f"filter_{learned.index}": {
            symbol: learned.pfm[:, column].astype(int).tolist()
            for column, symbol in enumerate(symbols)
        }
        for learned in filters
    }
    tracker.text(json.dumps(counts, indent=2), "filters/pfm.json")
    return filters


def filter_row(learned: LearnedFilter) -> dict[str, Any]:
    """A filter as a row of a table."""
    match = learned.match
    weight_match = learned.weight_match
    return {
        "filter": learned.index,
        "largest weights": learned.consensus,
        "exciting windows": learned.hits,
        "nearest planted motif": match.pattern if match else "",
        "correlation": round(match.correlation, 3) if match else None,
        "correlation of weights": round(weight_match.correlation, 3) if weight_match else None,
        "strand": ("-" if match.reverse else "+") if match else "",
    }


def keep_model(config: Config, tracker: Tracker, training: Training, data: Data) -> None:
    """The tested weights, with all that is needed to load them from the run alone."""
    spec = data.spec
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        assert isinstance(training.model, nn.Module)
        saved.save(path, training.model, spec, config)
        symbols = spec.vocabulary.decode(data.test.tokens[0].tolist())
        separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
        tracker.model(
            ModelFiles(path, "seqexp.saved", saved.output_columns(spec), separator.join(symbols))
        )


# --- what is said -----------------------------------------------------------------------------


def say_start(config: Config, start: Start, data: Data, num_parameters: int) -> None:
    """One line on what is about to be done."""
    splits = ", ".join(f"{len(split):,} {name}" for name, split in data.splits().items())
    model = start.choices.get("model", "model")
    log.info(f"{model}, {num_parameters:,} parameters, on {data_name(config, start)}: {splits}")


def say(report: Report, settings: Settings) -> None:
    """One line an epoch."""
    if report.kind != "epoch":
        return
    shown = ("train/loss_nats", "valid/loss_nats", "valid/accuracy", "time/epoch_seconds")
    values = [f"{key} {report.metrics[key]:.4f}" for key in shown if key in report.metrics]
    best = "  *" if report.is_best else ""
    width = len(str(settings.epochs))
    log.info(f"epoch {report.step:{width}}/{settings.epochs}  {'  '.join(values)}{best}")


def summary_rows(result: Result, filters: Sequence[LearnedFilter]) -> dict[str, str]:
    """What a person wants to know at the end."""
    names = (
        "test/accuracy",
        "test/loss_nats",
        "test/perplexity",
        "test/bits_per_token",
        "valid/accuracy",
        "motif/correlation",
        "best/epoch",
        "time/train_seconds",
    )
    rows = {name: f"{result.metrics[name]:.4g}" for name in names if name in result.metrics}
    if filters:
        best = ranked(filters)[0]
        rows[f"filter {best.index} reads"] = best.consensus
    return rows


def description(result: Result, filters: Sequence[LearnedFilter]) -> str:
    """The summary for the run's page."""
    rows = summary_rows(result, filters)
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    if filters:
        lines += ["", "What the filters learned: `filters/` under Artifacts, and the image `filters`"]
        lines += ["with its step slider under Model metrics."]
    return "\n".join(lines)


def say_summary(
    config: Config, tracker: Tracker, result: Result, filters: Sequence[LearnedFilter]
) -> None:
    """A small table, and where to look."""
    rows = summary_rows(result, filters)
    if result.run_id:
        rows["run id"] = result.run_id
    metric = config["optimized_metric"]
    rows |= tracker.links(metric, higher_is_better(metric))
    width = max(map(len, rows))
    log.info("\n".join(["", *(f"  {name:{width}}  {value}" for name, value in rows.items())]))


__all__ = ["Result", "RunError", "Start", "run"]
