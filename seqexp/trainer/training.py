"""What the loop works on and what it says: a training, how far it is, its updates and reports."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from seqexp.data import Batch
from seqexp.spec import Carry, HasPenalty, Model
from seqexp.task.base import Task, Whole
from seqexp.task.own_metric import OwnMetric
from seqexp.trainer.adversarial import AdversarialNoise
from seqexp.trainer.averages import Average
from seqexp.trainer.distributed import Processes
from seqexp.trainer.layers import thaw
from seqexp.trainer.losses import Losses
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import Score
from seqexp.trainer.settings import Settings

Metrics = dict[str, float]


@dataclass(frozen=True)
class Report:
    """What the loop has to say, at the end of an update, of some, of an epoch, or of all.

    `step` is the x axis of its metrics: updates for `step`, epochs for `epoch`; an `update` has no
    metrics. A test has no axis: it is at 0, where trackers draw single values as bars.
    """

    kind: Literal["update", "step", "epoch", "test"]
    step: int
    metrics: Metrics = field(default_factory=dict)
    is_best: bool = False


@dataclass
class Updates:
    """Sums over updates."""

    score: Score = Score()
    tokens: int = 0
    count: int = 0  # updates that took a step
    norms: float = 0.0  # before clipping
    clipped_norms: float = 0.0  # of the same gradients, after it
    norm_max: float = 0.0
    clipped: int = 0

    def add(self, other: "Updates") -> None:
        """Take in what another has summed."""
        self.score += other.score
        self.tokens += other.tokens
        self.count += other.count
        self.norms += other.norms
        self.clipped_norms += other.clipped_norms
        self.norm_max = max(self.norm_max, other.norm_max)
        self.clipped += other.clipped


@dataclass
class Place:
    """How far an epoch is: what has to be known to go on between two of its updates."""

    batch: int = 0  # batches done
    token: int = 0  # tokens done of the batch in progress, under truncation
    start: int = 0  # its first token that the next gradient reaches
    carry: Carry | None = None  # the state before that token; None begins a sequence
    total: Updates = field(default_factory=Updates)
    recent: Updates = field(default_factory=Updates)  # since the last point of `step/*`
    seconds: float = 0.0  # that the epoch has taken


@runtime_checkable
class LazyOptimizer(Protocol):
    """An optimizer that steps tables of token vectors where they are read."""

    def serve(self, table: nn.Parameter) -> Callable[[Tensor], None]:
        """Step a table lazily; returns what to call with its rows before they are read."""
        ...

    def settle(self) -> None:
        """Bring all rows up to date, for who reads a table itself."""
        ...


@dataclass
class Training:
    """What is trained, how, and how far it is: all that changes between two updates."""

    model: Model
    optimizer: Optimizer
    scheduler: LRScheduler
    settings: Settings
    seed: int
    device: torch.device
    task: Task
    epoch: int = 0  # begun
    step: int = 0  # updates done
    place: Place | None = None  # in that epoch; None where it is done, with its validation
    best_value: float | None = None
    best_epoch: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)  # of validation
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0  # of training and validation
    processes: Processes = Processes()
    kind: str = ""  # what its model computes; of one kind, only the weights differ
    extent: tuple[int, int] | None = None  # batches of an epoch, and tokens of a row, if known
    noise: AdversarialNoise | None = None  # on vectors, in a second pass of each update
    started_from: tuple[str, ...] = ()  # what was taken of an earlier run, in words
    tested: Whole | None = None  # what the test's predictions are, once they are made
    predicted: Predicted | None = None  # keeps each of them, where that is wanted
    solver: Any = None  # of a model that is fitted at once, while it is
    own_metrics: Sequence[OwnMetric] = ()  # of a user's own, of validation and test

    def __post_init__(self) -> None:
        bf16 = self.settings.precision == "bf16"
        losses = Losses(self.model, self.task, self.device, bf16)
        # a context is read in the first window of a sequence only
        uses_all = self.task.spec.context is None or self.window is None
        self.losses = self.processes.averaging(losses, uses_all)
        # once, since each takes as long as a small model's layer
        self.parameters = dict(self.model.named_parameters())
        self.penalty = self.model.penalty if isinstance(self.model, HasPenalty) else None
        self.trained = {k: p for k, p in self.parameters.items() if p.requires_grad}
        self.average: Average | None = None
        if self.settings.average != "none":
            assert isinstance(self.model, nn.Module)
            how = (self.settings.average, self.settings.average_decay, self.settings.average_from)
            self.average = Average(self.model, *how)
        self.by_update = not isinstance(self.scheduler, ReduceLROnPlateau)

    def begin_epoch(self) -> Place:
        """Begin the next epoch."""
        self.epoch += 1
        self.place = Place()
        self.thaw()
        return self.place

    def thaw(self) -> None:
        """Train the layers that are due in this epoch, where they are thawed one after another."""
        every = self.settings.unfreeze_every
        if every is not None:
            thaw(self.trained, max(1, self.epoch), every)

    def step_schedule(self) -> None:
        """After an update: its schedule, unless that waits for a plateau of epochs; its average."""
        if self.by_update:
            self.scheduler.step()
        if self.average is not None:
            self.average.after_update()

    def kept_weights(self) -> dict[str, Tensor]:
        """The weights that are tested and kept: the model's, or their average."""
        return self.model.state_dict() if self.average is None else self.average.kept()

    def averaged(self) -> AbstractContextManager[None]:
        """Have the model compute with the weights that are kept."""
        return nullcontext() if self.average is None else self.average.applied()

    @property
    def window(self) -> int | None:
        """Tokens between updates; None is whole sequences."""
        return self.settings.bptt.k1 if self.settings.bptt is not None else None

    @property
    def reach(self) -> int | None:
        """Tokens that a gradient goes back through; None is all of them."""
        bptt = self.settings.bptt
        return None if bptt is None else bptt.k2 if bptt.k2 is not None else bptt.k1

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained, or as many as patience lasts for."""
        patience = self.settings.patience
        is_late = patience is not None and self.epoch - self.best_epoch >= patience
        return self.place is None and (self.epoch >= self.settings.epochs or is_late)


@dataclass
class Work:
    """An update to do: consecutive parts of a batch, and the state before them."""

    training: Training
    parts: Sequence[Batch]  # this process's rows
    carry: Carry | None
    scored: int  # targets that count, of all processes
    scale: float  # what the sum of losses is divided by
    masks: int  # seed of dropout's masks
    where: str  # in words


Update = Callable[[Work], tuple[Updates, Carry]]
"""Does an update; returns its sums, and the state after its first part, as a value."""
