"""Words: vocabulary by torchtext, which nothing else imports; pretrained vectors."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torchtext
from torchtext.vocab import Vocab

from seqexp.data import WordVectors
from seqexp.dataset.words.numbering import tokenize as tokenize
from seqexp.errors import InputError
from seqexp.formats import vectors

log = logging.getLogger("seqexp")

UNKNOWN = "<unk>"
"""The symbol of every word that the vocabulary lacks."""

TOKENIZER = f"basic_english of torchtext {torchtext.__version__}"
"""What `tokenize` does, by name: a cache of tokens is sound for the same only."""


def vocabulary(counts: Mapping[str, int], max_words: int) -> tuple[str, ...]:
    """`<unk>`, then the most frequent words, those of equal frequency by the alphabet."""
    vocab = Vocab(Counter(counts), max_size=max_words, specials=[UNKNOWN])
    return tuple(vocab.itos)


def read_vectors(path: Path, symbols: Sequence[str]) -> WordVectors:
    """Pretrained vectors of those symbols that a file has, as `formats.vectors` reads it.

    Raises:
        InputError: if the file is missing, is no such file, or has none of the symbols.
    """
    found = vectors.read_vectors(path, symbols)
    if not found.words:
        raise InputError(f"{path}: has none of the {len(symbols):,} words of the vocabulary")
    if found.num_repeated:
        log.warning(
            f"{path}: {found.num_repeated:,} lines are of words that have one already; the first"
            " is used"
        )
    ids = {symbol: index for index, symbol in enumerate(symbols, start=1)}
    numbers = torch.tensor([ids[word] for word in found.words])
    return WordVectors(numbers, torch.from_numpy(found.values))
