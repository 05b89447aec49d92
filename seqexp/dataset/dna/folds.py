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
    "class": "different sequences, or families of them,",
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
    return parts, fold_note(fold, by, len(parts["test"]), len(records))


def fold_note(fold: Fold, by: FoldBy, tested: int, count: int) -> str:
    """The test in words."""
    how = "" if by == "class" else f", whole {WORDS[by]}"
    return fold.note(tested, count, f"sequences{how}")


def _groups(records: Sequence[Record], by: FoldBy, form: Form) -> list[str]:
    """What each record belongs to."""
    if by == "class":
        return _families(records, form)
    if by == "chromosome":
        return [chromosome_of(record.name) for record in records]
    for record in records:
        if not record.group:
            raise no_group(record.place or repr(record.name))
    return [str(record.group) for record in records]


def no_group(where: str) -> InputError:
    """What is said of a record without a group."""
    return InputError(
        f"dataset.fold_by is group, but {where} has none; give a dataset.table, or"
        " dataset.labels, with a column group and a value in each row"
    )


def _families(records: Sequence[Record], form: Form) -> list[str]:
    """Of each record its form, or the first form of those of its family."""
    forms = [form(record.sequence) for record in records]
    firsts: dict[int, str] = {}
    for record, one in zip(records, forms, strict=True):
        if record.family is not None:
            firsts[record.family] = min(one, firsts.get(record.family, one))
    families = (record.family for record in records)
    return [one if f is None else firsts[f] for f, one in zip(families, forms, strict=True)]


def chromosome_of(name: str) -> str:
    """The contig of a name as `chr1:100-300`.

    Raises:
        InputError: if it says none.
    """
    found = PLACE.match(name)
    if found is None:
        raise InputError(
            f"dataset.fold_by is chromosome, but the name {name!r:.60} says none; name"
            " sequences as chr1:100-300, or give dataset.fold_by=group and a column group"
        )
    return found[1]
