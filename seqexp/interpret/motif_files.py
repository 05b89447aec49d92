"""Learned motifs as files that other tools read: JASPAR and MEME."""

from collections.abc import Sequence

import numpy as np

from seqexp.interpret.filters import LearnedFilter


def jaspar_text(filters: Sequence[LearnedFilter], symbols: Sequence[str]) -> str:
    """Counts of the windows that excite each filter, by Biopython; no pseudocounts."""
    from Bio import motifs
    from Bio.motifs import jaspar

    written = []
    for learned in filters:
        counts = {
            letter: learned.motif_counts[:, list(symbols).index(letter)].tolist()
            for letter in "ACGT"
        }
        written.append(
            jaspar.Motif(f"filter_{learned.index}", f"filter_{learned.index}", counts=counts)
        )
    return str(motifs.write(written, "jaspar"))


def meme_text(filters: Sequence[LearnedFilter], symbols: Sequence[str]) -> str:
    """The same as probabilities, in MEME's minimal format, which Biopython reads but not writes.

    Source: https://meme-suite.org/meme/doc/meme-format.html
    """
    order = [list(symbols).index(letter) for letter in "ACGT"]
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25"]
    for learned in filters:
        ppm = np.asarray(learned.motif[:, order])
        head = f"alength= 4 w= {len(ppm)} nsites= {learned.hits} E= 0"
        rows = [" ".join(f"{share:.6f}" for share in row) for row in ppm]
        lines += ["", f"MOTIF filter_{learned.index}", f"letter-probability matrix: {head}", *rows]
    return "\n".join(lines) + "\n"
