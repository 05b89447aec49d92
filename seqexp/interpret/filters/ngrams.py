"""What a convolution's filters respond to in texts: the n-grams that excite each most."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, Integer
from torch import Tensor

from seqexp.interpret.filters.extraction import Filters
from seqexp.interpret.filters.windows import (
    HasFilters,
    activations_inside,
    effects_on_output,
    speaks_for,
)
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
    speaks_for: str  # the output whose logit the filter raises most, if that is known
    rank: int  # from 1, the most exciting
    text: str
    activation: float

    def row(self) -> dict[str, str | int | float]:
        """As a row of a table."""
        return {
            "filter": self.filter,
            "speaks for": self.speaks_for,
            "rank": self.rank,
            "n-gram": self.text,
            "activation": round(self.activation, 4),
        }


@torch.no_grad()
def read_ngrams(
    model: HasFilters,
    tokens: Integer[Tensor, "sequences time"],
    symbols: Sequence[str],
    settings: Filters,
    output_names: Sequence[str] = (),
    shown: int = NUM_SHOWN,
) -> list[NGram]:
    """The different n-grams with the highest activations above 0, by filter; none of a dead one.

    The filters with more effect on the output come first. Windows that overlap padding are left
    out.
    """
    model.eval()
    tokens = tokens.long()
    width = model.filter_weights().shape[1]
    if tokens.shape[1] < width:
        return []
    windows = tokens.unfold(1, width, 1)  # (sequences, starts, width)
    activations = activations_inside(model, tokens, width, ROWS)  # (filters, sequences, starts)
    inside = torch.cat([(part != PAD).all(dim=2) for part in torch.split(windows, ROWS)])
    windows = windows[inside]  # (windows, width)
    candidates = min(len(windows), MAX_CANDIDATES)
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    found = []
    for index, favoured in _by_effect(model, tokens, len(activations), output_names):
        values, places = activations[index][inside].topk(candidates)
        highest: dict[tuple[int, ...], float] = {}  # the same words excite it the same
        for value, ids in zip(values.tolist(), windows[places].tolist(), strict=True):
            if value > 0 and len(highest) < shown:
                highest.setdefault(tuple(ids), value)
        for rank, (ids, value) in enumerate(highest.items(), start=1):
            text = separator.join(symbols[token - 1] for token in ids)
            found.append(NGram(index, favoured, rank, text, value))
    return found


def _by_effect(
    model: HasFilters,
    tokens: Int[Tensor, "sequences time"],
    num_filters: int,
    output_names: Sequence[str],
) -> list[tuple[int, str]]:
    """Indices of the filters, those first that move the output more, with what they speak for."""
    effects = effects_on_output(model, tokens, ROWS)
    if effects is None:
        return [(index, "") for index in range(num_filters)]
    means, strengths = effects
    order = (-strengths).argsort(kind="stable").tolist()
    return [(index, speaks_for(means[index], output_names)) for index in order]
