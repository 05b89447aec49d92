"""Families as files: a table, all that is known as JSON, and sites as BED."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from seqexp.interpret.families.family import Families, Family, Read
from seqexp.interpret.families.grouping import Kind
from seqexp.interpret.families.pairs import ARRANGEMENTS, Pair

PLACED = re.compile(r"(.+):(\d+)-(\d+)(?:\(([+.-])\))?")
"""Names of sequences that have a place in a genome: `chr1:100-300(+)`; without strand, +."""

MADE = ("_shuffled", "_reverse")
"""Ends of names of sequences that were made of others."""

BEST_SCORE = 1000

TOGETHER = 2**14
"""Lines that are written together."""

BINS = 31
"""Of the places of sites."""


def rows(
    families: Sequence[Family], unit: str = "nats"
) -> list[dict[str, str | int | float | None]]:
    """A row a family, for a table."""
    has_patterns = any(one.patterns for one in families)
    return [
        {
            "family": one.index,
            "reads": one.reading,
            "resembles": None if one.match is None else one.match.target.name,
            "q": None if one.match is None else f"{one.match.q_value:.1e}",
            f"effect, {unit}": round(one.strength, 3) if one.adds is not None else None,
            f"adds, {unit}": None if one.adds is None else round(one.adds, 2),
            "speaks for": one.speaks_for or None,
            "sites": one.hits,
            "strands +/-": "{:,} / {:,}".format(*one.on_strands),
            **{f"in {name}": f"{share:.1%}" for name, share in _first(one.shares)},
            "filters": ", ".join(map(str, one.filters)),
            **({"patterns": ", ".join(map(str, one.patterns))} if has_patterns else {}),
        }
        for one in families
    ]


def _first(shares: dict[str, float]) -> list[tuple[str, float]]:
    """Of many outputs, no columns."""
    return list(shares.items()) if len(shares) <= 4 else []


def as_json(families: Families, given: Read) -> dict[str, Any]:
    """All that is known of the families, for programs."""
    return {
        "sequences": families.num_sequences,
        "unit of effects": families.unit,
        "symbols": list(given.symbols),
        "families": [_family(one, given) for one in families.found],
        "pairs": [
            {
                **pair.row(),
                "with the first": pair.with_one,
                "with the second": pair.with_other,
                "spacing counts": {
                    name: counts.tolist()
                    for name, counts in zip(ARRANGEMENTS, pair.counts, strict=True)
                },
            }
            for pair in families.pairs
        ],
        "filters without a motif": list(families.unspecific),
        **_of_patterns(families),
    }


def _of_patterns(families: Families) -> dict[str, Any]:
    """Nothing where none were sought."""
    if families.num_patterned is None:
        return {}
    return {
        "patterns without a motif": list(families.vague),
        "sequences with attributions": families.num_patterned,
    }


def _family(family: Family, given: Read) -> dict[str, Any]:
    reach = max(1.0, given.tokens.shape[1] / 2)
    numbers, edges = np.histogram(from_the_middle(family, given), BINS, (-reach, reach))
    hit = family.match
    return {
        "family": family.index,
        "reads": family.reading,
        "filters": _members(family, "filter"),
        **({"patterns": _members(family, "pattern")} if family.patterns else {}),
        "effect": round(family.strength, 4) if family.adds is not None else None,
        "adds": None if family.adds is None else round(family.adds, 4),
        "speaks for": family.speaks_for,
        "match": None
        if hit is None
        else {
            "target": hit.target.name,
            "p-value": hit.p_value,
            "q-value": hit.q_value,
            "offset": hit.offset,
            "shared places": hit.overlap,
            "strand": "-" if hit.reverse else "+",
        },
        "bits": round(family.bits, 2),
        "sites": family.hits,
        "strands": dict(zip("+-", family.on_strands, strict=True)),
        "sequences with a site": family.num_with_site,
        "share of sequences with a site": {k: round(v, 4) for k, v in family.shares.items()},
        "counts": family.group.pfm[family.group.part].astype(int).tolist(),
        "places": {
            "letters from the middle": [round(float(edge), 1) for edge in edges],
            "sites": numbers.tolist(),
        },
    }


def _members(family: Family, kind: Kind) -> list[dict[str, Any]]:
    return [
        {
            kind: member.number,
            "first place": member.first - family.group.first + 1,
            "strand": "-" if member.reverse else "+",
        }
        for member in family.group.members
        if member.kind == kind
    ]


def from_the_middle(family: Family, given: Read) -> np.ndarray:
    """Of each site, its middle less that of its sequence, letters."""
    real = (given.tokens != 0).numpy()
    first = real.argmax(axis=1)
    last = real.shape[1] - real[:, ::-1].argmax(axis=1)
    begins, ends = family.places()
    rows = family.group.sites.rows
    middles: np.ndarray = (begins + ends) / 2 - (first[rows] + last[rows]) / 2
    return middles


def sites_bed(families: Sequence[Family], names: Sequence[str], given: Read) -> str:
    """All sites as BED, six columns, by sequence and place.

    Of names such as `chr1:100-300(+)` the place in the genome, where the other strand is turned
    back; else the sequence's name. Sequences that were made of others (shuffled, turned) are left
    out. Scores are activations, 1000 for a filter's largest.

    Args:
        families: whose sites.
        names: of the sequences.
        given: the sequences.
    """
    if not families:
        return ""
    is_made, first = _is_made(names), _first_letters(given)
    parts = [_lines(one, at, is_made, first) for at, one in enumerate(families)]
    lines = _Lines(*map(np.concatenate, zip(*parts, strict=True)))
    labels = [re.sub(r"\s+", "_", f"{one.index}_{one.name}") for one in families]
    return "".join(_texts(lines, labels, names))


class _Lines(NamedTuple):
    """Lines of a BED file as columns: there may be millions."""

    rows: Int[np.ndarray, " sites"]
    begins: Int[np.ndarray, " sites"]
    ends: Int[np.ndarray, " sites"]
    families: Int[np.ndarray, " sites"]
    scores: Int[np.ndarray, " sites"]
    is_other: Bool[np.ndarray, " sites"]  # strand


def _lines(
    family: Family,
    number: int,
    is_made: Bool[np.ndarray, " sequences"],
    first: Int[np.ndarray, " sequences"],
) -> _Lines:
    """Sites of a family, in the letters of their sequences."""
    sites = family.group.sites
    begins, ends = family.places()
    columns = _Lines(
        sites.rows,
        (begins - first[sites.rows]).astype(np.int32),
        (ends - first[sites.rows]).astype(np.int32),
        np.full(len(sites), number, dtype=np.int32),
        np.minimum(BEST_SCORE, np.rint(BEST_SCORE * sites.scores)).astype(np.int32),
        sites.directions != 1,
    )
    is_own = ~is_made[sites.rows]
    return _Lines(*(column[is_own] for column in columns))


def _is_made(names: Sequence[str]) -> Bool[np.ndarray, " sequences"]:
    """Which sequences were made of others."""
    ends = {name[: -len(end)] for name in names for end in MADE if name.endswith(end)}
    known = {name for name in names if name in ends}
    found = (
        any(name.endswith(end) and name[: -len(end)] in known for end in MADE) for name in names
    )
    return np.fromiter(found, dtype=bool, count=len(names))


def _first_letters(given: Read) -> Int[np.ndarray, " sequences"]:
    """Place of the first letter of each sequence, where they are padded on the left."""
    tokens = given.tokens.numpy()
    if not len(tokens) or tokens[:, 0].all() or not tokens[:, -1].all():
        return np.zeros(len(tokens), dtype=np.int64)
    return np.asarray((tokens != 0).argmax(axis=1))


def _texts(lines: _Lines, labels: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """The lines in order, each once; some together."""
    rows, at = np.unique(lines.rows, return_inverse=True)
    homes = dict[str, int]()
    home, origin, sign = (np.zeros(len(rows), dtype=np.int64) for _ in range(3))
    for place, row in enumerate(rows.tolist()):
        # where the first letter is, and whether letters run backwards from there
        chrom, start, _, strand = placed(names[row], 0, 1, "+")
        home[place] = homes.setdefault(chrom, len(homes))
        origin[place], sign[place] = (start, 1) if strand == "+" else (start + 1, -1)
    starts = origin[at] + sign[at] * np.where(sign[at] > 0, lines.begins, lines.ends)
    stops = origin[at] + sign[at] * np.where(sign[at] > 0, lines.ends, lines.begins)
    contigs, ranked = _ranked(list(homes))
    families, ranked_labels = _ranked(labels)
    keys = (
        ranked[home[at]],
        np.maximum(starts, 0),
        stops,
        ranked_labels[lines.families],
        lines.scores,
        lines.is_other ^ (sign[at] < 0),
    )
    order = np.lexsort(keys[::-1])
    for start in range(0, len(order), TOGETHER):
        some = order[max(0, start - 1) : start + TOGETHER]  # with the last one before them
        columns = [key[some] for key in keys]
        is_new = np.any([column[1:] != column[:-1] for column in columns], axis=0)
        is_new = np.concatenate([[start == 0], is_new])
        yield "".join(
            f"{contigs[contig]}\t{begin}\t{end}\t{families[family]}\t{score}\t{'+-'[is_other]}\n"
            for contig, begin, end, family, score, is_other in zip(
                *(column[is_new].tolist() for column in columns), strict=True
            )
        )


def _ranked(texts: Sequence[str]) -> tuple[list[str], Int[np.ndarray, " texts"]]:
    """Texts in order, and the place of each there."""
    order = sorted(range(len(texts)), key=texts.__getitem__)
    ranks = np.zeros(len(texts), dtype=np.int64)
    ranks[order] = np.arange(len(texts))
    return [texts[place] for place in order], ranks


def placed(name: str, begin: int, end: int, strand: str) -> tuple[str, int, int, str]:
    """A piece of a named sequence, in the genome where the name says where that is.

    `begin` and `end` are counted from 0, the end not included, as in BED.
    """
    found = PLACED.fullmatch(name)
    if found is None:
        return re.sub(r"\s+", "_", name), begin, end, strand
    chrom, start, stop, own = found[1], int(found[2]), int(found[3]), found[4]
    if own == "-":
        return chrom, stop - end, stop - begin, "+" if strand == "-" else "-"
    return chrom, start + begin, start + end, strand


def pair_rows(pairs: Sequence[Pair]) -> list[dict[str, str | int | float]]:
    """A row a pair, for a table."""
    return [pair.row() for pair in pairs]
