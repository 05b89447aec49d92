"""What counts as a class: labels that are missing, equal, doubtful, or given in several forms.

Imports no torch: the config check looks at files too.
"""

import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from seqexp.errors import InputError


class Document(NamedTuple):
    """One text with its class; `place` is where it stands, for messages."""

    text: str
    label: str
    place: str


MISSING = frozenset(
    ["", "nan", "NaN", "NAN", "-nan", "NA", "<NA>", "#NA", "#N/A", "None", "null", "NULL", "NaT"]
)
"""What other tools write for a value that is missing."""

MAX_SCALE = 20
"""Classes that are fractions, above which they look like measurements."""

_SHOWN = 3
"""Places and labels that a message names."""

_NUMBER = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?", re.ASCII)


def is_number(label: str) -> bool:
    """Whether a label is a plain number: digits, a decimal point, an exponent."""
    return _NUMBER.fullmatch(label) is not None


def has_fraction(label: str) -> bool:
    """Whether a label is a number that is not whole."""
    if not is_number(label):
        return False
    value = Decimal(label)
    return value != value.to_integral_value()


class Labels:
    """Labels of a file as they are read: refuses at the end what no class can be made of.

    Args:
        source: name of the file in messages.
        name: of the column or key.
    """

    def __init__(self, source: object, name: str) -> None:
        self.source, self.name = source, name
        self.count = 0
        self.missing: list[str] = []  # places
        self.kinds: dict[str, str] = {}  # the first place of each, and the label there

    def read(self, value: Any, place: str) -> str:
        """The class of a value of a table or of JSON; an empty string where it is missing.

        Raises:
            InputError: if the value can be no label.
        """
        self.count += 1
        label = value.strip() if isinstance(value, str) else _of_json(value)
        if label is None:
            raise InputError(
                f"{place}: {self.name} is {json.dumps(value)[:40]}, which is no label; give a"
                " string, a number, true or false"
            )
        if label in MISSING:
            is_empty = isinstance(value, str) and not label
            shown = "nothing" if is_empty else json.dumps(value, ensure_ascii=False)
            self.missing.append(f"{place} ({shown})")
            return ""
        kind = "truth values" if isinstance(value, bool) else "strings or numbers"
        if kind not in self.kinds:
            self.kinds[kind] = f"{place} ({json.dumps(value, ensure_ascii=False)[:40]})"
        return label

    def refuse(self) -> None:
        """Refuse missing labels, and truth values among others.

        Raises:
            InputError: naming the first places.
        """
        if self.missing:
            more = ", ..." if len(self.missing) > _SHOWN else ""
            raise InputError(
                f"{self.source}: {len(self.missing):,} of {self.count:,} texts have no"
                f" {self.name}: {', '.join(self.missing[:_SHOWN])}{more}; give one, or remove these"
                " texts (a class of such a name needs another name)"
            )
        if len(self.kinds) > 1:
            places = " and ".join(f"{kind} at {place}" for kind, place in self.kinds.items())
            raise InputError(
                f"{self.source}: values of {self.name} are {places}; give all in the same form"
            )


def _of_json(value: Any) -> str | None:
    """How JSON writes a value; None if it is no label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and math.isinf(value):
        return None
    return json.dumps(value) if isinstance(value, int | float) else None


@dataclass
class Tally:
    """Labels of a split: how often each stands, and which of its texts is the first of each."""

    place_of: Callable[[int], str]
    """The place of a text, by its number."""
    counts: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def add(self, label: str, count: int = 1) -> None:
        """Count the label of the next text, or of so many."""
        if label in self.counts:
            self.counts[label] += count
        else:
            self.counts[label], self.firsts[label] = count, self.size
        self.size += count

    @classmethod
    def of(cls, documents: Sequence[Document]) -> "Tally":
        """The labels of documents."""
        found = cls(lambda number: documents[number].place)
        for document in documents:
            found.add(document.label)
        return found


def classes_of(
    splits: Mapping[str, Sequence[Document]],
    things: str = "texts",
    key: str = "dataset.label_column",
) -> tuple[dict[str, list[Document]], list[str]]:
    """Documents with one label a class, and what a reader should know of the classes.

    Args:
        splits: documents by split.
        things: what messages call the documents.
        key: that names the column of the labels.

    Raises:
        InputError: as `class_names`.
    """
    tallies = {split: Tally.of(found) for split, found in splits.items()}
    names, notes = class_names(tallies, things, key)
    named = {
        split: [d if d.label == names[d.label] else d._replace(label=names[d.label]) for d in found]
        for split, found in splits.items()
    }
    return named, notes


def class_names(
    tallies: Mapping[str, Tally], things: str = "texts", key: str = "dataset.label_column"
) -> tuple[dict[str, str], list[str]]:
    """The class of each label, and what a reader should know of the classes.

    Numbers that are equal are one class.

    Raises:
        InputError: if the labels are no classes, or cannot be learned from the training split.
    """
    names, notes = _merged(label for tally in tallies.values() for label in tally.counts)
    counts: Counter[str] = Counter()
    for label, count in tallies["train"].counts.items():
        counts[names[label]] += count
    first = names[next(iter(tallies["train"].counts))]
    _refuse_measurements(tallies["train"], first, counts, things, key)
    _refuse_unlearnable(tallies, names, counts, things)
    return names, [*notes, *_doubts(sorted(counts))]


def _merged(labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The class of each label, and a note on numbers that are written in several ways."""
    names = {label: label for label in labels}
    by_value: dict[Decimal, list[str]] = defaultdict(list)
    for label in names:
        if is_number(label):
            by_value[Decimal(label)].append(label)
    notes = []
    for forms in by_value.values():
        if len(forms) > 1:
            forms.sort(key=lambda form: (len(form), form))
            names.update(dict.fromkeys(forms, forms[0]))
            notes.append(f"labels {_listed(forms)} are equal numbers: one class, {forms[0]!r}")
    return names, notes[:_SHOWN]


def _refuse_measurements(
    train: Tally, first: str, counts: Mapping[str, int], things: str, key: str
) -> None:
    """Labels that nearly every text has its own of, and fractions of many values."""
    size = train.size
    is_numeric = all(map(is_number, counts))
    fraction = next((label for label in counts if is_numeric and has_fraction(label)), None)
    is_id = size >= 10 and 2 * len(counts) > size
    if not is_id and (fraction is None or len(counts) <= MAX_SCALE):
        return
    example = fraction or first
    what = "numbers, as" if is_numeric else "as"
    raise InputError(
        f"{train.place_of(0)}: the labels are {what} {example[:40]!r}, {len(counts):,} different"
        f" ones in {size:,} {things}: they look like"
        f" {'measurements or ' if is_numeric else ''}names of the {things}, not like classes; is"
        f" {key} right? For numbers give dataset.task=regression, or divide their range into a few"
        " classes"
    )


def _refuse_unlearnable(
    tallies: Mapping[str, Tally], names: Mapping[str, str], counts: Mapping[str, int], things: str
) -> None:
    """Classes that the texts for training lack."""
    train = tallies["train"]
    if len(counts) < 2:
        raise InputError(
            f"{train.place_of(0)}: all {train.size:,} {things} have the label"
            f" {next(iter(counts))!r}; at least two classes are needed"
        )
    for split in tallies.keys() - {"train"}:
        tally = tallies[split]
        for label, first in tally.firsts.items():
            if names[label] not in counts:
                shown = ", ".join(sorted(counts)[:20])
                raise InputError(
                    f"{tally.place_of(first)}: no {things.removesuffix('s')} for training has the"
                    f" label {names[label]!r}; these have {shown}"
                )


def _doubts(classes: Sequence[str]) -> list[str]:
    """Classes that may be meant as one, and numbers that may be meant as such."""
    notes = []
    alike: dict[str, list[str]] = defaultdict(list)
    for label in classes:
        folded = unicodedata.normalize("NFKC", label).casefold()
        alike["".join(folded.split())].append(label)
    for forms in [forms for forms in alike.values() if len(forms) > 1][:_SHOWN]:
        notes.append(
            f"classes {_listed(forms)} differ by case, blanks or the form of a letter only; they"
            " are learned as different ones"
        )
    truths = [label for label in classes if label.casefold() in ("true", "false")]
    digits = [label for label in classes if label in ("0", "1")]
    if truths and digits:
        notes.append(
            f"classes {_listed([*truths, *digits])} may be the same truth values in two forms;"
            " they are learned as different ones"
        )
    if all(map(is_number, classes)) and (
        len(classes) > MAX_SCALE or any(map(has_fraction, classes))
    ):
        notes.append(
            f"the {len(classes)} labels are numbers, as {_listed(classes[:2])}: they are learned as"
            " classes, without their order"
        )
    return notes


def _listed(labels: Sequence[str]) -> str:
    shown = [repr(label)[:42] for label in labels[:5]]
    return " and ".join(shown) if len(shown) < 3 else f"{', '.join(shown[:-1])} and {shown[-1]}"
