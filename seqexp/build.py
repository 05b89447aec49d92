"""From a checked configuration to its parts, and from these to data, model and training."""

import ctypes
import inspect
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import psutil
import torch
from torch import nn

from seqexp.config.groups import OPTIONAL_GROUPS, Config
from seqexp.config.instantiate import build, function_of
from seqexp.config.own import arguments
from seqexp.config.signature import signature
from seqexp.data import MANY, Batch, Data, Sequences, WordVectors
from seqexp.dataset.soundness import checked
from seqexp.decode.base import refuse_unfit
from seqexp.errors import InputError
from seqexp.interpret.filters.extraction import Filters
from seqexp.interpret.gradient_flow.measure import GradientFlow
from seqexp.metrics import higher_is_better, without_name
from seqexp.model.added_ngrams import NGramVectors, WithNGrams
from seqexp.model.counting.table import NGramTable
from seqexp.model.layers import TokenInput
from seqexp.model.warm_start import Weights, start_from
from seqexp.optimizer.schedule import plateau
from seqexp.optimizer.uncompiled import keep_compiler_out
from seqexp.seeding import stream_seed
from seqexp.spec import (
    BegunByData,
    Output,
    Scoring,
    SizedByData,
    TaskSpec,
    scores_targets,
)
from seqexp.task import kinds
from seqexp.task.base import Task
from seqexp.task.own_loss import with_loss
from seqexp.task.own_metric import OwnMetric, measured, split_of
from seqexp.task.scoring import scoring
from seqexp.tracking.none import NoTracker
from seqexp.tracking.tracker import Tracker
from seqexp.trainer.adversarial import AdversarialNoise
from seqexp.trainer.distributed import Processes
from seqexp.trainer.layers import freeze, grouped
from seqexp.trainer.predicted import MAX_NUMBERS, Predicted
from seqexp.trainer.restarts import best_start
from seqexp.trainer.score import ADD_UP, Score
from seqexp.trainer.settings import Settings
from seqexp.trainer.solving import Solves, settings_for
from seqexp.trainer.training import LazyOptimizer, Training, Update
from seqexp.trainer.trial import own_numbers, refuse_other_things, try_model, try_optimizer
from seqexp.trainer.update import update
from seqexp.utils.old_names import kind_of_task
from seqexp.utils.own_code import blamed

ALONE = Processes()

Node = Mapping[str, Any]
"""What of a config describes one object."""

COMPLETE = (
    *("trainer", "tracking", "interpret", "decode", "gradient_flow"),
    *("sweeper", "launcher"),
)
"""Groups whose objects need nothing that the config does not say."""


MAX_TOKENS_OF_A_GRADIENT = 5000
"""Of a stream without truncation."""


ROWS_COUNTED = 1000
"""Sequences whose targets are counted together."""

ROWS_TRIED, TOKENS_TRIED = 4, 1000
"""Of the training, by which a loss of the user's own is tried."""

MOST_NAMED = 20
"""Metrics that a message lists."""


@dataclass(frozen=True)
class Parts:
    """What a checked config describes, each object built once.

    Model, optimizer and schedule need what only a training has: of these, what they are built from.

    Args:
        config: the whole composition, by which a run is recorded and found again.
        settings: of the training.
        dataset: has `load()`.
        model: node of the config.
        optimizer: node of the config.
        rates: shares of its learning rate, by names of weights; None: one rate for all.
        schedule: node of the config.
        tracker: where the run is recorded.
        filters: how filters are read; None: they are not.
        decoder: how to write and to decode reads; None: neither.
        gradient_flow: how it is measured; None: it is not.
        sweeper: what the run is a trial of.
        threads: CPU threads that are the run's share; None leaves PyTorch's choice.
    """

    config: Config
    settings: Settings
    dataset: Any
    model: Node
    optimizer: Node
    rates: Mapping[str, float] | None
    schedule: Node
    tracker: Tracker
    filters: Filters | None
    decoder: Any
    gradient_flow: GradientFlow | None
    sweeper: Any
    threads: int | None

    @property
    def seed(self) -> int:
        """From which all random numbers follow."""
        return int(self.config["seed"])

    @property
    def optimized_metric(self) -> str:
        """The metric that sweeps compare by."""
        return str(self.config["optimized_metric"])

    @property
    def reads_backwards(self) -> bool:
        """Whether reads are written from their end to their beginning."""
        return bool(self.config["dataset"].get("reverse"))

    def other_way_round(self) -> "Parts":
        """The same, with reads written in the other direction."""
        node = {**self.config["dataset"], "reverse": not self.reads_backwards}
        return replace(self, config={**self.config, "dataset": node}, dataset=_dataset(node))


def parts(config: Config, only_trains: bool = False) -> Parts:
    """All objects that a checked config describes.

    One that `only_trains` looks at nothing, and keeps nothing.

    Raises:
        InputError: if the dataset refuses its arguments.
    """
    if only_trains:
        tracking = {"_target_": f"{NoTracker.__module__}.{NoTracker.__name__}"}
        config = {**config, **dict.fromkeys(OPTIONAL_GROUPS), "tracking": tracking}
        config = {**config, "callbacks": {}}
    made: dict[str, Any] = {
        group: None if config[group] is None else build(config[group]) for group in COMPLETE
    }
    return Parts(
        config=config,
        settings=made["trainer"],
        dataset=_dataset(config["dataset"]),
        model=arguments("model", config["model"]),
        optimizer=arguments("optimizer", config["optimizer"]),
        rates=config["optimizer"].get("groups"),
        schedule=config["schedule"],
        tracker=made["tracking"],
        filters=made["interpret"],
        decoder=made["decode"],
        gradient_flow=made["gradient_flow"],
        sweeper=made["sweeper"],
        threads=made["launcher"].threads(),
    )


def _dataset(node: Node) -> Any:
    name = node["_target_"]
    with told_whose("dataset", name):
        dataset = build(node)
        if not callable(getattr(dataset, "load", None)):
            raise InputError(f"dataset {name} has no method load(); it returns a seqexp.data.Data")
        if isinstance(said := getattr(dataset, "output", None), str):
            kind_of_task(said)
    return dataset


def prepare(settings: Settings, threads: int | None) -> torch.device:
    """Set PyTorch up and choose the device; `threads` is what the settings leave open.

    Raises:
        InputError: if a GPU is asked for that is not there.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("trainer.device is cuda, but PyTorch sees no GPU; give auto or cpu")
    num_threads = settings.num_threads or threads
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    keep_freed_memory()
    keep_compiler_out()
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


def give_back_memory() -> None:
    """Have the C library give back what it keeps, where it is glibc: reading needs more than all
    that follows.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def load(parts: Parts) -> Data:
    """The data.

    Raises:
        InputError: if they are not sound.
    """
    name = parts.config["dataset"]["_target_"]
    with told_whose("dataset", name):
        loaded = parts.dataset.load()
    give_back_memory()
    own = parts.config.get("metrics") or {}
    data = validated(checked(loaded, name), parts.settings, parts.schedule["_target_"], own)
    refuse_unfit(parts.decoder, data)
    return scored(data.at_most(parts.settings.max_sequences, parts.seed), parts.config["task"])


def scored(data: Data, task: Node) -> Data:
    """The data, with the choices of the config's section `task` in their spec.

    Raises:
        InputError: if the dataset's kind of task does not have them.
    """
    targets = (
        part.targets for batch in data.train.batches(ROWS_COUNTED) for part in batch.windows(MANY)
    )
    loss = task["loss"] if isinstance(task["loss"], str) else task["loss"]["_target_"]
    found = scoring(data.spec, targets, task["class_weights"], loss, loss is not task["loss"])
    return data if found == Scoring() else replace(data, spec=replace(data.spec, scoring=found))


def validated(
    data: Data, settings: Settings, schedule: str = "", own: Collection[str] = ()
) -> Data:
    """The data, with a note if there is nothing to validate on.

    Args:
        data: sound.
        settings: of the training.
        schedule: dotted name of the schedule of learning rates.
        own: metrics of the user's own.

    Raises:
        InputError: if the training would wait for a better epoch then, or monitors a metric that
            is not defined for these data.
    """
    if len(data.valid) and any(batch.num_scored() for batch in data.valid.batches(ROWS_COUNTED)):
        if settings.monitor.removeprefix("valid/") not in own:
            refuse_undefined(data, settings.monitor)
        return data
    nothing = "there is nothing to validate on: valid has no rows, or no target that is scored"
    if settings.patience is not None:
        raise InputError(
            f"trainer.patience is {settings.patience}, but {nothing}; give validation data, or"
            " patience=null"
        )
    if schedule == f"{plateau.__module__}.{plateau.__name__}":
        raise InputError(
            f"schedule is plateau, but {nothing}; give validation data, or another schedule"
        )
    if settings.test_weights != "best":
        return data
    note = "nothing to validate on: the weights of the last epoch are tested and kept"
    return replace(data, notes=(*data.notes, note))


def refuse_undefined(data: Data, monitor: str) -> None:
    """Refuse to monitor what validation will not have, as the AUROC of three classes.

    Raises:
        InputError: with the metrics that it will have.
    """
    task = kinds.of(data.spec)
    measure = without_name(monitor).removeprefix("valid/")
    if measure in ADD_UP and measure in task.metrics and without_name(monitor) == monitor:
        return
    known = {f"valid/{name}" for name in task.metrics}
    if measure in task.metrics:
        known = {f"valid/{name}" for name in _measured(task, data.valid)}
    if monitor not in known:
        raise InputError(
            f"trainer.monitor is {monitor}, which the validation data do not have: they have"
            f" {', '.join(sorted(known)[:MOST_NAMED])}"
        )


def _measured(task: Task, split: Sequences) -> set[str]:
    """The metrics that any predictions of a split have: here they are random."""
    whole, score = task.whole(), Score()
    generator = torch.Generator().manual_seed(0)
    for batch in split.batches(ROWS_COUNTED):
        targets = batch.targets
        positions = targets.shape[1] if task.spec.per_position else 1
        logits = torch.randn(len(batch), positions, task.spec.num_outputs, generator=generator)
        if whole is not None:
            whole.add(logits, targets)
        extras = task.extras(logits, targets).double().tolist()
        score += Score(0.0, batch.num_scored(), tuple(extras))
    of_whole = {} if whole is None else whole.metrics()
    return {*task.means(score.nats, score.count, score.extras), *of_whole}


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
    parts: Parts,
    data: Data,
    device: torch.device,
    processes: Processes = ALONE,
    is_new: bool = True,
    weights: Weights | None = None,
    update: Update = update,
) -> tuple[Training, int]:
    """A training that starts from the best initial weights, and how many were tried.

    One that is not new gets the weights that it had, so none are tried. `weights` are those of an
    earlier run, which a new one starts from.

    Raises:
        InputError: as `prepare_training`.
    """

    def make(start: int) -> Training:
        return prepare_training(parts, data, device, start, processes, weights)

    if not is_new:
        return make(0), 0
    training, starts = best_start(make, data.to(device), update)
    if processes.is_first:
        try_metrics(training, data)
    return training, starts


def prepare_training(
    parts: Parts,
    data: Data,
    device: torch.device,
    start: int = 0,
    processes: Processes = ALONE,
    weights: Weights | None = None,
) -> Training:
    """Model, optimizer and schedule, initialised by the seed and the number of the start, and then
    by the weights of an earlier run.

    Raises:
        InputError: if the model is too large, does not fit pretrained vectors or an earlier run, or
            the optimizer or schedule refuses its settings.
    """
    settings, seed = parts.settings, parts.seed
    refuse_endless_gradients(settings, data)
    refuse_endless_contexts(settings, data, parts.model)
    refuse_unlearned_contexts(settings, data)
    refuse_dynamic_evaluation(settings, data, processes)
    torch.manual_seed(stream_seed(seed, "initial weights", *([start] if start else [])))
    model: Any = build_model(parts.model, data, device)
    settings = settings_for(model, settings, data)
    name = parts.model["_target_"]
    if start == 0 and not name.startswith("seqexp."):
        try_model(model, data, settings, device, name)
    task = task_of(parts, data.spec, model)
    if start == 0 and isinstance(parts.config["task"]["loss"], Mapping):
        try_loss(task, data, device)
    if data.vectors is not None:
        start_from_vectors(model, data.vectors)
    started = [] if weights is None else start_from(model, data.spec, weights)
    freeze(model, settings.freeze)
    refuse_thawing_apart(settings, processes)
    optimizer = build_optimizer(parts.optimizer, model, device, parts.rates)
    if isinstance(optimizer, LazyOptimizer):
        step_lazily(optimizer, model, processes)
    supplied: dict[str, Any] = {"optimizer": optimizer, "total_steps": total_steps(settings, data)}
    supplied["higher_is_better"] = higher_is_better(settings.monitor)
    wanted = signature(parts.schedule["_target_"]).parameters
    supplied = {key: value for key, value in supplied.items() if key in wanted}
    scheduler = build_torch("schedule", parts.schedule, **supplied)
    kind = json.dumps([parts.model, data.spec.to_dict(), parts.config["task"]["loss"]])
    extent = (data.train.num_batches(settings.batch_size), data.train.tokens.shape[1])
    more: dict[str, Any] = {"processes": processes, "kind": kind, "extent": extent}
    more |= {"started_from": tuple(started), "noise": noise_on(model, settings, processes)}
    more["own_metrics"] = own_metrics(parts, data)
    return Training(model, optimizer, scheduler, settings, seed, device, task, **more)


def task_of(parts: Parts, spec: TaskSpec, model: nn.Module) -> Task:
    """The kind of task; with the user's own loss, where there is one.

    Raises:
        InputError: if that cannot be made, or the model would not use it.
    """
    task, node = kinds.of(spec), parts.config["task"]["loss"]
    if not isinstance(node, Mapping):
        return task
    name = str(node["_target_"])
    why = None
    if isinstance(model, Solves):
        why = f"the model {parts.model['_target_']} is fitted by a solver to a loss of its own"
    elif scores_targets(model):
        why = "the model costs targets itself (model.output); give model.output=full"
    elif spec.output is Output.READ_ERRORS:
        why = "reads have their likelihood"
    if why is not None:
        raise InputError(f"task.loss is {name}, but {why}")
    loss = own_part("task.loss", node, spec=spec)
    if isinstance(loss, nn.Module) and any(True for _ in loss.parameters()):
        raise InputError(
            f"task.loss ({name}) has parameters, which nothing trains; put them into a model"
        )
    return with_loss(task, loss, name)


def try_loss(task: Task, data: Data, device: torch.device) -> None:
    """Have a user's own loss cost random predictions of a few sequences, and go back through it.

    Raises:
        InputError: if it cannot.
    """
    batch = next(data.train.batches(ROWS_TRIED)).part(0, TOKENS_TRIED)
    positions = batch.targets.shape[1] if data.spec.per_position else 1
    with own_numbers(device):
        size = (len(batch.targets), positions, data.spec.num_outputs)
        logits = torch.randn(size, device=device, requires_grad=True)
        nats = task.nats(logits, batch.targets.to(device))
        (gradient,) = torch.autograd.grad(nats, logits, allow_unused=True, materialize_grads=True)
    if not torch.isfinite(gradient).all():
        name = data.spec.scoring.loss
        raise InputError(f"task.loss ({name}) has a gradient of nan or inf; give a finite one")


def own_metrics(parts: Parts, data: Data) -> tuple[OwnMetric, ...]:
    """The metrics of the user's own.

    Raises:
        InputError: if one cannot be made, or a split has too many predictions to keep.
    """
    found = []
    for name, node in (parts.config.get("metrics") or {}).items():
        key, target = f"metrics.{name}", str(node["_target_"])
        function = own_part(key, arguments(key, node), spec=data.spec)
        with blamed(f"{key} ({target})"):
            wants_rows = "rows" in inspect.signature(function).parameters
        found.append(OwnMetric(name, target, function, wants_rows))
    for split in ("valid", "test") if found else ():
        batches = getattr(data, split).batches(ROWS_COUNTED)
        one_each = data.spec.output in (Output.REGRESSION, Output.MULTI_LABEL)
        size = sum(map(Batch.num_scored, batches)) * (1 if one_each else data.spec.num_outputs)
        if size > MAX_NUMBERS:
            raise InputError(
                f"metrics has {', '.join(one.name for one in found)}, of all predictions of a"
                f" split, but {split} has {size:,} numbers to predict, and {MAX_NUMBERS:,} are"
                " kept; give a smaller split, or leave metrics out"
            )
    return tuple(found)


def try_metrics(training: Training, data: Data) -> None:
    """Have the user's own metrics measure random predictions of validation.

    Raises:
        InputError: if one cannot.
    """
    if not training.own_metrics or not len(data.valid):
        return
    kept, spec = Predicted(), data.spec
    generator = torch.Generator().manual_seed(0)
    for batch in data.valid.batches(ROWS_COUNTED):
        for part in batch.windows(MANY):
            positions = part.targets.shape[1] if spec.per_position else 1
            size = (len(part.targets), positions, spec.num_outputs)
            kept.add(part, torch.randn(size, generator=generator))
    split = split_of(training.task, [kept.tensors()])
    measured(training.own_metrics, split, "validation, if predictions are random,")


def own_part(key: str, node: Node, **supplied: Any) -> Any:
    """A function or an object of the user's own.

    Raises:
        InputError: if it cannot be made, or is nothing that can be called.
    """
    called = f"{key} ({node['_target_']})"
    with blamed(called):
        found = function_of(node, **supplied)
    if not callable(found):
        raise InputError(f"{called} makes a {type(found).__name__}; give what can be called")
    return found


def own_object(key: str, node: Node, **supplied: Any) -> Any:
    """An object of a class of the user's own, which gets what its constructor names of `supplied`.

    Raises:
        InputError: if it cannot be made.
    """
    with blamed(f"{key} ({node['_target_']})"):
        wanted = signature(node["_target_"]).parameters
        return build(node, **{name: value for name, value in supplied.items() if name in wanted})


def build_model(node: Node, data: Data, device: torch.device) -> nn.Module:
    """The model with its initial weights.

    Raises:
        InputError: if it is too large, or is nothing that can be trained.
    """
    name = node["_target_"]
    try:
        with told_whose("model", name):
            model = refuse_other_things(build(node, spec=data.spec), name)
            with data.train.tokens.device:  # a plan makes models without memory
                for part in model.modules():
                    if isinstance(part, SizedByData):
                        part.count(data.train)
                for part in model.modules():
                    if isinstance(part, BegunByData) and device.type != "meta":
                        part.begin_by(data.train)  # values, which a plan has none of
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


def build_optimizer(
    node: Node, model: nn.Module, device: torch.device, rates: Mapping[str, float] | None = None
) -> Any:
    """The optimizer of a model's weights, which can take a step on this device.

    Args:
        node: of the config.
        model: whose weights.
        device: where they are.
        rates: shares of the learning rate, by names of weights; None: one rate for all.

    Raises:
        InputError: if it refuses its settings.
    """

    def make(weights: Sequence[Any]) -> Any:
        return build_torch("optimizer", node, params=weights)

    weights: list[Any] = list(model.parameters())
    if rates is not None:
        default = signature(node["_target_"]).parameters["lr"].default
        weights = list(grouped(model, rates, float(node.get("lr", default))))
    optimizer = make(weights)
    if not isinstance(optimizer, LazyOptimizer):
        try_optimizer(make, device)
    return optimizer


def step_lazily(optimizer: LazyOptimizer, model: nn.Module, processes: Processes) -> None:
    """Hand the model's tables of token vectors to an optimizer that steps them as they are read.

    A table with a penalty, which moves all its rows, is stepped as a whole.

    Raises:
        InputError: if there are several processes, each of which would read other rows.
    """
    if processes.count > 1:
        raise InputError(
            f"optimizer is lazy-adam, but there are {processes.count} processes, which read other"
            " rows each; give optimizer=adam, or one process"
        )
    ngrams = (one for one in model.modules() if isinstance(one, NGramVectors))
    penalised = [one.table for one in ngrams if one.strength]
    for module in model.modules():
        if not isinstance(module, TokenInput | NGramTable) or not isinstance(
            module.table, nn.Parameter
        ):
            continue
        if module in penalised:
            continue
        if module.table.requires_grad:  # one that is frozen is not stepped
            module.on_reading = optimizer.serve(module.table)


def noise_on(model: nn.Module, settings: Settings, processes: Processes) -> AdversarialNoise | None:
    """The noise on a model's learned vectors; None where there is to be none.

    Raises:
        InputError: if it has no such vectors, or if several processes would have to agree on it.
    """
    size = settings.adversarial
    if size is None:
        return None
    why = f"trainer.adversarial is {size}, but"
    if processes.count > 1:
        raise InputError(f"{why} there are {processes.count} processes; give null, or one process")
    inputs = _learned_vectors(model)
    if not inputs:
        raise InputError(
            f"{why} the model has no learned vectors of tokens that noise could be added to; give"
            " model.embedding_size=32, or another size, or trainer.adversarial=null"
        )
    return AdversarialNoise(inputs, size)


def _learned_vectors(model: nn.Module) -> list[nn.Module]:
    """The modules that give learned vectors of tokens, as the layers above read them: where
    n-grams are added to those of a table, their sum.
    """
    sums: dict[nn.Module, nn.Module] = {}
    for module in model.modules():
        group = module.group_to("input") if isinstance(module, WithNGrams) else None
        if group is not None:
            sums[cast(nn.Module, module.input)] = group.sum
    inputs = [
        module
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        or (isinstance(module, TokenInput) and isinstance(module.table, nn.Parameter))
    ]
    return [sums.get(module, module) for module in inputs]


def refuse_thawing_apart(settings: Settings, processes: Processes) -> None:
    """Several processes agree once, before the first update, on which weights have gradients."""
    if settings.unfreeze_every is not None and processes.count > 1:
        raise InputError(
            f"trainer.unfreeze_every is {settings.unfreeze_every}, but there are"
            f" {processes.count} processes, which train the same weights throughout; give null, or"
            " one process"
        )


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


def refuse_dynamic_evaluation(settings: Settings, data: Data, processes: Processes) -> None:
    """To learn on from a test, it has to be one text, read in order, by one process."""
    dynamic = settings.dynamic_evaluation
    if dynamic is None or dynamic.rates is None:
        return
    why = f"trainer.dynamic_evaluation.rates is {list(dynamic.rates)}, but"
    if not data.test.is_stream:
        raise InputError(
            f"{why} the test is {len(data.test):,} sequences of their own, not one text that is"
            " read in order; give null, or dataset=chars"
        )
    if processes.count > 1:
        raise InputError(f"{why} there are {processes.count} processes; give null, or one process")


def refuse_unlearned_contexts(settings: Settings, data: Data) -> None:
    """A context is read before the first window, and gradients of later ones do not reach it."""
    k1, k2 = (settings.bptt.k1, settings.bptt.k2) if settings.bptt is not None else (None, None)
    time = data.train.tokens.shape[1]
    if data.spec.context is not None and k1 is not None and max(k1, k2 or k1) < time:
        which = "the later windows of" if data.spec.per_position else "the last windows of"
        raise InputError(
            f"trainer.bptt.k1 is {k1}, so that gradients of {which} sequences of {time:,} tokens"
            f" would not reach what reads their contexts; give k1=null, or k2={time}"
        )


def refuse_endless_contexts(settings: Settings, data: Data, model: Node) -> None:
    """States of the contexts of a batch that no memory holds would end a run without a word."""
    context = data.train.context
    if context is None or data.train.tokens.device.type != "cpu":
        return
    units = model.get("hidden_size") or model.get("num_filters") or 1
    # float32; with gradients about 16 values a unit are kept, without them about 4
    values = max(16 * settings.batch_size, 4 * settings.eval_batch_size)
    needed, there = 4 * values * units * context.shape[1], psutil.virtual_memory().total
    if needed > there:
        raise InputError(
            f"the contexts have up to {context.shape[1]:,} positions: to read"
            f" {settings.batch_size:,} at a time (trainer.batch_size), or"
            f" {settings.eval_batch_size:,} (trainer.eval_batch_size), takes about"
            f" {needed / 2**30:,.0f} GiB, and this machine has {there / 2**30:,.0f} GiB; give"
            " smaller batches, or shorter contexts"
        )


def total_steps(settings: Settings, data: Data) -> int:
    """Updates of the whole training, if it is not stopped early."""
    windows = 1
    if settings.bptt is not None and settings.bptt.k1 is not None:
        # a label is scored in one window a sequence
        per_position, time = data.spec.per_position, data.train.tokens.shape[1]
        windows = -(-time // settings.bptt.k1) if per_position else 1
    return settings.epochs * data.train.num_batches(settings.batch_size) * windows


def build_torch(part: str, node: Node, **supplied: Any) -> Any:
    """An object of PyTorch's, whose constructor checks more than its signature tells."""
    try:
        with told_whose(part, node["_target_"]):
            return build(node, **supplied)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InputError(f"{part}: {error} ({dict(node)})") from error
