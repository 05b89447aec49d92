"""Sequences in folds: by class, by chromosome, or by groups that a table tells."""

import re
from collections.abc import Sequence
from typing import Literal

from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.splits import Form, drawn
from seqexp.dataset.folds import Fold, whole_groups
from seqexp.errors import InputError
from seqexp.seeding import stream_seed

FoldBy = Literal["class", "chromosome", "group"]

PLACE = re.compile(r"(\S+):\d+-\d+")
"""A name as `chr1:100-300(+)`."""

WORDS: dict[FoldBy, str] = {
    "class": "different sequences",
    "chromosome": "chromosomes",
    "group": "groups",
}


def by_fold(
    records: Sequence[Record], fold: Fold, by: FoldBy, valid_share: float, form: Form
) -> tuple[dict[str, list[Record]], str]:
    """The splits where a fold is the test, and a note on it.

    Args:
        records: all of them.
        fold: which one.
        by: what stays together in a fold, and in validation.
        valid_share: of the other folds, for validation.
        form: what equal sequences share.

    Raises:
        InputError: if records have a split of their own, or names or groups do not say what they
            are; if there are too few groups.
    """
    named = next((one for one in records if one.split not in (None, "all")), None)
    if named is not None:
        fold.refuse_given(str(named.split), named.place or repr(named.name))
    groups = _groups(records, by, form)
    strata = [-1 if record.label is None else record.label for record in records]
    is_test = fold.tested(groups, WORDS[by], strata)
    parts: dict[str, list[Record]] = {"train": [], "valid": [], "test": []}
    for record, is_in in zip(records, is_test, strict=True):
        parts["test" if is_in else "train"].append(record)
    seed = stream_seed(fold.seed, "valid")
    if by == "class":
        parts["train"], parts["valid"] = drawn(parts["train"], valid_share, seed, form)
    else:
        left = _groups(parts["train"], by, form)
        chosen = whole_groups(left, valid_share, seed)
        rest = parts["train"]
        parts["train"] = [r for r, group in zip(rest, left, strict=True) if group not in chosen]
        parts["valid"] = [r for r, group in zip(rest, left, strict=True) if group in chosen]
    how = "" if by == "class" else f", whole {WORDS[by]}"
    return parts, fold.note(len(parts["test"]), len(records), f"sequences{how}")


def _groups(records: Sequence[Record], by: FoldBy, form: Form) -> list[str]:
    """What each record belongs to."""
    if by == "class":
        return [form(record.sequence) for record in records]
    if by == "chromosome":
        return [_chromosome(record) for record in records]
    for record in records:
        if not record.group:
            where = record.place or repr(record.name)
            raise InputError(
                f"dataset.fold_by is group, but {where} has none; give a dataset.table, or"
                " dataset.labels, with a column group and a value in each row"
            )
    return [str(record.group) for record in records]


def _chromosome(record: Record) -> str:
    found = PLACE.match(record.name)
    if found is None:
        raise InputError(
            f"dataset.fold_by is chromosome, but the name {record.name!r:.60} says none; name"
            " sequences as chr1:100-300, or give dataset.fold_by=group and a column group"
        )
    return found[1]
