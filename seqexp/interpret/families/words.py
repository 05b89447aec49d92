"""What is said of motif families in a sentence."""

from collections.abc import Iterator

from seqexp.interpret.families.family import Families, Family
from seqexp.utils.names import one_line

NAMED = 5
"""Families in the first sentence."""

MAX_P = 0.01
"""Of a pair that is said to stand together, corrected for all pairs."""


def first_families(families: Families, num_known: int) -> Iterator[str]:
    """The families of largest effect, and pairs that stand together.

    Args:
        families: of a model; one at least.
        num_known: motifs that they were compared with; 0 where they were not.
    """
    telling = families.telling
    count = len(telling)
    if count == 1:
        reads = "The filters read" if families.num_patterned is None else "The model reads"
        yield f"{reads} one motif: {in_words(telling[0], families.unit)}."
    else:
        named = "; ".join(
            f"{family.index}. {in_words(family, families.unit)}" for family in telling[:NAMED]
        )
        more = f" (of {count})" if count > NAMED else ""
        yield f"The motif families of largest effect{more}: {named}."
    if num_known:
        matched = sum(family.match is not None for family in telling)
        yield (
            f"{matched} of {count} resemble one of {num_known:,} known motifs significantly."
            " A match says what a motif looks like, not which protein binds there."
        )
    for pair in families.pairs:
        if pair.p_value * len(families.pairs) <= MAX_P:
            often = "more" if pair.both > pair.expected else "less"
            yield (
                f"Families {pair.one} and {pair.other} stand in one sequence {often} often than by"
                f" chance: in {pair.both:,}, expected {pair.expected:,.0f}"
                f" (p = {pair.p_value:.1e})."
            )
        if pair.spacing_p * len(families.pairs) <= MAX_P:
            yield (
                f"Families {pair.one} and {pair.other} have a spacing: {pair.arrangement} with"
                f" {pair.distance} letters between them (1 is family {pair.one};"
                f" p = {pair.spacing_p:.1e})."
            )


def in_words(family: Family, unit: str) -> str:
    """What a family resembles, what it reads, and what that adds."""
    told = []
    if family.match is not None:
        q = family.match.q_value
        told = [_part_of(family), f"q = {q:.1e}" if q < 0.001 else f"q = {q:.2g}"]
    if family.adds is not None:
        favoured = f" to {one_line(family.speaks_for)}" if family.speaks_for else ""
        told.append(f"adds {family.adds:.2g} {unit}{favoured}")
    return f"{one_line(family.name)} ({'; '.join(told)})" if told else one_line(family.name)


def _part_of(family: Family) -> str:
    """What a family reads; where it is much longer than what it resembles, how much of it that is.

    A pattern of a repeat that many sequences hold is long, and a known motif is a part of it.
    """
    hit, width = family.match, len(family.motif)
    if hit is None or 2 * hit.overlap >= width:
        return family.reading
    first = max(0, -hit.offset)
    within = family.reading[first : first + hit.overlap]
    return f"{within} in letters {first + 1} to {first + hit.overlap} of {width}"
