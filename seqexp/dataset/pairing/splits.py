"""Pairs to training, validation and test, so that no pair that is held out has been learned."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from seqexp.dataset.folds import Fold
from seqexp.dataset.pairing.files import Pair
from seqexp.errors import InputError

Splits = dict[str, list[Pair]]

HELD_OUT = ("test", "valid")


def divided(
    given: Mapping[str, Sequence[Pair]],
    shares: Mapping[str, float],
    seed: int,
    fold: Fold | None = None,
) -> Splits:
    """The three splits: as the files or their column of splits say, else drawn from training.

    All pairs of the same source are drawn together, in an order that depends on nothing but the
    sources and the seed.

    Args:
        given: pairs by the split of their file; those of `train` may say their own.
        shares: of the sources that are left, for `test` and `valid`.
        seed: selects them.
        fold: what is the test; None is a share.

    Raises:
        InputError: if nothing is left to train on.
    """
    splits: Splits = {name: list(given.get(name, ())) for name in ("train", "valid", "test")}
    if fold is not None:
        splits["test"], splits["train"] = _of_fold(splits["train"], fold)
    said = [pair.split is not None for pair in splits["train"]]
    if any(said):
        all_pairs, splits["train"] = splits["train"], []
        for pair in all_pairs:
            splits[pair.split or "train"].append(pair)
    for name in HELD_OUT:
        if not splits[name] and name not in given and shares[name]:
            splits[name], splits["train"] = _drawn(splits["train"], shares[name], seed, name)
    if not splits["train"]:
        raise InputError(
            "dataset.path: no pairs are left to train on; give more, or smaller dataset.test_share"
            " and dataset.valid_share"
        )
    return splits


def _drawn(
    pairs: Sequence[Pair], share: float, seed: int, name: str
) -> tuple[list[Pair], list[Pair]]:
    """This share of the sources, at least one of them and never all; and the rest."""
    sources = sorted({pair.source for pair in pairs}, key=lambda source: _hash(seed, name, source))
    if len(sources) < 2:
        raise InputError(
            f"dataset.{name}_share is {share}, but there is only one source; give more pairs, or"
            f" dataset.{name}_path"
        )
    chosen = set(sources[: min(max(1, round(share * len(sources))), len(sources) - 1)])
    held_out = [pair for pair in pairs if pair.source in chosen]
    return held_out, [pair for pair in pairs if pair.source not in chosen]


def _of_fold(pairs: Sequence[Pair], fold: Fold) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a fold, and the rest."""
    named = next((pair for pair in pairs if pair.split is not None), None)
    if named is not None:
        fold.refuse_given(str(named.split), named.place)
    chosen = fold.tested([pair.source for pair in pairs], "different sources")
    both = list(zip(pairs, chosen, strict=True))
    return [pair for pair, is_in in both if is_in], [pair for pair, is_in in both if not is_in]


def _hash(seed: int, name: str, source: tuple[str, ...]) -> bytes:
    return hashlib.sha256(repr((seed, name, source)).encode()).digest()


def without_leaks(splits: Splits) -> tuple[Splits, list[str]]:
    """Pairs that are held out are taken out of what is learned from; and notes.

    Raises:
        InputError: if nothing is left to train on.
    """
    kept, notes = dict(splits), []
    seen = {(pair.source, pair.target) for pair in splits["test"]}
    for name, held_out in (("valid", "test"), ("train", "valid or test")):
        pairs = splits[name]
        kept[name] = [pair for pair in pairs if (pair.source, pair.target) not in seen]
        seen.update((pair.source, pair.target) for pair in pairs)
        count = len(pairs) - len(kept[name])
        if count:
            notes.append(
                f"{count:,} of {len(pairs):,} pairs of {name} stand in {held_out} too: they are"
                f" removed from {name}"
            )
    if not kept["train"]:
        raise InputError("all pairs of dataset.path stand in valid or test too: none is left")
    return kept, notes + _source_notes(kept)


def _source_notes(splits: Splits) -> list[str]:
    """Sources of the test that are known from training, and those with several targets."""
    notes = []
    learned = {pair.source for pair in splits["train"]}
    targets: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for pair in splits["test"]:
        targets[pair.source].add(pair.target)
    count = len(learned & targets.keys())
    if count:
        notes.append(
            f"{count:,} of {len(targets):,} sources of test stand in train too, with other targets"
        )
    several = sum(len(found) > 1 for found in targets.values())
    if several:
        notes.append(
            f"{several:,} of {len(targets):,} sources of test have several targets: any of them is"
            " exact"
        )
    return notes
