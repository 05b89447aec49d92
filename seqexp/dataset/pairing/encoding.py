"""Pairs as token ids: vocabularies of the training pairs, rows, and what they lack."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import psutil
import torch
from torch import Tensor

from seqexp.data import Data, Sequences
from seqexp.dataset.pairing.files import Pair
from seqexp.dataset.pairing.splits import Splits
from seqexp.errors import InputError
from seqexp.formats.ends import UNKNOWN, ends_for, output_names
from seqexp.spec import IGNORE, PAD, Output, TaskSpec, Vocabulary

MAX_SHARE_OF_MEMORY = 0.5
"""Of this machine's memory, for the padded rows of all pairs."""


@dataclass(frozen=True)
class Limits:
    """What of pairs is kept.

    Args:
        max_source_tokens: size of the vocabulary of sources, with padding and `<unk>`; None: all.
        max_target_tokens: likewise of targets, with begin and end too.
        min_count: times that a symbol has to stand in the training pairs to be in a vocabulary.
        max_source_length: symbols of a source; None has no limit.
        max_target_length: symbols of a target; None has no limit.
        longer: what is done with longer ones.
    """

    max_source_tokens: int | None
    max_target_tokens: int | None
    min_count: int
    max_source_length: int | None
    max_target_length: int | None
    longer: Literal["refuse", "truncate"]


def encoded(splits: Splits, limits: Limits) -> Data:
    """Tokens are a target from its begin symbol on, targets the same to its end symbol.

    A target that is cut has no end that could be learned.

    Raises:
        InputError: if a pair is longer than allowed, all pairs padded to the longest do not fit
            into memory, or targets have all symbols that could mark their ends.
    """
    cut, notes = _cut(splits, limits)
    _refuse_what_does_not_fit(cut)
    train = cut["train"]
    every_target = {symbol for pairs in cut.values() for pair in pairs for symbol in pair.target}
    ends = ends_for(every_target)
    source = _vocabulary(
        (pair.source for pair in train), (), limits.max_source_tokens, limits.min_count
    )
    target = _vocabulary(
        (pair.target for pair in train), ends, limits.max_target_tokens, limits.min_count
    )
    spec = TaskSpec(
        target,
        len(target),
        Output.NEXT_TOKEN,
        output_names(target.symbols),
        context=source,
    )
    sequences = {name: _sequences(pairs, source, target, ends) for name, pairs in cut.items()}
    notes += _unknown_notes(cut, source, target)
    return Data(
        spec,
        train=sequences["train"],
        valid=sequences["valid"],
        test=sequences["test"],
        notes=tuple(notes),
    )


# --- lengths ----------------------------------------------------------------------------------


def _cut(splits: Splits, limits: Limits) -> tuple[Splits, list[str]]:
    """Pairs within the limits; targets that are held out stay whole, since they are the truth."""
    notes: list[str] = []
    cut = dict(splits)
    sides = (("source", limits.max_source_length), ("target", limits.max_target_length))
    for side, most in sides:
        if most is None:
            continue
        names = ("train", "valid", "test") if side == "source" else ("train",)
        count = 0
        for name in names:
            long = [pair for pair in cut[name] if len(getattr(pair, side)) > most]
            if long and limits.longer == "refuse":
                raise InputError(_too_long(long[0], side, most, len(long)))
            count += len(long)
            cut[name] = [_shortened(pair, side, most) for pair in cut[name]]
        if count:
            where = "" if side == "source" else " of train"
            notes.append(f"{count:,} {side}s{where} are cut to {most} symbols")
    return cut, notes


def _shortened(pair: Pair, side: str, most: int) -> Pair:
    if side == "source":
        return pair._replace(source=pair.source[:most])
    return pair._replace(target=pair.target[:most], is_cut=len(pair.target) > most)


def _too_long(pair: Pair, side: str, most: int, count: int) -> str:
    more = f" (and {count - 1:,} more)" if count > 1 else ""
    return (
        f"{pair.place}: the {side} has {len(getattr(pair, side)):,} symbols{more}, but"
        f" dataset.max_{side}_length is {most}; give a larger one, or dataset.longer=truncate"
    )


def _refuse_what_does_not_fit(splits: Splits) -> None:
    """All rows are padded to the longest: one very long pair among many fills the memory."""
    pairs = [pair for split in splits.values() for pair in split]
    longest = max(pairs, key=lambda pair: max(len(pair.source), len(pair.target)))
    width = sum(max(len(getattr(pair, side)) for pair in pairs) for side in ("source", "target"))
    needed, there = 4 * len(pairs) * width, psutil.virtual_memory().total
    if needed > MAX_SHARE_OF_MEMORY * there:
        length = max(len(longest.source), len(longest.target))
        raise InputError(
            f"{longest.place}: has {length:,} symbols, and all {len(pairs):,} pairs are padded to"
            f" the longest: {needed / 2**30:,.0f} GiB, but this machine has {there / 2**30:,.0f};"
            " give dataset.max_source_length and dataset.max_target_length, or a smaller unit"
        )


# --- ids --------------------------------------------------------------------------------------


def _vocabulary(
    rows: Iterable[Sequence[str]], ends: Sequence[str], max_tokens: int | None, min_count: int
) -> Vocabulary:
    """Begin and end, `<unk>`, then the most frequent symbols, equal ones by their code points."""
    counts = Counter(symbol for row in rows for symbol in row)
    del counts[UNKNOWN]
    ordered = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    frequent = [symbol for symbol in ordered if counts[symbol] >= min_count]
    special = (*ends, UNKNOWN)
    most = None if max_tokens is None else max(0, max_tokens - 1 - len(special))
    return Vocabulary((*special, *frequent[:most]))


def _sequences(
    pairs: Sequence[Pair], source: Vocabulary, target: Vocabulary, ends: tuple[str, str]
) -> Sequences:
    begin, end = target.encode(ends)
    targets = [ids_of(pair.target, target) for pair in pairs]
    lasts = [IGNORE if pair.is_cut else end for pair in pairs]
    scored = [[*row, last] for row, last in zip(targets, lasts, strict=True)]
    return Sequences(
        tokens=_padded([[begin, *row] for row in targets], len(target), PAD),
        targets=_padded(scored, len(target), IGNORE),
        context=_padded([ids_of(pair.source, source) for pair in pairs], len(source), PAD),
    )


def ids_of(symbols: Sequence[str], vocabulary: Vocabulary) -> list[int]:
    """Token ids; what the vocabulary lacks is `<unk>`."""
    ids = vocabulary.ids
    return [ids.get(symbol, ids[UNKNOWN]) for symbol in symbols]


def _padded(rows: Sequence[Sequence[int]], size: int, padding: int) -> Tensor:
    """Rows of the narrowest type that is signed, padded at the right."""
    width = max((len(row) for row in rows), default=1)
    kind = np.int16 if size < np.iinfo(np.int16).max else np.int32
    matrix = np.full((len(rows), width), padding, dtype=kind)
    for place, row in enumerate(rows):
        matrix[place, : len(row)] = row
    return torch.from_numpy(matrix)


def _unknown_notes(splits: Splits, source: Vocabulary, target: Vocabulary) -> list[str]:
    """How much of the test, and of training, the vocabularies lack."""
    notes = []
    for side, vocabulary in (("source", source), ("target", target)):
        for name in ("train", "test"):
            rows = [getattr(pair, side) for pair in splits[name]]
            known = vocabulary.ids.keys() - {UNKNOWN}
            unknown = [sum(symbol not in known for symbol in row) for row in rows]
            if not any(unknown):
                continue
            total = sum(map(len, rows))
            notes.append(
                f"{sum(unknown):,} of {total:,} symbols of the {side}s of {name} are {UNKNOWN}"
                f" ({sum(unknown) / total:.1%}), in {sum(map(bool, unknown)):,} of"
                f" {len(rows):,} pairs" + _cost(side, name)
            )
    return notes


def _cost(side: str, name: str) -> str:
    is_counted = side == "target" and name == "test"
    return f"; {UNKNOWN} is never written, so that these cannot be exact" if is_counted else ""
