"""Motif files: position frequency matrices in JASPAR, MEME and TRANSFAC format.

Imports no torch: the config check reads motif files too.
"""

import difflib
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from seqexp.errors import InputError
from seqexp.formats.text import read_text

LETTERS = "ACGT"

BUILT_IN = Path(__file__).parent
"""Folder of the motifs that come with seqexp, named by their JASPAR id."""

MAX_BYTES = 64 * 2**20
"""A motif file is text of a few MB at most; anything larger was not meant."""


@dataclass(frozen=True, eq=False)
class PositionFrequencyMatrix:
    """Counts of the letters A, C, G, T at each position of a motif."""

    name: str
    pfm: Float[np.ndarray, "width 4"]

    @property
    def width(self) -> int:
        """Number of positions."""
        return int(self.pfm.shape[0])

    def ppm(
        self, pseudocount: float = 0.0, background: Sequence[float] | None = None
    ) -> Float[np.ndarray, "width 4"]:
        """Probabilities, with `pseudocount` counts added a position, in the background's shares."""
        share = np.full(4, 0.25) if background is None else np.asarray(background, dtype=np.float64)
        smoothed = self.pfm + pseudocount * share
        probabilities: np.ndarray = smoothed / smoothed.sum(axis=1, keepdims=True)
        return probabilities


def load_motifs(
    motif: str | Sequence[str], names: Sequence[str] | None = None
) -> list[PositionFrequencyMatrix]:
    """Matrices of one or several motif files, or built-in motifs by JASPAR id.

    Args:
        motif: paths, or the name of a built-in motif (MA0149.1).
        names: keep only the matrices whose id or name is among these; None keeps all. (Of MEME
            files Biopython reads the id only.)

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    sources = [motif] if isinstance(motif, str) else list(motif)
    if not sources:
        raise InputError("the list of motif files is empty; name one, or MA0149.1")
    loaded = [matrix for source in sources for matrix in read_motifs(_path(source))]
    if names is None:
        return loaded
    known = {key for matrix in loaded for key in (matrix.name, *matrix.name.split())}
    absent = [name for name in names if name not in known]
    if absent:
        near = difflib.get_close_matches(absent[0], sorted(known), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else ""
        if not near:
            shown = ", ".join(matrix.name for matrix in loaded[:20])
            hint = f"it has {shown}{', ...' if len(loaded) > 20 else ''}"
        raise InputError(f"{', '.join(sources)} has no motif {', '.join(absent)}; {hint}")
    return [m for m in loaded if {m.name, *m.name.split()} & set(names)]


def _path(source: str) -> Path:
    built_in = BUILT_IN / f"{source}.jaspar"
    if "/" not in source and built_in.is_file() and not Path(source).is_file():
        return built_in
    if not Path(source).is_file():
        what = "is a folder" if Path(source).is_dir() else "there is no such file"
        ours = ", ".join(sorted(path.stem for path in BUILT_IN.glob("*.jaspar")))
        raise InputError(f"{source}: {what}; give a JASPAR, MEME or TRANSFAC file, or {ours}")
    return Path(source)


@functools.lru_cache(maxsize=16)
def _read(path: Path, _changed: int) -> tuple[PositionFrequencyMatrix, ...]:
    text = read_text(path, MAX_BYTES, _FORMATS)
    found = [_check(path, name, counts) for name, counts in _parse(path, text)]
    if not found:
        raise InputError(f"{path}: holds no motif; {_FORMATS}")
    return tuple(found)


def read_motifs(path: Path) -> tuple[PositionFrequencyMatrix, ...]:
    """All matrices of a JASPAR, MEME (text) or TRANSFAC file; the format is read off its content.

    Biopython parses them. From a MEME file it rounds to counts out of `nsites` (20 if not given).

    Raises:
        InputError: if the file is empty, of another format, or has negative or ragged counts.
    """
    # a sweep checks each job's motif: the same file is parsed once
    return _read(path, path.stat().st_mtime_ns)


_FORMATS = "expected are JASPAR ('>' and four rows), MEME ('MEME version') or TRANSFAC ('P0' rows)"


def _parse(path: Path, text: str) -> list[tuple[str, dict[str, list[float]]]]:
    from Bio import motifs  # a quarter of a second: only where a motif is read

    lines = text.lstrip().splitlines()
    if lines[0].startswith(">"):
        layout = "jaspar"
    elif any(line.startswith("MEME version") for line in lines):
        layout = "minimal"
    elif any(line[:2] in ("P0", "PO") for line in lines):
        layout = "transfac"
    else:
        raise InputError(f"{path}: begins with {lines[0][:40]!r}; {_FORMATS}")
    try:
        parsed = motifs.parse(io.StringIO(_whole(text.lstrip(), layout)), layout)
    except Exception as error:  # Biopython raises bare Exception, ValueError, KeyError, ...
        raise InputError(f"{path}: is not sound as a {layout} file: {error}") from error
    if layout == "minimal":  # Biopython ends a matrix in silence at a row that is not sound
        declared = re.findall(r"letter-probability matrix:.*?\bw=\s*(\d+)", text)
        for motif, width in zip(parsed, declared, strict=False):
            if motif.length != int(width):
                raise InputError(
                    f"{path}: {motif.name} declares w= {width}, but row {motif.length + 1} of its"
                    " matrix is not four numbers"
                )
    return [(_name(motif), {k: list(v) for k, v in motif.counts.items()}) for motif in parsed]


def _whole(text: str, layout: str) -> str:
    """A MEME file with the parts that its format leaves optional and Biopython asks for."""
    if layout != "minimal":
        return text
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("MOTIF")), len(lines))
    header = "\n".join(lines[:first])
    if "ALPHABET" not in header:
        header = f"{header}\nALPHABET= ACGT"
    if "Background letter frequencies" not in header:
        header = f"{header}\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25"
    return "\n".join([header, "", *lines[first:]]) + "\n"


def _name(motif: object) -> str:
    """Id and name, whichever the format has."""
    if isinstance(motif, dict):  # TRANSFAC keeps its fields in a dict
        return str(motif.get("ID") or motif.get("AC") or "motif")
    parts = (getattr(motif, "matrix_id", None), getattr(motif, "name", None))
    return " ".join(str(part).strip() for part in parts if part) or "motif"


def _check(path: Path, name: str, counts: dict[str, list[float]]) -> PositionFrequencyMatrix:
    if set(counts) != set(LETTERS):
        raise InputError(f"{path}: {name} has the letters {''.join(sorted(counts))}, not {LETTERS}")
    widths = {letter: len(counts[letter]) for letter in LETTERS}
    if len(set(widths.values())) > 1 or not widths["A"]:
        raise InputError(f"{path}: {name} has ragged or no rows (lengths {widths})")
    pfm = np.array([counts[letter] for letter in LETTERS], dtype=np.float64).T  # (width, letters)
    if not np.isfinite(pfm).all() or (pfm < 0).any():
        position, letter = np.argwhere(~np.isfinite(pfm) | (pfm < 0))[0]
        raise InputError(
            f"{path}: {name} has {pfm[position, letter]:g} for {LETTERS[letter]} at position"
            f" {position + 1}; counts are 0 or more"
        )
    if (pfm.sum(axis=1) == 0).any():
        position = int(np.argmin(pfm.sum(axis=1)))
        raise InputError(f"{path}: {name} counts nothing at position {position + 1}")
    return PositionFrequencyMatrix(name, pfm)
