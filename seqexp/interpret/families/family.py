"""Motif families of a model: what it reads, a motif once, by its effect on the output."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqexp.data import Pattern
from seqexp.interpret.families.effects import effects_of
from seqexp.interpret.families.grouping import (
    Alignment,
    Counting,
    Group,
    Kind,
    Member,
    by_matrices,
    grouped,
    in_places,
    told,
)
from seqexp.interpret.families.pairs import Pair, pairs_of
from seqexp.interpret.families.patterns import EvidencePattern
from seqexp.interpret.families.sites import Sites, filter_sites
from seqexp.interpret.filters.extraction import reading
from seqexp.interpret.filters.matrix import is_dna
from seqexp.interpret.filters.tomtom import Hit, match_database, match_planted, matchable
from seqexp.interpret.filters.windows import HasFilters, reads_both_strands, speaks_for
from seqexp.spec import Model, Vocabulary

MAX_PAIRED = 6
"""Families, the first ones, of which pairs are looked at."""


MIN_EFFECT, TINY_EFFECT = 0.15, 0.03
"""Of a family that is shown, as a share of the largest effect: of any; of an enriched one."""

MIN_ENRICHMENT = 2.0
"""Of sites in the sequences of the output that a family speaks for, times those elsewhere."""

MIN_DEVIATIONS = 6.0
"""By which both shares differ, in standard errors."""


STRONGER = (0.6, 0.7, 0.8)
"""Shares of a filter's largest activation that are tried where sites have no motif in common."""


@dataclass(frozen=True, eq=False)
class Read:
    """Sequences that families are read in.

    Args:
        tokens: padded ids, `uint8`.
        symbols: of the vocabulary.
        output_names: of the task.
        holds: of each output, which sequences it stands for; None where outputs are numbers.
        sample: numbers of the sequences that effects are measured on, and patterns are sought in.
        unit: of effects.
    """

    tokens: Tensor
    symbols: Sequence[str]
    output_names: Sequence[str]
    holds: Bool[np.ndarray, "outputs sequences"] | None
    sample: Int[Tensor, " sampled"]
    unit: str = "nats"


@dataclass(frozen=True, eq=False)
class Known:
    """Motifs that families are compared with.

    Args:
        planted: in the data; None: not compared.
        database: of known motifs; empty: there is none.
        max_q: largest q-value of a hit in the database.
    """

    planted: Sequence[Pattern] | None = None
    database: Sequence[Pattern] = ()
    max_q: float = 0.05


@dataclass(frozen=True, eq=False)
class Family:
    """Filters that read one motif, patterns that show it, and all sites of it.

    `strength` is the standard deviation over sequences of what all its filters add to the log-odds
    of the outputs, nats, or its sites where it has no filter; 1 where the model does not tell.
    `adds` is what they add to the log-odds
    of the output that they raise most, `speaks_for`, on average over sequences with a site.
    """

    index: int  # its rank by effect, from 1
    group: Group
    reading: str
    strength: float = 1.0
    adds: float | None = None
    speaks_for: str = ""
    match: Hit | None = None
    num_with_site: int = 0  # sequences
    totals: dict[str, int] = field(default_factory=dict)  # sequences of each output
    shares: dict[str, float] = field(
        default_factory=dict
    )  # of each output's sequences, with a site

    @property
    def motif(self) -> Float[np.ndarray, "_ symbols"]:
        """Probabilities of all sites, without flanks that tell nothing."""
        return self.group.ppm

    @property
    def hits(self) -> int:
        """Sites that were counted."""
        return len(self.group.sites)

    @property
    def filters(self) -> list[int]:
        """Their numbers."""
        return self.group.numbers("filter")

    @property
    def patterns(self) -> list[int]:
        """Numbers of the patterns."""
        return self.group.numbers("pattern")

    @property
    def bits(self) -> float:
        """What the motif tells."""
        return told(self.group)

    @property
    def name(self) -> str:
        """What it resembles, or what it reads."""
        return self.match.target.name if self.match is not None else self.reading

    @property
    def on_strands(self) -> tuple[int, int]:
        """Sites on the strand that is read, and on the other one."""
        forward = int((self.group.sites.directions == 1).sum())
        return forward, self.hits - forward

    @property
    def is_enriched(self) -> bool:
        """Whether sequences of what it speaks for have a site much more often than others."""
        totals = self.totals
        own_total = totals.get(self.speaks_for, 0)
        others = [name for name in totals if name != self.speaks_for]
        other_total = sum(totals[name] for name in others)
        if not own_total or not other_total:
            return False
        own = self.shares[self.speaks_for]
        other = sum(self.shares[name] * totals[name] for name in others) / other_total
        pooled = (own * own_total + other * other_total) / (own_total + other_total)
        error = math.sqrt(pooled * (1 - pooled) * (1 / own_total + 1 / other_total))
        return own >= MIN_ENRICHMENT * other and own - other >= MIN_DEVIATIONS * error > 0

    def places(self) -> tuple[Int[np.ndarray, " sites"], Int[np.ndarray, " sites"]]:
        """First letter of each site, and the letter after its last."""
        return self.group.sites.spans(self.group.first, self.group.last)


@dataclass(frozen=True, eq=False)
class Families:
    """All families of a model, of largest effect first, and how the first ones stand together.

    `unspecific` are filters whose sites tell too little for a motif, `vague` such patterns.
    `num_patterned` are the sequences that patterns were sought in, None where none were;
    `num_known` are the motifs that families were compared with.
    """

    found: Sequence[Family] = ()
    pairs: Sequence[Pair] = ()
    unspecific: Sequence[int] = ()
    num_sequences: int = 0
    vague: Sequence[int] = ()
    num_patterned: int | None = None
    num_known: int = 0
    unit: str = "nats"  # of effects

    @property
    def telling(self) -> list[Family]:
        """Those that matter; the others are noise that filters were left with.

        Their effect is 0.15 of the largest one, or less but not tiny and their sites stand twice
        as often where they speak for.
        """
        largest = max((one.strength for one in self.found), default=0.0)
        return [
            one
            for one in self.found
            if one.strength >= MIN_EFFECT * largest
            or (one.strength >= TINY_EFFECT * largest and one.is_enriched)
        ]


@torch.no_grad()
def find_families(
    model: HasFilters | Model,
    given: Read,
    share: float,
    trim_bits: float,
    known: Known,
    say: Callable[[str], None],
    patterns: Sequence[EvidencePattern] | None = None,
) -> Families:
    """Group the filters of a model, and patterns of its evidence, into families.

    Args:
        model: whose filters, if it has any.
        given: sequences.
        share: windows above this share of a filter's largest activation are sites.
        trim_bits: a motif ends at the outermost places that tell at least so much.
        known: motifs to compare with.
        say: is told what is being done.
        patterns: in the attributions of the sampled sequences; None: none were sought.
    """
    model.eval()
    is_turned = patterns is not None or reads_both_strands(model)
    complements = None
    if is_turned and is_dna(given.symbols):
        complements = np.array(Vocabulary(tuple(given.symbols)).complements())
    tokens = given.tokens.cpu().numpy()
    counting = Counting(tokens, len(given.symbols), complements, trim_bits)
    motifs: list[Group] = []
    without: list[Member] = []  # of millions of sites: they are not kept
    for group in chain(
        _of_filters(model, given, share, counting, say), _of_patterns(patterns or (), counting)
    ):
        if matchable(_Query(0, group)):
            motifs.append(group)
        else:
            without.extend(group.members)
    count = len(motifs) + len(without)
    motifs = grouped(motifs, counting)
    if known.database or known.planted:
        num_filters = count - len(patterns or ())
        kinds = ["filters"] * bool(num_filters) + ["patterns"] * bool(patterns)
        what = f"{len(motifs)} groups of {count} {' and '.join(kinds)}"
        say(f"motif families: {what}, compared with known motifs")
    motifs, matches = _bridged(motifs, known, counting, given.symbols)
    families = _ranked(model, given, motifs, matches, trim_bits, counting)
    found = Families(
        families,
        unspecific=_numbers(without, "filter"),
        vague=_numbers(without, "pattern"),
        num_sequences=len(tokens),
        num_patterned=None if patterns is None else len(given.sample),
        num_known=len(known.database),
        unit=given.unit,
    )
    return replace(found, pairs=_pairs(found.telling, given))


def _numbers(members: Sequence[Member], kind: Kind) -> list[int]:
    return [member.number for member in members if member.kind == kind]


def _of_patterns(patterns: Sequence[EvidencePattern], counting: Counting) -> Iterator[Group]:
    for number, one in enumerate(patterns):
        yield counting.group([Member(number, 0, False, one.width, "pattern")], one.sites)


def _of_filters(
    model: object, given: Read, share: float, counting: Counting, say: Callable[[str], None]
) -> Iterator[Group]:
    """Each filter that finds something as a group of its own; none of a model without filters."""
    if not isinstance(model, HasFilters):
        return
    num_filters, width, _ = model.filter_weights().shape
    say(f"motif families: sites of {num_filters} filters in {len(given.tokens):,} sequences")
    for index, own in enumerate(filter_sites(model, given.tokens, given.symbols, share)):
        if len(own):
            yield _alone(Member(index, 0, False, width), own, share, counting)


def _alone(member: Member, sites: Sites, share: float, counting: Counting) -> Group:
    """A filter as a group of its own, of stronger sites where the weaker ones hide its motif."""
    found = counting.group([member], sites)
    for least in STRONGER:
        if matchable(_Query(0, found)):
            break
        strong = sites.chosen(sites.scores > least)
        if least > share and len(strong):
            found = counting.group([member], strong)
    return found


@dataclass(frozen=True, eq=False)
class _Query:
    """A group as Tomtom compares it."""

    index: int
    group: Group

    @property
    def motif(self) -> Float[np.ndarray, "_ symbols"]:
        return self.group.ppm

    @property
    def hits(self) -> int:
        return len(self.group.sites)


def _matches(groups: Sequence[Group], known: Known, symbols: Sequence[str]) -> dict[int, Hit]:
    """The best significant hit of each group, by its place; what was planted comes first."""
    queries = [_Query(index, group) for index, group in enumerate(groups)]
    found: dict[int, Hit] = {}
    if known.database:
        for hit in reversed(match_database(queries, known.database, symbols, known.max_q)):
            found[hit.filter_index] = hit
    planted = match_planted(queries, known.planted or (), symbols)
    for hit in sorted(planted, key=lambda hit: -hit.p_value):
        if hit.q_value <= known.max_q:
            found[hit.filter_index] = hit
    return found


def _bridged(
    groups: list[Group], known: Known, counting: Counting, symbols: Sequence[str]
) -> tuple[list[Group], dict[int, Hit]]:
    """Merge groups whose best matches are the same known motif, or two that agree.

    So a filter that reads the left half of a long motif comes to one that reads the right half.
    """
    while True:
        hits = _matches(groups, known, symbols)
        order = sorted(hits, key=lambda index: hits[index].p_value)
        merged: set[int] = set()
        for rank, i in enumerate(order):
            for j in order[rank + 1 :]:
                how = (
                    None
                    if {i, j} & merged
                    else _over(hits[i], hits[j], groups[i], groups[j], counting)
                )
                if how is not None:
                    # places of the first stay, so that the next can be merged too
                    groups[i] = counting.merged(groups[i], groups[j], how)
                    merged.add(j)
        if not merged:
            return groups, hits
        groups = [group for index, group in enumerate(groups) if index not in merged]
        groups = grouped(groups, counting)


def _over(
    one: Hit, other: Hit, first: Group, second: Group, counting: Counting
) -> Alignment | None:
    """Where the second group lies on the first one by the motifs that they resemble."""
    link = Alignment(1.0, 0, reverse=False)
    if one.target is not other.target:
        found = by_matrices(one.target.ppm, other.target.ppm, counting.turn)
        if found is None:
            return None
        link = found
    # place k of a motif lies on place slope * k + shift of its target
    slope, shift = _on_target(one)
    other_slope, other_shift = _on_target(other)
    turn = -1 if link.reverse else 1
    place = slope * (turn * other_shift + link.first - shift)
    reverse = slope * turn * other_slope < 0
    return in_places(Alignment(link.score, place, reverse), first, second)


def _on_target(hit: Hit) -> tuple[int, int]:
    if not hit.reverse:
        return 1, hit.offset
    return -1, len(hit.target.ppm) - 1 - hit.offset


def _ranked(
    model: HasFilters | Model,
    given: Read,
    groups: Sequence[Group],
    matches: dict[int, Hit],
    trim_bits: float,
    counting: Counting,
) -> list[Family]:
    """Families of largest effect first, each on the strand of what it resembles."""
    if not groups:
        return []
    device = _device(model)
    sample = given.tokens[given.sample].long().to(device)
    effects = effects_of(model, sample, given.sample.numpy(), groups)
    found = []
    for place, group in enumerate(groups):
        match = matches.get(place)
        if match is not None and match.reverse:
            group, match = counting.turned(group), _turned(match, len(group.ppm))
        family = Family(0, group, reading(group.ppm, given.symbols, trim_bits), match=match)
        family = _with_places(family, given)
        if effects is not None:
            own = effects[0][:, place]
            family = _with_effect(family, own, float(effects[1][place]), given)
        found.append(family)
    found.sort(key=lambda one: (-one.strength, -one.hits))
    return [replace(one, index=rank) for rank, one in enumerate(found, start=1)]


def _device(model: HasFilters | Model) -> torch.device:
    if isinstance(model, HasFilters):
        return model.filter_weights().device
    return next(iter(model.parameters())).device


def _turned(hit: Hit, width: int) -> Hit:
    """The same hit of the motif on the other strand: the target is not turned any more."""
    offset = len(hit.target.ppm) - hit.offset - width
    return replace(hit, reverse=False, offset=offset)


def _with_places(family: Family, given: Read) -> Family:
    has = np.zeros(len(given.tokens), dtype=bool)
    has[family.group.sites.rows] = True
    looked_at = _looked_at(family, given)
    shares, totals = {}, {}
    if given.holds is not None:
        for name, rows in zip(given.output_names, given.holds, strict=False):
            own = rows & looked_at
            if own.any():
                shares[name], totals[name] = float(has[own].mean()), int(own.sum())
    return replace(family, num_with_site=int(has.sum()), shares=shares, totals=totals)


def _looked_at(family: Family, given: Read) -> Bool[np.ndarray, " sequences"]:
    """In which sequences sites were sought: all by filters, the sampled ones by patterns."""
    if family.filters:
        return np.ones(len(given.tokens), dtype=bool)
    is_sampled = np.zeros(len(given.tokens), dtype=bool)
    is_sampled[given.sample.numpy()] = True
    return is_sampled


def _with_effect(
    family: Family, effects: Float[np.ndarray, "sampled outputs"], strength: float, given: Read
) -> Family:
    with_site = np.isin(given.sample.numpy(), family.group.sites.rows)
    mean = (effects[with_site] if with_site.any() else effects).mean(axis=0)
    # of two outputs, log-odds are the difference of both
    adds = float(mean.max() - mean.min()) if len(mean) == 2 else float(mean.max())
    speaks = speaks_for(mean, given.output_names)
    return replace(family, strength=strength, adds=adds, speaks_for=speaks)


def _pairs(families: Sequence[Family], given: Read) -> list[Pair]:
    """How the first families stand together, in the sequences of what the first speaks for."""
    lengths = (given.tokens != 0).sum(dim=1).numpy()
    first = list(families[:MAX_PAIRED])
    found = []
    for place, one in enumerate(first):
        rows = np.arange(len(lengths))
        if given.holds is not None and one.speaks_for in given.output_names:
            rows = np.flatnonzero(given.holds[list(given.output_names).index(one.speaks_for)])
        for other in first[place + 1 :]:
            both = _looked_at(one, given) & _looked_at(other, given)
            found.append(
                pairs_of(
                    (one.index, other.index),
                    (one.group.sites, other.group.sites),
                    (one.places(), other.places()),
                    rows[both[rows]],
                    given.tokens.numpy(),
                )
            )
    return found
