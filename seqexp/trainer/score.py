"""Loss and what else a kind counts, as sums that add up over batches and are divided once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import torch
from torch import Tensor

from seqexp.data import Batch, Sequences
from seqexp.spec import Carry, Model, TaskSpec, first_carry, is_scored
from seqexp.task.base import Task, Whole
from seqexp.trainer.predicted import Predicted

ADD_UP = ("loss_nats", "accuracy", "perplexity", "bits_per_token", "mse", "mae")
"""Measures that need no split as a whole, and are there whatever the targets are."""

MOST_LOGITS = 2**27
"""Logits that are computed at a time where the next token is predicted: half a GiB."""

SCORED_TOKENS = 1024
"""Tokens of a stream that are scored at a time, at least: with 50 it takes twice as long."""


@dataclass(frozen=True)
class Score:
    """Sums over scored targets: the loss in nats, their number, and what else the kind counts."""

    nats: float = 0.0
    count: int = 0
    extras: tuple[float, ...] = ()

    def __add__(self, other: "Score") -> "Score":
        """The score of both together."""
        pairs = zip_longest(self.extras, other.extras, fillvalue=0.0)
        extras = tuple(a + b for a, b in pairs)
        return Score(self.nats + other.nats, self.count + other.count, extras)

    def metrics(self, split: str, task: Task) -> dict[str, float]:
        """Means by metric name; nothing where nothing was scored."""
        if not self.count:
            return {}
        found = task.means(self.nats, self.count, self.extras)
        return {f"{split}/{name}": value for name, value in found.items()}


def scored_window(split: Sequences, window: int | None) -> int | None:
    """Tokens of each row of a split that are scored at a time; they do not change the score.

    A text that is held out is one long row. Its windows are longer than those of training, so that
    it takes hardly more time than many short rows.
    """
    if not split.is_stream:
        return window
    return max(window or 1, SCORED_TOKENS // max(1, len(split)))


@torch.no_grad()
def evaluate(
    model: Model,
    task: Task,
    batches: Iterable[Batch],
    window: int | None = None,
    whole: Whole | None = None,
    share: Callable[[Batch], Batch] | None = None,
    predicted: Predicted | None = None,
) -> Score:
    """Score of a model on batches, without dropout; a NaN loss stays visible in the result.

    `window` is the number of tokens at a time, with the state carried on: it bounds the memory
    and does not change the score. None takes whole sequences, or as many tokens as `MOST_LOGITS`
    are for. `whole` takes in every prediction. `share` is what of each window is scored; None is
    all of it. `predicted` keeps the predictions.
    """
    model.eval()
    total = Score()
    for batch in batches:
        carry: Carry | None = None
        kept: list[tuple[Tensor, Tensor]] = []  # logits and targets of the windows
        size = _window_for(task.spec, batch, window)
        for index, part in enumerate(map(share or _all, batch.windows(size))):
            if index == 0:
                carry = first_carry(model, part.context)
            logits, carry = model(part.tokens, carry)
            nats = task.nats(logits, part.targets)
            extras = task.extras(logits, part.targets)
            count = is_scored(part.targets).sum()
            if whole is not None:
                kept.append((logits, part.targets))
                if not getattr(whole, "reads_rows", False):
                    whole.add(*kept.pop())
            if predicted is not None:
                predicted.add(part, logits)
            total += Score(float(nats), int(count), tuple(extras.double().tolist()))
        if whole is not None and kept:
            logits, targets = (torch.cat(parts, dim=1) for parts in zip(*kept, strict=True))
            whole.add(logits, targets)
    return total


def _window_for(spec: TaskSpec, batch: Batch, window: int | None) -> int | None:
    """Tokens at a time whose logits the memory is for."""
    time = batch.tokens.shape[1]
    fits = max(1, MOST_LOGITS // max(1, len(batch) * spec.num_outputs))
    if not spec.causal or min(window or time, time) <= fits:
        return window
    return fits


def _all(batch: Batch) -> Batch:
    return batch
