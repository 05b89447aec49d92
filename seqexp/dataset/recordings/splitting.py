"""Recordings to training, validation and test: whole groups, so that no neighbour is held out."""

import hashlib
from collections.abc import Mapping, Sequence

from seqexp.dataset.folds import Fold
from seqexp.dataset.recordings.recording import Recording
from seqexp.errors import InputError
from seqexp.utils.nearest import nearest

SPLITS = {"train": "train", "valid": "valid", "test": "test"} | dict.fromkeys(
    ("val", "dev", "validation"), "valid"
)
"""What a column `split` may say, and what is meant."""

Splits = dict[str, list[Recording]]


def split(
    recordings: Sequence[Recording],
    named: Mapping[str, Sequence[str] | None],
    shares: Mapping[str, float],
    seed: int,
    fold: Fold | None = None,
) -> Splits:
    """By files and a column, by names of groups, and of what neither names by a share of groups.

    Args:
        recordings: all of them; `split` says where one is to be, if anything does.
        named: groups of `test` and `valid`, or None.
        shares: of `test` and `valid` among the groups that are left.
        seed: selects what is drawn.
        fold: what is the test; None is a share.

    Raises:
        InputError: if a name is no group's, or too few groups are there.
    """
    parts: Splits = {"train": [], "valid": [], "test": []}
    rest = []
    for one in recordings:
        if one.split is not None and one.split not in SPLITS:
            raise InputError(
                f"{one.place(0)}: split is {one.split!r:.40}; give one of {', '.join(SPLITS)}"
            )
        if one.split is None:
            rest.append(one)
        else:
            parts[SPLITS[one.split]].append(one)
    groups = list(dict.fromkeys(one.group for one in rest))
    chosen: dict[str, str] = {}
    if fold is not None:
        chosen = dict.fromkeys(_of_fold(recordings, fold), "test")
        shares = {**shares, "test": 0.0}
    for name in ("test", "valid"):
        for group in named[name] or ():
            _refuse_unknown(name, group, groups)
            if chosen.setdefault(group, name) != name:
                raise InputError(
                    f"dataset.test_groups and dataset.valid_groups both have {group!r:.40}; give"
                    " each group to one"
                )
    for name in ("test", "valid"):
        if parts[name] or named[name] is not None or not shares[name]:
            continue
        left = [group for group in groups if group not in chosen]
        chosen |= dict.fromkeys(_drawn(left, name, shares[name], seed, bool(parts["train"])), name)
    for one in rest:
        parts[chosen.get(one.group, "train")].append(one)
    for name in ("train", "test"):
        if not parts[name]:
            raise InputError(
                f"no sequence is left for {name}: there are {len(groups)} groups"
                f" ({', '.join(groups[:10])}); see dataset.test_groups and dataset.valid_groups"
            )
    return parts


def _of_fold(recordings: Sequence[Recording], fold: Fold) -> list[str]:
    """The groups of a fold."""
    for one in recordings:
        if one.split is not None:
            fold.refuse_given(one.split, one.place(0))
    groups = [one.group for one in recordings]
    tested = fold.tested(groups, "groups", [_stratum(one) for one in recordings])
    return [group for group, is_in in zip(groups, tested, strict=True) if is_in]


def _stratum(one: Recording) -> str:
    """The label of a recording that has one."""
    labels = {str(label) for column in one.labels for label in column}
    return labels.pop() if len(labels) == 1 else ""


def _refuse_unknown(name: str, group: str, groups: Sequence[str]) -> None:
    if group in groups:
        return
    near = nearest(group, groups, close=0.5)
    hint = f"; did you mean {near!r}?" if near is not None else ""
    more = ", ..." if len(groups) > 20 else ""
    raise InputError(
        f"dataset.{name}_groups has {group!r:.40}, which is no group{hint} (there are"
        f" {', '.join(groups[:20]):.400}{more})"
    )


def _drawn(
    groups: Sequence[str], name: str, share: float, seed: int, has_train: bool
) -> Sequence[str]:
    """A share of the groups: at least one, and not all where nothing else is to be learned from."""
    if len(groups) < (1 if has_train else 2):
        also = ", or valid_share=0 to validate on nothing" if name == "valid" else ""
        raise InputError(
            f"dataset.{name}_share is {share}, but groups to draw from are {len(groups)}"
            f" ({', '.join(groups)}): a sequence is held out as a whole; give a file each, or"
            f" dataset.group_column, or dataset.{name}_path{also}"
        )
    count = min(max(1, round(share * len(groups))), len(groups) - (0 if has_train else 1))
    return sorted(groups, key=lambda group: _hash(seed, name, group))[:count]


def _hash(seed: int, name: str, group: str) -> bytes:
    return hashlib.sha256(repr((seed, name, group)).encode()).digest()
