"""Figures of motif families: logo, match and places of each."""

from collections.abc import Sequence

import numpy as np

from seqexp.interpret.families.family import Family, Read
from seqexp.interpret.families.files import BINS, from_the_middle
from seqexp.interpret.filters.match_figure import place_hit
from seqexp.interpret.filters.matrix import information
from seqexp.interpret.panels import Logo, within
from seqexp.utils.names import one_line
from seqexp.utils.panels import Counts, Panel, Sizes
from seqexp.utils.paper import Paper

HANDS = ("#255c99", "#d62839")
"""Colours of sites: on the strand that is read, on the other one."""

WIDTH, MIDDLE, LEFT, GAP = 950, 610, 46, 66
"""Of a family's figure, pixels: logos stand left of the middle, counts of places after a gap."""

ROW, LABEL, NUMBERS, BELOW = 184, 30, 22, 6
"""Pixels of a row, of what stands above and below its panel, and below all rows."""

SIZES = Sizes(label=14, number=11)


def family_figure(family: Family, given: Read) -> bytes:
    """The logo of all sites, what it resembles below it, and where in the sequences sites are."""
    panels = family_panels(family, given)
    height = ROW * len(panels) + BELOW
    paper = Paper(WIDTH, height)
    for row, panel in enumerate(panels):
        top = ROW * row
        panel.draw(paper, (LEFT, top + LABEL, MIDDLE, top + ROW - NUMBERS), SIZES)
    places = _places(family, given)
    places.draw(paper, (MIDDLE + GAP, LABEL, WIDTH - 20, height - BELOW - NUMBERS), SIZES)
    return paper.png()


def family_panels(family: Family, given: Read) -> list[Panel]:
    """The logo of all sites; below it, place by place, what it resembles, where there is such."""
    label = f"family {family.index} [bits]: {family.hits:,} sites of {_members(family)}"
    above, hit = Logo(information(family.motif), given.symbols, label), family.match
    if hit is None:
        return [above]
    ppm, first = place_hit(hit, given.symbols)
    strand = " (other strand)" if hit.reverse else ""
    name = f"{one_line(hit.target.name, 40)}{strand}: q = {hit.q_value:.1e}"
    places = (min(1, first), max(len(family.motif), first + len(ppm) - 1))
    return [
        within(one, places) for one in (above, Logo(information(ppm), given.symbols, name, first))
    ]


def _members(family: Family) -> str:
    kinds = {"filter": family.filters, "pattern": family.patterns}
    return ", ".join(_named(kind, numbers) for kind, numbers in kinds.items() if numbers)


def _named(kind: str, numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"{kind}{'s' if len(numbers) > 1 else ''} {named}"


def _places(family: Family, given: Read) -> Counts:
    """Sites by their distance from the middle of the sequence, one colour a strand."""
    centres = from_the_middle(family, given)
    forward = family.group.sites.directions == 1
    reach = max(1.0, given.tokens.shape[1] / 2)
    strands = (centres[forward], centres[~forward])
    return Counts(
        np.stack([np.histogram(one, BINS, (-reach, reach))[0] for one in strands]),
        HANDS,
        (-reach, reach),
        "sites by letters from the middle",
        [f"strand + ({forward.sum():,})", f"strand - ({(~forward).sum():,})"],
    )
