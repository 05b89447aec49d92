"""Tagged sequences to training, validation and test; what a reader should know of them."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from seqexp.dataset.folds import Fold
from seqexp.dataset.tagged.reading import Tagged
from seqexp.errors import InputError
from seqexp.utils.nearest import nearest

Splits = dict[str, list[Tagged]]

MAX_FRACTIONS = 20
"""Labels that are fractions, above which they look like measurements."""

_SHOWN = 5


def split(
    sequences: Sequence[Tagged],
    shares: Mapping[str, float],
    seed: int,
    run: int | None = None,
    fold: Fold | None = None,
) -> Splits:
    """By what the sequences say themselves; parts that none names are drawn, by the share.

    Args:
        sequences: all of them.
        shares: of `test` among all and of `valid` among the rest, for what is to be drawn.
        seed: selects what is drawn. Sequences of the same tokens stay together.
        run: tokens in a row; sequences that share as many stay together too, and so do all that
            they connect. None: only equal ones.
        fold: what is the test; None is a share.

    Raises:
        InputError: if nothing would be left to train or to test on.
    """
    parts: Splits = {"train": [], "valid": [], "test": []}
    for one in sequences:
        parts[one.split or "train"].append(one)
    if fold is not None:
        parts["train"], parts["test"] = _of_fold(sequences, fold, run)
    for name in ("test", "valid"):
        if name in shares and shares[name] and not parts[name]:
            parts["train"], parts[name] = _drawn(parts["train"], name, shares[name], seed, run)
    return parts


def _drawn(
    sequences: Sequence[Tagged], name: str, share: float, seed: int, run: int | None
) -> tuple[list[Tagged], list[Tagged]]:
    """The rest, and a share of them: at least one group of what stays together, never all."""
    texts = list(dict.fromkeys(tuple(one.tokens) for one in sequences))
    groups = _groups(texts, run)
    if len(groups) < 2:
        also = ", or valid_share=0 to validate on nothing" if name == "valid" else ""
        what = "different sequences" if run is None else f"groups that share no {run} tokens,"
        raise InputError(
            f"dataset.{name}_share is {share}, but {what} to draw from are {len(groups)};"
            f" give more, or dataset.{name}_path{also}"
        )
    groups.sort(key=lambda group: min(_hash(seed, name, text) for text in group))
    chosen: set[tuple[str, ...]] = set()
    for group in groups[:-1]:
        if chosen and len(chosen) + len(group) / 2 > share * len(texts):
            break
        chosen.update(group)
    return (
        [one for one in sequences if tuple(one.tokens) not in chosen],
        [one for one in sequences if tuple(one.tokens) in chosen],
    )


def _of_fold(
    sequences: Sequence[Tagged], fold: Fold, run: int | None
) -> tuple[list[Tagged], list[Tagged]]:
    """The rest, and the sequences of a fold."""
    named = next((one for one in sequences if one.split is not None), None)
    if named is not None:
        fold.refuse_given(str(named.split), named.place)
    texts = list(dict.fromkeys(tuple(one.tokens) for one in sequences))
    group_of = {text: min(group) for group in _groups(texts, run) for text in group}
    what = "different sequences" if run is None else f"groups that share no {run} tokens"
    chosen = fold.tested([group_of[tuple(one.tokens)] for one in sequences], what)
    pairs = list(zip(sequences, chosen, strict=True))
    return [one for one, is_in in pairs if not is_in], [one for one, is_in in pairs if is_in]


def _groups(texts: Sequence[tuple[str, ...]], run: int | None) -> list[list[tuple[str, ...]]]:
    """Texts that are connected by runs of so many tokens that two of them share."""
    parents = list(range(len(texts)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    first: dict[tuple[str, ...], int] = {}  # text in which a run stands first
    for index, text in enumerate(texts):
        for start in range(0 if run is None else len(text) - run + 1):
            other = root(first.setdefault(text[start : start + (run or 0)], index))
            parents[root(index)] = other
    found: dict[int, list[tuple[str, ...]]] = {}
    for index, text in enumerate(texts):
        found.setdefault(root(index), []).append(text)
    return list(found.values())


def _hash(seed: int, name: str, text: Sequence[str]) -> bytes:
    return hashlib.sha256(repr((seed, name, text)).encode()).digest()


def classes_of(parts: Splits) -> tuple[str, ...]:
    """The labels of all splits, sorted."""
    return tuple(sorted({label for part in parts.values() for one in part for label in one.labels}))


def refuse_no_classes(sequences: Sequence[Tagged]) -> None:
    """Refuse labels that cannot be learned.

    Raises:
        InputError: if they are no classes, or there is one only.
    """
    counts = Counter(label for one in sequences for label in one.labels)
    first = sequences[0]
    if len(counts) < 2:
        raise InputError(
            f"{first.place}: all {counts.total():,} tokens to learn from have the label"
            f" {next(iter(counts))!r:.40}; at least two classes are needed"
        )
    tokens = {token for one in sequences for token in one.tokens}
    if len(counts) > max(100, len(tokens)):
        raise InputError(
            f"{first.place}: {len(counts):,} different labels of {len(tokens):,} different tokens;"
            " are the columns the other way round? The token comes first"
        )
    fraction = next((label for label in counts if _is_fraction(label)), None)
    if fraction is not None and len(counts) > MAX_FRACTIONS and all(map(_is_number, counts)):
        raise InputError(
            f"{first.place}: the labels are numbers, as {fraction!r}, {len(counts):,} different"
            " ones: they look like measurements, not like classes; divide their range into a few"
        )


def notes(parts: Splits) -> Iterator[str]:
    """On labels that training lacks, classes that look alike, and sequences in two splits."""
    known = {label for one in parts["train"] for label in one.labels}
    seen = {tuple(one.tokens) for one in parts["train"]}
    for name in ("valid", "test"):
        counts = Counter(label for one in parts[name] for label in one.labels)
        lacking = {label: count for label, count in counts.items() if label not in known}
        for label, count in list(lacking.items())[:_SHOWN]:
            near = nearest(label, sorted(known), close=0.5)
            hint = f" (did you mean {near!r}?)" if near is not None else ""
            yield (
                f"{count:,} of {counts.total():,} labels of {name} are {label!r}{hint}, which"
                " training lacks: it cannot be learned, and counts as wrong"
            )
        repeats = sum(tuple(one.tokens) in seen for one in parts[name])
        if repeats:
            yield (
                f"{repeats:,} of {len(parts[name]):,} sequences of {name} stand in training too"
                " (with the same tokens): they stay, as the files have them"
            )
    folded = Counter(label.casefold() for label in known)
    alike = sorted(label for label in known if folded[label.casefold()] > 1)[:_SHOWN]
    if alike:
        shown = ", ".join(map(repr, alike))
        yield f"labels {shown} differ by case only; they are learned as different ones"


def unknown_note(name: str, part: Sequence[Tagged], known: set[str], what: str) -> Iterator[str]:
    """On tokens of a split that the vocabulary lacks."""
    total = sum(len(one.tokens) for one in part)
    unknown = sum(token not in known for one in part for token in one.tokens)
    if unknown:
        yield f"{unknown / total:.1%} of the {what} of {name} are not in the vocabulary"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_fraction(text: str) -> bool:
    return _is_number(text) and "." in text and float(text) % 1 != 0
