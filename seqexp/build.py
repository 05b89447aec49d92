"""From a checked configuration to data, model, optimizer and training."""

import ctypes
import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from seqexp.config.groups import Config
from seqexp.config.instantiate import build
from seqexp.config.signature import signature
from seqexp.data import Data, WordVectors
from seqexp.dataset.soundness import checked
from seqexp.errors import InputError
from seqexp.model.layers import TokenInput
from seqexp.seeding import stream_seed
from seqexp.spec import Output
from seqexp.sweep.launcher import Launcher
from seqexp.trainer.distributed import Processes
from seqexp.trainer.restarts import choose_start
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import LazyOptimizer, Training, Work
from seqexp.trainer.trial import refuse_other_things, try_model, try_optimizer

ALONE = Processes()


MAX_TOKENS_OF_A_GRADIENT = 5000
"""Of a stream without truncation."""


ROWS_COUNTED = 1000
"""Sequences whose targets are counted together."""


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
            raise InputError(f"dataset {name} has no method load(); it returns a seqexp.data.Data")
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
    if isinstance(optimizer, LazyOptimizer):
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
    if not isinstance(optimizer, LazyOptimizer):
        try_optimizer(make, device)
    return optimizer


def step_lazily(optimizer: LazyOptimizer, model: nn.Module, processes: Processes) -> None:
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
