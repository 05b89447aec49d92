"""Cross-validation: records are dealt into folds, each of which is the test of one run.

Which fold a record is in depends on the records, the number of folds and the dataset's seed alone:
it is the same for every model, and for every fold that a run tests on.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import numpy as np
from annotated_types import Interval
from jaxtyping import Bool, Int, Shaped

from seqexp.errors import InputError
from seqexp.seeding import stream_seed

Folds = Annotated[int, Interval(ge=2, le=1000)]
"""Parts of all records."""


@dataclass(frozen=True)
class Fold:
    """The part of all records that is the test.

    Args:
        number: of this part, from 0.
        folds: parts.
        seed: selects what is in which.
    """

    number: int
    folds: int
    seed: int

    @classmethod
    def of(cls, dataset: Any) -> "Fold | None":
        """The choice of a dataset that has `folds`, `fold` and `seed`; None where it has no folds.

        Raises:
            InputError: if there is no such fold.
        """
        if dataset.folds is None:
            return None
        if dataset.fold >= dataset.folds:
            raise InputError(
                f"dataset.fold is {dataset.fold}, and dataset.folds is {dataset.folds}; give a fold"
                f" from 0 to {dataset.folds - 1}"
            )
        return cls(dataset.fold, dataset.folds, dataset.seed)

    def tested(
        self, groups: Sequence[Hashable], what: str, strata: Sequence[Hashable] | None = None
    ) -> list[bool]:
        """Of each record, whether it is in the test.

        Args:
            groups: of each record; those of a group stay together. Their `repr` is the same on
                every machine.
            what: groups in words, for messages.
            strata: of each record, as its class, of which each fold has the same share.

        Raises:
            InputError: if there are fewer groups than folds.
        """
        known = strata if strata is not None else [0] * len(groups)
        return [fold == self.number for fold in dealt(groups, known, self.folds, self.seed, what)]

    def tested_numbers(
        self,
        groups: Int[np.ndarray, " records"],
        strata: Int[np.ndarray, " records"],
        hashes: Shaped[np.ndarray, " groups"],
        what: str,
    ) -> Bool[np.ndarray, " records"]:
        """As `tested`, of very many groups, as numbers.

        Args:
            groups: from 0; each has a record.
            strata: of each record.
            hashes: of each group, that sort as those of `dealt` do.
            what: as of `tested`.
        """
        _refuse_few(len(hashes), self.folds, what)
        ranks = np.empty(len(hashes), dtype=np.int64)
        ranks[np.argsort(hashes, kind="stable")] = np.arange(len(hashes))
        order = sorted(np.unique(strata).tolist(), key=repr)
        is_test: np.ndarray = (_dealt(groups, strata, ranks, order, self.folds) == self.number)[
            groups
        ]
        return is_test

    def note(self, size: int, total: int, what: str) -> str:
        """The test in words."""
        return (
            f"the test is fold {self.number} of the folds 0 to {self.folds - 1}: {size:,} of"
            f" {total:,} {what}"
        )

    def refuse_given(self, split: str, place: str) -> NoReturn:
        """Refuse data that say their splits themselves.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{place}: the split is {split!r:.40}, but dataset.folds is {self.folds}, which deals"
            " all into folds; give dataset.folds=null, or data without splits"
        )


def dealt(
    groups: Sequence[Hashable], strata: Sequence[Hashable], folds: int, seed: int, what: str
) -> list[int]:
    """The fold of each record, from 0.

    Records of a group go to one fold. Where groups are single records, the sizes of folds differ by
    at most one, and so do the counts of each stratum. Otherwise each group, the large ones first,
    goes to the fold that has the smallest share of its strata so far.

    Raises:
        InputError: if there are fewer groups than folds.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    _refuse_few(len(numbers), folds, what)
    stream = stream_seed(seed, "folds")
    ranks = np.empty(len(numbers), dtype=np.int64)
    by_hash = sorted(numbers, key=lambda group: _hash(stream, group))
    ranks[[numbers[group] for group in by_hash]] = np.arange(len(numbers))
    kinds = {stratum: number for number, stratum in enumerate(dict.fromkeys(strata))}
    order = [kinds[stratum] for stratum in sorted(kinds, key=repr)]
    places = np.fromiter((numbers[group] for group in groups), dtype=np.int64)
    known = np.fromiter((kinds[stratum] for stratum in strata), dtype=np.int64)
    found: list[int] = _dealt(places, known, ranks, order, folds)[places].tolist()
    return found


def fold_stream(seed: int) -> int:
    """The seed of the hashes by which groups are dealt."""
    return stream_seed(seed, "folds")


def _refuse_few(count: int, folds: int, what: str) -> None:
    if count < folds:
        raise InputError(
            f"dataset.folds is {folds}, but there are {count} {what}, each of which is held"
            " out as a whole; give fewer folds, or more data"
        )


def _dealt(
    groups: Int[np.ndarray, " records"],
    strata: Int[np.ndarray, " records"],
    ranks: Int[np.ndarray, " groups"],
    order: Sequence[int],
    folds: int,
) -> Int[np.ndarray, " groups"]:
    """The fold of each group.

    Args:
        groups: of each record, from 0.
        strata: of each record.
        ranks: of each group, by its hash.
        order: strata, as they are dealt.
        folds: parts.
    """
    sizes = np.bincount(groups, minlength=len(ranks))
    first = np.empty(len(ranks), dtype=np.int64)
    first[groups[::-1]] = strata[::-1]
    is_mixed = np.zeros(len(ranks), dtype=bool)
    is_mixed[groups[strata != first[groups]]] = True
    mixed: dict[int, Counter[int]] = {}  # the strata of each in the order of the records
    rows = np.flatnonzero(is_mixed[groups])
    for group, stratum in zip(groups[rows].tolist(), strata[rows].tolist(), strict=True):
        mixed.setdefault(group, Counter())[stratum] += 1
    kinds, counts = np.unique(strata, return_counts=True)
    totals = Counter(dict(zip(kinds.tolist(), counts.tolist(), strict=True)))
    deal = _Deal(folds, totals, len(ranks))
    along = np.lexsort((ranks, -sizes))
    for group in along[is_mixed[along]].tolist():
        deal.mixed(group, mixed[group])
    for stratum in order:
        of_stratum = along[~is_mixed[along] & (first[along] == stratum)]
        deal.of_stratum(stratum, of_stratum, sizes[of_stratum])
    return deal.chosen


def whole_groups(groups: Sequence[Hashable], share: float, seed: int) -> set[Hashable]:
    """Groups that have about this share of all records: at least one, and never all.

    Args:
        groups: of each record.
        share: of the records; 0 takes none.
        seed: selects them.
    """
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda group: _hash(seed, group))
    chosen: set[Hashable] = set()
    taken = 0
    for group in order[:-1] if share else ():
        if chosen and taken + sizes[group] / 2 > share * len(groups):
            break
        chosen.add(group)
        taken += sizes[group]
    return chosen


def _hash(seed: int, group: Hashable) -> bytes:
    return hashlib.sha256(repr((seed, group)).encode()).digest()


class _Deal:
    """The folds while groups are dealt to them."""

    def __init__(self, folds: int, totals: Counter[int], num_groups: int) -> None:
        self.totals = totals
        self.sizes = [0] * folds
        self.counts: list[Counter[int]] = [Counter() for _ in range(folds)]
        self.chosen: np.ndarray = np.empty(num_groups, dtype=np.int32)

    def mixed(self, group: int, counts: Counter[int]) -> None:
        """Deal a group of several strata."""

        def share(fold: int) -> tuple[float, int, int]:
            own = self.counts[fold]
            shares = (own[s] * count / self.totals[s] for s, count in counts.items())
            return sum(shares), self.sizes[fold], fold

        fold = min(range(len(self.sizes)), key=share)
        self.chosen[group] = fold
        self.counts[fold] += counts
        self.sizes[fold] += counts.total()

    def of_stratum(
        self,
        stratum: int,
        groups: Int[np.ndarray, " groups"],
        sizes: Int[np.ndarray, " groups"],
    ) -> None:
        """Deal all groups of one stratum, each with its size."""
        heap = [(self.counts[fold][stratum], size, fold) for fold, size in enumerate(self.sizes)]
        heapq.heapify(heap)
        for place in range(len(groups)):
            (count, whole, fold), size = heap[0], int(sizes[place])
            self.chosen[groups[place]] = fold
            heapq.heapreplace(heap, (count + size, whole + size, fold))
        for count, whole, fold in heap:
            self.counts[fold][stratum], self.sizes[fold] = count, whole
