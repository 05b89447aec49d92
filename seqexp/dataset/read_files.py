"""Files of reads: FASTA and FASTQ (one cluster), or clusters as lines, all perhaps gzipped."""

import gzip
import io
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqexp.errors import InputError
from seqexp.spec import Cluster

LETTERS = "ACGT"

FORMATS = (
    "expected are FASTA ('>'), FASTQ ('@'), or clusters: lines of letters, a blank line after each"
    " cluster"
)

log = logging.getLogger("seqexp")


@dataclass(frozen=True)
class Rules:
    """What is taken from a file.

    Args:
        has_truth: the first sequence of a cluster is the true one; None: it is in a file of
            clusters, and is not in FASTA and FASTQ.
        bad_reads: `refuse` a file with a read that is empty or has other letters than A, C, G, T;
            `skip` such reads, and say how many. Lower case is read as upper case, U as T. A true
            sequence may never be bad.
        max_reads: take the first so many reads of each cluster; None takes all.
        max_clusters: take the first so many clusters; None takes all.
    """

    has_truth: bool | None = None
    bad_reads: Literal["refuse", "skip"] = "refuse"
    max_reads: int | None = None
    max_clusters: int | None = None


@dataclass(frozen=True)
class _Line:
    """A sequence and where it stands."""

    where: str
    letters: str


def read_clusters(path: Path, rules: Rules) -> tuple[Cluster, ...]:
    """All clusters of a file.

    Raises:
        InputError: naming the file and the place of what is wrong.
    """
    text = _text(path)
    start = text.lstrip()[:1]
    layout = {">": "fasta", "@": "fastq"}.get(start, "clusters")
    groups = _lines(path, text) if layout == "clusters" else _records(path, text, layout)
    has_truth = layout == "clusters" if rules.has_truth is None else rules.has_truth
    clusters: list[Cluster] = []
    skipped = 0
    for group in groups:
        if rules.max_clusters is not None and len(clusters) == rules.max_clusters:
            break
        cluster, bad = _cluster(path, group, has_truth, rules)
        clusters.append(cluster)
        skipped += bad
    if not clusters:
        raise InputError(f"{path}: holds no read; {FORMATS}")
    if skipped:
        log.warning(f"{path}: {skipped} reads that are empty or have other letters were left out")
    return tuple(clusters)


def _cluster(path: Path, group: list[_Line], has_truth: bool, rules: Rules) -> tuple[Cluster, int]:
    """A cluster, and how many bad reads were left out."""
    truth = group[0].letters if has_truth else None
    if truth is not None:
        _refuse_bad(path, group[0], "true sequence")
    lines = group[1:] if has_truth else group
    reads: list[str] = []
    skipped = 0
    for line in lines:
        if rules.max_reads is not None and len(reads) == rules.max_reads:
            break
        if rules.bad_reads == "skip" and _is_bad(line.letters):
            skipped += 1
            continue
        _refuse_bad(path, line, "read")
        reads.append(line.letters)
    if not reads:
        why = "the true sequence is followed by no read" if has_truth else "no read is left"
        hint = "; without true sequences give reads_have_truth=false" if has_truth else ""
        raise InputError(f"{path}: at {group[0].where}, {why}{hint}")
    return Cluster(tuple(reads), truth), skipped


def _is_bad(letters: str) -> bool:
    return not letters or bool(set(letters) - set(LETTERS))


def _refuse_bad(path: Path, line: _Line, what: str) -> None:
    if not _is_bad(line.letters):
        return
    others = sorted(set(line.letters) - set(LETTERS))
    fault = f"has {', '.join(map(repr, others[:3]))}" if others else "is empty"
    hint = "; or leave such reads out by bad_reads=skip" if what == "read" else ""
    raise InputError(f"{path}: the {what} at {line.where} {fault}; letters are {LETTERS}{hint}")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text; {FORMATS}") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from error


def _clean(letters: str) -> str:
    return "".join(letters.split()).upper().replace("U", "T")


def _lines(path: Path, text: str) -> Iterator[list[_Line]]:
    group: list[_Line] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            group.append(_Line(f"line {number}", _clean(line)))
        elif group:
            yield group
            group = []
    if group:
        yield group


def _records(path: Path, text: str, layout: str) -> Iterator[list[_Line]]:
    """One cluster, of all records."""
    from Bio.SeqIO.FastaIO import SimpleFastaParser  # a quarter of a second: only where needed
    from Bio.SeqIO.QualityIO import FastqGeneralIterator

    parse = SimpleFastaParser if layout == "fasta" else FastqGeneralIterator
    try:
        records = list(parse(io.StringIO(text.lstrip())))
    except ValueError as error:
        raise InputError(f"{path}: is not sound as a {layout} file: {error}") from error
    yield [
        _Line(f"record {number} ({record[0][:40]})", _clean(record[1]))
        for number, record in enumerate(records, start=1)
    ]
