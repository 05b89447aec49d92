"""What the loop is told: one frozen value, `conf/trainer/*.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, Len, Lt

from seqexp.ranges import Count, NotNegative, OpenShare, Positive, Share

Minutes = Annotated[float, Ge(1e-6), Lt(float("inf"))]
"""From 60 microseconds on: an update is made in any case."""

Replicas = Annotated[int, Ge(1), Le(256)]
"""Runs of one stack. A larger one is no faster, holds all data and models at once, and writes
nothing for long; several stacks train any number of runs."""

Threads = Annotated[int, Ge(1), Le(1024)]
"""As many as a machine may have cores; of many more, a process dies without a word."""


@dataclass(frozen=True)
class BPTT:
    """Truncation of backpropagation through time.

    Args:
        k1: tokens between updates; None is whole sequences.
        k2: tokens that a gradient goes back through, at least `k1`; None is `k1`.

    Source: Williams & Peng (1990), BPTT(h; h'), with h = k2 and h' = k1.
    """

    k1: Count | None = None
    k2: Count | None = None


@dataclass(frozen=True)
class DynamicEvaluation:
    """A second test, in which the model goes on learning from the text that it is tested on.

    Args:
        rates: of learning, of which validation chooses one; None makes no second test.
        decay: share of the way back to the trained weights, an update; on average over the weights.
        tokens: that are scored, and then learned from, at a time.

    Source: Krause et al. (2018), secs. 4 and 5.
    """

    rates: Annotated[Sequence[Positive], Len(1, 16)] | None = None
    decay: Share = 0.002
    tokens: Count = 20


@dataclass(frozen=True)
class Checkpoint:
    """When a training is saved, so that an interrupted one goes on; whichever comes first.

    One is also written when a run is stopped, and when all is trained. None is never.

    Args:
        every_steps: updates.
        every_epochs: after their validation.
        every_minutes: after the update in progress.
    """

    every_steps: Count | None = None
    every_epochs: Count | None = None
    every_minutes: Positive | None = 1.0


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        epochs: passes over the training sequences, at most.
        batch_size: sequences an update.
        eval_batch_size: sequences at a time where nothing is learned.
        length_pool: make batches of sequences of like length, sorted within so many batches' worth,
            and leave out padding that all of a batch share; None takes any together. Saves time
            where lengths differ.
        max_sequences: use so many of each split at most, drawn by class with the seed; None uses
            all. Streams are used whole.
        starts: initial weights to choose from, by the training loss that they lead to.
        start_epochs: epochs for which each of them is tried, where there are several.
        freeze: weights that stay as they are: their names, parts of the model, or patterns.
        unfreeze_every: epochs after which one more layer is trained, from the head down; None
            trains all from the first.
        clip_value: largest size of one gradient entry; None leaves them as they are.
        clip_norm: largest L2 norm of the whole gradient, after `clip_value`; None leaves it.
        bptt: truncation of backpropagation through time; None is whole sequences.
        monitor: metric of validation that says which epoch was best; any of the kind of task.
        patience: stop after this many epochs without a better one; None trains them all.
        min_delta: a smaller gain than this does not count as better.
        adversarial: length of the noise on the vectors of a sequence in a second pass of each
            update, as a share of the length of all its vectors as one; None makes one pass.
        average: weights that are validated, tested and kept: the trained ones (`none`), their
            exponential mean over updates (`ema`), or the mean of those at the ends of epochs
            (`swa`).
        average_decay: of `ema`, an update; less in the first updates.
        average_from: epoch from whose end on `swa` counts.
        test_weights: test with the weights of the best epoch or of the last one.
        dynamic_evaluation: a second test of next tokens, which learns on, with its own metrics.
        log_every_steps: updates between points of the `step/*` curves; None draws none.
        checkpoint: when the training is saved; None never saves it.
        replicas: runs of a sweep that are trained in one go, as a stack of models, at most; None
            trains each by itself. `seeds=1000 trainer.replicas=64` trains a thousand, in stacks.
        max_minutes: stop after so many minutes of this process, and after one update at least, with
            a checkpoint; None never does.
        device: `auto` takes a GPU where there is one.
        precision: `bf16` rounds the factors of products to bfloat16, with float32 weights: those of
            the forward pass, and of the compiled recurrence of the backward pass, too.
        deterministic: the same numbers on each run, at some cost on GPUs.
        num_threads: CPU threads; None leaves PyTorch's choice. Sums depend on it in the last bit.
    """

    epochs: Count = 20
    batch_size: Count = 32
    eval_batch_size: Count = 1000
    length_pool: Count | None = None
    max_sequences: Count | None = None
    starts: Count = 1
    start_epochs: Count = 3
    freeze: Sequence[str] = ()
    unfreeze_every: Count | None = None
    clip_value: Positive | None = None
    clip_norm: Positive | None = None
    bptt: BPTT | None = None
    monitor: str = "valid/loss_nats"
    patience: Count | None = None
    min_delta: NotNegative = 0.0
    adversarial: Positive | None = None
    average: Literal["none", "ema", "swa"] = "none"
    average_decay: OpenShare = 0.999
    average_from: Count = 1
    test_weights: Literal["best", "last"] = "best"
    dynamic_evaluation: DynamicEvaluation | None = None
    log_every_steps: Count | None = 10
    checkpoint: Checkpoint | None = None
    replicas: Replicas | None = None
    max_minutes: Minutes | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    num_threads: Threads | None = 1
