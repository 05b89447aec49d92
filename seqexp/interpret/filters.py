"""What a convolution's filters have learned, as matrices over the symbols.

Two readings of one filter: its weights (what it would like to see) and the windows that excite it
(what it does respond to in the data).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from seqexp.ranges import Count, OpenShare
from seqexp.spec import PAD, Pattern

MIN_SHARED = 12
"""Columns that two matrices must share to be compared, if both are that wide."""

VISIBLE = {" ": "\u2423", "\n": "\u00b6", "\t": "\u2192"}
"""What is shown for symbols that would be invisible, or break a line."""

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


@dataclass(frozen=True)
class Filters:
    """How filters are read.

    Args:
        every_epochs: show them this often while they form; None shows the last epoch only.
        num_sequences: training sequences whose windows are looked at.
        activation_share: windows above this share of a filter's largest activation count.
        one_per_sequence: count only the strongest window of each sequence; a motif that repeats
            itself is blurred by its shifted copies otherwise.
        max_shown: filters in one figure, the best of them.
    """

    every_epochs: Count | None = 1
    num_sequences: Count = 2000
    activation_share: OpenShare = 0.5
    one_per_sequence: bool = True
    max_shown: Count = 8


@runtime_checkable
class HasFilters(Protocol):
    """A model whose filters can be read."""

    @property
    def window_offset(self) -> int:
        """Where the window of position 0 starts, relative to the first token."""
        ...

    def eval(self) -> Any:
        """Switch dropout off."""
        ...

    def filter_weights(self) -> Float[Tensor, "filters width symbols"]:
        """Weight of each symbol at each place."""
        ...

    def filter_activations(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch positions filters"]:
        """Activation at each position."""
        ...


@dataclass(frozen=True)
class Match:
    """How a matrix lies on a planted pattern: `offset` is the filter's first column on it."""

    pattern: str
    correlation: float
    offset: int
    reverse: bool


@dataclass(frozen=True, eq=False)
class LearnedFilter:
    """One filter, read both ways.

    `pfm` counts the symbols of the exciting windows; without a hit it is all zero.
    """

    index: int
    weights: Float[np.ndarray, "width symbols"]
    pfm: Float[np.ndarray, "width symbols"]
    hits: int
    consensus: str  # the symbol of the largest weight at each place, as the notebook prints it
    match: Match | None  # of the windows' probabilities with the nearest planted pattern
    weight_match: Match | None  # of the weights with its log-odds

    @property
    def ppm(self) -> Float[np.ndarray, "width symbols"]:
        """Probabilities of the exciting windows; uniform without a hit."""
        if not self.hits:
            return np.full_like(self.pfm, 1 / self.pfm.shape[1])
        probabilities: np.ndarray = self.pfm / self.hits
        return probabilities

    @property
    def bits(self) -> float:
        """Information of the exciting windows, over all places."""
        return float(information(self.ppm).sum())

    def counts(self, symbols: Sequence[str]) -> dict[str, list[int]]:
        """The exciting windows' counts by symbol, as a JASPAR file lists them."""
        columns = self.pfm.astype(int).T.tolist()
        return dict(zip(symbols, columns, strict=True))

    def row(self) -> dict[str, str | int | float | None]:
        """What is known of the filter, as a row of a table."""
        match, weight_match = self.match, self.weight_match
        return {
            "filter": self.index,
            "largest weights": self.consensus,
            "exciting windows": self.hits,
            "bits": round(self.bits, 2),
            "nearest planted motif": match.pattern if match else "",
            "correlation": round(match.correlation, 3) if match else None,
            "correlation of weights": round(weight_match.correlation, 3) if weight_match else None,
            "strand": ("-" if match.reverse else "+") if match else "",
        }


@torch.no_grad()
def read_filters(
    model: HasFilters,
    tokens: Integer[Tensor, "sequences time"],
    symbols: Sequence[str],
    patterns: Sequence[Pattern],
    settings: Filters,
) -> list[LearnedFilter]:
    """Every filter of a model, read on some sequences.

    Source: Alipanahi et al. (2015), supplementary 10.2, for matrices from exciting windows, with
    Kelley et al. (2016)'s threshold, a share of the filter's largest activation.
    """
    weights = model.filter_weights().double().cpu().numpy()
    tokens = spread(tokens, settings.num_sequences).long()
    pfms, hits = _exciting_windows(model, tokens, weights.shape, settings)
    return [
        LearnedFilter(
            index=index,
            weights=weight,
            pfm=pfm,
            hits=int(num_hits),
            consensus=consensus(weight, symbols),
            match=best_match(pfm / num_hits, patterns, symbols) if num_hits else None,
            weight_match=best_match(weight, patterns, symbols, log_odds=True),
        )
        for index, (weight, pfm, num_hits) in enumerate(zip(weights, pfms, hits, strict=True))
    ]


def information(ppm: Float[np.ndarray, "width symbols"]) -> Float[np.ndarray, "width symbols"]:
    """Heights of a logo's letters, bits: each symbol's share of its position's information.

    Source: Schneider & Stephens (1990), with equal background shares.
    """
    logs = np.log2(ppm, where=ppm > 0, out=np.zeros_like(ppm))
    bits = np.log2(ppm.shape[1]) + (ppm * logs).sum(axis=1, keepdims=True)
    heights: np.ndarray = ppm * bits
    return heights


def ranked(filters: Sequence[LearnedFilter]) -> list[LearnedFilter]:
    """The filters that found something first: by the agreement with a planted pattern where one
    is known, else by hits times information.
    """

    def order(learned: LearnedFilter) -> tuple[float, float]:
        return (
            -(learned.match.correlation if learned.match else 0.0),
            -learned.hits * learned.bits,
        )

    return sorted(filters, key=order)


def consensus(weights: Float[np.ndarray, "width symbols"], symbols: Sequence[str]) -> str:
    """The symbol of the largest weight at each place."""
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    visible = [VISIBLE.get(symbol, symbol) for symbol in symbols]
    return separator.join(visible[index] for index in weights.argmax(axis=1))


def spread(tokens: Tensor, limit: int) -> Tensor:
    """At most so many rows, from all over: a dataset may hold one class after the other."""
    step = max(1, -(-len(tokens) // limit))
    return tokens[::step]


def _exciting_windows(
    model: HasFilters,
    tokens: Int[Tensor, "sequences time"],
    shape: tuple[int, ...],
    settings: Filters,
) -> tuple[Float[np.ndarray, "filters width symbols"], Int[np.ndarray, " filters"]]:
    """Symbol counts of the windows that excite each filter, padding windows left out."""
    num_filters, width, num_symbols = shape
    pfms = np.zeros(shape)
    hits = np.zeros(num_filters, dtype=np.int64)
    if tokens.shape[1] < width:
        return pfms, hits
    # position p sees the window from p + offset: keep the positions whose windows lie inside
    first = -model.window_offset
    starts = tokens.shape[1] - width + 1
    windows = tokens.unfold(1, width, 1)  # (sequences, starts, width)
    inside = (windows != PAD).all(dim=2)
    activations = torch.cat(
        [
            model.filter_activations(rows)[:, first : first + starts]
            for rows in torch.split(tokens, 500)
        ]
    )
    activations = activations.masked_fill(~inside[:, :, None], 0)
    for index in range(num_filters):
        activation = activations[:, :, index]
        largest = activation.max()
        if largest <= 0:  # dead: nothing excites it
            continue
        chosen = activation > settings.activation_share * largest  # (sequences, starts)
        if settings.one_per_sequence:
            best = torch.zeros_like(chosen)
            best[torch.arange(len(best)), activation.argmax(dim=1)] = True
            chosen &= best
        exciting = windows[chosen].cpu().numpy() - 1  # (hits, width)
        hits[index] = len(exciting)
        for place in range(width):
            pfms[index, place] = np.bincount(exciting[:, place], minlength=num_symbols)
    return pfms, hits


def best_match(
    matrix: Float[np.ndarray, "width symbols"],
    patterns: Sequence[Pattern],
    symbols: Sequence[str],
    log_odds: bool = False,
) -> Match | None:
    """Where a matrix correlates most with a planted pattern, over all offsets and both strands.

    Pearson's correlation of the entries of the shared columns, of which there are at least
    `MIN_SHARED` (or all of the narrower matrix). `log_odds` compares with the pattern's log-odds
    against equal shares instead of its probabilities. None without a pattern to compare with.
    """
    matches = []
    for pattern in patterns:
        target = pattern.ppm
        if log_odds:
            # a hundredth keeps a probability of 0 finite
            target = np.log2((target + 0.01) / (1 + 0.01 * len(symbols)) * len(symbols))
        for reverse in (False, True):
            if reverse and set(symbols) != set(COMPLEMENT):
                continue
            turned = reverse_complement(matrix, symbols) if reverse else matrix
            correlation, offset = _slide(turned, target)
            matches.append(Match(pattern.name, correlation, offset, reverse))
    return max(matches, key=lambda match: match.correlation, default=None)


def _slide(
    matrix: Float[np.ndarray, "width symbols"], target: Float[np.ndarray, "columns symbols"]
) -> tuple[float, int]:
    width, columns = len(matrix), len(target)
    shared = min(MIN_SHARED, width, columns)
    best = (-1.0, 0)
    for offset in range(shared - width, columns - shared + 1):
        low, high = max(0, offset), min(columns, offset + width)
        a = matrix[low - offset : high - offset].ravel()
        b = target[low:high].ravel()
        if a.std() > 0 and b.std() > 0:
            best = max(best, (float(np.corrcoef(a, b)[0, 1]), offset))
    return best


def reverse_complement(
    matrix: Float[np.ndarray, "width symbols"], symbols: Sequence[str]
) -> Float[np.ndarray, "width symbols"]:
    """The same matrix read on the other strand."""
    order = [symbols.index(COMPLEMENT[symbol]) for symbol in symbols]
    return matrix[::-1][:, order]


def motif_metrics(filters: Sequence[LearnedFilter]) -> dict[str, float]:
    """The best correlation of any filter with a planted pattern; nothing where none is known."""
    found = {}
    readings = {
        "motif/correlation": [f.match for f in filters],
        "motif/weight_correlation": [f.weight_match for f in filters],
    }
    if any(f.weight_match for f in filters):
        for name, matches in readings.items():
            values = [match.correlation for match in matches if match is not None]
            found[name] = max(values, default=0.0)  # 0: no filter responds to anything
    return found
