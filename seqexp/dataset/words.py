"""Words: tokens, vocabulary and pretrained vectors, by torchtext. Nothing else imports it."""

import contextlib
import io
import logging
import ssl
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torchtext
from torchtext.data.utils import get_tokenizer
from torchtext.vocab import Vectors, Vocab

from seqexp.dataset.vectors import keep_lines
from seqexp.errors import InputError
from seqexp.spec import WordVectors

UNKNOWN = "<unk>"
"""The symbol of every word that the vocabulary lacks."""

TOKENIZER = f"basic_english of torchtext {torchtext.__version__}"
"""What `tokenize` does, by name: a cache of tokens is sound for the same only."""

_basic_english = get_tokenizer("basic_english")


def tokenize(text: str) -> list[str]:
    """Lower-case words and punctuation marks; `<br />` counts as a space.

    Quotation marks, colons and semicolons are dropped.
    """
    words: list[str] = _basic_english(text)
    return words


def vocabulary(counts: Mapping[str, int], max_words: int) -> tuple[str, ...]:
    """`<unk>`, then the most frequent words, those of equal frequency by the alphabet."""
    vocab = Vocab(Counter(counts), max_size=max_words, specials=[UNKNOWN])
    return tuple(vocab.itos)


def read_vectors(path: Path, symbols: Sequence[str]) -> WordVectors:
    """Pretrained vectors of those symbols that a file has, in GloVe's or word2vec's text format.

    Raises:
        InputError: if the file is missing, is no such file, or has none of the symbols.
    """
    with tempfile.TemporaryDirectory() as folder:
        # only the lines that are wanted: torchtext would keep all in memory, and its own copy of
        # them beside the file, found by name again though the file be another
        kept = Path(folder) / "vectors.txt"
        if not keep_lines(path, kept, set(symbols)):
            raise InputError(f"{path}: has none of the {len(symbols):,} words of the vocabulary")
        found = _load(kept, path)
    ids = {symbol: index for index, symbol in enumerate(symbols, start=1)}
    if not torch.isfinite(found.vectors).all():
        raise InputError(f"{path}: has values that are inf or nan")
    words = list(found.stoi)  # each once
    rows = torch.tensor([found.stoi[word] for word in words])
    return WordVectors(torch.tensor([ids[word] for word in words]), found.vectors[rows])


def _load(kept: Path, path: Path) -> Vectors:
    verified = ssl._create_default_https_context
    logging.getLogger("torchtext").setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar
            return Vectors(kept.name, cache=str(kept.parent))
    except (RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: is no file of word vectors, which have at least 3 values each, all the same"
            f" number ({error})"
        ) from error
    finally:
        # torchtext switches the check of certificates off, for the whole process
        ssl._create_default_https_context = verified
