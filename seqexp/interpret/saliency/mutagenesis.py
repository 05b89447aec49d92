"""Where in a sequence the evidence is: filters along it, and what each change of a letter does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.interpret.attributions.question import Margins
from seqexp.interpret.filters.windows import HasFilters, activations_inside, reads_both_strands
from seqexp.spec import PAD, Model, Vocabulary, other_strand
from seqexp.task.ranking import auroc

TOGETHER = 2**15
"""Letters of the changed sequences that go through a model at a time: more fit into no cache."""


@dataclass(frozen=True, eq=False)
class Trace:
    """One sequence, read letter by letter.

    `margin` is the logit of the output looked at less the largest other one, nats; where outputs
    do not exclude each other, the logit. `changes` is
    what becomes of it when a letter is replaced; 0 for the letter that is there.
    """

    letters: str
    margin: float
    changes: Float[np.ndarray, "time symbols"]
    tracks: Float[np.ndarray, "filters starts"]  # activation of the window that starts there
    width: int  # of a window
    planted: Bool[np.ndarray, " time"] | None = None
    name: str | None = None

    @property
    def importance(self) -> Float[np.ndarray, " time"]:
        """What is lost, on average, when a letter is replaced by another."""
        lost: np.ndarray = -self.changes.sum(axis=1) / (self.changes.shape[1] - 1)
        return lost

    def covered(self, strengths: Float[np.ndarray, " filters"]) -> Float[np.ndarray, " time"]:
        """At each letter the strongest response of a window over it, weighted by the filters'."""
        strongest = (self.tracks * strengths[:, None]).max(axis=0)
        over = np.zeros(len(self.letters))
        for start, value in enumerate(strongest):
            over[start : start + self.width] = np.maximum(over[start : start + self.width], value)
        return over


@torch.no_grad()
def trace(
    model: Model,
    row: Int[Tensor, " time"],
    symbols: Sequence[str],
    output: int,
    planted: Bool[Tensor, " time"] | None = None,
    is_alone: bool = False,
    name: str | None = None,
) -> Trace:
    """Read one sequence letter by letter; padding after it is left out.

    Args:
        model: that classifies.
        row: token ids.
        symbols: of the vocabulary, one character each.
        output: index of the output that is looked at.
        planted: where something was planted.
        is_alone: whether the output stands for itself, and not against the other ones.
        name: of the sequence; None where it has none.
    """
    time = int((row != PAD).nonzero().max()) + 1
    row = row[:time].long()
    tracks = np.zeros((0, 0))
    width = 0
    if isinstance(model, HasFilters):
        width = model.filter_weights().shape[1]
        tracks = _tracks(model, row[None], width, symbols)
    return Trace(
        letters="".join("N" if index == PAD else symbols[index - 1] for index in row.tolist()),
        margin=float(_margins(model, row[None], output, is_alone)),
        changes=mutagenesis(model, row, len(symbols), output, is_alone),
        tracks=tracks,
        width=width,
        planted=None if planted is None else planted[:time].cpu().numpy(),
        name=name,
    )


@torch.no_grad()
def mutagenesis(
    model: Model,
    row: Int[Tensor, " time"],
    num_symbols: int,
    output: int,
    is_alone: bool = False,
) -> Float[np.ndarray, "time symbols"]:
    """What each replacement of one letter does to the margin of an output, nats.

    Source: Zhou & Troyanskaya (2015), in-silico mutagenesis.
    """

    def margins(tokens: Tensor, numbers: Tensor) -> Tensor:
        return _margins(model, tokens, output, is_alone)

    effects: np.ndarray = changes(margins, row[None], num_symbols)[0].double().cpu().numpy()
    return effects


@torch.no_grad()
def changes(
    margins: Margins, rows: Int[Tensor, "batch time"], num_symbols: int
) -> Float[Tensor, "batch time symbols"]:
    """What each replacement of one letter does, of several sequences; 0 for the letter itself.

    Source: Zhou & Troyanskaya (2015), in-silico mutagenesis.
    """
    symbols = torch.arange(1, num_symbols + 1, device=rows.device)
    is_other = rows[:, :, None] != symbols  # (batch, time, symbols)
    sequence, place, symbol = is_other.nonzero(as_tuple=True)
    before = margins(rows, torch.arange(len(rows), device=rows.device))
    found = before.new_zeros(is_other.shape)
    after = [before.new_zeros(0)]
    size = max(1, TOGETHER // rows.shape[1])
    for part in torch.split(torch.arange(len(sequence), device=rows.device), size):
        changed = rows[sequence[part]]  # (variants, time)
        changed[torch.arange(len(part), device=rows.device), place[part]] = symbol[part] + 1
        after.append(margins(changed, sequence[part]))
    found[is_other] = torch.cat(after) - before[sequence]
    return found


def agreement(
    traces: Sequence[Trace], strengths: Float[np.ndarray, " filters"]
) -> dict[str, float]:
    """How well importance and filters point to what was planted: AUROC over all letters.

    Nothing where nothing was planted.
    """
    known = [trace for trace in traces if trace.planted is not None]
    if not known:
        return {}
    planted = np.concatenate([trace.planted for trace in known if trace.planted is not None])
    scores = {"motif/mutagenesis_auroc": np.concatenate([trace.importance for trace in known])}
    if len(strengths):
        scores["motif/activation_auroc"] = np.concatenate([t.covered(strengths) for t in known])
    found = {name: auroc(values, planted) for name, values in scores.items()}
    return {name: value for name, value in found.items() if value is not None}


def _margins(
    model: Model, tokens: Int[Tensor, "batch time"], output: int, is_alone: bool
) -> Float[Tensor, " batch"]:
    logits = model(tokens)[0][:, -1]  # (batch, outputs)
    if is_alone:
        return logits[:, output]
    if logits.shape[1] == 1:
        logits = functional.pad(logits, (1, 0))  # one logit is against one of zero
    others = torch.cat([logits[:, :output], logits[:, output + 1 :]], dim=1)
    return logits[:, output] - others.amax(dim=1)


def _tracks(
    model: HasFilters, tokens: Int[Tensor, "batch time"], width: int, symbols: Sequence[str]
) -> Float[np.ndarray, "filters starts"]:
    """Activations by the start of the window, the stronger strand's where both are read."""
    if tokens.shape[1] < width:
        return np.zeros((model.filter_weights().shape[0], 0))
    tracks = activations_inside(model, tokens, width)
    if reads_both_strands(model):
        turned = other_strand(tokens, Vocabulary(tuple(symbols)))
        tracks = torch.maximum(tracks, activations_inside(model, turned, width).flip(2))
    activations: np.ndarray = tracks[:, 0].double().cpu().numpy()
    return activations
