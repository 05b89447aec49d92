"""What a convolution's filters respond to in texts: the n-grams that excite each most."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Integer
from torch import Tensor

from seqexp.interpret.filters import Filters
from seqexp.interpret.windows import HasFilters, activations_inside, spread
from seqexp.spec import PAD

ROWS = 100
"""Sequences at a time: bounds the memory."""

NUM_SHOWN = 10
"""N-grams of each filter."""

MAX_CANDIDATES = 1000
"""Windows among which different n-grams are looked for; a phrase may be repeated often."""


@dataclass(frozen=True)
class NGram:
    """Words that excite a filter, as strongly as `activation` says."""

    filter: int
    rank: int  # from 1, the most exciting
    words: tuple[str, ...]
    activation: float

    def row(self) -> dict[str, str | int | float]:
        """As a row of a table."""
        return {
            "filter": self.filter,
            "rank": self.rank,
            "n-gram": " ".join(self.words),
            "activation": round(self.activation, 4),
        }


@torch.no_grad()
def read_ngrams(
    model: HasFilters,
    tokens: Integer[Tensor, "sequences time"],
    symbols: Sequence[str],
    settings: Filters,
    shown: int = NUM_SHOWN,
) -> list[NGram]:
    """The different n-grams with the highest activations above 0, by filter; none of a dead one.

    Windows that overlap padding are left out.
    """
    model.eval()
    tokens = spread(tokens, settings.num_sequences).long()
    width = model.filter_weights().shape[1]
    if tokens.shape[1] < width:
        return []
    windows = tokens.unfold(1, width, 1)  # (sequences, starts, width)
    activations = activations_inside(model, tokens, width, ROWS)  # (filters, sequences, starts)
    inside = torch.cat([(part != PAD).all(dim=2) for part in torch.split(windows, ROWS)])
    windows = windows[inside]  # (windows, width)
    candidates = min(len(windows), MAX_CANDIDATES)
    found = []
    for index, activation in enumerate(activations):
        values, places = activation[inside].topk(candidates)
        highest: dict[tuple[int, ...], float] = {}  # the same words excite it the same
        for value, ids in zip(values.tolist(), windows[places].tolist(), strict=True):
            if value > 0 and len(highest) < shown:
                highest.setdefault(tuple(ids), value)
        for rank, (ids, value) in enumerate(highest.items(), start=1):
            words = tuple(symbols[token - 1] for token in ids)
            found.append(NGram(index, rank, words, value))
    return found
