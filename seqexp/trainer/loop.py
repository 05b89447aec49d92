"""The training loop, as a generator of reports.

The loop knows neither files nor trackers: whoever iterates over `fit` saves and logs what it
yields. Order of batches and dropout are functions of the seed and the position in training.
"""

import itertools
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seqexp.errors import NonFiniteError
from seqexp.spec import (
    IGNORE,
    Batch,
    Carry,
    Data,
    HasPenalty,
    Model,
    Output,
    Sequences,
    stream_seed,
)
from seqexp.trainer.score import Margins, Score, count_correct, cross_entropy_sum, evaluate
from seqexp.trainer.settings import Settings

Metrics = dict[str, float]


@dataclass(frozen=True)
class Report:
    """What the loop has to say, at the end of some updates, of an epoch, or of all.

    `step` is the x axis of its metrics: updates for `step`, epochs for `epoch`. A test has no axis:
    it is at 0, where trackers draw single values as bars.
    """

    kind: Literal["step", "epoch", "test"]
    step: int
    metrics: Metrics
    is_best: bool = False


@dataclass
class Training:
    """What is trained, how, and how far it is: all that changes between two updates."""

    model: Model
    optimizer: Optimizer
    scheduler: LRScheduler
    settings: Settings
    seed: int
    device: torch.device
    epoch: int = 0
    step: int = 0  # updates done
    best_value: float | None = None
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)  # of validation
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0  # of training and validation

    @property
    def window(self) -> int | None:
        """Tokens between updates; None is whole sequences."""
        return self.settings.bptt.k1 if self.settings.bptt is not None else None

    @property
    def reach(self) -> int | None:
        """Tokens that a gradient goes back through; None is all of them."""
        bptt = self.settings.bptt
        return None if bptt is None else bptt.k2 if bptt.k2 is not None else bptt.k1


@dataclass
class Updates:
    """Sums over updates."""

    score: Score = Score()
    tokens: int = 0
    norms: list[float] = field(default_factory=list)  # before clipping
    clipped_norms: list[float] = field(default_factory=list)  # of the same gradients, after it
    clipped: int = 0

    def add(self, other: "Updates") -> None:
        """Take in what another has summed."""
        self.score += other.score
        self.tokens += other.tokens
        self.norms += other.norms
        self.clipped_norms += other.clipped_norms
        self.clipped += other.clipped


def fit(training: Training, data: Data) -> Iterator[Report]:
    """Train, epoch by epoch, and test at the end.

    Yields:
        A report every `log_every_steps` updates, after each epoch (train and validation), and of
        the final test. After the last one the model holds the weights that were tested.

    Raises:
        NonFiniteError: before a step that would have used an inf or nan loss or gradient.
    """
    settings = training.settings
    while training.epoch < settings.epochs and not _out_of_patience(training):
        training.epoch += 1
        epoch_began = time.perf_counter()
        updates = yield from _train_epoch(training, data)
        train_seconds = time.perf_counter() - epoch_began
        metrics = updates.score.metrics("train")
        metrics |= _gradient_metrics(updates)
        metrics["train/learning_rate"] = _learning_rate(training.optimizer)
        valid = _scored_batches(data.valid, settings)
        score = evaluate(training.model, valid, training.window)
        metrics |= score.metrics("valid", data.spec.output)
        metrics["speed/sequences_per_second"] = len(data.train) / train_seconds
        metrics["speed/tokens_per_second"] = updates.tokens / train_seconds
        metrics["time/epoch_seconds"] = time.perf_counter() - epoch_began
        training.seconds += metrics["time/epoch_seconds"]
        is_best = _note_best(training, metrics)
        yield Report("epoch", training.epoch, metrics, is_best)
    if settings.test_weights == "best" and training.best_weights:
        training.model.load_state_dict(training.best_weights)
    batches = _scored_batches(data.test, settings)
    margins = Margins() if data.spec.output is Output.SEQUENCE_CLASS else None
    test = evaluate(training.model, batches, training.window, margins)
    metrics = test.metrics("test", data.spec.output) | training.best_metrics
    metrics |= margins.metrics("test") if margins is not None else {}
    metrics["time/train_seconds"] = training.seconds
    yield Report("test", 0, metrics)


def _train_epoch(training: Training, data: Data) -> Generator[Report, None, Updates]:
    """One pass over the training sequences."""
    settings = training.settings
    training.model.train()
    total, recent = Updates(), Updates()
    order = stream_seed(training.seed, "order", training.epoch)
    batches = data.train.batches(settings.batch_size, order, settings.length_pool)
    for index, batch in enumerate(batches, start=1):
        for updates in train_batch(training, batch, index):
            recent.add(updates)
            every = settings.log_every_steps
            # windows without a target take no step, and are no points of a curve
            if every is not None and updates.norms and training.step % every == 0:
                yield Report("step", training.step, _step_metrics(training, recent))
                total.add(recent)
                recent = Updates()
    total.add(recent)
    return total


def _scored_batches(split: Sequences, settings: Settings) -> Iterator[Batch]:
    """Where nothing is learned, order does not matter: all are sorted by length, or none."""
    size = settings.eval_batch_size
    pool = None if settings.length_pool is None else split.num_batches(size)
    return split.batches(size, length_pool=pool)


def train_batch(training: Training, batch: Batch, index: int) -> Iterator[Updates]:
    """Updates along the time axis of a batch: one, or one for every `k1` tokens.

    Each takes the loss of its `k1` new tokens back through the last `k2`. For that, the tokens
    from `k2` ago are read again with today's weights, from the state that was there then. What is
    older enters as a value only, so memory grows with `k2` and not with the batch's length.

    Source: Williams & Peng (1990), BPTT(h; h').
    """
    time = batch.tokens.shape[1]
    size = min(training.window or time, time)
    reach = training.reach or time
    scale = _tokens_an_update(batch, size)
    carry: Carry | None = None  # the state before token `start`
    start = 0
    for begin in range(0, time, size):
        end = min(begin + size, time)
        # where the next update's tokens will start: its state is kept on the way
        next_start = min(max(start, min(end + size, time) - reach), end)
        cuts = sorted({start, next_start, end})
        parts = [batch.part(a, b, begin) for a, b in itertools.pairwise(cuts)]
        where = f"epoch {training.epoch}, batch {index}"
        where += f", token {begin + 1}" if size < time else ""
        draw = (training.epoch, index, begin if batch.is_stream else 0)
        updates, kept = update(training, parts, carry, scale, where, draw)
        if next_start > start:
            carry, start = kept, next_start
        updates.tokens = batch.tokens.shape[0] * (end - begin)
        yield updates


def _tokens_an_update(batch: Batch, size: int) -> float:
    """What a sum of losses is divided by: the scored tokens that `size` tokens have on average.

    The same for all windows of a batch, so that a short last one counts as its tokens do. Labels
    are one a sequence, and all of a batch's count together.
    """
    count = int((batch.targets != IGNORE).sum())
    is_label = batch.targets.shape[1] == 1
    return max(1, count) * (1.0 if is_label else size / batch.tokens.shape[1])


def update(
    training: Training,
    parts: Sequence[Batch],
    carry: Carry | None,
    scale: float,
    where: str,
    draw: tuple[int, ...],
) -> tuple[Updates, Carry]:
    """One step of the optimizer on consecutive parts of a batch, from the state before them.

    Returns what was summed, and the state after the first part, as a value. Where nothing is
    scored, the state goes on and no step is taken.

    Raises:
        NonFiniteError: naming the place and the parameter; nothing was changed.
    """
    settings, model, optimizer = training.settings, training.model, training.optimizer
    count = torch.stack([(part.targets != IGNORE).sum() for part in parts]).sum()
    if count == 0:
        with torch.no_grad():
            return Updates(), _losses(training, parts[:1], carry, draw)[2]
    nats, correct, kept = _losses(training, parts, carry, draw)
    optimizer.zero_grad(set_to_none=True)
    loss = nats / scale
    if isinstance(model, HasPenalty):
        loss = loss + model.penalty()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    # one transfer for all that is needed from the device
    values = torch.stack([nats.detach().double(), norm.double(), correct.double(), count.double()])
    nats_sum, norm_before, num_correct, num_scored = values.tolist()
    # before the step: a non-finite update must never be applied
    _refuse_non_finite(model, nats_sum, norm_before, where)
    norm_after, clipped = _clip(gradients, norm, norm_before, settings)
    optimizer.step()
    training.scheduler.step()
    training.step += 1
    score = Score(nats_sum, int(num_correct), int(num_scored))
    summed = Updates(score, norms=[norm_before], clipped_norms=[norm_after], clipped=int(clipped))
    return summed, kept


def _losses(
    training: Training, parts: Sequence[Batch], carry: Carry | None, draw: tuple[int, ...]
) -> tuple[Tensor, Tensor, Carry]:
    """Summed loss and right predictions, and the state after the first part, as a value."""
    bf16 = training.settings.precision == "bf16"
    nats = correct = torch.zeros((), device=training.device)
    kept: Carry = ()
    for index, part in enumerate(parts):
        _seed_masks(training, draw)
        with torch.autocast(training.device.type, torch.bfloat16, bf16):
            logits, carry = training.model(part.tokens, carry)
        nats = nats + cross_entropy_sum(logits, part.targets)
        correct = correct + count_correct(logits, part.targets)
        if index == 0:
            kept = tuple(tensor.detach() for tensor in carry)
    return nats, correct, kept


def _seed_masks(training: Training, draw: tuple[int, ...]) -> None:
    """Make dropout a function of the seed and the place, so that a resumed run is the same run.

    All windows of a sequence get the same draw: a mask that is constant in time stays so.
    """
    seed = stream_seed(training.seed, "masks", *draw)
    # torch.manual_seed would also seed absent devices, at a fifth of a small model's step
    torch.default_generator.manual_seed(seed)
    if training.device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _clip(
    gradients: Sequence[Tensor], norm: Tensor, size: float, settings: Settings
) -> tuple[float, bool]:
    """Limit the gradient in place, by value and then by norm.

    Returns its norm after that, and whether anything was changed.

    Source: Pascanu, Mikolov & Bengio (2013), algorithm 1, for the norm.
    """
    clipped = False
    if settings.clip_value is not None:
        largest = max(float(gradient.abs().max()) for gradient in gradients)
        if largest > settings.clip_value:
            clipped = True
            for gradient in gradients:
                gradient.clamp_(-settings.clip_value, settings.clip_value)
            norm = nn.utils.get_total_norm(gradients)
            size = float(norm)
    if settings.clip_norm is not None and size > settings.clip_norm:
        clipped = True
        for gradient in gradients:
            gradient.mul_(settings.clip_norm / norm)
        size = settings.clip_norm
    return size, clipped


def _refuse_non_finite(model: Model, nats: float, norm: float, where: str) -> None:
    if math.isfinite(nats) and math.isfinite(norm):
        return
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise NonFiniteError(f"{name} has inf or nan before {where}")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            what = "nan" if torch.isnan(parameter.grad).any() else "inf"
            loss = f" (the loss is {nats})" if not math.isfinite(nats) else ""
            raise NonFiniteError(f"gradient of {name} is {what} at {where}{loss}; {_ADVICE}")
    if not math.isfinite(nats):
        raise NonFiniteError(f"the loss is {nats} at {where}; {_ADVICE}")
    raise NonFiniteError(f"the norm of the gradient overflows at {where}; {_ADVICE}")


_ADVICE = "the step was not taken. Try a smaller optimizer.lr, or trainer.clip_norm=1"


def _note_best(training: Training, metrics: Metrics) -> bool:
    """Keep the weights if this epoch is the best so far."""
    settings = training.settings
    value = metrics.get(settings.monitor)
    if value is None or not math.isfinite(value):
        return False
    sign = -1 if settings.monitor == "valid/accuracy" else 1  # as a loss: lower is better
    best = training.best_value
    if best is not None and not sign * value < sign * best - settings.min_delta:
        return False
    training.best_value, training.best_epoch = value, training.epoch
    training.best_metrics = {"best/epoch": float(training.epoch)} | {
        f"best/{name.replace('/', '_')}": metric
        for name, metric in metrics.items()
        if name.startswith("valid/")
    }
    weights = training.model.state_dict()
    training.best_weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
    return True


def _out_of_patience(training: Training) -> bool:
    patience = training.settings.patience
    return patience is not None and training.epoch - training.best_epoch >= patience


def _learning_rate(optimizer: Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _gradient_metrics(updates: Updates) -> Metrics:
    norms = updates.norms
    if not norms:
        return {}
    return {
        "grad/norm_mean": sum(norms) / len(norms),
        "grad/norm_max": max(norms),
        "grad/clipped_norm_mean": sum(updates.clipped_norms) / len(norms),
        "grad/clipped_fraction": updates.clipped / len(norms),
    }


def _step_metrics(training: Training, updates: Updates) -> Metrics:
    return {
        "step/loss_nats": updates.score.nats / max(1, updates.score.count),
        "step/grad_norm": sum(updates.norms) / len(updates.norms),
        "step/grad_norm_clipped": sum(updates.clipped_norms) / len(updates.norms),
        "step/learning_rate": _learning_rate(training.optimizer),
    }
