"""What is predicted of recordings: which kind the labels are of, classes, numbers."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Literal

from seqexp.dataset.recordings.recording import MISSING, Recording, is_number, number
from seqexp.errors import InputError
from seqexp.utils.nearest import nearest

Kind = Literal["sequence_class", "token_class", "regression"]

MAX_CLASSES = 20
"""Numbers of more different values may be measurements."""

RARE = 0.01
"""Share of a label's frames, of another one's, below which one may be the other misspelt."""

ALIKE = 0.7
"""Likeness of two such labels, from 0 to 1."""

_ASK = "give dataset.task=regression for numbers, sequence_class or token_class for classes"


def kind_of(recordings: Sequence[Recording], names: Sequence[str]) -> tuple[Kind, str]:
    """The kind that the labels tell, and why.

    Args:
        recordings: all of them.
        names: of the columns of labels.

    Raises:
        InputError: if they fit several.
    """
    name = ", ".join(names)
    if len(names) > 1:
        return "regression", f"there are {len(names)} columns of numbers, {name:.80}"
    labels = {label for one in recordings for label in one.labels[0]} - MISSING
    is_numeric = bool(labels) and all(map(is_number, labels))
    if is_numeric and any(float(label) % 1 for label in labels):
        return "regression", f"{name} has fractions, as {_fraction(labels)}"
    if is_numeric and len(labels) > MAX_CLASSES:
        raise InputError(
            f"{recordings[0].place(0)}: {name} has {len(labels):,} different whole numbers, which"
            f" may be classes or measurements; {_ASK}"
        )
    if all(len(set(one.labels[0])) == 1 for one in recordings):
        return "sequence_class", f"{name} is the same in all frames of a sequence"
    return "token_class", f"{name} changes within a sequence"


def _fraction(labels: set[str]) -> str:
    return next(label for label in sorted(labels) if float(label) % 1)


def renamed(
    recordings: Sequence[Recording], names: Mapping[str, str]
) -> tuple[list[Recording], list[str]]:
    """With labels as `names` has them, and equal numbers in one form; and notes.

    Raises:
        InputError: if a name of `names` is no label, or a label is missing.
    """
    known = Counter(label for one in recordings for label in one.labels[0])
    for label in names:
        if label not in known:
            near = nearest(label, sorted(known), close=0.5)
            hint = f"; did you mean {near!r}?" if near is not None else ""
            raise InputError(
                f"dataset.label_names has {label!r:.40}, which no frame has{hint} (there are"
                f" {', '.join(sorted(known)[:20])})"
            )
    for one in recordings:
        for frame, label in enumerate(one.labels[0]):
            if label.lower() in MISSING - {"none", "na"}:
                shown = repr(label) if label else "nothing"
                raise InputError(
                    f"{one.place(frame)}: the label is {shown}; give one, or remove these frames"
                )
    forms = {label: names.get(label, label) for label in known}
    by_value: dict[float, str] = {}
    notes = []
    for label in sorted(forms, key=lambda label: (len(label), label)):
        if label not in names and is_number(label):
            forms[label] = by_value.setdefault(float(label), label)
            if forms[label] != label:
                notes.append(f"labels {forms[label]!r} and {label!r} are equal numbers: one class")
    return [
        replace(one, labels=([forms[label] for label in one.labels[0]],)) for one in recordings
    ], notes


def refuse_measurements(recordings: Sequence[Recording]) -> None:
    """Refuse classes that are fractions of many values.

    Raises:
        InputError: asking which kind is meant.
    """
    labels = {label for one in recordings for label in one.labels[0]}
    if len(labels) <= MAX_CLASSES or not all(map(is_number, labels)):
        return
    if any(float(label) % 1 for label in labels):
        raise InputError(
            f"{recordings[0].place(0)}: the labels are {len(labels):,} different numbers, as"
            f" {_fraction(labels)}, which look like measurements, not like classes; {_ASK}"
        )


def one_label(one: Recording, column: int, name: str, kind: Kind) -> str:
    """The label of a whole recording.

    Raises:
        InputError: if it changes within the recording.
    """
    labels = one.labels[column]
    other = next((frame for frame, label in enumerate(labels) if label != labels[0]), None)
    if other is None:
        return labels[0]
    what = (
        "give a number a sequence"
        if kind == "regression"
        else "give dataset.task=token_class for a label a frame"
    )
    raise InputError(
        f"{one.place(other)}: {name} is {labels[other]!r:.40}, but {labels[0]!r:.40} before in"
        f" sequence {one.group!r:.40}; {what}"
    )


def frame_labels(one: Recording) -> Sequence[str]:
    """A label for each frame.

    Raises:
        InputError: if there is one for the recording only.
    """
    labels = one.labels[0]
    if len(labels) != len(one):
        raise InputError(
            f"{one.place(0)}: has {len(labels)} label of {len(one):,} frames; give a label a frame,"
            " or dataset.task=sequence_class"
        )
    return labels


def numbers_of(one: Recording, names: Sequence[str]) -> list[float]:
    """The numbers to be predicted of a recording; NaN where one is not known.

    Raises:
        InputError: naming what is no number, or changes within the recording.
    """
    found = []
    for index, name in enumerate(names):
        for frame, label in enumerate(one.labels[index]):
            number(label, f"{one.place(frame)}, column {name!r:.40}")
        found.append(number(one_label(one, index, name, "regression"), one.place(0)))
    return found


def classes_of(
    parts: Mapping[str, Sequence[Recording]], what: str
) -> tuple[tuple[str, ...], list[str]]:
    """The classes of all splits, sorted, and what a reader should know of them.

    Args:
        parts: recordings by split.
        what: labels are of, `frames` or `sequences`.

    Raises:
        InputError: if training has one class only.
    """
    counts = {name: _counts(part, what) for name, part in parts.items()}
    if len(counts["train"]) < 2:
        (label,) = counts["train"]
        raise InputError(
            f"{parts['train'][0].place(0)}: all {counts['train'].total():,} {what} for training"
            f" have the label {label!r:.40}; at least two classes are needed"
        )
    notes = []
    for name in ("valid", "test"):
        for label, count in counts[name].items():
            if label not in counts["train"]:
                notes.append(
                    f"{count:,} of {counts[name].total():,} {what} of {name} have the label"
                    f" {label!r:.40}, which training lacks: it cannot be learned"
                )
    everything = sum(counts.values(), Counter[str]())
    numbers = all(map(is_number, everything))
    order = sorted(everything, key=lambda label: (float(label) if numbers else 0.0, label))
    return tuple(order), [*notes, *_doubts(everything)]


def _counts(part: Sequence[Recording], what: str) -> Counter[str]:
    if what == "frames":
        return Counter(label for one in part for label in one.labels[0])
    return Counter(one.labels[0][0] for one in part)


def _doubts(counts: Counter[str]) -> Iterator[str]:
    """A note on each rare label that may be a frequent one misspelt."""
    labels = [label for label in counts if not is_number(label)]
    for rare in sorted(labels):
        for other in sorted(labels, key=lambda label: -counts[label]):
            is_same = _folded(rare) == _folded(other) and rare != other
            is_rare = counts[rare] <= RARE * counts[other]
            likeness = SequenceMatcher(None, _folded(rare), _folded(other)).ratio()
            if counts[rare] <= counts[other] and (is_same or (is_rare and likeness >= ALIKE)):
                yield (
                    f"labels {rare!r} ({counts[rare]:,}) and {other!r} ({counts[other]:,}) may be"
                    " one class in two spellings; they are learned as two, unless"
                    f" 'dataset.label_names=[\"{rare}={other}\"]'"
                )
                break


def _folded(label: str) -> str:
    """Without case, accents and blanks."""
    parts = unicodedata.normalize("NFKD", label).casefold()
    return "".join(c for c in parts if not unicodedata.combining(c) and not c.isspace())


def refuse_no_numbers(values: Sequence[Sequence[float]], names: Sequence[str], place: str) -> None:
    """Refuse a column without any number, or with the same one throughout.

    Raises:
        InputError: naming the column.
    """
    for index, name in enumerate(names):
        known = {row[index] for row in values if not math.isnan(row[index])}
        if len(known) < 2:
            shown = f"is {next(iter(known)):g}" if known else "is missing"
            raise InputError(
                f"{place}: {name} {shown} in all sequences for training; nothing can be learned"
            )
