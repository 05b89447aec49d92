"""Texts on pictures as token ids."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from seqexp.dataset.words.tokenizer import UNKNOWN, tokenize, vocabulary
from seqexp.spec import PAD

Words = list[str]


def words_of(texts: Iterable[str]) -> list[Words]:
    """Lower-case words of each text; texts that are asked again are read once."""
    return [*map(functools.cache(tokenize), texts)]


def symbols_of(texts: Iterable[Words], max_symbols: int) -> tuple[str, ...]:
    """`<unk>` and the most frequent words, so many symbols at most."""
    counts = Counter(word for words in texts for word in words)
    counts.pop(UNKNOWN, None)
    return vocabulary(counts, max_symbols - 1)


def ids_of(words: Words, symbols: Mapping[str, int]) -> list[int]:
    """Token ids; words that the vocabulary lacks are `<unk>`."""
    return [symbols.get(word, symbols[UNKNOWN]) for word in words]


def padded(
    rows: Sequence[Sequence[int]], width: int, value: int = PAD
) -> Int[Tensor, "rows width"]:
    """Rows filled up at the right."""
    table = np.full((len(rows), width), value)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table[np.arange(width) < lengths[:, None]] = [value for row in rows for value in row]
    return torch.from_numpy(table)


def cut_note(texts: Iterable[Words], max_length: int, what: str) -> list[str]:
    """A note on texts that are cut off."""
    lengths = [len(words) for words in texts]
    cut = sum(length > max_length for length in lengths)
    if not cut:
        return []
    return [
        f"{cut:,} of {len(lengths):,} {what} have up to {max(lengths)} words, more than"
        f" dataset.max_length; the first {max_length} are used"
    ]


def unknown_note(texts: Iterable[Words], symbols: Mapping[str, int], what: str) -> list[str]:
    """A note on words that the vocabulary lacks."""
    words = [word for text in texts for word in text]
    unknown = Counter(word for word in words if word not in symbols)
    if not unknown:
        return []
    shown = ", ".join(repr(word)[:40] for word, _ in unknown.most_common(3))
    return [
        f"{unknown.total():,} of {len(words):,} words of the {what} are not in the vocabulary and"
        f" count as <unk> ({shown})"
    ]
