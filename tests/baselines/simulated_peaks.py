"""Writes peaks over a made genome: three known motifs that occur together, and matched negatives.

The genome has stretches of different GC content in which CpG is rare, and CpG islands. Most peaks
lie in islands. Nearly all hold sites of the first motif, half also of the second, a quarter of the
third, within 60 letters of each other. A site is the strongest of three draws from its matrix, so
that some are weak. Negatives are other windows of the genome, of the same lengths, with the GC
content of a peak.

    python tests/baselines/simulated_peaks.py MATRICES OUTPUT --seed 1
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

from seqexp.formats.motifs import load_motifs

LETTERS = np.array(list("ACGT"))
MOTIFS = ("GABPA", "SP1", "ZNF143")
SHARES = (0.95, 0.5, 0.25)
"""Of the peaks that hold sites of each motif."""

ISLAND, APART = 800, 12_000
"""Letters of a CpG island, and from one to the next."""

NEAR = 60
"""Letters within which the sites of a peak lie."""

DRAWS = 3
"""Of each site, of which the strongest is taken."""

GC_BINS = 25


def stretch(length: int, gc: float, cpg: float, rng: np.random.Generator) -> np.ndarray:
    """Letters 0 to 3 of a chain with this GC content; `cpg` is the share of CpG that is kept."""
    shares = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    letters = rng.choice(4, length, p=shares)
    is_cpg = (letters[:-1] == 1) & (letters[1:] == 2) & (rng.random(length - 1) > cpg)
    places = np.flatnonzero(is_cpg)
    # as methylated C mutates: CpG becomes TpG or CpA
    is_first = rng.random(len(places)) < 0.5
    letters[places[is_first]] = 3
    letters[places[~is_first] + 1] = 0
    return letters


def made_genome(size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The letters, and where islands begin."""
    parts, islands, total = [], [], 0
    while total < size:
        island = rng.uniform(0.58, 0.7)
        open_sea = stretch(APART, rng.uniform(0.38, 0.6), 0.25, rng)
        islands.append(total + APART)
        parts += [open_sea, stretch(ISLAND, island, 0.85, rng)]
        total += APART + ISLAND
    return np.concatenate(parts), np.array(islands)


def drawn(ppm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A site of a matrix, on a strand that is drawn."""
    draws = [np.array([rng.choice(4, p=row / row.sum()) for row in ppm]) for _ in range(DRAWS)]
    place = np.arange(len(ppm))
    site = max(draws, key=lambda one: float(np.log(ppm[place, one] + 1e-9).sum()))
    return site if rng.random() < 0.5 else 3 - site[::-1]


def with_sites(window: np.ndarray, ppms: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The window with sites within `NEAR` letters about its middle."""
    peak = window.copy()
    for ppm, share in zip(ppms, SHARES, strict=True):
        for _ in range(int(rng.random() < share) + int(rng.random() < share / 4)):
            site = drawn(ppm, rng)
            start = len(peak) // 2 + int(rng.integers(-NEAR, NEAR - len(site)))
            peak[start : start + len(site)] = site
    return peak


def gc_of(window: np.ndarray) -> int:
    """The bin of its GC content."""
    return int(((window == 1) | (window == 2)).mean() * GC_BINS)


def main() -> None:
    """Write a table of label, id and sequence."""
    parser = argparse.ArgumentParser()
    parser.add_argument("matrices", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    known = {one.name.split()[-1].upper(): one.ppm() for one in load_motifs(str(given.matrices))}
    ppms = [np.asarray(known[name]) for name in MOTIFS]
    genome, islands = made_genome(10_000_000, rng)
    rows = []
    for number in range(given.count):
        length = int(rng.integers(140, 260))
        if rng.random() < 0.8:
            start = int(rng.choice(islands) + rng.integers(0, ISLAND - length))
        else:
            start = int(rng.integers(0, len(genome) - length))
        peak = with_sites(genome[start : start + length], ppms, rng)
        rows.append((1, f"peak{number}", peak))
        near = gc_of(peak)
        for _ in range(100_000):
            start = int(rng.integers(0, len(genome) - length))
            other = genome[start : start + length]
            if gc_of(other) == near:
                break
        rows.append((0, f"other{number}", other))
    with gzip.open(given.output, "wt", encoding="ascii") as file:
        file.write("label\tid\tsequence\n")
        for label, name, letters in rows:
            file.write(f"{label}\t{name}\t{''.join(LETTERS[letters])}\n")


if __name__ == "__main__":
    main()
