"""Are the learned motifs known ones? Tomtom, against what was planted and against a database.

Source: Gupta et al. (2007): a p-value of the best overlap of two matrices on either strand, against
overlaps of randomly drawn target columns (`seqexp.kernels.tomtom`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from seqexp.data import Pattern
from seqexp.formats.dna import LETTERS
from seqexp.interpret.filters.extraction import LearnedFilter, motif_metrics
from seqexp.interpret.filters.matrix import chance_bits, information, is_dna
from seqexp.kernels.tomtom import compare

MIN_BITS = 6.0
"""Of a matrix that can be matched: a flatter one resembles long profiles by chance."""

NUM_SHUFFLES, MAX_AS_GOOD = 100, 1
"""Orders of a motif's places, and how many of them may match as well as a hit."""

MAX_PLANTED_Q = 0.05
"""Of a hit of a planted motif that is shown as one."""

MAX_RECOVERED_P = 1e-6
MIN_RECOVERED_CORRELATION = 0.9
"""A planted motif that some filter resembles at least so much was recovered."""


@runtime_checkable
class Motif(Protocol):
    """What was learned, as it is compared: a filter, or a family of filters."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def motif(self) -> Float[np.ndarray, "_ symbols"]:
        """Probabilities, without flanks that tell nothing."""

    @property
    def hits(self) -> int:
        """Sites that were counted."""


@dataclass(frozen=True, eq=False)
class Hit:
    """A target that a filter's matrix resembles.

    `p_value` is Tomtom's; `q_value` is corrected for all comparisons that were made. The first
    place of the filter's motif lies on the target's place `offset`, counted from 0, after the
    target was turned if `reverse`.
    """

    filter_index: int
    target: Pattern
    p_value: float
    q_value: float
    offset: int
    overlap: int  # places that both have
    reverse: bool

    def row(self) -> dict[str, str | int | float]:
        """A row of a table."""
        return {
            "filter": self.filter_index,
            "target": self.target.name,
            "p-value": f"{self.p_value:.2e}",  # as a number, tables show 1e-12 as 0
            "q-value": f"{self.q_value:.2e}",
            "shared places": self.overlap,
            "offset": self.offset,
            "strand": "-" if self.reverse else "+",
        }


@dataclass(frozen=True, eq=False)
class Learned:
    """What a model's filters learned, and what that resembles."""

    filters: Sequence[LearnedFilter] = ()
    planted: Sequence[Hit] | None = None  # None: not compared
    known: Sequence[Hit] | None = None
    num_known: int = 0  # motifs in the database
    metrics: Mapping[str, float] = field(default_factory=dict)

    def comparisons(self) -> Iterator[tuple[str, Sequence[Hit], str]]:
        """Name, hits that are significant, and what was compared with, of each comparison."""
        if self.planted is not None:
            hits = [hit for hit in self.planted if hit.q_value <= MAX_PLANTED_Q]
            yield "planted", hits, "what was planted"
        if self.known is not None:
            yield "matches", self.known, f"{self.num_known:,} known motifs"


def compared(
    filters: Sequence[LearnedFilter],
    patterns: Sequence[Pattern],
    database: Sequence[Pattern],
    symbols: Sequence[str],
    max_q: float,
) -> Learned:
    """Filters with what was planted, and with a database where there is one."""
    planted = match_planted(filters, patterns, symbols)
    return Learned(
        filters,
        planted if patterns else None,
        match_database(filters, database, symbols, max_q) if database else None,
        len(database),
        {**motif_metrics(filters), **recovery_metrics(filters, planted, patterns)},
    )


def matchable(learned: Motif, min_bits: float = MIN_BITS) -> bool:
    """Whether a filter's motif tells enough, beyond what so few windows would tell by chance."""
    if not learned.hits:
        return False
    bits = information(learned.motif).sum(axis=1)
    by_chance = chance_bits(learned.motif.shape[1], learned.hits)
    return float(np.clip(bits - by_chance, 0, None).sum()) >= min_bits


def match_planted(
    filters: Sequence[Motif], patterns: Sequence[Pattern], symbols: Sequence[str]
) -> list[Hit]:
    """Each matchable filter with each planted pattern; q-values are Bonferroni's.

    The background are the columns of the pattern itself, in any order and on either strand, so that
    no filter is significant for its composition.
    """
    queries = [learned for learned in filters if matchable(learned)]
    hits = [hit for pattern in patterns for hit in _tomtom(queries, [pattern], symbols)]
    return [replace(hit, q_value=min(1.0, hit.p_value * len(hits))) for hit in hits]


def match_database(
    filters: Sequence[Motif],
    database: Sequence[Pattern],
    symbols: Sequence[str],
    max_q: float,
) -> list[Hit]:
    """The significant hits among all pairs of matchable filters and targets, the best first.

    q-values are Benjamini & Hochberg's (1995), over all these pairs. Tomtom's p-values take columns
    as drawn one by one, but flat columns stand together, in long profiles and in filters that
    learned nothing: 52 to 57 of 64 untrained ones match something, as CTCF's gap, with q < 0.05. So
    at most one of 100 other orders of the filter's own columns may match any target as well; that
    leaves 0 to 2 of the 64.
    """
    queries = [learned for learned in filters if matchable(learned)]
    hits = _tomtom(queries, database, symbols)
    q_values = false_discovery_rates([hit.p_value for hit in hits])
    hits = [replace(hit, q_value=float(q)) for hit, q in zip(hits, q_values, strict=True)]
    hits = [hit for hit in hits if hit.q_value <= max_q]
    found = {hit.filter_index for hit in hits}
    limits = _best_by_chance([f for f in queries if f.index in found], database, symbols)
    hits = [hit for hit in hits if hit.p_value < limits[hit.filter_index]]
    return sorted(hits, key=lambda hit: hit.p_value)


def false_discovery_rates(p_values: Sequence[float]) -> list[float]:
    """The q-value of each p-value.

    Source: Benjamini & Hochberg (1995); as scipy's `false_discovery_control`, whose import takes
    half a second.
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given)
    count = len(given)
    scaled = given[order] * (count / np.arange(1, count + 1))
    found = np.empty(count)
    found[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return list(np.clip(found, 0, 1).tolist())


def _best_by_chance(
    queries: Sequence[Motif], targets: Sequence[Pattern], symbols: Sequence[str]
) -> dict[int, float]:
    """By filter, the p-value that one of 100 orders of its motif's places has with any target."""
    order = np.random.default_rng(0)
    limits = {}
    for learned in queries:
        motif = _letters_first(learned.motif, symbols)
        shuffled = [motif[:, order.permutation(motif.shape[1])] for _ in range(NUM_SHUFFLES)]
        found = compare(shuffled, [_letters_first(target.ppm, symbols) for target in targets])
        best = found.p_values.min(axis=1)
        limits[learned.index] = float(np.partition(best, MAX_AS_GOOD)[MAX_AS_GOOD])
    return limits


def recovery_metrics(
    filters: Sequence[LearnedFilter], hits: Sequence[Hit], patterns: Sequence[Pattern]
) -> dict[str, float]:
    """How sure it is that the planted patterns were learned; nothing where none was planted.

    `motif/recovered` is the share of them that some filter resembles with a corrected p-value below
    1e-6 and a correlation of at least 0.9 over at least 12 shared columns.
    """
    if not patterns:
        return {}
    correlations = {f.index: {m.pattern: m.correlation for m in f.matches} for f in filters}
    recovered = {
        hit.target.name
        for hit in hits
        if hit.q_value < MAX_RECOVERED_P
        and correlations[hit.filter_index][hit.target.name] >= MIN_RECOVERED_CORRELATION
    }
    return {
        "motif/p_value": min((hit.q_value for hit in hits), default=1.0),
        "motif/recovered": len(recovered) / len(patterns),
    }


def _tomtom(
    queries: Sequence[Motif], targets: Sequence[Pattern], symbols: Sequence[str]
) -> list[Hit]:
    """Every query with every target."""
    if not queries or not targets or not is_dna(symbols):
        return []
    found = compare(
        [_letters_first(learned.motif, symbols) for learned in queries],
        [_letters_first(target.ppm, symbols) for target in targets],
    )
    return [
        Hit(
            learned.index,
            target,
            p_value=float(found.p_values[place]),
            q_value=1.0,
            offset=int(found.offsets[place]),
            overlap=int(found.lengths[place]),
            reverse=bool(found.turned[place]),
        )
        for row, learned in enumerate(queries)
        for place, target in (((row, column), one) for column, one in enumerate(targets))
    ]


def _letters_first(
    ppm: Float[np.ndarray, "width symbols"], symbols: Sequence[str]
) -> Float[np.ndarray, "symbols width"]:
    """As Tomtom wants it: a row a letter, A C G T, which backwards is the complement."""
    rows: np.ndarray = ppm[:, [list(symbols).index(letter) for letter in LETTERS]].T
    return rows
