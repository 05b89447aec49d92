"""Loss and accuracy as sums that add up over batches and are divided once."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.ranking import auprc, auroc
from seqexp.spec import IGNORE, Batch, Carry, Model, Output, Sequences

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


def cross_entropy_sum(
    logits: Float[Tensor, "batch positions outputs"], targets: Int[Tensor, "batch positions"]
) -> Float[Tensor, ""]:
    """Cross-entropy in nats, summed over scored targets, at least in float32.

    One output is the logit of target 1 against target 0.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.shape[-1] == 1:
        scored = targets != IGNORE
        return functional.binary_cross_entropy_with_logits(
            logits[..., 0][scored], targets[scored].to(logits.dtype), reduction="sum"
        )
    return functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )


def count_correct(
    logits: Float[Tensor, "batch positions outputs"], targets: Int[Tensor, "batch positions"]
) -> Int[Tensor, ""]:
    """How many scored targets have the largest logit, or the right sign of the only one."""
    if logits.shape[-1] == 1:
        return ((logits[..., 0] > 0) == targets).sum()
    return (logits.argmax(dim=-1) == targets).sum()


def probabilities(
    logits: Float[Tensor, "*positions outputs"],
) -> Float[Tensor, "*positions classes"]:
    """What the model gives each class, in float64: two of them for one output."""
    logits = logits.double()
    if logits.shape[-1] == 1:
        # a single logit against one of zero; a sigmoid would round 1 - p off
        logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
    return torch.softmax(logits, dim=-1)


@dataclass
class Margins:
    """Log-odds of the second of two classes, nats, with what is true."""

    values: list[Tensor] = field(default_factory=list)
    is_second: list[Tensor] = field(default_factory=list)

    def add(
        self,
        logits: Float[Tensor, "batch positions outputs"],
        targets: Int[Tensor, "batch positions"],
    ) -> None:
        """Take in what is scored of a batch; nothing where there are not two classes."""
        if logits.shape[-1] > 2 or logits.shape[:2] != targets.shape:
            return
        scored = targets != IGNORE
        margins = logits[..., -1]
        if logits.shape[-1] == 2:
            margins = margins - logits[..., 0]
        self.values.append(margins[scored].double().cpu())
        self.is_second.append((targets[scored] == 1).cpu())

    def metrics(self, split: str) -> dict[str, float]:
        """Areas under the ROC and the precision-recall curve; nothing where a class is missing."""
        if not self.values:
            return {}
        values, truth = torch.cat(self.values).numpy(), torch.cat(self.is_second).numpy()
        area = auroc(values, truth)
        precision = auprc(values, truth)
        if area is None or precision is None:
            return {}
        return {f"{split}/auroc": area, f"{split}/auprc": precision}


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
