"""Files of intervals: their names, what they ask, and what cannot work; imports no torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqexp.dataset.dna.regions import MAX_BYTES
from seqexp.dataset.own_files import missing
from seqexp.errors import InputError
from seqexp.formats.fasta import first_letter
from seqexp.formats.genome import check_genome
from seqexp.formats.intervals import COLUMNS, read_intervals, unknown_column
from seqexp.formats.text import ending, open_unpacked
from seqexp.utils.nearest import nearest
from seqexp.utils.rules import Faults, Node

SHUFFLE, GC_MATCHED = "shuffle", "gc-matched"

NamedFiles = Mapping[str, str]
"""Name of a class or label -> its file."""

Intervals = str | Sequence[str] | NamedFiles

_KEYS = ("genome", "width", "centre", "blacklist")
"""Of `dataset`, that are of intervals only."""


def named_files(intervals: Intervals) -> NamedFiles:
    """Name -> file; names of files without their endings, where none are given.

    Raises:
        InputError: if two files would have one name.
    """
    if isinstance(intervals, Mapping):
        return intervals
    paths = [intervals] if isinstance(intervals, str) else intervals
    found: dict[str, str] = {}
    for path in paths:
        file = Path(path)
        whole = file.with_suffix("") if ending(file) != file.suffix.lower() else file
        name = whole.with_suffix("").name
        if name in found:
            raise InputError(
                f"dataset.intervals is {[*paths]}, of which two files are named {name!r}; give"
                " names of your own: dataset.intervals={NAME: FILE, OTHER: FILE}"
            )
        found[name] = path
    return found


def asks_one_class(intervals: Intervals, targets: Sequence[str] | None, task: str | None) -> bool:
    """Whether intervals are the positives of one question: yes or no."""
    return len(named_files(intervals)) == 1 and targets is None and task in (None, "sequence_class")


def is_fasta(path: Path) -> bool:
    """Whether a file begins as FASTA does.

    Raises:
        InputError: if it cannot be read.
    """
    with open_unpacked(path) as file:
        return first_letter(file) == ">"


def interval_faults(dataset: Node) -> Faults:
    """What cannot work with intervals, as far as keys and first rows tell."""
    if dataset["intervals"] is None:
        for key in _KEYS:
            if dataset[key] is not None:
                yield (
                    f"dataset.{key} is {dataset[key]}, but dataset.intervals is null; give BED or"
                    f" narrowPeak files, or {key}=null"
                )
        if dataset["negatives"] == GC_MATCHED:
            yield (
                "dataset.negatives is gc-matched, which draws from a genome, but dataset.intervals"
                " is null; give intervals, or shuffle or a FASTA file"
            )
        return
    yield from _file_faults(dataset)
    yield from _question_faults(dataset)
    width, least = dataset["width"], dataset["min_length"]
    if dataset["centre"] is not None and width is None:
        yield f"dataset.centre is {dataset['centre']}, but dataset.width is null; give a width"
    if width is not None and width < least:
        yield f"dataset.width is {width}, but dataset.min_length is {least}; give at least as many"
    if dataset["alphabet"] not in ("dna", "auto"):
        yield (
            f"dataset.alphabet is {dataset['alphabet']}, but dataset.intervals is given, and a"
            " genome is of DNA; give dna"
        )


def _file_faults(dataset: Node) -> Faults:
    try:
        files = named_files(dataset["intervals"])
    except InputError as error:
        yield str(error)
        return
    if not files:
        yield f"dataset.intervals is {dataset['intervals']}, of no files; give one or several"
    if dataset["genome"] is None:
        yield "dataset.intervals is given, but dataset.genome is null; give the genome in FASTA"
    else:
        try:
            check_genome(dataset["genome"], "dataset.genome")
        except InputError as error:
            yield str(error)
    given = [("intervals", path) for path in files.values()]
    given += [("blacklist", dataset["blacklist"])] if dataset["blacklist"] is not None else []
    negatives = dataset["negatives"]
    if negatives not in (SHUFFLE, GC_MATCHED):
        given.append(("negatives", negatives))
    for key, path in given:
        try:
            yield from _first_row_faults(f"dataset.{key}", path)
        except InputError as error:
            yield f"dataset.{key}: {error}"


def _first_row_faults(key: str, path: str) -> Faults:
    if not Path(path).is_file():
        near = nearest(path, (SHUFFLE, GC_MATCHED), close=0.6)
        hint = f"; did you mean {near}?" if key.endswith("negatives") and near else ""
        yield f"{missing(key, path)}{hint}"
        return
    if key.endswith("negatives") and is_fasta(Path(path)):
        return
    if next(read_intervals(Path(path), MAX_BYTES), None) is None:
        yield f"{key} is {path}, which has no intervals"


def _question_faults(dataset: Node) -> Faults:
    targets, task = dataset["targets"], dataset["task"]
    files: Any = dataset["intervals"]
    count = 1 if isinstance(files, str) else len(files)
    if count > 1 and targets is not None:
        yield (
            f"dataset.targets is {targets}, but dataset.intervals names {count} files, which are"
            " what is asked for; give one file, or targets=null"
        )
    elif count > 1 and task in (None, "regression"):
        yield (
            f"dataset.intervals names {count} files and dataset.task is {task or 'null'}; say what"
            " the files are: task=sequence_class (each interval is of one) or task=multi_label (an"
            " interval may be in several)"
        )
    if count == 1 and targets is None and task == "multi_label":
        yield "dataset.task is multi_label, but dataset.intervals names one file; give several"
    unknown = [column for column in targets or [] if column not in COLUMNS]
    if unknown:
        yield f"dataset.targets: {unknown_column(unknown[0])}"
    if dataset["negatives"] != SHUFFLE and count == 1 and (targets or task == "regression"):
        what = f"dataset.targets is {targets}" if targets else "dataset.task is regression"
        yield (
            f"dataset.negatives is {dataset['negatives']}, but {what}, which negatives do not have;"
            " give negatives=shuffle, of which none are made then"
        )
