"""Learned motifs as files that other tools read: JASPAR and MEME."""

from collections.abc import Sequence

from seqexp.formats import motif_text
from seqexp.formats.dna import LETTERS
from seqexp.formats.motifs import PositionFrequencyMatrix
from seqexp.interpret.filters.extraction import LearnedFilter


def jaspar_text(filters: Sequence[LearnedFilter], symbols: Sequence[str]) -> str:
    """Counts of the windows that excite each filter; no pseudocounts."""
    return motif_text.jaspar_text(_matrices(filters, symbols))


def meme_text(filters: Sequence[LearnedFilter], symbols: Sequence[str]) -> str:
    """The same as probabilities, in MEME's minimal format."""
    return motif_text.meme_text(_matrices(filters, symbols))


def _matrices(
    filters: Sequence[LearnedFilter], symbols: Sequence[str]
) -> list[PositionFrequencyMatrix]:
    order = [list(symbols).index(letter) for letter in LETTERS]
    return [
        PositionFrequencyMatrix(f"filter_{learned.index}", learned.motif_counts[:, order])
        for learned in filters
    ]
