"""What is asked of each sequence: columns of a table as classes, labels or numbers.

A dataset that reads a user's table hands its columns over as they stand. The kind of task is given
(`dataset.task`) or told by the values; where they leave it open, the user is asked. Imports no
torch.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from seqexp.dataset.words.labels import MAX_SCALE, MISSING, has_fraction, is_number
from seqexp.errors import InputError

Task = Literal["sequence_class", "multi_label", "regression"]
"""Kinds of task that columns can ask for."""

TRUTH = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
"""What is read as absent and present, in either case: as pandas and R write it."""

NOT_KNOWN = -100
"""`seqexp.spec.IGNORE`, which cannot be imported without torch."""

MAX_NUMBER = float(np.finfo(np.float32).max)

MARKS = (";", "|", ",")
"""What may stand between the names of labels."""

MAX_LISTED = 1000
"""Labels that a column may name: as many outputs."""

_EMPTY = "leave it empty (or NA, NaN, null) where it is not known"


@dataclass(frozen=True)
class Column:
    """Values of a column as they stand, and where each stands, for messages.

    `counts` are how often each value stands; None is once. Then a place is that of the first.
    """

    name: str
    values: Sequence[str]
    places: Sequence[object]
    counts: Sequence[int] | None = None

    def known(self) -> Iterator[tuple[str, object]]:
        """Values that are not missing, each with its place."""
        pairs = zip(self.values, self.places, strict=True)
        return ((value, place) for value, place in pairs if value not in MISSING)

    @property
    def num_rows(self) -> int:
        """Rows of the table."""
        return len(self.values) if self.counts is None else sum(self.counts)

    @property
    def num_missing(self) -> int:
        """Rows without a value."""
        counts = repeat(1) if self.counts is None else self.counts
        pairs = zip(self.values, counts, strict=False)
        return sum(count for value, count in pairs if value in MISSING)


def kind_of(columns: Sequence[Column], given: Task | None) -> tuple[Task, list[str]]:
    """The kind of task that columns ask for, and a note where it is not given.

    Several columns of 0 and 1 are labels, one of few different values is a class, and numbers with
    fractions are a regression.

    Args:
        columns: of the table, at least one.
        given: what `dataset.task` says; None is told by the values.

    Raises:
        InputError: if the values leave it open, or do not fit the kind that is given.
    """
    for column in columns:
        if next(column.known(), None) is None:
            raise InputError(
                f"{column.places[0]}: {column.name} is missing here and in all of"
                f" {column.num_rows:,} rows; give values, or leave out the column"
            )
    if given is not None:
        _refuse_misfit(columns, given)
        return given, []
    if len(columns) == 1:
        kind, why = _kind_of_one(columns[0])
    else:
        kind, why = _kind_of_several(columns)
    names = ", ".join(column.name for column in columns)
    return kind, [f"{names:.200}: {why}, so dataset.task is {kind}"]


def _refuse_misfit(columns: Sequence[Column], given: Task) -> None:
    if given != "sequence_class":
        return
    if len(columns) > 1:
        names = ", ".join(column.name for column in columns)
        raise InputError(
            f"dataset.task is sequence_class, which is one column, but dataset.targets names"
            f" {len(columns)} ({names:.200}); give one, or dataset.task=multi_label or regression"
        )
    refuse_fractions(columns[0])


def refuse_fractions(column: Column) -> None:
    """Ask which is meant where a class is asked for and values have fractions.

    Raises:
        InputError: naming the first.
    """
    found = next((pair for pair in column.known() if has_fraction(pair[0])), None)
    if found is not None:
        raise InputError(
            f"{found[1]}: {column.name} is {found[0][:40]!r}, a number with a fraction, but a"
            f" class is asked for; which is meant? For numbers give"
            f" dataset.targets=[{column.name}] dataset.task=regression; for classes write names"
            " instead of such numbers"
        )


def refuse_missing(column: Column, things: str) -> None:
    """Refuse missing values, where classes are asked for.

    Raises:
        InputError: naming the first places.
    """
    missing = [
        f"{place} ({value or 'nothing'})"
        for value, place in zip(column.values, column.places, strict=True)
        if value in MISSING
    ]
    if missing:
        count = column.num_missing
        more = ", ..." if count > len(missing[:3]) else ""
        raise InputError(
            f"{count:,} of {column.num_rows:,} {things} have no {column.name}:"
            f" {', '.join(missing[:3])}{more}; give one, or remove these rows (a class of such a"
            " name needs another name)"
        )


def _kind_of_one(column: Column) -> tuple[Task, str]:
    look = _look(column)
    if look == "numbers" and any(has_fraction(value) for value, _ in column.known()):
        return "regression", "numbers with fractions"
    values = {value for value, _ in column.known()}
    if look == "numbers":
        rows = column.num_rows - column.num_missing
        if len(values) > MAX_SCALE or (rows >= 10 and 2 * len(values) > rows):
            value, place = next(column.known())
            raise InputError(
                f"{place}: {column.name} is {value[:40]!r}, and has {len(values):,} different"
                f" integers in {rows:,} rows; are they numbers or classes? Give"
                " dataset.task=regression or dataset.task=sequence_class"
            )
    return "sequence_class", f"one column of {len(values)} different values"


def _kind_of_several(columns: Sequence[Column]) -> tuple[Task, str]:
    looks = {column.name: _look(column) for column in columns}
    texts = next((column for column in columns if looks[column.name] == "texts"), None)
    if texts is not None:
        value, place = next(pair for pair in texts.known() if not _is_plain(pair[0]))
        raise InputError(
            f"{place}: {texts.name} is {value[:40]!r}; several columns of dataset.targets are"
            f" labels (0 or 1) or numbers: name one column for classes, or {_EMPTY}"
        )
    if set(looks.values()) == {"truth"}:
        return "multi_label", "several columns of 0 and 1"
    if set(looks.values()) == {"numbers"}:
        return "regression", "several columns of numbers"
    truth = next(name for name, look in looks.items() if look == "truth")
    numbers = next(name for name, look in looks.items() if look == "numbers")
    raise InputError(
        f"dataset.targets names {truth} (0 and 1) and {numbers} (other numbers); are they labels or"
        " numbers? Give dataset.task=regression, or columns of one sort"
    )


def _look(column: Column) -> Literal["truth", "numbers", "texts"]:
    """What the values of a column look like.

    Raises:
        InputError: if some are numbers with fractions, and others no numbers.
    """
    if all(value.lower() in TRUTH for value, _ in column.known()):
        return "truth"
    odd = next((pair for pair in column.known() if not is_number(pair[0])), None)
    if odd is None:
        return "numbers"
    fraction = next((value for value, _ in column.known() if has_fraction(value)), None)
    if fraction is not None:
        value, place = odd
        raise InputError(
            f"{place}: {column.name} is {value[:40]!r}, but elsewhere a number, as"
            f" {fraction[:40]!r}: {_why_no_number(value)}; {_EMPTY}, or give"
            " dataset.task=sequence_class where these are names"
        )
    return "texts"


def _is_plain(value: str) -> bool:
    return value.lower() in TRUTH or is_number(value)


def listed(columns: Sequence[Column], given: Task | None) -> tuple[list[Column], list[str]]:
    """Columns of 0 and 1, a column a label, where several labels are asked for and one column names
    those that are there, as `sport;money`; and a note. Other columns stay as they are.

    Names are separated by the first of `;`, `|` and `,` that stands in some value. A separator
    alone names none of them; nothing, or NA, is not known.

    Raises:
        InputError: if there are more than `MAX_LISTED` names.
    """
    if given != "multi_label" or len(columns) > 1:
        return list(columns), []
    column = columns[0]
    if all(map(_is_plain, (value for value, _ in column.known()))):
        return [column], []
    mark = next((m for m in MARKS if any(m in value for value in column.values)), MARKS[0])
    different = dict.fromkeys(column.values)
    parts = {
        value: None if value in MISSING else {part.strip() for part in value.split(mark)} - {""}
        for value in different
    }
    names = sorted({name for row in parts.values() for name in row or ()})
    if not 0 < len(names) <= MAX_LISTED:
        raise InputError(
            f"{column.places[0]}: {column.name} names {len(names):,} different labels, separated by"
            f" {mark!r}; give 1 to {MAX_LISTED:,}, or columns of 0 and 1"
        )
    found = [
        Column(
            name,
            ["" if (row := parts[value]) is None else "01"[name in row] for value in column.values],
            column.places,
            column.counts,
        )
        for name in names
    ]
    note = f"{column.name} names {len(names)} labels, separated by {mark!r}"
    if column.num_missing:
        note += f"; {column.num_missing:,} are not known ({mark!r} alone would be none of them)"
    return found, [note]


def labels_of(columns: Sequence[Column]) -> Int64[np.ndarray, "rows labels"]:
    """0 and 1, a column a label; `NOT_KNOWN` where a value is missing.

    Raises:
        InputError: naming the first value that is neither.
    """
    found = np.full((len(columns[0].values), len(columns)), NOT_KNOWN, dtype=np.int64)
    for number, column in enumerate(columns):
        for row, value in enumerate(column.values):
            if value in MISSING:
                continue
            label = TRUTH.get(value.lower())
            if label is None:
                hint = "; for numbers give dataset.task=regression" if is_number(value) else ""
                raise InputError(
                    f"{column.places[row]}: {column.name} is {value[:40]!r}; a label is 0 (absent)"
                    f" or 1 (present), also 0.0 and false, 1.0 and true: {_EMPTY}{hint}"
                )
            found[row, number] = label
    return found


def numbers_of(columns: Sequence[Column]) -> Float32[np.ndarray, "rows values"]:
    """Numbers in the unit that they stand in; NaN where a value is missing.

    Raises:
        InputError: naming the first value that is no finite number.
    """
    found = np.full((len(columns[0].values), len(columns)), np.nan, dtype=np.float32)
    for number, column in enumerate(columns):
        for row, value in enumerate(column.values):
            if value in MISSING:
                continue
            if not is_number(value) or abs(float(value)) > MAX_NUMBER:
                raise InputError(
                    f"{column.places[row]}: {column.name} is {value[:40]!r}:"
                    f" {_why_no_number(value)}; {_EMPTY}"
                )
            found[row, number] = float(value)
    return found


def _why_no_number(value: str) -> str:
    """Why a value is no number, in words."""
    if is_number(value):
        return f"it is above {MAX_NUMBER:.4g} in size; give another unit"
    if value.lower().lstrip("+-") in ("inf", "infinity"):
        return "give a finite number"
    if re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?\s*[^\s\d.,'+-].*", value):
        return "write the number without its unit, as -3.5 or 1e-3"
    if re.match(r"[+-]?[\d.]*[,' ][\d.,' ]*", value):
        return "write numbers with a decimal point, and nothing between thousands, as 1234.5"
    return "give a number, as -3.5 or 1e-3"


def refuse_unlearnable(
    names: Sequence[str],
    train: Float32[np.ndarray, "rows values"] | Int64[np.ndarray, "rows values"],
) -> list[str]:
    """Check labels or numbers of the training split; notes on labels of one value.

    Raises:
        InputError: if one has no known value there, all labels have one value each, or numbers are
            all the same.
    """
    are_numbers = train.dtype.kind == "f"
    is_known = ~np.isnan(train) if are_numbers else train != NOT_KNOWN
    same = {}
    for number, name in enumerate(names):
        known = train[is_known[:, number], number]
        if not len(known):
            raise InputError(
                f"{name} is not known for any of {len(train):,} sequences of train; give some, or"
                " leave it out of dataset.targets"
            )
        if (known == known[0]).all():
            same[name] = f"{known[0]:g}"
    if same and (are_numbers or len(same) == len(names)):
        name, value = next(iter(same.items()))
        raise InputError(
            f"{name} is {value} for all sequences of train, so that there is nothing to learn;"
            " leave it out of dataset.targets, or split otherwise"
        )
    return [f"{name} is {value} for all sequences of train" for name, value in same.items()]
