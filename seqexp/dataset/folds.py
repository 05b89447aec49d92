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

from annotated_types import Interval

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
    counts: dict[Hashable, Counter[Hashable]] = {}
    for group, stratum in zip(groups, strata, strict=True):
        counts.setdefault(group, Counter())[stratum] += 1
    if len(counts) < folds:
        raise InputError(
            f"dataset.folds is {folds}, but there are {len(counts)} {what}, each of which is held"
            " out as a whole; give fewer folds, or more data"
        )
    stream = stream_seed(seed, "folds")
    order = sorted(counts, key=lambda group: (-counts[group].total(), _hash(stream, group)))
    deal = _Deal(folds, Counter(strata))
    by_stratum: dict[Hashable, list[tuple[Hashable, int]]] = {}
    for group in order:
        if len(counts[group]) > 1:
            deal.mixed(group, counts[group])
        else:
            ((stratum, size),) = counts[group].items()
            by_stratum.setdefault(stratum, []).append((group, size))
    for stratum in sorted(by_stratum, key=repr):
        deal.of_stratum(stratum, by_stratum[stratum])
    return [deal.chosen[group] for group in groups]


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

    def __init__(self, folds: int, totals: Counter[Hashable]) -> None:
        self.totals = totals
        self.sizes = [0] * folds
        self.counts: list[Counter[Hashable]] = [Counter() for _ in range(folds)]
        self.chosen: dict[Hashable, int] = {}

    def mixed(self, group: Hashable, counts: Counter[Hashable]) -> None:
        """Deal a group of several strata."""

        def share(fold: int) -> tuple[float, int, int]:
            own = self.counts[fold]
            shares = (own[s] * count / self.totals[s] for s, count in counts.items())
            return sum(shares), self.sizes[fold], fold

        self._put(group, counts, min(range(len(self.sizes)), key=share))

    def of_stratum(self, stratum: Hashable, groups: Sequence[tuple[Hashable, int]]) -> None:
        """Deal all groups of one stratum, each with its size."""
        heap = [(self.counts[fold][stratum], size, fold) for fold, size in enumerate(self.sizes)]
        heapq.heapify(heap)
        for group, size in groups:
            count, whole, fold = heap[0]
            self._put(group, Counter({stratum: size}), fold)
            heapq.heapreplace(heap, (count + size, whole + size, fold))

    def _put(self, group: Hashable, counts: Counter[Hashable], fold: int) -> None:
        self.chosen[group] = fold
        self.counts[fold] += counts
        self.sizes[fold] += counts.total()
