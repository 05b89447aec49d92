"""What one would do without a network: the best single read, and consensus by alignment graphs.

spoa and abPOA are the optional extra `[reads]`. Their defaults are not used: local alignment
(spoa) and affine gaps (abPOA) are much worse on reads of 100 to 200 letters, and beating them would
say nothing.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence

import edlib

Consensus = Callable[[Sequence[str]], str]

MATCH, MISMATCH, GAP = 3, -5, -4
"""Scores of an alignment; gaps cost the same for each letter."""


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and substitutions that turn one into the other."""
    return int(edlib.align(one, other)["editDistance"])


def medoid(reads: Sequence[str]) -> str:
    """The read with the smallest sum of edit distances to the others; the first of such."""
    sums = [0] * len(reads)
    for index, one in enumerate(reads):
        for number, other in enumerate(reads[:index]):
            distance = edit_distance(one, other)
            sums[index] += distance
            sums[number] += distance
    return reads[sums.index(min(sums))]


def spoa(reads: Sequence[str]) -> str:
    """Consensus by partial-order alignment, global.

    Source: Vaser et al. (2017), of Lee, Grasso & Sharlow (2002).
    """
    package = importlib.import_module("spoa")
    scores = {"m": MATCH, "n": MISMATCH, "g": GAP, "e": GAP}
    consensus, _ = package.poa(list(reads), algorithm=1, genmsa=False, **scores)
    return str(consensus)


def abpoa(reads: Sequence[str]) -> str:
    """Consensus by adaptive banded partial-order alignment, global, linear gaps.

    Source: Gao et al. (2021).
    """
    package = importlib.import_module("pyabpoa")
    gaps = {"gap_open1": 0, "gap_ext1": -GAP, "gap_open2": 0, "gap_ext2": 0}
    aligner = package.msa_aligner(aln_mode="g", match=MATCH, mismatch=-MISMATCH, **gaps)
    found = aligner.msa(list(reads), out_cons=True, out_msa=False)
    return str(found.cons_seq[0])


_PACKAGES: dict[str, tuple[str | None, Consensus]] = {
    "medoid": (None, medoid),
    "spoa": ("spoa", spoa),
    "abPOA": ("pyabpoa", abpoa),
}


def yardsticks() -> tuple[dict[str, Consensus], tuple[str, ...]]:
    """The methods that can be used here, by name, and the names of those that are not installed."""
    there = {
        name: function
        for name, (package, function) in _PACKAGES.items()
        if package is None or importlib.util.find_spec(package) is not None
    }
    return there, tuple(name for name in _PACKAGES if name not in there)
