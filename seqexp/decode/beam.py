"""Search for the most probable continuation, several at a time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from seqexp.decode.base import DEFAULT_LENGTH, ByNetwork, Writing
from seqexp.ranges import Count, CountOrZero, NotNegative
from seqexp.spec import PAD, Carry, Model

Width = Annotated[int, Interval(ge=1, le=10_000)]


@dataclass(frozen=True)
class Candidate:
    """A continuation: token ids (the end symbol not among them) and their log-probability.

    `log_probability` is in nats, the end symbol's included where `has_ended`. `score` is what
    candidates are sorted by.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    has_ended: bool = False


@dataclass(frozen=True)
class Ending:
    """When a continuation ends.

    Args:
        end: id of the symbol that ends it; None has no such symbol.
        length: tokens before the end, exactly: the end is not allowed earlier and is taken then.
            None lets the model end where it wants to.
        max_length: tokens after which a continuation that has not ended is given up.
        length_power: log-probabilities are divided by the number of tokens to this power, where
            lengths may differ. 0 compares plain sums, by which the shortest wins: a search would
            stop at once.

    Source: Wu et al. (2016), sec. 7, in the simpler form of Jean et al. (2015).
    """

    end: int | None = None
    length: int | None = None
    max_length: int = 1000
    length_power: float = 1.0

    def score(self, log_probability: float, num_tokens: int) -> float:
        """What is compared: nats a token where lengths differ, nats where they do not."""
        if self.length is not None:
            return log_probability
        return log_probability / float(max(1, num_tokens) ** self.length_power)

    @property
    def last(self) -> int:
        """The most tokens of a continuation."""
        return self.max_length if self.length is None else self.length


@torch.no_grad()
def beam_search(
    model: Model,
    prompt: Sequence[int],
    width: int,
    ending: Ending,
    device: torch.device,
    forbidden: Sequence[int] = (),
) -> list[Candidate]:
    """The best continuations of a prompt of at least one token, best first, at most `width`.

    At each token the `width` most probable of all extensions go on; their states are carried, so
    that a token costs one step of `width` rows. Padding and the `forbidden` ids are never chosen.
    What reaches `max_length` without an end is returned only where nothing has ended.

    Source: Graves (2012), sec. 3, without its merging of prefixes.
    """
    model.eval()
    tokens = torch.tensor([list(prompt)], device=device)
    never = [PAD, *forbidden]
    logits, carry = model(tokens, None)
    rows: list[tuple[int, ...]] = [()]
    scores = torch.zeros(1, dtype=torch.float64)
    ended: list[Candidate] = []
    for num_tokens in range(ending.last + 1):
        steps = torch.log_softmax(_allowed(logits[:, -1], never), dim=1)
        totals = scores[:, None] + steps.double().cpu()  # (rows, outputs)
        if ending.end is not None:
            if ending.length in (None, num_tokens):
                ended += _ended(rows, totals[:, ending.end], ending)
            totals[:, ending.end] = -torch.inf
        if num_tokens == ending.last or _is_decided(ended, scores, num_tokens, width, ending):
            break
        scores, parents, chosen = _best(totals, width)
        rows = [
            (*rows[p], token) for p, token in zip(parents.tolist(), chosen.tolist(), strict=True)
        ]
        logits, carry = model(chosen[:, None].to(device), _taken(carry, parents.to(device)))
    if ending.end is None or not ended:
        ended += [
            Candidate(row, value, ending.score(value, len(row)))
            for row, value in zip(rows, scores.tolist(), strict=True)
        ]
    return sorted(ended, key=lambda candidate: -candidate.score)[:width]


def _allowed(logits: Float[Tensor, "rows outputs"], never: Sequence[int]) -> Tensor:
    logits = logits.double()
    logits[:, list(never)] = -torch.inf
    return logits


def _ended(
    rows: Sequence[tuple[int, ...]], totals: Float[Tensor, " rows"], ending: Ending
) -> Iterator[Candidate]:
    for row, total in zip(rows, totals.tolist(), strict=True):
        if math.isfinite(total):
            yield Candidate(row, total, ending.score(total, len(row) + 1), has_ended=True)


def _is_decided(
    ended: Sequence[Candidate], scores: Tensor, num_tokens: int, width: int, ending: Ending
) -> bool:
    """Whether none that goes on is as good, as it stands, as `width` that have ended."""
    if ending.length is not None or len(ended) < width:
        return False
    kept = sorted((candidate.score for candidate in ended), reverse=True)[:width]
    return ending.score(float(scores.max()), num_tokens) < kept[-1]


def _best(totals: Float[Tensor, "rows outputs"], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best extensions: their scores, the rows they extend, and their tokens."""
    possible = int(torch.isfinite(totals).sum())
    scores, places = totals.flatten().topk(min(width, possible))
    return scores, places // totals.shape[1], places % totals.shape[1]


def _taken(carry: Carry, rows: Tensor) -> Carry:
    return tuple(tensor.index_select(0, rows) for tensor in carry)


@dataclass(frozen=True)
class Beam:
    """Write the most probable continuations of a prompt that a search finds.

    Where each sequence has a context, the most probable target of each is written instead; `length`
    is then the most symbols.

    Args:
        prompt: text to begin with; empty begins with the first symbol of the training text.
        length: tokens to add; for reads, letters of the sequence where that is known, and None
            leaves it to the end symbol.
        width: continuations that are followed at a time.
        length_power: see `Ending`; for reads of unknown length.
        both_directions: for reads, train a second model that writes from the end, and let its
            candidates, and those of both joined, compete as well.
        num_shown: the best of them, written out.
        every_epochs: write this often while training; None at the end only.
        num_valid: of a dataset with a context, write so many targets of validation then, without
            a search.
    """

    prompt: str = ""
    length: Count | None = 300
    width: Width = 10
    length_power: NotNegative = 1.0
    both_directions: bool = False
    num_shown: Count = 1
    every_epochs: Count | None = 1
    num_valid: CountOrZero = 100

    def targets(self) -> Writing:
        """The way to write the targets of contexts: by this search."""
        return Writing(self.width, self.length_power, self.length or DEFAULT_LENGTH)

    def reads(self) -> ByNetwork:
        """The way to decode reads: the likeliest of all candidates."""
        return ByNetwork("ranked", self.length, self.width, self.length_power, self.both_directions)

    def write(
        self, model: Model, prompt: Sequence[int], device: torch.device
    ) -> Iterator[tuple[str, list[int]]]:
        """Continuations of a prompt, each with what it is."""
        ending = Ending(length=self.length or DEFAULT_LENGTH)
        found = beam_search(model, prompt, self.width, ending, device)
        for place, candidate in enumerate(found[: self.num_shown], start=1):
            nats = candidate.log_probability / len(candidate.tokens)
            yield f"beam {place}, log-probability {nats:.3f} a token", list(candidate.tokens)
