"""Files of reads: FASTA and FASTQ (one cluster), or clusters as lines, all perhaps gzipped."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from seqexp.data import Cluster
from seqexp.errors import InputError
from seqexp.formats.dna import IUPAC, LETTERS
from seqexp.formats.fasta import Entry, first_letter, read_fasta, read_fastq
from seqexp.formats.text import open_unpacked, read_lines

MAX_BYTES = 2**31
"""Of a file of reads, unpacked."""

FORMATS = (
    "expected are FASTA ('>'), FASTQ ('@'), or clusters: lines of letters, a blank line after each"
    " cluster, or a line of one sign, as '===='"
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
            sequence may never be bad, and a line that cannot be a read is always refused.
        max_reads: take the first so many reads of each cluster; None takes all.
        max_clusters: take the first so many clusters; None takes all.
    """

    has_truth: bool | None = None
    bad_reads: Literal["refuse", "skip"] = "refuse"
    max_reads: int | None = None
    max_clusters: int | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """A sequence and where it stands."""

    where: str
    letters: str


@dataclass(frozen=True)
class _Group:
    """Sequences of a cluster, which may have no reads where a mark says which is the true one."""

    lines: Iterable[_Line]
    has_truth: bool
    may_be_empty: bool = False


def read_clusters(path: Path, rules: Rules) -> tuple[Cluster, ...]:
    """All clusters of a file.

    Raises:
        InputError: naming the file and the place of what is wrong.
    """
    clusters: list[Cluster] = []
    skipped = without = 0
    for group in _groups(path, rules):
        if rules.max_clusters is not None and len(clusters) == rules.max_clusters:
            break
        cluster, bad = _cluster(path, group, rules)
        without += cluster is None
        skipped += bad
        if cluster is not None:
            clusters.append(cluster)
    if not clusters:
        raise InputError(f"{path}: holds no read; {FORMATS}")
    if skipped:
        log.warning(f"{path}: {skipped} reads that are empty or have other letters were left out")
    if without:
        log.warning(f"{path}: {without} clusters that have no read were left out")
    return tuple(clusters)


def read_with_truths(
    path: Path, truths: Path, rules: Rules
) -> tuple[tuple[Cluster, ...], list[str]]:
    """Clusters that lines of signs divide, with true sequences from a file of their own.

    The layout of published sets: `Clusters.txt` with `Centers.txt`, `reads.txt` with
    `ground_truth.txt`. A cluster may be empty; its true sequence is left out with it.

    Raises:
        InputError: naming the file and the place of what is wrong.
    """
    with open_unpacked(truths, MAX_BYTES) as file:
        known = [
            _Line(f"line {number}", _clean(line))
            for number, line in enumerate(read_lines(file, name=str(truths)), start=1)
            if line.strip()
        ]
    for line in known:
        _refuse_bad(truths, line, "true sequence")
    parts = _divided_by_signs(path)
    if len(parts) != len(known):
        raise InputError(
            f"{path} has {len(parts):,} clusters, divided by lines of signs, and {truths} has"
            f" {len(known):,} true sequences; give a sequence for each cluster, in their order"
        )
    found: list[Cluster] = []
    empty: list[int] = []
    skipped = 0
    for number, (lines, truth) in enumerate(zip(parts, known, strict=True), start=1):
        if rules.max_clusters is not None and len(found) == rules.max_clusters:
            break
        if not lines:
            empty.append(number)
            continue
        cluster, bad = _cluster(path, _Group(lines, has_truth=False), rules)
        assert cluster is not None
        skipped += bad
        found.append(Cluster(cluster.reads, truth.letters))
    if not found:
        raise InputError(f"{path}: holds no read; {FORMATS}")
    if skipped:
        log.warning(f"{path}: {skipped} reads that are empty or have other letters were left out")
    named = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
    notes = [f"{len(empty):,} clusters are empty and left out: number {named}"] if empty else []
    return tuple(found), notes


def stream_clusters(path: Path, rules: Rules) -> Iterator[tuple[int, list[str]]]:
    """The reads of each cluster of a file and its number, from 1; none where it is empty.

    Read as they come, in constant memory, of the layouts of `read_clusters`. A true sequence is
    left out: the first of each cluster where `rules.has_truth` says so, and in clusters that blank
    lines divide, unless it says that there is none.

    Raises:
        InputError: as `read_clusters`.
    """
    with open_unpacked(path, MAX_BYTES) as file:
        start = first_letter(file)
        if start in (">", "@"):
            reader = read_fasta if start == ">" else read_fastq
            entries = reader(file, name=str(path))
            lines = [
                _Line(f"record {e.number} ({e.header[:40]})", _clean(e.letters)) for e in entries
            ]
            if lines:
                yield 1, _reads(path, lines, bool(rules.has_truth), rules)
            return
        found = _stream_of_lines(read_lines(file, name=str(path)), path, rules)
        for number, (lines, has_truth) in enumerate(found, start=1):
            yield number, _reads(path, lines, has_truth, rules)


def _reads(path: Path, lines: Sequence[_Line], has_truth: bool, rules: Rules) -> list[str]:
    if len(lines) <= has_truth:
        return []
    cluster, _ = _cluster(path, _Group(lines, has_truth, may_be_empty=True), rules)
    return [] if cluster is None else list(cluster.reads)


def _stream_of_lines(
    lines: Iterator[str], path: Path, rules: Rules
) -> Iterator[tuple[list[_Line], bool]]:
    """The lines of each cluster, and whether the first is the true sequence."""
    found: list[_Line] = []
    is_apart = has_signs = False  # since the last blank line
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped or _SIGNS.fullmatch(stripped):
            is_sign = bool(stripped)
            if is_sign and len(found) == 1 and not has_signs and stripped[0] == "*":
                is_apart = True
            elif found or (is_sign and has_signs):
                by_signs = has_signs or is_sign
                yield found, is_apart or _begins_with_truth(rules, by_signs)
                found, is_apart = [], False
            has_signs = is_sign
        elif _clean(stripped).strip(f"{IUPAC}X-.?*"):
            raise InputError(f"{path}: line {number} is {stripped[:40]!r}, no read; {FORMATS}")
        else:
            found.append(_Line(f"line {number}", _clean(stripped)))
    if found:
        yield found, is_apart or _begins_with_truth(rules, has_signs)


def _begins_with_truth(rules: Rules, divided_by_signs: bool) -> bool:
    return bool(rules.has_truth) if divided_by_signs else rules.has_truth is not False


def _divided_by_signs(path: Path) -> list[list[_Line]]:
    """The lines of each cluster; a line of signs before the first divides nothing."""
    parts: list[list[_Line]] = [[]]
    is_first = True
    with open_unpacked(path, MAX_BYTES) as file:
        for number, line in enumerate(read_lines(file, name=str(path)), start=1):
            stripped = line.strip()
            if not stripped:
                continue
            if _SIGNS.fullmatch(stripped):
                parts += [] if is_first else [[]]
            elif _clean(stripped).strip(f"{IUPAC}X-.?*"):
                raise InputError(f"{path}: line {number} is {stripped[:40]!r}, no read; {FORMATS}")
            else:
                parts[-1].append(_Line(f"line {number}", _clean(stripped)))
            is_first = False
    if len(parts) > 1 and not parts[-1]:  # a line of signs at the end
        parts.pop()
    return parts


def _cluster(path: Path, group: _Group, rules: Rules) -> tuple[Cluster | None, int]:
    """A cluster, None if it is said to have no read, and how many bad reads were left out."""
    lines = iter(group.lines)
    first = next(lines)
    if group.has_truth:
        _refuse_bad(path, first, "true sequence")
    else:
        lines = chain([first], lines)
    reads: list[str] = []
    skipped = 0
    for line in lines:
        if rules.bad_reads == "skip" and _is_bad(line.letters):
            skipped += 1
            continue
        _refuse_bad(path, line, "read")
        reads.append(line.letters)
        if rules.max_reads is not None and len(reads) == rules.max_reads:
            break
    if not reads and not skipped and group.may_be_empty:
        return None, 0
    if not reads:
        why = "the true sequence is followed by no read" if group.has_truth else "no read is left"
        hint = "; without true sequences give reads_have_truth=false" if group.has_truth else ""
        raise InputError(f"{path}: at {first.where}, {why}{hint}")
    return Cluster(tuple(reads), first.letters if group.has_truth else None), skipped


def _is_bad(letters: str) -> bool:
    return not letters or bool(letters.strip(LETTERS)) or bool(set(letters) - set(LETTERS))


def _refuse_bad(path: Path, line: _Line, what: str) -> None:
    if not _is_bad(line.letters):
        return
    others = sorted(set(line.letters) - set(LETTERS))
    fault = f"has {', '.join(map(repr, others[:3]))}" if others else "is empty"
    hint = "; or leave such reads out by bad_reads=skip" if what == "read" else ""
    raise InputError(f"{path}: the {what} at {line.where} {fault}; letters are {LETTERS}{hint}")


def _clean(letters: str) -> str:
    return "".join(letters.split()).upper().replace("U", "T")


def _groups(path: Path, rules: Rules) -> Iterator[_Group]:
    """The sequences of each cluster, by the layout that the first letter tells."""
    with open_unpacked(path, MAX_BYTES) as file:
        start = first_letter(file)
        if start == ">":
            yield from _of_records(read_fasta(file, name=str(path)), rules)
        elif start == "@":
            yield from _of_records(read_fastq(file, name=str(path)), rules)
        else:
            yield from _of_lines(read_lines(file, name=str(path)), path, rules)


def _of_records(entries: Iterator[Entry], rules: Rules) -> Iterator[_Group]:
    """One cluster, of all records."""
    lines = (
        _Line(f"record {entry.number} ({entry.header[:40]})", _clean(entry.letters))
        for entry in entries
    )
    first = next(lines, None)
    if first is not None:
        yield _Group(chain([first], lines), bool(rules.has_truth))


BLANK = "ends a cluster, without signs in it"
APART = "sets a true sequence apart from its reads"
DIVIDES = "divides clusters by signs"

_SIGNS = re.compile(r"([=*#~_+-])\1*|#.*")
"""A line that is no read: of one sign again and again, or a heading."""


def _of_lines(lines: Iterator[str], path: Path, rules: Rules) -> Iterator[_Group]:
    """Clusters that blank lines divide, or lines of signs.

    A line of signs after the first sequence of lines that belong together, and no other, sets the
    true sequence apart; all others divide clusters.
    """
    found = _Layout(path, rules)
    number = 0
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped:
            yield from found.end(number)
        elif _SIGNS.fullmatch(stripped):
            yield from found.sign(number, stripped)
        else:
            found.sequence(number, stripped)
    yield from found.end(number + 1, is_last=True)


class _Layout:
    """What the lines of signs in a file of clusters mean, as far as it was read."""

    def __init__(self, path: Path, rules: Rules) -> None:
        self.path, self.rules = path, rules
        self.lines: list[_Line] = []
        self.marked: int | None = None  # a line of signs after the first sequence
        self.mark = ""
        self.has_signs = False  # since the last blank line
        self.is_first = True  # no blank line yet
        self.seen: dict[str, int] = {}  # each meaning, and the line that first had it

    def sequence(self, number: int, text: str) -> None:
        """Add a read or true sequence."""
        letters = _clean(text)
        if letters.strip(f"{IUPAC}X-.?*"):
            raise InputError(f"{self.path}: line {number} is {text[:40]!r}, no read; {FORMATS}")
        self.lines.append(_Line(f"line {number}", letters))

    def sign(self, number: int, text: str) -> Iterator[_Group]:
        """What ends at a line of signs."""
        if len(self.lines) == 1 and not self.has_signs:
            self.marked, self.mark, self.has_signs = number, text[0], True
            return
        self.has_signs = True
        yield from self._divided(number if self.marked is None else self.marked)

    def end(self, number: int, is_last: bool = False) -> Iterator[_Group]:
        """What ends at a blank line, or with the file."""
        is_whole_file = self.is_first and is_last
        if self.marked is not None and is_whole_file and self.mark != "*":
            yield from self._divided(self.marked)
        elif self.marked is not None:
            self._means(APART, self.marked)
            yield _Group(self.lines, has_truth=True, may_be_empty=True)
        elif self.lines and self.has_signs:
            yield _Group(self.lines, bool(self.rules.has_truth))
        elif self.lines:
            self._means(BLANK, number - 1)
            yield _Group(self.lines, self.rules.has_truth is not False)
        self.is_first &= not self.lines
        self.lines, self.marked, self.has_signs = [], None, False

    def _divided(self, number: int) -> Iterator[_Group]:
        """The lines before and after a mark as clusters of their own, or all lines as one."""
        self._means(DIVIDES, number)
        parts = [self.lines] if self.marked is None else [self.lines[:1], self.lines[1:]]
        yield from (_Group(part, bool(self.rules.has_truth)) for part in parts if part)
        self.is_first &= not any(parts)
        self.lines, self.marked = [], None

    def _means(self, meaning: str, number: int) -> None:
        """Refuse a meaning that the rules or another line contradict."""
        if meaning in self.seen:
            return
        self.seen[meaning] = number
        has_truth = self.rules.has_truth
        if APART in self.seen and len(self.seen) > 1:
            both = ", and ".join(f"line {line} {means}" for means, line in self.seen.items())
            raise InputError(f"{self.path}: {both}; {FORMATS}")
        if meaning == APART and has_truth is False:
            raise InputError(
                f"{self.path}: line {number} {APART}, but dataset.reads_have_truth is false; give"
                " true or null"
            )
        if meaning == DIVIDES and has_truth is None:
            raise InputError(
                f"{self.path}: line {number} {DIVIDES}, but dataset.reads_have_truth is null; give"
                " true if the first sequence of each cluster is the true one, false if none is"
            )
