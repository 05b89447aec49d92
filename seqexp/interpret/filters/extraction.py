"""What a convolution's filters have learned, as matrices over the symbols.

Two readings of one filter: its weights (what it would like to see) and the windows that excite it
(what it does respond to in the data).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from seqexp.data import Pattern
from seqexp.interpret.filters.matrix import Match, best, information, matches, significant_part
from seqexp.interpret.filters.windows import (
    HasFilters,
    effects_on_output,
    exciting_windows,
    speaks_for,
)
from seqexp.interpret.letters import letter_of
from seqexp.ranges import Count, CountOrZero, NotNegative, OpenShare


@dataclass(frozen=True)
class Filters:
    """How filters are read.

    Args:
        every_epochs: show them this often while they form; None shows the last epoch only.
        num_sequences: training sequences whose windows are looked at, drawn by class; and at most
            so many are explained.
        activation_share: windows above this share of a filter's largest activation count.
        one_per_sequence: count only the strongest window of each sequence; a motif that repeats
            itself is blurred by its shifted copies otherwise.
        trim_bits: a motif ends at the outermost places that tell at least so much.
        max_shown: filters in one figure, and motif families with a logo, the best of them.
        match: compare the motifs with those planted and those of the database by Tomtom; None does
            where there is a database.
        database: file of known motifs, of JASPAR, MEME, TRANSFAC, HOMER, HOCOMOCO or CIS-BP.
        max_q: largest q-value of a hit in the database.
        baselines: put a table of simpler methods beside the model, on two classes of DNA: linear
            models of words, and a scan with the best matrix of the database.
        patterns: explain these sequences, and find motifs in the attributions (TF-MoDISco), for
            every model of DNA that predicts something of a sequence as a whole; in families
            together with the filters.
        num_traced: test sequences of which a figure shows, letter by letter, where the evidence is.
    """

    every_epochs: Count | None = 1
    num_sequences: Count = 2000
    activation_share: OpenShare = 0.5
    one_per_sequence: bool = True
    trim_bits: NotNegative = 0.25
    max_shown: Count = 8
    match: bool | None = None
    database: str | None = None
    max_q: OpenShare = 0.05
    baselines: bool = False
    patterns: bool = False
    num_traced: CountOrZero = 3

    @property
    def matches(self) -> bool:
        """Whether motifs are compared by Tomtom."""
        return self.database is not None if self.match is None else self.match


@dataclass(frozen=True, eq=False)
class LearnedFilter:
    """One filter, read both ways.

    `pfm` counts the symbols of the exciting windows; without a hit it is all zero. `effect` is what
    the filter adds to each logit, nats, on average over sequences and less its mean over outputs;
    None where the model does not tell. `strength` is how much that differs between sequences: the
    standard deviation of the log-odds that it adds; 1 where the model does not tell.
    """

    index: int
    weights: Float[np.ndarray, "width symbols"]
    pfm: Float[np.ndarray, "width symbols"]
    hits: int
    consensus: str  # the symbol of the largest weight at each place, as the notebook prints it
    matches: tuple[Match, ...]  # of the windows' probabilities with each planted pattern
    weight_match: Match | None  # of the weights with the nearest one's log-odds
    part: slice  # of the places: the motif, without flanks that tell nothing
    effect: Float[np.ndarray, " outputs"] | None = None
    strength: float = 1.0
    reading: str = ""  # the symbols of `part` that tell something

    @property
    def match(self) -> Match | None:
        """With the nearest planted pattern."""
        return best(self.matches)

    @property
    def motif(self) -> Float[np.ndarray, "_ symbols"]:
        """Probabilities of the exciting windows, without flanks that tell nothing."""
        return self.ppm[self.part]

    @property
    def motif_counts(self) -> Float[np.ndarray, "_ symbols"]:
        """Counts of the same."""
        return self.pfm[self.part]

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

    def row(self, output_names: Sequence[str] = ()) -> dict[str, str | int | float | None]:
        """What is known of the filter, as a row of a table."""
        match, weight_match = self.match, self.weight_match
        return {
            "filter": self.index,
            "largest weights": self.consensus,
            "exciting windows": self.hits,
            "bits": round(self.bits, 2),
            "effect on the output": None if self.effect is None else round(self.strength, 3),
            "speaks for": speaks_for(self.effect if self.hits else None, output_names),
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
    tokens = tokens.long()
    share, one = settings.activation_share, settings.one_per_sequence
    pfms, hits = exciting_windows(model, tokens, weights.shape, symbols, share, one)
    effects = effects_on_output(model, tokens)
    found = []
    for index, (weight, pfm, num_hits) in enumerate(zip(weights, pfms, hits, strict=True)):
        ppm = pfm / max(1, num_hits)
        part = significant_part(ppm, settings.trim_bits) if num_hits else slice(0, 0)
        found.append(
            LearnedFilter(
                index=index,
                weights=weight,
                pfm=pfm,
                hits=int(num_hits),
                consensus=consensus(weight, symbols),
                matches=matches(ppm, patterns, symbols) if num_hits else (),
                weight_match=best(matches(weight, patterns, symbols, log_odds=True)),
                part=part,
                reading=reading(ppm[part], symbols, settings.trim_bits),
                effect=None if effects is None else effects[0][index],
                strength=1.0 if effects is None else float(effects[1][index]),
            )
        )
    return found


def ranked(filters: Sequence[LearnedFilter]) -> list[LearnedFilter]:
    """The filters that matter most first: by effect on the output times hits times information."""

    def order(learned: LearnedFilter) -> tuple[bool, float]:
        return not learned.hits, -learned.strength * learned.hits * learned.bits

    return sorted(filters, key=order)


def shown(filters: Sequence[LearnedFilter], max_shown: int) -> tuple[list[LearnedFilter], str]:
    """The filters for a figure, the best first, and a note on those that are dead.

    Dead ones are drawn only where all are.
    """
    dead = [str(learned.index) for learned in filters if not learned.hits]
    alive = [learned for learned in ranked(filters) if learned.hits]
    if not dead:
        return alive[:max_shown], ""
    names = ", ".join(dead[:10]) + (", ..." if len(dead) > 10 else "")
    note = f"{len(dead)} of {len(filters)} dead, no window excites them: {names}"
    return (alive or list(filters))[:max_shown], note


def consensus(weights: Float[np.ndarray, "width symbols"], symbols: Sequence[str]) -> str:
    """The symbol of the largest weight at each place."""
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    shown = [letter_of(symbol) for symbol in symbols]
    return separator.join(shown[index] for index in weights.argmax(axis=1))


def reading(
    ppm: Float[np.ndarray, "places symbols"], symbols: Sequence[str], min_bits: float
) -> str:
    """The most frequent symbol at each place; a dot where the place tells less than `min_bits`."""
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    bits = information(ppm).sum(axis=1)
    return separator.join(
        letter_of(symbols[index]) if told >= min_bits else "."
        for index, told in zip(ppm.argmax(axis=1), bits, strict=True)
    )


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
