"""The training loop, as a generator of reports.

The loop knows neither files nor trackers: whoever iterates over `fit` saves and logs what it
yields. Order of batches and dropout are functions of the seed and the position in training. What
one update does is an argument of the loop.
"""

import itertools
import math
import time
from collections.abc import Generator, Iterator, Sequence

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seqexp.data import Batch, Data, Sequences
from seqexp.errors import InputError
from seqexp.metrics import METRICS, higher_is_better, without_name
from seqexp.seeding import stream_seed
from seqexp.task.base import Task, Whole
from seqexp.task.own_metric import measured, split_of
from seqexp.trainer.dynamic import dynamic_metrics
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import ADD_UP, Score, evaluate, scored_window
from seqexp.trainer.settings import Settings
from seqexp.trainer.solving import Solves, solve
from seqexp.trainer.training import (
    LazyOptimizer,
    Metrics,
    Place,
    Report,
    Training,
    Update,
    Updates,
    Work,
)
from seqexp.trainer.update import update

HIGHEST = "best/valid_accuracy_max"
"""The accuracy of the epoch where that is highest, which the loss may not find best."""


def fit(training: Training, data: Data, update: Update = update) -> Iterator[Report]:
    """Train, epoch by epoch, and test at the end; from wherever the training is.

    Args:
        training: to continue.
        data: to train on, on the device of the model.
        update: does one update.

    Yields:
        A report after each update (every `log_every_steps` of them with metrics), after each epoch
        (train and validation), and of the final test. Between two reports before the test, the
        training is all that is needed to go on. After the test the model holds the weights that
        were tested.

    Raises:
        NonFiniteError: before a step that would have used an inf or nan loss or gradient.
    """
    settings = training.settings
    while not training.is_done:
        place = training.place or training.begin_epoch()
        metrics = yield from _epoch(training, place, data, update)
        is_best = _note_best(training, metrics)
        _lower_on_plateau(training, metrics)
        training.place = None
        yield Report("epoch", training.epoch, metrics, is_best)
    training.solver = None  # with what it has counted
    if settings.test_weights == "best" and training.best_weights:
        training.model.load_state_dict(training.best_weights)
    elif training.average is not None:
        training.model.load_state_dict(training.kept_weights())
    metrics = _test(training, data.test) | _test_dynamically(training, data)
    metrics |= training.best_metrics
    metrics["time/train_seconds"] = training.seconds
    yield Report("test", 0, metrics)


def _test(training: Training, test: Sequences) -> Metrics:
    """All metrics of the test; what is predicted is kept for pictures of it."""
    training.tested = training.task.whole()
    kept = training.predicted or (Predicted() if training.own_metrics else None)
    score = evaluate(
        training.model,
        training.task,
        scored_batches(test, training.settings),
        scored_window(test, training.window),
        training.tested,
        predicted=kept,
    )
    found = _all_metrics("test", training.task, score, training.tested)
    return found | _own_metrics(training, "test", [kept])


def _test_dynamically(training: Training, data: Data) -> Metrics:
    """Metrics of a second test that learns on, where one is wanted; the weights stay."""
    settings = training.settings.dynamic_evaluation
    if settings is None or settings.rates is None:
        return {}
    return dynamic_metrics(training.model, training.task, data, settings)


def _all_metrics(split: str, task: Task, score: Score, whole: Whole | None) -> Metrics:
    """Of sums, and of the split as a whole."""
    of_whole = {} if whole is None else whole.metrics()
    return score.metrics(split, task) | {f"{split}/{k}": value for k, value in of_whole.items()}


def _epoch(
    training: Training, place: Place, data: Data, update: Update
) -> Generator[Report, None, Metrics]:
    """Train from `place` to the end of the epoch, and validate; returns its metrics."""
    began = time.perf_counter() - place.seconds
    told: Metrics = {}
    if isinstance(training.model, Solves):
        place.total, told = solve(training, training.model, data.train)
    else:
        yield from _train_epoch(training, place, data, update, began)
        told["train/learning_rate"] = _learning_rate(training.optimizer)
    train_seconds = time.perf_counter() - began
    if isinstance(training.optimizer, LazyOptimizer):  # all that follows may read any weight
        training.optimizer.settle()
    updates = place.total
    updates.add(place.recent)
    means = updates.score.metrics("train", training.task)
    metrics = {name: value for name, value in means.items() if name in METRICS}
    metrics |= _gradient_metrics(updates)
    metrics |= told
    if training.average is not None:
        training.average.after_epoch(training.epoch)
    with training.averaged():
        metrics |= _validate(training, data.valid)
    metrics["speed/sequences_per_second"] = len(data.train) / train_seconds
    metrics["speed/tokens_per_second"] = updates.tokens / train_seconds
    metrics["time/epoch_seconds"] = time.perf_counter() - began
    training.seconds += metrics["time/epoch_seconds"]
    return metrics


def _train_epoch(
    training: Training, place: Place, data: Data, update: Update, began: float
) -> Iterator[Report]:
    """The rest of a pass over the training sequences."""
    settings = training.settings
    training.model.train()
    order = stream_seed(training.seed, "order", training.epoch)
    batches = data.train.batches(settings.batch_size, order, settings.length_pool, place.batch)
    for index, batch in enumerate(batches, start=place.batch + 1):
        for updates in train_batch(training, place, batch, index, update):
            place.recent.add(updates)
            place.seconds = time.perf_counter() - began
            yield _report_update(training, place, updates)
        place.batch, place.token, place.start, place.carry = index, 0, 0, None


def _report_update(training: Training, place: Place, updates: Updates) -> Report:
    """After every so many updates, a point of the `step/*` curves."""
    every = training.settings.log_every_steps
    # windows without a target take no step, and are no points of a curve
    if every is None or not updates.count or training.step % every:
        return Report("update", training.step)
    metrics = _step_metrics(training, place.recent)
    place.total.add(place.recent)
    place.recent = Updates()
    return Report("step", training.step, metrics)


def _validate(training: Training, valid: Sequences) -> Metrics:
    """The metrics of all processes, each on its rows."""
    task, processes = training.task, training.processes
    whole = task.whole() if _needs_whole(training) else None
    batches = scored_batches(valid, training.settings)
    window = scored_window(valid, training.window)
    kept = Predicted() if training.own_metrics else None
    score = evaluate(training.model, task, batches, window, whole, processes.share, kept)
    if processes.count > 1:
        sums = [score.nats, score.count, *score.extras]
        on_device = torch.tensor(sums, device=training.device, dtype=torch.float64)
        nats, count, *extras = processes.sum(on_device).tolist()
        score = Score(nats, int(count), tuple(extras))
        if whole is not None:
            whole = _merged(processes.gathered(whole))
    found = _all_metrics("valid", task, score, whole)
    if kept is not None:
        found |= _own_metrics(training, "valid", processes.gathered(kept))
    monitor = training.settings.monitor
    # of many labels, a curve each would be too many
    return {k: value for k, value in found.items() if k == without_name(k) or k == monitor}


def _own_metrics(training: Training, split: str, kept: Sequence[Predicted | None]) -> Metrics:
    """The metrics of a user's own, of what processes have kept of a split; the first computes them.

    Raises:
        InputError: naming the metric that cannot be computed, in all processes.
    """
    if not training.own_metrics:
        return {}
    found: Metrics | str = {}
    if training.processes.is_first:
        when = f"{split} in epoch {training.epoch}" if split == "valid" else split
        try:
            parts = [one.tensors() for one in kept if one is not None]
            values = measured(training.own_metrics, split_of(training.task, parts), when)
            found = {f"{split}/{name}": value for name, value in values.items()}
        except InputError as error:
            found = str(error)
    found = training.processes.told(found)
    if isinstance(found, str):
        raise InputError(found)
    return found


def _needs_whole(training: Training) -> bool:
    """Whether metrics of validation as a whole are worth it: cheap, or those that are monitored."""
    measure = without_name(training.settings.monitor).removeprefix("valid/")
    return not training.task.spec.per_position or measure not in ADD_UP


def _merged(wholes: Sequence[Whole]) -> Whole:
    first, *others = wholes
    for other in others:
        first.merge(other)
    return first


def scored_batches(split: Sequences, settings: Settings) -> Iterator[Batch]:
    """Where nothing is learned, order does not matter: all are sorted by length, or none."""
    size = settings.eval_batch_size
    pool = None if settings.length_pool is None else split.num_batches(size)
    return split.batches(size, length_pool=pool)


def train_batch(
    training: Training, place: Place, batch: Batch, index: int, update: Update = update
) -> Iterator[Updates]:
    """Updates along the time axis of a batch, from `place` on: one, or one for every `k1` tokens.

    Each takes the loss of its `k1` new tokens back through the last `k2`. For that, the tokens
    from `k2` ago are read again with today's weights, from the state that was there then. What is
    older enters as a value only, so memory grows with `k2` and not with the batch's length.

    Source: Williams & Peng (1990), BPTT(h; h').
    """
    time = batch.tokens.shape[1]
    size = min(training.window or time, time)
    reach = training.reach or time
    count = batch.num_scored()
    scale = _tokens_an_update(batch, size, count)
    # then none have to be counted again on the device
    all_count = bool(batch.per_position) and count == len(batch) * time
    for begin in range(place.token, time, size):
        end = min(begin + size, time)
        start = place.start
        # where the next update's tokens will start: its state is kept on the way
        next_start = min(max(start, min(end + size, time) - reach), end)
        cuts = (0, time) if size == time else sorted({start, next_start, end})
        everyones = [batch.part(a, b, begin) for a, b in itertools.pairwise(cuts)]
        parts = [training.processes.share(part) for part in everyones]
        if size == time:
            scored = count
        elif all_count:
            scored = len(batch) * (end - begin)
        else:
            scored = sum(part.num_scored() for part in everyones)
        where = f"epoch {training.epoch}, batch {index}"
        where += f", token {begin + 1}" if size < time else ""
        masks = _masks(training, training.epoch, index, begin if batch.is_stream else 0)
        updates, kept = update(Work(training, parts, place.carry, scored, scale, masks, where))
        if next_start > start:
            place.carry, place.start = kept, next_start
        place.token = end
        updates.tokens = len(batch) * (end - begin)
        yield updates


def _tokens_an_update(batch: Batch, size: int, count: int) -> float:
    """What a sum of losses is divided by: the scored tokens that `size` tokens have on average.

    The same for all windows of a batch, so that a short last one counts as its tokens do. Labels
    are one a sequence, and all of a batch's count together; `count` is all that are scored.
    """
    return max(1, count) * (size / batch.tokens.shape[1] if batch.per_position else 1.0)


def _masks(training: Training, *place: int) -> int:
    """The seed of dropout's masks: a function of the seed and the place, so that a resumed run is
    the same run. Several processes draw each their own.
    """
    rank = training.processes.rank
    return stream_seed(training.seed, "masks", *place, *([rank] if rank else []))


def _note_best(training: Training, metrics: Metrics) -> bool:
    """Keep the weights if this epoch is the best so far, and the highest accuracy of all epochs."""
    found = (training.best_metrics.get(HIGHEST), metrics.get("valid/accuracy"))
    highest = [value for value in found if value is not None]
    is_best = _keep_best(training, metrics)
    if highest:
        training.best_metrics[HIGHEST] = max(highest)
    return is_best


def _keep_best(training: Training, metrics: Metrics) -> bool:
    settings = training.settings
    value = metrics.get(settings.monitor)
    if value is None or not math.isfinite(value):
        return False
    sign = -1 if higher_is_better(settings.monitor) else 1  # as a loss: lower is better
    best = training.best_value
    if best is not None and not sign * value < sign * best - settings.min_delta:
        return False
    training.best_value, training.best_epoch = value, training.epoch
    training.best_metrics = {"best/epoch": float(training.epoch)} | {
        f"best/{name.replace('/', '_')}": metric
        for name, metric in metrics.items()
        if name.startswith("valid/")
    }
    for chosen in ("strength", "order"):  # by a solver
        if f"train/{chosen}" in metrics:
            training.best_metrics[f"best/{chosen}"] = metrics[f"train/{chosen}"]
    weights = training.kept_weights()
    training.best_weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
    return True


def _lower_on_plateau(training: Training, metrics: Metrics) -> None:
    value = metrics.get(training.settings.monitor)
    if isinstance(training.scheduler, ReduceLROnPlateau) and value is not None:
        training.scheduler.step(value)


def _learning_rate(optimizer: Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _gradient_metrics(updates: Updates) -> Metrics:
    if not updates.count:
        return {}
    return {
        "grad/norm_mean": updates.norms / updates.count,
        "grad/norm_max": updates.norm_max,
        "grad/clipped_norm_mean": updates.clipped_norms / updates.count,
        "grad/clipped_fraction": updates.clipped / updates.count,
    }


def _step_metrics(training: Training, updates: Updates) -> Metrics:
    return {
        "step/loss_nats": updates.score.nats / max(1, updates.score.count),
        "step/grad_norm": updates.norms / updates.count,
        "step/grad_norm_clipped": updates.clipped_norms / updates.count,
        "step/learning_rate": _learning_rate(training.optimizer),
    }
