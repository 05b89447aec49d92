"""Motifs as text that other tools read: JASPAR and MEME."""

from collections.abc import Sequence

import numpy as np

from seqexp.formats.dna import LETTERS
from seqexp.formats.matrix import PositionFrequencyMatrix


def jaspar_text(motifs: Sequence[PositionFrequencyMatrix]) -> str:
    """Counts, a row a letter, below `>name`.

    Source: https://jaspar.elixir.no/docs/
    """
    lines = []
    for index, motif in enumerate(motifs, 1):
        name = _word(motif.name, index)
        lines.append(f">{name}\t{name}")
        for letter, counts in zip(LETTERS, motif.pfm.T.tolist(), strict=True):
            shown = (f"{count:.0f}" if count == int(count) else repr(count) for count in counts)
            lines.append(f"{letter}  [ {' '.join(shown)} ]")
    return "".join(f"{line}\n" for line in lines)


def meme_text(motifs: Sequence[PositionFrequencyMatrix]) -> str:
    """Probabilities, in MEME's minimal format.

    Source: https://meme-suite.org/meme/doc/meme-format.html
    """
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25"]
    for index, motif in enumerate(motifs, 1):
        sites = f"{np.median(motif.pfm.sum(axis=1)):.10g}"
        head = f"alength= 4 w= {motif.width} nsites= {sites} E= 0"
        rows = [" ".join(f"{share:.8f}" for share in row) for row in motif.ppm().tolist()]
        lines += ["", f"MOTIF {_word(motif.name, index)}", f"letter-probability matrix: {head}"]
        lines += rows
    return "".join(f"{line}\n" for line in lines)


def _word(name: str, index: int) -> str:
    """A name in one word, since a blank ends names in both formats, and a line end breaks them."""
    return "_".join(name.split()) or f"motif_{index}"
