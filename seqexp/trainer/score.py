"""Loss and accuracy as sums that add up over batches and are divided once."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from seqexp.data import Batch, Sequences
from seqexp.spec import IGNORE, Carry, Model, Output
from seqexp.task.cross_entropy import cross_entropy_sum
from seqexp.task.sequence_class import Margins, count_correct

SCORED_TOKENS = 1024
"""Tokens of a stream that are scored at a time, at least: with 50 it takes twice as long."""


@dataclass(frozen=True)
class Score:
    """Sums over scored tokens: cross-entropy in nats, right predictions, their number."""

    nats: float = 0.0
    correct: int = 0
    count: int = 0

    def __add__(self, other: "Score") -> "Score":
        """The score of both together."""
        return Score(self.nats + other.nats, self.correct + other.correct, self.count + other.count)

    def metrics(self, split: str, output: Output | None = None) -> dict[str, float]:
        """Means by metric name; nothing where nothing was scored.

        For NEXT_TOKEN also perplexity and bits per token.
        """
        if not self.count:
            return {}
        loss = self.nats / self.count
        found = {f"{split}/loss_nats": loss, f"{split}/accuracy": self.correct / self.count}
        if output is Output.NEXT_TOKEN:
            found[f"{split}/perplexity"] = math.exp(loss) if loss < 700 else math.inf
            found[f"{split}/bits_per_token"] = loss / math.log(2)
        return found


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
    batches: Iterable[Batch],
    window: int | None = None,
    margins: Margins | None = None,
    share: Callable[[Batch], Batch] | None = None,
) -> Score:
    """Score of a model on batches, without dropout; a NaN loss stays visible in the result.

    `window` is the number of tokens at a time, with the state carried on: it bounds the memory
    and does not change the score. None takes whole sequences. `margins` takes in each sequence's.
    `share` is what of each window is scored; None is all of it.
    """
    model.eval()
    total = Score()
    for batch in batches:
        carry: Carry | None = None
        for part in map(share or _whole, batch.windows(window)):
            logits, carry = model(part.tokens, carry)
            nats = cross_entropy_sum(logits, part.targets)
            correct = count_correct(logits, part.targets)
            count = (part.targets != IGNORE).sum()
            if margins is not None:
                margins.add(logits, part.targets)
            total += Score(float(nats), int(correct), int(count))
    return total


def _whole(batch: Batch) -> Batch:
    return batch
