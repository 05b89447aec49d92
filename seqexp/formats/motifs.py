"""Motif files: position frequency matrices of DNA and RNA, in the formats that tools write.

JASPAR, MEME, TRANSFAC, HOMER, HOCOMOCO, CIS-BP and their kin, told by their content. Imports no
torch: the config check reads motif files too.
"""

import difflib
import functools
import itertools
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seqexp.errors import InputError
from seqexp.formats.matrix import Found, Lines, PositionFrequencyMatrix
from seqexp.formats.meme import is_meme, read_meme
from seqexp.formats.pfm import is_pfm, read_pfm
from seqexp.formats.text import read_lines
from seqexp.formats.transfac import is_transfac, read_transfac

__all__ = ["BUILT_IN", "PositionFrequencyMatrix", "load_motifs", "read_motifs"]

log = logging.getLogger("seqexp")

BUILT_IN = Path(__file__).parent
"""Folder of the motifs that come with seqexp, named by their JASPAR id."""

MAX_BYTES, MAX_LINE = 64 * 2**20, 2**20
"""A motif file is text of a few MB at most, its lines of a few hundred characters."""

FORMATS = (
    "expected are JASPAR ('>' and four rows), MEME ('MEME version'), TRANSFAC ('P0' rows) or a row"
    " a position (HOMER, HOCOMOCO, CIS-BP)"
)


def load_motifs(
    motif: str | Sequence[str], names: Sequence[str] | None = None
) -> list[PositionFrequencyMatrix]:
    """Matrices of one or several motif files, or built-in motifs by JASPAR id.

    Where several have one name, the later ones are shown as `name (2)` and so on.

    Args:
        motif: paths, or the name of a built-in motif (MA0149.1).
        names: keep only the matrices whose id or name is among these; None keeps all.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    sources = [motif] if isinstance(motif, str) else list(motif)
    if not sources:
        raise InputError("the list of motif files is empty; name one, or MA0149.1")
    loaded = [matrix for source in sources for matrix in read_motifs(_path(source))]
    if names is not None:
        loaded = _chosen(loaded, names, sources)
    seen: Counter[str] = Counter()
    return [_told_apart(matrix, seen) for matrix in loaded]


def _chosen(
    loaded: Sequence[PositionFrequencyMatrix], names: Sequence[str], sources: Sequence[str]
) -> list[PositionFrequencyMatrix]:
    known = {key for matrix in loaded for key in matrix.keys}
    absent = [name for name in names if name not in known]
    if absent:
        near = difflib.get_close_matches(absent[0], sorted(known), n=3)
        hint = f"did you mean {', '.join(near)}?" if near else ""
        if not near:
            shown = ", ".join(matrix.name for matrix in loaded[:20])
            hint = f"it has {shown}{', ...' if len(loaded) > 20 else ''}"
        raise InputError(f"{', '.join(sources)} has no motif {', '.join(absent)}; {hint}")
    return [matrix for matrix in loaded if matrix.keys & set(names)]


def _told_apart(matrix: PositionFrequencyMatrix, seen: Counter[str]) -> PositionFrequencyMatrix:
    """The matrix under a name that none before it has."""
    name = matrix.name
    while seen[name]:
        seen[matrix.name] += 1
        name = f"{matrix.name} ({seen[matrix.name]})"
    seen[name] += 1
    return matrix if name == matrix.name else replace(matrix, name=name)


def _path(source: str) -> Path:
    path, built_in = Path(source), BUILT_IN / f"{source}.jaspar"
    try:
        if path.is_file():
            return path
        if "/" not in source and built_in.is_file():
            return built_in
        what = "is a folder" if path.is_dir() else "is no file of text"
        what = what if path.exists() else "there is no such file"
    except OSError as error:  # a name that no file can have
        what = str(error.strerror).lower()
    ours = ", ".join(sorted(path.stem for path in BUILT_IN.glob("*.jaspar")))
    raise InputError(f"{source[:200]}: {what}; give a motif file (JASPAR, MEME, ...), or {ours}")


def read_motifs(path: Path) -> tuple[PositionFrequencyMatrix, ...]:
    """All matrices of a motif file; the format is read off its content.

    A motif without matrix is left out, and a line of the log says so.

    Raises:
        InputError: naming the line, if the file is empty, of another format, holds another alphabet
            or log-odds, or has a matrix that is not sound.
    """
    # a sweep checks each job's motif: the same file is parsed once
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _read(path: Path, _changed: int) -> tuple[PositionFrequencyMatrix, ...]:
    found = Found(path)
    lines = iter(enumerate(read_lines(path, MAX_BYTES, MAX_LINE), 1))
    begin = _until_told(path, lines)
    last = begin[-1][1].strip()
    read = read_meme if is_meme(last) else read_transfac if is_transfac(last) else read_pfm
    read(found, itertools.chain(begin, lines))
    if not found.motifs:
        shown = "".join(f"; {name} has no matrix" for name in found.without_matrix[:1])
        raise InputError(f"{path}: holds no motif{shown}; {FORMATS}")
    if found.without_matrix:
        shown, count = ", ".join(found.without_matrix), found.num_without_matrix
        more = ", ..." if count > len(found.without_matrix) else ""
        say = "motif has no matrix and is" if count == 1 else "motifs have no matrix and are"
        log.warning(f"{path}: {count:,} {say} left out: {shown}{more}")
    return tuple(found.motifs)


MAX_PREAMBLE = 1000
"""Lines of text in front of the first that tells the format."""


def _until_told(path: Path, lines: Lines) -> list[tuple[int, str]]:
    """The lines up to the first that tells the format, without blank lines and comments.

    Raises:
        InputError: if there is none.
    """
    begin: list[tuple[int, str]] = []
    for line, raw in lines:
        text = raw.strip()
        if not text or text[0] == "#":
            continue
        begin.append((line, raw))
        if is_meme(text) or is_transfac(text) or is_pfm(text):
            return begin
        if text[0] == "<" or len(begin) > MAX_PREAMBLE:
            break
    if not begin:
        raise InputError(f"{path}: is empty; {FORMATS}")
    first = begin[0][1].strip()[:40]
    what = "; of MEME's output give the text, meme.txt" if first[0] == "<" else ""
    raise InputError(f"{path}: begins with {first!r}{what}; {FORMATS}")
