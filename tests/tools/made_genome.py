"""A small genome with stretches of its own GC each, unknown letters at its ends, and intervals."""

import random
from pathlib import Path

CONTIGS = {"chr1": 60_000, "chr2": 40_000, "chr8": 30_000}
UNKNOWN = 500
"""Letters N at either end of each contig."""


def made_genome(folder: Path, seed: int = 0) -> dict[str, str]:
    """Contigs, written as `genome.fa` with some letters in lower case; returned in upper case."""
    draw = random.Random(seed)
    contigs = {}
    for name, size in CONTIGS.items():
        letters = ""
        while len(letters) < size - 2 * UNKNOWN:
            gc = draw.choice((0.3, 0.4, 0.5, 0.6))
            letters += "".join(draw.choices("ACGT", (1 - gc, gc, gc, 1 - gc), k=500))
        contigs[name] = "N" * UNKNOWN + letters[: size - 2 * UNKNOWN] + "N" * UNKNOWN
    text = ""
    for name, letters in contigs.items():
        mixed = letters[: len(letters) // 2] + letters[len(letters) // 2 :].lower()
        lines = [mixed[at : at + 60] for at in range(0, len(mixed), 60)]
        text += f">{name} made\n" + "\n".join(lines) + "\n"
    (folder / "genome.fa").write_text(text)
    return contigs


def places(count: int, seed: int = 1, length: int = 60) -> list[tuple[str, int, int]]:
    """Places that are known letters, in no order; lengths differ by up to ten."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        contig = draw.choice([*CONTIGS])
        start = draw.randrange(UNKNOWN, CONTIGS[contig] - UNKNOWN - length - 10)
        found.append((contig, start, start + length + draw.randrange(10)))
    return found


def bed(path: Path, rows: list[tuple[object, ...]]) -> str:
    """The path of a BED file of these rows."""
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    return str(path)
